"""The training examples nearest to a text: why the model thinks so, for people to see."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from classifier.arrays import Float32, unit_rows
from classifier.vocabulary import Neighbour

KEPT = 2000
"""Examples that are kept, shared out among the intents: more cost time with every message."""
SHOWN = 3
AT_ONCE = 256
"""Texts whose similarities to all examples are in memory at a time, in each thread."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Examples that a model was trained on, as it sees them.

    `texts` and `intents` (examples,); `directions` (examples, hidden), of length 1.
    """

    texts: tuple[str, ...]
    intents: tuple[str, ...]
    directions: Float32

    @classmethod
    def of(cls, texts: Sequence[str], intents: Sequence[str], pooled: Float32) -> Neighbours:
        """From the pooled states (examples, hidden) of texts that have an intent; at most `KEPT` of
        them, as many of each intent as there is room for, from all over the examples."""
        kept = _share_out(intents, KEPT)
        return cls(
            tuple(texts[row] for row in kept),
            tuple(intents[row] for row in kept),
            unit_rows(pooled[kept]),
        )

    def nearest(self, pooled: Float32) -> list[tuple[Neighbour, ...]]:
        """The `SHOWN` nearest examples of each text, nearest first, by its pooled states.

        `pooled` (texts, hidden). Similarity is the cosine, between -1 and 1.
        """
        found: list[tuple[Neighbour, ...]] = []
        for start in range(0, len(pooled), AT_ONCE):
            found += self._nearest(pooled[start : start + AT_ONCE])
        return found

    def _nearest(self, pooled: Float32) -> list[tuple[Neighbour, ...]]:
        similar = unit_rows(pooled) @ self.directions.T
        count = min(SHOWN, similar.shape[1])
        rows = np.argpartition(-similar, count - 1, axis=1)[:, :count]
        values = np.take_along_axis(similar, rows, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        ordered = (np.take_along_axis(part, order, axis=1).tolist() for part in (rows, values))
        return [
            tuple(
                Neighbour(self.texts[row], self.intents[row], value)
                for row, value in zip(own, near, strict=True)
            )
            for own, near in zip(*ordered, strict=True)
        ]

    def as_lines(self) -> bytes:
        """What neighbours.jsonl holds: the examples, in the order of the directions."""
        rows = zip(self.texts, self.intents, strict=True)
        return "".join(
            json.dumps({"text": text, "intent": intent}, ensure_ascii=False) + "\n"
            for text, intent in rows
        ).encode()

    @classmethod
    def from_parts(cls, lines: bytes, directions: Float32) -> Neighbours:
        """Read `as_lines()` and the directions. Raises ValueError where they don't fit."""
        rows = [json.loads(line) for line in lines.decode().split("\n") if line]
        try:
            texts = tuple(str(row["text"]) for row in rows)
            intents = tuple(str(row["intent"]) for row in rows)
        except (KeyError, TypeError) as error:
            raise ValueError(f"an example lacks or garbles {error}") from None
        if directions.ndim != 2 or len(directions) != len(rows):
            raise ValueError(f"{len(rows)} examples with {directions.shape} directions")
        return cls(texts, intents, directions.astype(np.float32))


def _share_out(intents: Sequence[str], room: int) -> list[int]:
    """Rows, in order: all, or as many of each intent as leaves room for the others' too."""
    if len(intents) <= room:
        return list(range(len(intents)))
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, intent in enumerate(intents):
        rows_of[intent].append(row)
    each, rest = 0, room
    waiting = sorted(len(rows) for rows in rows_of.values())
    for number, size in enumerate(waiting):
        each = rest // (len(waiting) - number)
        if size > each:
            break
        rest -= size
    kept: list[int] = []
    for rows in rows_of.values():
        count = min(len(rows), max(each, 1))
        kept += [rows[place * len(rows) // count] for place in range(count)]
    return sorted(kept)

"""Whether a model's int8 form may serve in place of fp32: the two are asked the same texts.

Asked twice, because each question misses what the other finds. The file that would be saved is
compared with its own model on texts which that model has read by then: it must answer alike. And
what rounding costs on texts that a model has not read is counted on the models of the folds, whose
int8 forms are made for this alone: near the border of two labels they do answer differently, and
as often to the better as to the worse unless something is lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from classifier.arrays import Float64, Indices
from classifier.calibration import softmax

LEAST_AGREEMENT = 0.995
"""Share of validation texts that must get the same label, for each head."""
MOST_DRIFT = 0.02
"""Most that the first label's confidence may move on average."""
MOST_LOSS = 0.005
"""Most accuracy that int8 may cost on texts the model has not read, beside what chance explains."""

Logits = Mapping[str, Float64]
"""Each head's logits (texts, labels), by the heads' names."""


@dataclass(frozen=True, slots=True)
class Unread:
    """One head on `texts` labelled texts that its model has not read.

    Both forms gave the same label for `same` of them, and fp32 was right with `right`. `lost` were
    right in fp32 and wrong in int8, `won` the other way round.
    """

    texts: int
    same: int
    right: int
    lost: int
    won: int

    @classmethod
    def of(cls, fp32: Float64, int8: Float64, truth: Indices) -> Unread:
        """From logits (texts, labels) and each text's label, -1 where it has none."""
        known = truth >= 0
        first, other, truth = fp32.argmax(1)[known], int8.argmax(1)[known], truth[known]
        before, after = first == truth, other == truth
        counts = (first == other, before, before & ~after, after & ~before)
        return cls(len(truth), *(int(found.sum()) for found in counts))

    def __add__(self, other: Unread) -> Unread:
        return Unread(
            self.texts + other.texts,
            self.same + other.same,
            self.right + other.right,
            self.lost + other.lost,
            self.won + other.won,
        )

    @property
    def loses(self) -> bool:
        """Whether int8 costs more than `MOST_LOSS` by over two standard errors (McNemar 1947)."""
        least = self.lost - self.won - 2 * math.sqrt(self.lost + self.won)
        return least > MOST_LOSS * self.texts

    def as_dict(self) -> dict[str, Any]:
        """For metrics.json."""
        return {
            "texts": self.texts,
            "agreement": round(self.same / self.texts, 5),
            "fp32": round(self.right / self.texts, 5),
            "int8": round((self.right - self.lost + self.won) / self.texts, 5),
        }


def add_up(parts: Iterable[Mapping[str, Unread]]) -> dict[str, Unread]:
    """What several models' heads showed, as one."""
    found: dict[str, Unread] = {}
    for part in parts:
        for name, counts in part.items():
            found[name] = found[name] + counts if name in found else counts
    return found


def compare(
    fp32: Logits, int8: Logits, temperatures: tuple[float, float]
) -> tuple[dict[str, float], dict[str, float]]:
    """(share of equal labels, mean change of the first label's confidence) of each head.

    `temperatures` are those of the intents and of the sentiments.
    """
    agreement, drift = {}, {}
    for name, temperature in zip(("intent", "sentiment"), temperatures, strict=True):
        if name in fp32:
            agreement[name] = float((fp32[name].argmax(1) == int8[name].argmax(1)).mean())
            first, other = (softmax(logits[name], temperature).max(1) for logits in (fp32, int8))
            drift[name] = float(np.abs(first - other).mean())
    return agreement, drift


def judge(
    agreement: Mapping[str, float], drift: Mapping[str, float], unread: Mapping[str, Unread]
) -> str | None:
    """Why int8 may not serve; None where it may."""
    for name, share in agreement.items():
        if not share >= LEAST_AGREEMENT:
            return f"only {share:.2%} of the {name} labels agree with fp32"
    for name, change in drift.items():
        if not change <= MOST_DRIFT:
            return f"the {name} confidence moves by {change:.3f} on average"
    for name, found in unread.items():
        if found.loses:
            return (
                f"of {found.texts} texts that a model has not read, {found.lost} get a wrong "
                f"{name} label and had the right one in fp32, {found.won} the other way round"
            )
    return None

"""How much of some texts a base model can't read: the words that its vocabulary can't make up.

To the model each is the same unknown token, so that texts that differ in such words alone are one
text, and nothing else tells so: whoever trains on Chinese with an English base gets a model, only a
bad one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from classifier.data import Example
from classifier.tokenising import Sequences, tokenise

Counts = NDArray[np.int64]
MUCH = 0.1
"""The share from which on it is said. English and its slips have next to none."""
MOST = 0.5
"""The share of its words from which on a text is one that can't be read."""
FOR_EXAMPLE = "google-bert/bert-base-chinese for Chinese"
"""A base to name instead."""


@dataclass(frozen=True, slots=True)
class Unread:
    """What can't be read: `words`, the share of all words (signs and Chinese characters count as
    one each), and `alike`, how many texts have such a word and the very tokens of a text of
    another intent."""

    words: float
    alike: int

    def as_dict(self) -> dict[str, Any]:
        return {"words": round(self.words, 4), "alike": self.alike}

    def sentence(self, base: str) -> str | None:
        """What to say of it of a base model; None where it is little."""
        if self.words < MUCH:
            return None
        alike = (
            f", and {self.alike:,} texts look to it like one of another intent"
            if self.alike
            else ""
        )
        return (
            f"The base model {base} can't read {100 * self.words:.0f} % of the words of the "
            f"examples{alike}. Name a base that knows their language with --base (or BASE_MODEL), "
            f"such as {FOR_EXAMPLE}."
        )


def unread(tokenizer: Tokenizer, examples: Sequence[Example]) -> Unread:
    """What a tokenizer can't read of examples, cut as it is set to."""
    sequences = tokenise(tokenizer, [e.text for e in examples])
    words, missing = _words(tokenizer, sequences)
    share = float(missing.sum()) / max(1, int(words.sum()))
    rows = np.flatnonzero(missing)
    same: defaultdict[tuple[int, ...], list[Example]] = defaultdict(list)
    for row, ids in zip(rows.tolist(), sequences.take(rows).lists(), strict=True):
        same[tuple(ids)].append(examples[row])
    alike = 0
    for group in same.values():
        texts = {e.text for e in group}
        # One text under two intents is no fault of the base.
        if len(texts) > 1 and len({e.intent for e in group if e.intent}) > 1:
            alike += len(texts)
    return Unread(share, alike)


def unreadable(tokenizer: Tokenizer, texts: Sequence[str]) -> list[int]:
    """The texts, by their numbers, of whose words a tokenizer can't read `MOST`."""
    words, missing = _words(tokenizer, tokenise(tokenizer, texts))
    return np.flatnonzero((missing > 0) & (missing >= MOST * words)).tolist()


def _words(tokenizer: Tokenizer, sequences: Sequences) -> tuple[Counts, Counts]:
    """(words, unknown ones) of each text."""
    vocabulary = tokenizer.get_vocab()
    begins = np.ones(max(vocabulary.values()) + 1, dtype=np.bool_)
    within = getattr(tokenizer.model, "continuing_subword_prefix", None) or "##"
    begins[[number for token, number in vocabulary.items() if token.startswith(within)]] = False
    begins[tokenizer.encode("").ids] = False
    # Without such a token it spells out any character.
    unknown = vocabulary.get(getattr(tokenizer.model, "unk_token", None) or "", -1)
    of_text = np.repeat(np.arange(len(sequences)), sequences.lengths)

    def count(tokens: NDArray[np.bool_]) -> Counts:
        return np.bincount(of_text[tokens], minlength=len(sequences))

    return count(begins[sequences.ids]), count(sequences.ids == unknown)

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
from tokenizers import Tokenizer

from classifier.data import Example
from classifier.tokenising import tokenise

MUCH = 0.1
"""The share from which on it is said. English and its slips have next to none."""


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
            "such as google-bert/bert-base-chinese for Chinese."
        )


def unread(tokenizer: Tokenizer, examples: Sequence[Example]) -> Unread:
    """What a tokenizer can't read of examples, cut as it is set to."""
    unknown = tokenizer.token_to_id(getattr(tokenizer.model, "unk_token", None) or "")
    if unknown is None or not examples:
        return Unread(0.0, 0)  # one that spells out any character
    sequences = tokenise(tokenizer, [e.text for e in examples])
    vocabulary = tokenizer.get_vocab()
    begins = np.ones(max(vocabulary.values()) + 1, dtype=np.bool_)
    within = getattr(tokenizer.model, "continuing_subword_prefix", None) or "##"
    begins[[number for token, number in vocabulary.items() if token.startswith(within)]] = False
    begins[tokenizer.encode("").ids] = False
    missing = sequences.ids == unknown
    share = float(missing.sum()) / max(1, int(begins[sequences.ids].sum()))
    of_text = np.repeat(np.arange(len(examples)), sequences.lengths)
    rows = np.unique(of_text[missing])
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

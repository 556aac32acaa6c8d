"""Texts to token ids. Nothing here needs torch, and nothing runs Python code per token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer

from classifier.data import MAX_CHARACTERS

Rows = NDArray[np.int64]
"""Texts, by their indices."""
Lengths = NDArray[np.int64]
"""Tokens of each text."""

MANY = 64
"""Texts from which on they are joined: fewer are done sooner one by one, on all cores."""
JOINED = 16
"""Texts in one string."""


@dataclass(frozen=True, slots=True)
class Sequences:
    """Token ids of several texts: `ids` (tokens,) of one after the other, and `lengths` (texts,),
    each at least 1."""

    ids: NDArray[np.int32]
    lengths: Lengths

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]]) -> Sequences:
        """From the token ids of each text."""
        lengths = np.fromiter(map(len, lists), dtype=np.int64, count=len(lists))
        total = int(lengths.sum())
        return cls(np.fromiter(chain.from_iterable(lists), dtype=np.int32, count=total), lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: Rows) -> Sequences:
        """Those of the texts `rows` (any number of them), in that order."""
        lengths = self.lengths[rows]
        starts = (np.cumsum(self.lengths) - self.lengths)[rows]
        return Sequences(self.ids[np.repeat(starts, lengths) + self._within(lengths)], lengths)

    def places(self) -> NDArray[np.int64]:
        """Where in its text each token stands (tokens,)."""
        return self._within(self.lengths)

    def lists(self) -> list[list[int]]:
        """The ids of each text."""
        parts = np.split(self.ids, np.cumsum(self.lengths)[:-1])
        return [part.tolist() for part in parts] if len(self) else []

    @staticmethod
    def _within(lengths: Lengths) -> NDArray[np.int64]:
        return np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def tokenise(tokenizer: Tokenizer, texts: Sequence[str]) -> Sequences:
    """Token ids of each text, cut as the tokenizer is set to; at least one token each.

    Not for several threads at once with one tokenizer: its truncation is switched off meanwhile.
    """
    cleaned = [_encodable(text[:MAX_CHARACTERS]) for text in texts]
    if len(cleaned) >= MANY and (found := _tokenise_joined(tokenizer, cleaned)) is not None:
        return found
    # A tokenizer that adds no [CLS] gives nothing for an empty text, and attention over nothing
    # is not a number.
    return Sequences.of([one.ids or [0] for one in tokenizer.encode_batch_fast(cleaned)])


def _tokenise_joined(tokenizer: Tokenizer, texts: list[str]) -> Sequences | None:
    """As one by one, in four fifths of the time and a third of what of it holds Python's lock:
    several texts as one string, with the marks between them that a BERT's tokenizer puts around
    each. None where that can't be done, or where a text has such a mark itself.
    """
    marks = tokenizer.encode("").tokens
    limit = tokenizer.truncation
    # WordPiece looks at one word at a time, and marks end words: what stands in the next text makes
    # no difference. Other models may look further.
    if (
        len(marks) != 2
        or not isinstance(tokenizer.model, WordPiece)
        or not isinstance(tokenizer.pre_tokenizer, BertPreTokenizer)
        or (limit is not None and limit["direction"] != "right")
    ):
        return None
    first, last = marks
    strings = [
        first + f"{last}{first}".join(texts[start : start + JOINED]) + last
        for start in range(0, len(texts), JOINED)
    ]
    tokenizer.no_truncation()
    try:
        found = tokenizer.encode_batch_fast(strings, add_special_tokens=False)
    finally:
        if limit is not None:
            tokenizer.enable_truncation(**limit)
    ids = Sequences.of([one.ids for one in found]).ids
    starts = np.flatnonzero(ids == tokenizer.token_to_id(first))
    ends = np.flatnonzero(ids == tokenizer.token_to_id(last)) + 1
    whole = len(starts) == len(ends) == len(texts) and ends[-1] == len(ids)
    if not whole or starts[0] or not np.array_equal(starts[1:], ends[:-1]):
        return None
    joined = Sequences(ids, ends - starts)
    return joined if limit is None else _cut(joined, limit["max_length"])


def _cut(sequences: Sequences, limit: int) -> Sequences:
    """At most `limit` tokens of each text, the last of them its last."""
    if int(sequences.lengths.max()) <= limit:
        return sequences
    from_end = np.repeat(sequences.lengths, sequences.lengths) - sequences.places()
    kept = (sequences.places() < limit - 1) | (from_end == 1)
    return Sequences(sequences.ids[kept], np.minimum(sequences.lengths, limit))


def _encodable(text: str) -> str:
    """The text with half surrogate pairs replaced: they have no UTF-8, and tokenisers refuse."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()

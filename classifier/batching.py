"""Texts to token ids, and token ids to batches: what every engine and the training share.

Nothing here needs torch, and nothing runs Python code per token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from classifier.data import MAX_CHARACTERS

Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]

TOKEN_BUDGET = {"cpu": 2048, "cuda": 65536}
"""Padded tokens a batch in torch: on a CPU what its caches hold, on a GPU what fills it."""


def tokenise(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, unpadded, cut as the tokenizer is set to; at least one token each."""
    cleaned = [_encodable(text[:MAX_CHARACTERS]) for text in texts]
    # A tokenizer that adds no [CLS] gives nothing for an empty text, and attention over nothing
    # is not a number.
    return [encoding.ids or [0] for encoding in tokenizer.encode_batch_fast(cleaned)]


def plan_batches(
    lengths: Sequence[int], budget: int, most_padding: int | None = None
) -> Iterator[list[int]]:
    """Indices in batches, longest texts first, each at most `budget` padded tokens.

    A text longer than the budget is a batch of its own. A batch with more than `most_padding`
    tokens of padding is cut in two: that is worth it where computing the padding would cost more
    than another call of the model does.
    """
    # Longest first, so that memory peaks at once and not at the end of a long run.
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    batch: list[int] = []
    longest = padding = 0
    for row in order:
        padding += longest - lengths[row]
        full = (len(batch) + 1) * longest > budget
        if batch and (full or (most_padding is not None and padding > most_padding)):
            yield batch
            batch = []
        if not batch:
            longest, padding = lengths[row], 0
        batch.append(row)
    if batch:
        yield batch


def pad(sequences: Sequence[Sequence[int]]) -> tuple[Ids, Mask]:
    """Token ids of several texts as (ids, mask), each (texts, longest); the mask is True where a
    token is no padding, and the id 0 where it is."""
    lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
    mask: Mask = np.arange(int(lengths.max())) < lengths[:, None]
    ids = np.zeros(mask.shape, dtype=np.int64)
    ids[mask] = np.fromiter(
        chain.from_iterable(sequences), dtype=np.int64, count=int(lengths.sum())
    )
    return ids, mask


def _encodable(text: str) -> str:
    """The text with half surrogate pairs replaced: they have no UTF-8, and tokenisers refuse."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()

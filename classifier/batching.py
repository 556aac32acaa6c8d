"""Token ids to batches: what every engine and the training share. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from classifier.tokenising import Lengths, Rows, Sequences

Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]

TOKEN_BUDGET = {"cpu": 2048, "cuda": 65536}
"""Padded tokens a batch in torch: on a CPU what its caches hold, on a GPU what fills it."""


def plan_batches(lengths: Lengths, budget: int, most_padding: int | None = None) -> Iterator[Rows]:
    """Indices in batches, longest texts first, each at most `budget` padded tokens.

    A text longer than the budget is a batch of its own. A batch with more than `most_padding`
    tokens of padding is cut in two: that is worth it where computing the padding would cost more
    than another call of the model does.
    """
    # Longest first, so that memory peaks at once and not at the end of a long run.
    order = np.argsort(-lengths, kind="stable")
    start = longest = padding = 0
    for at, length in enumerate(lengths[order].tolist()):
        padding += longest - length
        full = (at - start + 1) * longest > budget
        if at > start and (full or (most_padding is not None and padding > most_padding)):
            yield order[start:at]
            start = at
        if at == start:
            longest, padding = length, 0
    if len(order):
        yield order[start:]


def pad(sequences: Sequences) -> tuple[Ids, Mask]:
    """Token ids of several texts as (ids, mask), each (texts, longest); the mask is True where a
    token is no padding, and the id 0 where it is."""
    mask: Mask = np.arange(int(sequences.lengths.max())) < sequences.lengths[:, None]
    ids = np.zeros(mask.shape, dtype=np.int64)
    ids[mask] = sequences.ids
    return ids, mask

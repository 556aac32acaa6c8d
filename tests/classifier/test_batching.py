from __future__ import annotations

import numpy as np

from classifier.batching import pad, plan_batches
from classifier.tokenising import Sequences


def plan(lengths: list[int], budget: int, most_padding: int | None = None) -> list[list[int]]:
    return [b.tolist() for b in plan_batches(np.array(lengths, dtype=int), budget, most_padding)]


def test_batches_keep_to_the_budget_and_hold_every_text_once() -> None:
    lengths = [5, 60, 3, 3, 128, 9, 40] * 5
    planned = plan(lengths, 100)
    assert sorted(row for rows in planned for row in rows) == list(range(len(lengths)))
    for rows in planned:
        assert len(rows) == 1 or max(lengths[row] for row in rows) * len(rows) <= 100
    assert plan([], 100) == []


def test_a_batch_with_more_padding_than_allowed_is_cut() -> None:
    lengths = [9, 3, 9, 8, 4, 4, 8, 3]
    assert plan(lengths, 1000, most_padding=0) == [[0, 2], [3, 6], [4, 5], [1, 7]]
    assert plan(lengths, 1000, most_padding=2) == [[0, 2, 3, 6], [4, 5, 1, 7]]
    assert plan(lengths, 1000) == [[0, 2, 3, 6, 4, 5, 1, 7]]


def test_padding_fills_up_to_the_longest_and_the_mask_says_where() -> None:
    ids, mask = pad(Sequences.of([[5, 6], [7], [8, 9, 4]]))
    assert ids.tolist() == [[5, 6, 0], [7, 0, 0], [8, 9, 4]]
    assert mask.tolist() == [[True, True, False], [True, False, False], [True, True, True]]

"""A batch is as large as what can be done in two seconds."""

from __future__ import annotations

import pytest

from workers.pace import Pace


@pytest.mark.parametrize(("seconds", "fits"), [(0.0, 64), (0.03, 64), (0.25, 8), (1.5, 1), (9, 1)])
def test_a_batch_has_as_many_messages_as_are_done_in_two_seconds_and_one_at_least(
    seconds: float, fits: int
) -> None:
    assert Pace(seconds).fits(64) == fits


def test_a_slow_batch_counts_at_once() -> None:
    pace = Pace(0.01)
    pace.learn(64, seconds=16)
    assert pace.fits(64) == 8


def test_after_one_that_was_slow_for_once_full_batches_are_back_within_a_few() -> None:
    pace = Pace(0.01)
    pace.learn(1, seconds=1)
    sizes = []
    for _ in range(8):
        sizes.append(size := pace.fits(64))
        pace.learn(size, seconds=size * 0.01)
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (2, 64)

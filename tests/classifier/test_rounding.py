from __future__ import annotations

import pytest

from classifier.rounding import rounded_up, shown_threshold


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.5, "0.5"), (0.99617, "0.9962"), (0.99995, "0.99995"), (1 - 1e-9, "0.999999999"), (1, "1")],
)
def test_only_a_threshold_that_is_never_reached_is_shown_as_one(value: float, shown: str) -> None:
    assert shown_threshold(value) == shown


def test_a_bound_is_rounded_up_but_not_for_what_binary_fractions_add() -> None:
    assert [rounded_up(value, 3) for value in (0.05049, 0.05, 0.1 + 0.2, 1.0)] == [
        0.051,
        0.05,
        0.3,
        1.0,
    ]

"""Percentages that are shown shorter than they are, and still say what is so."""

from __future__ import annotations

import pytest

from desk.percent import compared


@pytest.mark.parametrize(
    ("value", "needed", "shown"),
    [
        (0.62, 0.9, ("62%", "90%")),
        (0.9957, 0.9962, ("99.57%", "99.62%")),
        (0.97, 0.9962, ("97.0%", "99.6%")),
        (0.424, 0.4242, ("42.40%", "42.42%")),
        (0.999, 1.0, ("99.9%", "100.0%")),
        (0.99999999, 1.0, ("100.0000%", "100.0000%")),
        (0.5, 0.5, ("50%", "50%")),
    ],
)
def test_what_is_too_little_does_not_look_like_enough(
    value: float, needed: float, shown: tuple[str, str]
) -> None:
    assert compared(value, needed) == shown

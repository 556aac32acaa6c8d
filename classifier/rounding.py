"""Figures that are shown shorter than they are, and rounded so that what they say stays true."""

from __future__ import annotations

import math


def rounded_up(value: float, places: int) -> float:
    """A value with so many places that is no lower: what is at most the value is at most this."""
    scale: int = 10**places
    return math.ceil(round(value * scale, 6)) / scale


def shown_threshold(value: float) -> str:
    """A threshold with four places, rounded up: what is proven for it holds from there on too.

    More places where it is close to 1: at 1 a person answers, always.
    """
    return _below_one(rounded_up(value, 4), value)


def shown_score(value: float, threshold: float) -> str:
    """A score with four places, so that it reaches `shown_threshold` if it reaches the threshold,
    and only then."""
    if value >= threshold:
        return _below_one(rounded_up(value, 4), value)
    return f"{math.floor(round(value * 10_000, 6)) / 10_000:.6g}"


def _below_one(rounded: float, value: float) -> str:
    return str(float(value)) if rounded >= 1 > value else f"{rounded:.6g}"

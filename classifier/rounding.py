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
    rounded = rounded_up(value, 4)
    return str(float(value)) if rounded >= 1 > value else f"{rounded:.6g}"

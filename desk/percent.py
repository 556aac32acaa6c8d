"""Percentages that are shown shorter than they are, and still say what is so."""

from __future__ import annotations

MOST_PLACES = 4


def compared(value: float, needed: float) -> tuple[str, str]:
    """A share and the least that was asked of it, with so many places that they don't look equal
    where the share is lower, and that what is below 100 % does not look like it."""
    places = 0
    while True:
        shown = f"{value:.{places}%}", f"{needed:.{places}%}"
        alike = value < needed and shown[0] == shown[1]
        full = any(
            share < 1 and float(text[:-1]) == 100
            for share, text in zip((value, needed), shown, strict=True)
        )
        if places == MOST_PLACES or not (alike or full):
            return shown
        places += 1

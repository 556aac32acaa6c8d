"""How long and when, in words for people."""

from __future__ import annotations

from desk.texts import say


def span(minutes: int, language: str | None) -> str:
    """So many minutes (1 or more) in the unit that reads best, rounded up: an hour, 2 days."""
    if minutes < 120 and minutes != 60:
        return say("span-minutes", language, number=minutes)
    if minutes < 2880 and minutes != 1440:
        return say("span-hours", language, number=-(-minutes // 60))
    return say("span-days", language, number=-(-minutes // 1440))

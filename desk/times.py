"""How long and when, in words for people."""

from __future__ import annotations

from datetime import datetime

from desk.hours import WEEKDAYS
from desk.texts import say


def span(minutes: int, language: str | None) -> str:
    """So many minutes (1 or more) in the unit that reads best, rounded up: an hour, 2 days."""
    if minutes < 120 and minutes != 60:
        return say("span-minutes", language, number=minutes)
    if minutes < 2880 and minutes != 1440:
        return say("span-hours", language, number=-(-minutes // 60))
    return say("span-days", language, number=-(-minutes // 1440))


def when(moment: datetime, now: datetime, language: str | None) -> str:
    """A coming moment as people say it: today at 10:00 GMT, on Monday at 9:00 GMT.

    In the moment's own time zone, which is named: Telegram does not tell where a customer is.
    """
    time = f"{clock(moment)} {_zone(moment)}"
    days = (moment.date() - now.astimezone(moment.tzinfo).date()).days
    if days == 0:
        return say("when-today", language, time=time)
    if days == 1:
        return say("when-tomorrow", language, time=time)
    if days < 7:
        return say("when-weekday", language, time=time, day=WEEKDAYS[moment.weekday()])
    return say("when-date", language, time=time, day=moment.day, month=moment.month)


def clock(moment: datetime) -> str:
    """The time of day, in the moment's own zone: 9:00."""
    return f"{moment.hour}:{moment:%M}"


def _zone(moment: datetime) -> str:
    """The abbreviation of a moment's zone, or its distance from UTC where it has none."""
    name = moment.tzname() or "UTC"
    return f"UTC{moment.isoformat()[-6:]}" if name.startswith(("+", "-")) else name

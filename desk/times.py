"""How long and when, in words for people."""

from __future__ import annotations

from datetime import datetime, timedelta

from desk.hours import WEEKDAYS
from desk.texts import say

UNMISTAKABLE = frozenset({"UTC", "GMT", "BST", "WET", "WEST", "CET", "CEST", "EET", "EEST", "HST"})
"""Abbreviations that say the same everywhere."""
AMERICAN = ("America/", "US/", "Canada/")
"""How zones begin whose customers know theirs."""


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
    words = _day_and_time(moment, now, language)
    if str(moment.tzinfo) == "Asia/Shanghai":
        return say("when-beijing", language, when=words)
    return f"{words} {_zone(moment)}"


def _day_and_time(moment: datetime, now: datetime, language: str | None) -> str:
    time = clock(moment)
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
    """The abbreviation of a moment's zone where it says one thing, or its distance from UTC: UTC+8.

    CST is China's as well as Chicago's, IST that of Delhi, Dublin and Jerusalem.
    """
    name = moment.tzname() or ""
    american = str(moment.tzinfo).startswith(AMERICAN)
    if name in UNMISTAKABLE or (american and name.isalpha()):
        return name
    ahead = moment.utcoffset() or timedelta()
    hours, minutes = divmod(abs(ahead) // timedelta(minutes=1), 60)
    sign = "-" if ahead < timedelta() else "+"
    return f"UTC{sign}{hours}" + (f":{minutes:02}" if minutes else "")

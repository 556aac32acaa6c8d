"""When people are at the desk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, field_validator

WEEK = timedelta(days=7)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"\d\d:\d\d", re.ASCII)


class Hours(BaseModel):
    """When people are at the desk. An empty `weekly` means at all times, but for closed days."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timezone: str = "UTC"
    weekly: dict[str, tuple[str, ...]] = {}
    closed: tuple[date, ...] = ()

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones, as Europe
            raise ValueError(f"unknown time zone {value!r}; use one like Europe/London") from None
        return value

    @field_validator("weekly")
    @classmethod
    def _spans(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for day, spans in value.items():
            if day not in WEEKDAYS:
                raise ValueError(f"unknown day {day!r}; use {', '.join(WEEKDAYS)}")
            for span in spans:
                start, end = _span(span)
                if start >= end:
                    raise ValueError(f"{day}: {span!r} ends before it starts")
        return value

    def open_at(self, moment: datetime) -> bool:
        """Whether somebody is at the desk at that (timezone-aware) moment."""
        local = moment.astimezone(ZoneInfo(self.timezone))
        return any(start <= local.time() < end for start, end in self._spans_of(local.date()))

    def next_opening(self, moment: datetime) -> datetime | None:
        """The next moment at which the desk opens, in its time zone; None within a year of none."""
        local = moment.astimezone(ZoneInfo(self.timezone))
        for days in range(366):
            day = local.date() + timedelta(days=days)
            for start, _ in self._spans_of(day):
                opening = datetime.combine(day, start, tzinfo=local.tzinfo)
                if opening > local:
                    return opening
        return None

    def opened(self, moment: datetime) -> datetime | None:
        """When the desk opened that is open at that moment, in UTC.

        None if it is closed then, or has been open for more than a week.
        """
        for start, end in self._openings(moment - WEEK, moment):
            if start <= moment < end:
                return start if moment - start < WEEK else None
        return None

    def closing(self, moment: datetime) -> datetime | None:
        """When the desk closes that is open at that moment, in UTC.

        None if it is closed then, or stays open for more than a week.
        """
        for start, end in self._openings(moment, moment + WEEK):
            if start <= moment < end:
                return end if end - moment < WEEK else None
        return None

    def open_seconds(self, since: datetime, until: datetime) -> float:
        """For how long the desk was open between two moments, in seconds."""
        return sum(
            max(0.0, (min(end, until) - max(start, since)).total_seconds())
            for start, end in self._openings(since, until)
        )

    def _openings(self, since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
        """From when till when the desk is open, in order and in UTC, on the days from one moment
        to another. What meets at midnight or overlaps is one."""
        zone = ZoneInfo(self.timezone)
        day, last = since.astimezone(zone).date(), until.astimezone(zone).date()
        current: tuple[datetime, datetime] | None = None
        while day <= last:
            following = day + timedelta(days=1)
            for start, end in self._spans_of(day):
                # In UTC: two moments of one zone would be compared by their clocks, and on two
                # nights a year an hour would be missing or count twice.
                opens = datetime.combine(day, start, zone).astimezone(UTC)
                midnight = datetime.combine(following, time.min, zone)
                until_then = midnight if end == time.max else datetime.combine(day, end, zone)
                closes = until_then.astimezone(UTC)
                if current is not None and opens <= current[1]:
                    current = current[0], max(current[1], closes)
                    continue
                if current is not None:
                    yield current
                current = opens, closes
            day = following
        if current is not None:
            yield current

    def _spans_of(self, day: date) -> list[tuple[time, time]]:
        """When somebody is there on a day, in order."""
        if day in self.closed:
            return []
        if not self.weekly:
            return [(time.min, time.max)]
        return sorted(map(_span, self.weekly.get(WEEKDAYS[day.weekday()], ())))


def _span(span: str) -> tuple[time, time]:
    start, dash, end = span.partition("-")
    try:
        if not dash:
            raise ValueError
        return _time(start.strip()), _time(end.strip(), midnight=time.max)
    except ValueError:
        raise ValueError(f"{span!r} is no span; write 09:00-18:00") from None


def _time(text: str, midnight: time | None = None) -> time:
    if midnight is not None and text == "24:00":
        return midnight
    if not _TIME.fullmatch(text):  # fromisoformat also takes a UTC offset, as in 18:00-20:00
        raise ValueError
    return time.fromisoformat(text)

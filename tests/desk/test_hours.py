"""Working hours: weekends, breaks, holidays, other time zones and the two odd nights of a year."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk.hours import Hours
from desk.pack import Pack

LONDON = ZoneInfo("Europe/London")
_SHANGHAI = ZoneInfo("Asia/Shanghai")
WEEKDAYS = dict.fromkeys(("mon", "tue", "wed", "thu", "fri"), ("09:00-18:00",))
HOURS = Hours(timezone="Europe/London", weekly=WEEKDAYS, closed=("2026-12-25",))


def _at(text: str, zone: ZoneInfo = LONDON) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-03-02T09:00", True),
        ("2026-03-02T08:59:59", False),
        ("2026-03-02T17:59:59", True),
        ("2026-03-02T18:00", False),
        ("2026-03-07T12:00", False),
        ("2026-12-25T12:00", False),
        ("2026-12-24T12:00", True),
    ],
)
def test_the_desk_is_open_from_the_first_minute_up_to_the_last(moment: str, is_open: bool) -> None:
    assert HOURS.open_at(_at(moment)) is is_open


def test_hours_are_those_of_the_desks_own_zone() -> None:
    assert HOURS.open_at(datetime(2026, 7, 1, 8, 30, tzinfo=UTC)), "half past nine in London"
    assert not HOURS.open_at(datetime(2026, 1, 5, 8, 30, tzinfo=UTC))
    assert HOURS.open_at(_at("2026-03-02T18:30", ZoneInfo("Asia/Shanghai")))


def test_without_hours_somebody_is_always_there() -> None:
    assert Hours().open_at(_at("2026-12-25T03:00"))


def test_a_closed_day_counts_without_hours_too() -> None:
    hours = Hours(timezone="Europe/London", closed=(date(2026, 12, 25), date(2026, 12, 26)))
    assert not hours.open_at(_at("2026-12-25T12:00"))
    assert hours.next_opening(_at("2026-12-25T12:00")) == _at("2026-12-27T00:00")
    assert hours.open_at(_at("2026-12-24T23:59"))


def test_a_lunch_break_is_closed(pack: Pack) -> None:
    assert not pack.hours.open_at(_at("2026-03-02T12:30"))
    assert pack.hours.next_opening(_at("2026-03-02T12:30")) == _at("2026-03-02T13:00")


@pytest.mark.parametrize(
    ("moment", "opening"),
    [
        ("2026-03-02T07:00", "2026-03-02T09:00"),
        ("2026-03-02T18:00", "2026-03-03T09:00"),
        ("2026-03-06T19:00", "2026-03-09T09:00"),
        ("2026-03-08T12:00", "2026-03-09T09:00"),
        ("2026-12-24T20:00", "2026-12-28T09:00"),
    ],
)
def test_the_next_opening_skips_nights_weekends_and_holidays(moment: str, opening: str) -> None:
    assert HOURS.next_opening(_at(moment)) == _at(opening)


def test_the_next_opening_is_told_in_the_desks_zone() -> None:
    opening = HOURS.next_opening(datetime(2026, 7, 3, 22, 0, tzinfo=UTC))
    assert opening is not None
    assert opening.isoformat() == "2026-07-06T09:00:00+01:00"


@pytest.mark.parametrize(("sunday", "offset"), [("2026-03-29", 1), ("2026-10-25", 0)])
def test_the_weekend_when_the_clocks_change_opens_at_nine_all_the_same(
    sunday: str, offset: int
) -> None:
    saturday = _at(sunday + "T12:00") - timedelta(days=1)
    opening = HOURS.next_opening(saturday)
    assert opening is not None
    assert (opening.hour, opening.utcoffset()) == (9, timedelta(hours=offset))
    assert HOURS.open_at(opening)
    assert not HOURS.open_at(opening - timedelta(seconds=1))


def test_a_day_may_last_until_midnight() -> None:
    hours = Hours(weekly={"mon": ("00:00-24:00",)})
    assert hours.open_at(datetime(2026, 3, 2, 23, 59, 59, tzinfo=UTC))
    assert not hours.open_at(datetime(2026, 3, 3, 0, 0, tzinfo=UTC))


def test_a_desk_that_never_opens_has_no_next_opening() -> None:
    assert Hours(weekly={"mon": ()}).next_opening(_at("2026-03-02T07:00")) is None


def test_spans_may_stand_in_any_order() -> None:
    hours = Hours(weekly={"mon": ("13:00-18:00", "09:00-12:00")})
    early = datetime(2026, 3, 2, 7, 0, tzinfo=UTC)
    assert hours.next_opening(early) == datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_an_open_desk_knows_when_it_opened_and_when_it_closes() -> None:
    evening = _at("2026-03-02T17:55")
    assert HOURS.opened(evening) == _at("2026-03-02T09:00")
    assert HOURS.closing(evening) == _at("2026-03-02T18:00")
    for moment in ("2026-03-02T08:59", "2026-03-02T18:00", "2026-12-25T12:00"):
        assert HOURS.opened(_at(moment)) is None
        assert HOURS.closing(_at(moment)) is None


def test_a_desk_that_is_open_over_midnight_closes_in_the_morning() -> None:
    hours = Hours(weekly={"mon": ("20:00-24:00",), "tue": ("00:00-06:00", "05:00-07:00")})
    assert hours.closing(_utc("2026-03-02T23:00")) == _utc("2026-03-03T07:00")
    assert hours.opened(_utc("2026-03-03T06:30")) == _utc("2026-03-02T20:00")


def test_a_desk_that_is_always_open_neither_opens_nor_closes() -> None:
    assert Hours().opened(_at("2026-03-02T12:00")) is None
    assert Hours().closing(_at("2026-03-02T12:00")) is None
    holiday = Hours(closed=(date(2026, 3, 5),))
    assert holiday.closing(_utc("2026-03-02T12:00")) == _utc("2026-03-05T00:00")
    assert holiday.opened(_utc("2026-03-06T12:00")) == _utc("2026-03-06T00:00")


@pytest.mark.parametrize(
    ("since", "until", "minutes"),
    [
        ("2026-03-02T10:00", "2026-03-02T10:20", 20),
        ("2026-03-02T17:50", "2026-03-03T09:05", 15),
        ("2026-03-06T17:00", "2026-03-09T10:00", 120),
        ("2026-03-07T10:00", "2026-03-08T22:00", 0),
        ("2026-12-24T17:00", "2026-12-28T10:00", 120),
        ("2026-03-02T08:00", "2026-03-02T20:00", 540),
        ("2026-03-02T12:00", "2026-03-02T11:00", 0),
    ],
)
def test_waiting_is_counted_while_the_desk_is_open(since: str, until: str, minutes: int) -> None:
    assert HOURS.open_seconds(_at(since), _at(until)) == 60 * minutes


def test_waiting_is_counted_in_the_desks_zone_whatever_zone_the_moments_are_in() -> None:
    # Half past eight in London's summer is half past seven in UTC.
    hours = HOURS.open_seconds(_utc("2026-07-01T07:30"), _at("2026-07-01T18:00", _SHANGHAI)) / 3600
    assert hours == 2


@pytest.mark.parametrize(
    ("sunday", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-01", 24)]
)
def test_the_night_when_the_clocks_change_has_an_hour_less_or_more(sunday: str, hours: int) -> None:
    always = Hours(timezone="Europe/London")
    midnight = _at(sunday + "T00:00")
    assert always.open_seconds(midnight, midnight + timedelta(days=1)) == 3600 * hours
    night = Hours(timezone="Europe/London", weekly={"sun": ("00:00-06:00",)})
    assert night.open_seconds(midnight, midnight + timedelta(days=1)) == 3600 * (hours - 18)
    assert night.closing(midnight) == midnight.replace(hour=6)


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(0, 60 * 24 * 20),
    st.integers(0, 60 * 24 * 20),
)
def test_time_that_was_waited_in_two_parts_adds_up(start: datetime, one: int, two: int) -> None:
    middle = start + timedelta(minutes=one)
    end = middle + timedelta(minutes=two)
    parts = HOURS.open_seconds(start, middle) + HOURS.open_seconds(middle, end)
    assert parts == pytest.approx(HOURS.open_seconds(start, end))


@given(st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - naive bounds are what hypothesis wants
def test_the_next_opening_is_in_the_future_and_open(moment: datetime) -> None:
    opening = HOURS.next_opening(moment)
    assert opening is not None
    assert opening > moment
    assert HOURS.open_at(opening)

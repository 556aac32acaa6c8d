"""How long and when, in words: units that read well, days by their names, the desk's zone."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from desk.times import span, when

LONDON = ZoneInfo("Europe/London")
SATURDAY = datetime(2026, 11, 28, 8, 0, tzinfo=LONDON)


@pytest.mark.parametrize(
    ("minutes", "english", "chinese"),
    [
        (1, "a minute", "1 分钟"),
        (30, "30 minutes", "30 分钟"),
        (60, "an hour", "1 小时"),
        (90, "90 minutes", "90 分钟"),
        (120, "2 hours", "2 小时"),
        (150, "3 hours", "3 小时"),
        (1439, "24 hours", "24 小时"),
        (1440, "a day", "1 天"),
        (1500, "25 hours", "25 小时"),
        (2880, "2 days", "2 天"),
        (3000, "3 days", "3 天"),
    ],
)
def test_a_time_is_told_in_the_unit_that_reads_best(
    minutes: int, english: str, chinese: str
) -> None:
    assert span(minutes, "en-GB") == english
    assert span(minutes, "zh-hans") == chinese


@pytest.mark.parametrize(
    ("days", "english", "chinese"),
    [
        (0, "today at 10:00 GMT", "今天 10:00 GMT"),
        (1, "tomorrow at 10:00 GMT", "明天 10:00 GMT"),
        (2, "on Monday at 10:00 GMT", "周一 10:00 GMT"),
        (6, "on Friday at 10:00 GMT", "周五 10:00 GMT"),
        (7, "on 5 December at 10:00 GMT", "12月5日 10:00 GMT"),
        (40, "on 7 January at 10:00 GMT", "1月7日 10:00 GMT"),
    ],
)
def test_a_coming_moment_is_told_as_people_say_it(days: int, english: str, chinese: str) -> None:
    moment = SATURDAY.replace(hour=10) + timedelta(days=days)
    assert when(moment, SATURDAY, "en") == english
    assert when(moment, SATURDAY, "zh") == chinese


def test_today_is_the_desks_day_and_not_that_of_another_zone() -> None:
    opening = datetime(2026, 7, 6, 9, 5, tzinfo=ZoneInfo("Asia/Shanghai"))
    now = datetime(2026, 7, 5, 20, 0, tzinfo=LONDON)  # three in the morning in Shanghai
    assert when(opening, now, "en") == "today at 9:05 Beijing time"

    assert when(opening, now, "zh") == "北京时间今天 9:05"


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        ("UTC", "UTC"),
        ("Europe/London", "BST"),
        ("Europe/Berlin", "CEST"),
        ("Africa/Cairo", "EEST"),
        ("America/Chicago", "CDT"),
        ("Pacific/Honolulu", "HST"),
        ("America/Sao_Paulo", "UTC-3"),
        ("America/St_Johns", "NDT"),
        ("Asia/Dubai", "UTC+4"),
        ("Asia/Kolkata", "UTC+5:30"),
        ("Asia/Manila", "UTC+8"),
        ("Asia/Taipei", "UTC+8"),
        ("Europe/Dublin", "UTC+1"),
        ("Pacific/Marquesas", "UTC-9:30"),
    ],
)
def test_a_zone_is_told_by_its_name_only_where_that_says_one_thing(zone: str, name: str) -> None:
    opening = datetime(2026, 7, 6, 9, 0, tzinfo=ZoneInfo(zone))
    now = opening - timedelta(hours=1)
    assert when(opening, now, "en") == f"today at 9:00 {name}"
    assert when(opening, now, "zh") == f"今天 9:00 {name}"

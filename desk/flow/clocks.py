"""How far this host's clock is from that of the database, which all hosts share.

A message's age is the difference between what two hosts say: the bot's, and that of who looks.
Likewise where there is one host, and its clock is put back.
"""

from __future__ import annotations

import math
from datetime import timedelta

import structlog
from sqlalchemy import func, select

from desk import metrics
from desk.flow.desk import Desk
from desk.tables import UtcDateTime, utcnow

log = structlog.get_logger(__name__)

MOST_SECONDS = 2.0
"""So much may an age be wrong: the shortest that decides anything is 4 s."""

AHEAD = timedelta(minutes=1)
"""What is further ahead than that was written before a clock was put back. Whoever waits for such a
moment to come, or to be so long ago, waits no longer: it may be hours."""

ADVICE = "this host's clock differs from the database's; keep the hosts' clocks by NTP"


def offset(desk: Desk) -> float:
    """Seconds by which this process's clock is ahead of the database's; below zero it is behind.

    Zero where the time that the answer took may explain the difference. A SQLite file is used on
    one host only, so there it is zero, too.
    """
    if desk.store.sqlite:
        return 0.0
    with desk.store.reading() as session:
        session.connection()  # not part of what is timed
        asked = utcnow()
        there = session.scalars(select(func.clock_timestamp(type_=UtcDateTime))).one()
        answered = utcnow()
    half = (answered - asked) / 2
    found = (asked + half - there).total_seconds()
    return math.copysign(max(0.0, abs(found) - half.total_seconds()), found)


def watch(desk: Desk) -> None:
    """Show the offset as a metric, and log one that is too large."""
    found = offset(desk)
    metrics.CLOCK_OFFSET.set(found)
    if abs(found) > MOST_SECONDS:
        log.error("clock.differs", seconds=round(found, 1), advice=ADVICE)

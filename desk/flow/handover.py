"""What a customer who waits for a person is promised: only what the desk can keep."""

from __future__ import annotations

from datetime import datetime, timedelta

from desk.flow.composing import language_of
from desk.flow.desk import Desk
from desk.pack import WEEKDAYS
from desk.tables import Customer
from desk.texts import say
from desk.times import clock, span, when

DAY_MINUTES = 1440


def handover_text(desk: Desk, customer: Customer) -> str:
    """When the customer can expect a person: soon, or once the desk opens (again)."""
    language, hours, now = language_of(desk, customer), desk.pack.hours, desk.clock()
    if desk.operator_chat_id is None:
        return say("handover-nobody", language)
    if not hours.open_at(now):
        opening = hours.next_opening(now)
        if opening is None:
            return say("handover-closed-unknown", language)
        return say("handover-closed", language, when=when(opening, now, language))
    closing = hours.closing(now)
    opening = hours.next_opening(closing) if closing is not None else None
    if closing is None or opening is None or _in_time(desk, now, closing):
        return say(
            "handover-open", language, span=span(desk.pack.sla.first_reply_minutes, language)
        )
    until = closing.astimezone(opening.tzinfo)
    today = until.date() == now.astimezone(opening.tzinfo).date()
    return say(
        "handover-closing" if today else "handover-closing-later",
        language,
        until=clock(until),
        day=WEEKDAYS[until.weekday()],
        when=when(opening, now, language),
    )


def waiting_text(desk: Desk, customer: Customer) -> str:
    """What a customer hears who was promised a person before."""
    key = "already-waiting" if desk.operator_chat_id is not None else "handover-nobody"
    return say(key, language_of(desk, customer))


def _in_time(desk: Desk, now: datetime, closing: datetime) -> bool:
    """Whether the time within which a person replies is over before the desk closes.

    A day or more spans nights anyway: then the desk must only be open at its end.
    """
    minutes = desk.pack.sla.first_reply_minutes
    end = now + timedelta(minutes=minutes)
    return desk.pack.hours.open_at(end) if minutes >= DAY_MINUTES else end <= closing

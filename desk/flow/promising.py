"""What a customer who waits for a person is promised: only what the desk can keep."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from desk.domain import ConversationState
from desk.flow.desk import Desk
from desk.flow.reminding import is_late
from desk.flow.wording import language_of
from desk.hours import WEEKDAYS
from desk.tables import IS_UNFINISHED, Conversation, Customer, DeliveryRow
from desk.texts import say
from desk.times import clock, span, when

DAY_MINUTES = 1440
CHAT_UNUSABLE = "the operators' chat can't be used: "
"""Begins the error of a delivery that waits until the bot may post in that chat again."""
UNUSABLE_FOR = timedelta(minutes=5)
"""What has waited for so long may wait on: until somebody looks, nobody is promised."""
REFUSED_LATELY = timedelta(minutes=1)
"""So long after it was due again, what was refused says that the bot is still out: it is tried at
each minute. A row behind it keeps its error until its turn has come, which may be long after."""


def handover_text(session: Session, desk: Desk, customer: Customer) -> str:
    """When the customer can expect a person: soon, or once the desk opens (again)."""
    return _promising(session, desk, customer, "handover", since=None)


def waiting_text(
    session: Session,
    desk: Desk,
    customer: Customer,
    waits: Conversation | None = None,
    *,
    taken: bool = False,
) -> str:
    """What a customer hears who was promised a person before, or has one (`taken`). Which of their
    conversations `waits` is looked up, unless it is given: a batch asks for none a message."""
    if taken:
        return _in_hand(desk, customer, "already-in-hand")
    since = waits.escalated_at if waits is not None else _called_at(session, customer)
    return _promising(session, desk, customer, "already-waiting", since=since)


def passed_on_text(session: Session, desk: Desk, customer: Customer, *, taken: bool = False) -> str:
    """What such a customer hears of what they have added."""
    if taken:
        return _in_hand(desk, customer, "passed-on")
    since = _called_at(session, customer)
    return _promising(session, desk, customer, "passed-on", since=since)


def next_opening(desk: Desk) -> datetime | None:
    """When somebody is back, in the desk's zone; None if somebody is there, or nobody ever is."""
    hours, now = desk.pack.hours, desk.clock()
    if desk.operator_chat_id is None or hours.open_at(now):
        return None
    return hours.next_opening(now)


def _in_hand(desk: Desk, customer: Customer, key: str) -> str:
    """The text of that key to who has a person, of whom nobody knows when they write."""
    language = language_of(desk, customer)
    return say(key, language, promise=say("promise-taken", language))


def _called_at(session: Session, customer: Customer) -> datetime | None:
    """Since when a customer waits whom nobody has taken."""
    return session.scalar(
        select(Conversation.escalated_at)
        .where(
            Conversation.customer_id == customer.id,
            Conversation.state == ConversationState.WAITING,
        )
        .order_by(Conversation.id.desc())
        .limit(1)
    )


def _promising(
    session: Session, desk: Desk, customer: Customer, key: str, *, since: datetime | None
) -> str:
    """The text of that key with what is promised to who was promised a person first `since`."""
    language = language_of(desk, customer)
    if _nobody_is_reached(session, desk):
        return say("handover-nobody", language)
    # While the desk is closed its opening is still promised as truly as before.
    if is_late(desk, since) and desk.pack.hours.open_at(desk.clock()):
        return say(key, language, promise=say("promise-late", language))
    return say(key, language, promise=_promise(desk, language))


def _nobody_is_reached(session: Session, desk: Desk) -> bool:
    """Whether there is no operators' chat, or the bot has not got into it for a while."""
    if desk.operator_chat_id is None:
        return True
    known: dict[str, bool] = session.info
    if CHAT_UNUSABLE not in known:  # once for a batch
        now = desk.clock()
        refused = select(DeliveryRow.id).where(
            DeliveryRow.chat_id == desk.operator_chat_id,
            IS_UNFINISHED,
            DeliveryRow.error.startswith(CHAT_UNUSABLE),
        )
        # Not of one row: what is written meanwhile may be tried before what waits the longest.
        waits = refused.where(DeliveryRow.created_at <= now - UNUSABLE_FOR)
        lately = refused.where(DeliveryRow.not_before >= now - REFUSED_LATELY)
        known[CHAT_UNUSABLE] = all(
            session.scalar(query.limit(1)) is not None for query in (waits, lately)
        )
    return known[CHAT_UNUSABLE]


def _promise(desk: Desk, language: str) -> str:
    hours, now = desk.pack.hours, desk.clock()
    if not hours.open_at(now):
        opening = hours.next_opening(now)
        if opening is None:
            return say("promise-closed-unknown", language)
        return say("promise-closed", language, when=when(opening, now, language))
    closing = hours.closing(now)
    opening = hours.next_opening(closing) if closing is not None else None
    if closing is None or opening is None or _in_time(desk, now, closing):
        return say("promise-open", language, span=span(desk.pack.sla.first_reply_minutes, language))
    until = closing.astimezone(opening.tzinfo)
    today = until.date() == now.astimezone(opening.tzinfo).date()
    return say(
        "promise-closing" if today else "promise-closing-later",
        language,
        until=clock(until),
        day=WEEKDAYS[until.weekday()],
        when=when(opening, now, language),
    )


def _in_time(desk: Desk, now: datetime, closing: datetime) -> bool:
    """Whether the time within which a person replies is over before the desk closes.

    A day or more spans nights anyway: then the desk must only be open at its end.
    """
    minutes = desk.pack.sla.first_reply_minutes
    end = now + timedelta(minutes=minutes)
    return desk.pack.hours.open_at(end) if minutes >= DAY_MINUTES else end <= closing

"""Customers who wait for a person, or for the next word of the one they have: how many, for how
long, and that operators are reminded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from desk.domain import ConversationState
from desk.flow.awaiting import IS_CALLED, first_unanswered, unanswered_since
from desk.flow.composing import has_delivery, operators_text
from desk.flow.desk import Desk
from desk.flow.keys import AGAIN_KEY, CLOSING_KEY, OPENED_KEY, REMIND_KEY, UNANSWERED_KEY
from desk.flow.names import linked, mark, operator_name
from desk.flow.priority import is_first, topics
from desk.flow.wording import intent_title
from desk.inert import inert
from desk.tables import Conversation, Customer, Message
from desk.telegram_html import escaped as html
from desk.texts import say
from desk.times import clock, span

SINGLE_REMINDERS = 5
"""When more are due at once, one digest stands for all: the group takes 20 messages a minute."""
MOST = 1000
"""No more than that of each kind are reminded of at once; the others follow a second later."""
AGAIN_EVERY = timedelta(hours=1)
"""So often at most everybody is told again of who waits on."""
CLOSING_SOON = timedelta(minutes=30)
"""So long before the desk closes everybody is told who waits."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

WAITING = (
    select(Conversation)
    .join(Customer, Customer.id == Conversation.customer_id)
    .where(IS_CALLED, Customer.gone.is_(False))
    .order_by(Conversation.escalated_at)
)
"""Conversations that wait for a person's word, longest first, taken by somebody or not. Who has
blocked the bot waits no more."""
CALLED = WAITING.with_only_columns(Conversation.id, Conversation.escalated_at)
"""Their ids, and since when."""
_NOT_REMINDED = or_(
    Conversation.reminded_at.is_(None), Conversation.reminded_at <= Conversation.escalated_at
)
_LAST_REMINDER = func.coalesce(Conversation.reminded_at, _EPOCH)
"""When it was, in any case: what is compared with it takes a look at messages, and so only one."""


class _Waits(NamedTuple):
    """Somebody who waits for a person's first word, or, `unanswered`, for a next one."""

    conversation: Conversation
    customer: Customer
    since: datetime
    unanswered: bool
    urgent: bool = False


def waiting(desk: Desk) -> tuple[int, datetime | None]:
    """How many customers wait for a person, and since when the first of them does."""
    with desk.store.reading() as session:
        called = [since for _, since in session.execute(CALLED) if since is not None]
    return len(called), called[0] if called else None


def waited_seconds(desk: Desk, since: datetime | None) -> float:
    """How long somebody who was handed over then has waited in opening hours; 0 for nobody."""
    return desk.pack.hours.open_seconds(since, desk.clock()) if since is not None else 0.0


def is_late(desk: Desk, since: datetime | None) -> bool:
    """Whether whoever was handed over then has waited longer than the SLA, in opening hours."""
    return waited_seconds(desk, since) > 60 * desk.pack.sla.first_reply_minutes


def late_replies(session: Session, desk: Desk, *those: ColumnElement[bool]) -> list[int]:
    """The ids of `those` conversations whose customers have waited for the next word of the person
    they have longer than the SLA, in opening hours; who wrote first comes first.

    Who has just taken a conversation has that time, too, for what was written before.
    """
    sla = desk.pack.sla
    seconds = 60 * (sla.next_reply_minutes or sla.first_reply_minutes)
    waiting = _unanswered(desk).where(unanswered_since(desk.pack).is_not(None), *those)
    return [
        conversation.id
        for conversation, since in session.execute(waiting.limit(MOST))
        if waited_seconds(desk, max(since, conversation.taken_at or since)) > seconds
    ]


def remind(desk: Desk) -> int:
    """Remind the operators of each customer who has waited longer than the SLA, once a call; and
    of each who has waited so long for the next word of the person they have, once until that comes.

    In the customer's topic, or where more than `SINGLE_REMINDERS` are due at once, by one digest in
    General of all who wait. Nobody is reminded outside the hours. Returns of how many it was.
    """
    if desk.operator_chat_id is None or not desk.pack.hours.open_at(desk.clock()):
        return 0
    with desk.store.reading() as session:
        called = session.execute(CALLED.where(_NOT_REMINDED).limit(MOST)).all()
        unanswered = late_replies(session, desk, _reply_not_reminded(desk))
    due = [id_ for id_, _ in takewhile(lambda row: is_late(desk, row[1]), called)] + unanswered
    if not due:
        return 0
    with desk.store.writing() as session:
        late = _hold(session, desk, due)
        for waits in late:
            waits.conversation.reminded_at = desk.clock()
        if len(late) > SINGLE_REMINDERS:
            _post_digest(session, desk, _key(desk, late[0].conversation), *_all(desk))
        else:
            for waits in late:
                _post_reminder(session, desk, waits)
    return len(late)


def announce(desk: Desk) -> bool:
    """When the desk has opened: tell the operators, once, who has been waiting since before.

    Says whether there was something to tell.
    """
    opened = desk.pack.hours.opened(desk.clock())
    if desk.operator_chat_id is None or opened is None:
        return False
    called = WAITING.where(Conversation.escalated_at < opened)
    unanswered = _unanswered(desk).where(
        unanswered_since(desk.pack) < opened,
        # Who was taken since is in hand.
        Conversation.taken_at < opened,
    )
    return _tell_everybody(desk, f"{OPENED_KEY}{opened.timestamp():.0f}", called, unanswered)


def repeat(desk: Desk) -> bool:
    """While somebody waits on of whom the operators were reminded: tell everybody again who waits,
    every hour since the desk has opened, or each SLA where that is longer. (Half of that after the
    reminder at the soonest.) Says whether there was something to tell.

    When it opens and shortly before it closes they are told anyway.
    """
    hours, now = desk.pack.hours, desk.clock()
    if desk.operator_chat_id is None or not hours.open_at(now) or _closing_soon(desk) is not None:
        return False
    every = max(AGAIN_EVERY, timedelta(minutes=desk.pack.sla.first_reply_minutes))
    opened = hours.opened(now)
    begins = opened or _EPOCH
    turn = begins + (now - begins) // every * every
    if turn == opened:
        return False
    key, reminded = f"{AGAIN_KEY}{turn.timestamp():.0f}", Conversation.reminded_at
    before = reminded <= turn - every / 2
    with desk.store.reading() as session:
        if has_delivery(session, key):
            return False
        called = CALLED.where(before, reminded > Conversation.escalated_at).limit(1)
        waits_on = session.execute(called).first() is not None
        if not waits_on and not late_replies(session, desk, before, ~_reply_not_reminded(desk)):
            return False
    return _tell_everybody(desk, key, *_all(desk))


def announce_closing(desk: Desk) -> bool:
    """Shortly before the desk closes: tell the operators, once, who waits.

    Says whether there was something to tell.
    """
    closing = _closing_soon(desk)
    if desk.operator_chat_id is None or closing is None:
        return False
    key = f"{CLOSING_KEY}{closing.timestamp():.0f}"
    return _tell_everybody(desk, key, *_all(desk), closing)


def _closing_soon(desk: Desk) -> datetime | None:
    """When the desk closes, if that is soon."""
    closing = desk.pack.hours.closing(desk.clock())
    return closing if closing is not None and closing - desk.clock() <= CLOSING_SOON else None


def _tell_everybody(
    desk: Desk,
    key: str,
    called: Select[Conversation],
    unanswered: Select[Conversation, datetime],
    closing: datetime | None = None,
) -> bool:
    """Post a digest of these in General, once; says whether there was something to tell."""
    with desk.store.reading() as session:
        if has_delivery(session, key) or not (_any(session, called) or _any(session, unanswered)):
            return False
    with desk.store.writing() as session:
        return _post_digest(session, desk, key, called, unanswered, closing)


def _all(desk: Desk) -> tuple[Select[Conversation], Select[Conversation, datetime]]:
    """The conversations that wait for a person's word, and those that wait for a next one."""
    return WAITING, _unanswered(desk).where(unanswered_since(desk.pack).is_not(None))


def _unanswered(desk: Desk) -> Select[Conversation, datetime]:
    """Conversations that a person has who has spoken, or was not called, and since when the
    customer has no reply in each, the longest first; null where they have."""
    since = unanswered_since(desk.pack).label("since")
    return (
        select(Conversation, since)
        .join(Customer, Customer.id == Conversation.customer_id)
        .where(
            Conversation.state == ConversationState.HUMAN,
            ~IS_CALLED,
            Customer.gone.is_(False),
        )
        .order_by(since, Conversation.id)
    )


def _first(
    desk: Desk, rows: Select[*tuple[Any, ...]], since: ColumnElement[Any]
) -> Select[*tuple[Any, ...]]:
    """The one of these conversations that is named first, with its customer, and whether it is
    urgent; they have waited `since`."""
    urgent = is_first(desk.pack).label("urgent")
    found = rows.add_columns(Customer, urgent).order_by(None)
    return found.order_by(urgent.desc(), since, Conversation.id).limit(1)


def _reply_not_reminded(desk: Desk) -> ColumnElement[bool]:
    """Whether a customer has no reply, of which nobody was reminded."""
    return unanswered_since(desk.pack) >= _LAST_REMINDER


def _any(session: Session, rows: Select[*tuple[Any, ...]]) -> bool:
    return session.execute(rows.order_by(None).limit(1)).first() is not None


def _count(session: Session, rows: Select[*tuple[Any, ...]]) -> int:
    ids = rows.with_only_columns(Conversation.id).order_by(None).subquery()
    return session.scalar(select(func.count()).select_from(ids)) or 0


def _named_first(waits: _Waits) -> tuple[bool, datetime, int]:
    """Whoever can't wait, then who has waited longest."""
    return not waits.urgent, waits.since, waits.conversation.id


def _hold(session: Session, desk: Desk, ids: Sequence[int]) -> list[_Waits]:
    """Lock those of these conversations that still wait unreminded, what can't wait and then the
    longest first.

    Customers before conversations as everywhere, each by id.
    """
    owners = select(Conversation.customer_id).where(Conversation.id.in_(ids))
    customers = session.scalars(
        select(Customer)
        .where(Customer.id.in_(owners), Customer.gone.is_(False))
        .order_by(Customer.id)
        .with_for_update()
    )
    by_id = {customer.id: customer for customer in customers}
    those = and_(Conversation.id.in_(ids), Conversation.customer_id.in_(by_id))
    called = session.scalars(
        select(Conversation)
        .where(those, IS_CALLED, _NOT_REMINDED)
        .order_by(Conversation.id)
        .with_for_update()
    ).all()
    unanswered = session.execute(
        _unanswered(desk)
        .where(those, _reply_not_reminded(desk))
        .order_by(None)
        .order_by(Conversation.id)
        .with_for_update(of=Conversation)
    ).all()
    held = [(conversation, _since(conversation), False) for conversation in called]
    held += [(conversation, since, True) for conversation, since in unanswered]
    is_urgent = and_(Conversation.id.in_([one.id for one, _, _ in held]), is_first(desk.pack))
    urgent = set(session.scalars(select(Conversation.id).where(is_urgent)))
    waits = (
        _Waits(one, by_id[one.customer_id], since, next_, one.id in urgent)
        for one, since, next_ in held
    )
    return sorted(waits, key=_named_first)


def _post_reminder(session: Session, desk: Desk, waits: _Waits) -> None:
    conversation, customer = waits.conversation, waits.customer
    operator, message = taken_by(session, conversation), None
    if waits.unanswered:
        theirs = select(first_unanswered(desk.pack)).where(Conversation.id == conversation.id)
        message = session.get_one(Message, session.scalars(theirs).one())
        text = "unanswered-reminder" if operator is not None else "unanswered-reminder-nobodys"
        key = f"{UNANSWERED_KEY}{message.id}"
    else:
        key = _key(desk, conversation)
        text = "waiting-reminder" if operator is None else "waiting-reminder-taken"
    words = say(
        text,
        desk.language,
        customer=inert(customer.name + mark(session, customer)),
        span=_waited(desk, waits),
        operator=html(operator or ""),
    )
    operators_text(
        session,
        desk,
        key,
        words,
        customer=customer,
        conversation=conversation,
        message=message,
    )


def _post_digest(
    session: Session,
    desk: Desk,
    key: str,
    called: Select[Conversation],
    unanswered: Select[Conversation, datetime],
    closing: datetime | None = None,
) -> bool:
    """Tell everybody how many wait for a person, and how many for the next word of theirs, and
    before the desk's `closing` when that is. Named is, of those with what can't wait, if there are
    any, who has waited longest. Says whether there was anybody."""
    first = [
        _Waits(conversation, customer, _since(conversation), False, urgent)
        for conversation, customer, urgent in session.execute(
            _first(desk, called, Conversation.escalated_at.expression)
        )
    ]
    first += [
        _Waits(conversation, customer, since, True, urgent)
        for conversation, since, customer, urgent in session.execute(
            _first(desk, unanswered, unanswered_since(desk.pack))
        )
    ]
    if not first:
        return False
    named, is_urgent = min(first, key=_named_first), is_first(desk.pack)
    counts = _count(session, called), _count(session, unanswered)
    name = "waiting-digest-unanswered" if counts[1] else "waiting-digest"
    topic = topics(session, desk.pack, [named.conversation.id]).get(named.conversation.id, "")
    text = say(
        "waiting-digest-priority" if named.urgent else name,
        desk.language,
        count=sum(counts),
        called=counts[0],
        unanswered=counts[1],
        urgent=sum(_count(session, each.where(is_urgent)) for each in (called, unanswered)),
        customer=linked(desk, named.customer, mark(session, named.customer)),
        title=html(intent_title(desk, topic, desk.language)),
        span=_waited(desk, named),
    )
    if closing is not None:
        local = closing.astimezone(ZoneInfo(desk.pack.hours.timezone))
        text = f"{text} {say('digest-closing', desk.language, time=clock(local))}"
    # Its conversation, which it names, though it goes to no topic.
    operators_text(session, desk, key, text, conversation=named.conversation)
    return True


def taken_by(session: Session, conversation: Conversation) -> str | None:
    """Who has a conversation, if somebody does."""
    if conversation.state is not ConversationState.HUMAN or conversation.operator_id is None:
        return None
    return operator_name(session, conversation.operator_id)


def _key(desk: Desk, conversation: Conversation) -> str:
    """Of a reminder of now; that there is one a call is `Conversation.reminded_at`'s to say."""
    return f"{REMIND_KEY}{conversation.id}:{desk.clock().timestamp():.0f}"


def _waited(desk: Desk, waits: _Waits) -> str:
    """How long a customer has been waiting, in words."""
    minutes = int((desk.clock() - waits.since).total_seconds() // 60)
    return span(max(1, minutes), desk.language)


def _since(conversation: Conversation) -> datetime:
    """When a person was called."""
    return conversation.escalated_at or conversation.opened_at

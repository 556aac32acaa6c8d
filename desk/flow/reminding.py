"""Customers who wait for a person: how many, for how long, and that operators are reminded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import takewhile

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from desk.domain import ConversationState
from desk.flow.awaiting import IS_CALLED
from desk.flow.cards import REMIND_KEY
from desk.flow.composing import has_delivery, operator_name, operators_text
from desk.flow.desk import Desk
from desk.tables import Conversation, Customer
from desk.telegram_html import escaped as html
from desk.texts import say
from desk.times import span

SINGLE_REMINDERS = 5
"""When more are due at once, one digest stands for all: the group takes 20 messages a minute."""
MOST = 1000
"""No more than that are reminded of at once; the others follow a second later."""
OPENED_KEY = "opened:"
DIGEST_KEYS = (OPENED_KEY, REMIND_KEY)
"""How the keys begin of what tells everybody who has waited longest."""

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


def remind(desk: Desk) -> int:
    """Remind the operators of each customer who has waited longer than the SLA, once a call.

    In the customer's topic, or where more than `SINGLE_REMINDERS` are due at once, of all of them
    in General. Nobody is reminded outside the hours. Returns of how many it was.
    """
    if desk.operator_chat_id is None or not desk.pack.hours.open_at(desk.clock()):
        return 0
    with desk.store.reading() as session:
        called = session.execute(CALLED.where(_NOT_REMINDED).limit(MOST)).all()
    due = [id_ for id_, _ in takewhile(lambda row: is_late(desk, row[1]), called)]
    if not due:
        return 0
    with desk.store.writing() as session:
        late = _hold(session, due)
        for conversation, _ in late:
            conversation.reminded_at = desk.clock()
        if len(late) > SINGLE_REMINDERS:
            _post_digest(session, desk, _key(desk, late[0][0]), len(late), *late[0])
        else:
            for conversation, customer in late:
                _post_reminder(session, desk, conversation, customer)
    return len(late)


def announce(desk: Desk) -> bool:
    """When the desk has opened: tell the operators, once, who has been waiting since before.

    Says whether there was something to tell.
    """
    opened = desk.pack.hours.opened(desk.clock())
    if desk.operator_chat_id is None or opened is None:
        return False
    key = f"{OPENED_KEY}{opened.timestamp():.0f}"
    before = Conversation.escalated_at < opened
    with desk.store.reading() as session:
        if has_delivery(session, key):
            return False
        count = session.scalar(
            select(func.count()).select_from(CALLED.where(before).order_by(None).subquery())
        )
    if not count:
        return False
    with desk.store.writing() as session:
        longest = session.scalar(WAITING.where(before).limit(1))
        if longest is None:
            return False
        customer = session.get_one(Customer, longest.customer_id)
        _post_digest(session, desk, key, count, longest, customer)
    return True


def _hold(session: Session, ids: Sequence[int]) -> list[tuple[Conversation, Customer]]:
    """Lock those of these conversations that still wait unreminded, longest first.

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
    conversations = session.scalars(
        select(Conversation)
        .where(
            Conversation.id.in_(ids),
            Conversation.customer_id.in_(by_id),
            IS_CALLED,
            _NOT_REMINDED,
        )
        .order_by(Conversation.id)
        .with_for_update()
    ).all()
    held = [(conversation, by_id[conversation.customer_id]) for conversation in conversations]
    return sorted(held, key=lambda pair: (_since(pair[0]), pair[0].id))


def _post_reminder(
    session: Session, desk: Desk, conversation: Conversation, customer: Customer
) -> None:
    operator = taken_by(session, conversation)
    text = say(
        "waiting-reminder" if operator is None else "waiting-reminder-taken",
        desk.language,
        customer=html(customer.name),
        span=_waited(desk, conversation),
        operator=html(operator or ""),
    )
    operators_text(
        session,
        desk,
        _key(desk, conversation),
        text,
        customer=customer,
        conversation=conversation,
    )


def _post_digest(
    session: Session,
    desk: Desk,
    key: str,
    count: int,
    longest: Conversation,
    customer: Customer,
) -> None:
    text = say(
        "waiting-digest",
        desk.language,
        count=count,
        customer=html(customer.name),
        span=_waited(desk, longest),
    )
    # Its conversation, which it names, though it goes to no topic.
    operators_text(session, desk, key, text, conversation=longest)


def taken_by(session: Session, conversation: Conversation) -> str | None:
    """Who has a conversation, if somebody does."""
    if conversation.state is not ConversationState.HUMAN or conversation.operator_id is None:
        return None
    return operator_name(session, conversation.operator_id)


def _key(desk: Desk, conversation: Conversation) -> str:
    """Of a reminder of now; that there is one a call is `Conversation.reminded_at`'s to say."""
    return f"{REMIND_KEY}{conversation.id}:{desk.clock().timestamp():.0f}"


def _waited(desk: Desk, conversation: Conversation) -> str:
    """How long a customer has been waiting, in words."""
    minutes = int((desk.clock() - _since(conversation)).total_seconds() // 60)
    return span(max(1, minutes), desk.language)


def _since(conversation: Conversation) -> datetime:
    """When a person was called."""
    return conversation.escalated_at or conversation.opened_at

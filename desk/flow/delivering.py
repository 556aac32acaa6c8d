"""Deliveries on their way: taken in order per chat, checked once more, and given an end state."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from desk import metrics
from desk.domain import Author, ConversationState, Delivery, DeliveryState
from desk.flow.cards import CARD_KEY, POST_KEY, card_text
from desk.flow.composing import html, operators_text, shorten
from desk.flow.customers import NOT_DELIVERED, call_person
from desk.flow.desk import Desk
from desk.flow.leases import Holding, check
from desk.flow.noting import counted, happened
from desk.flow.operators import edit_card
from desk.store import after_commit
from desk.tables import Conversation, Customer, DeliveryRow, Message
from desk.texts import say

BARE_TEXT = 1000
"""What is shown of a message whose card Telegram refused."""
IDEMPOTENT_METHODS = frozenset({"editMessageText", "editMessageReplyMarkup"})
UNFINISHED = (DeliveryState.PENDING, DeliveryState.SENDING)
MOST_SENT = 2000
"""More than Telegram takes from a bot in a minute."""
PERHAPS_ARRIVED = "the bot ended twice while sending it, and it may have arrived"


def recover(desk: Desk, lease: Holding | None = None) -> int:
    """Before a sender begins: what was being sent when one died may or may not have arrived.

    Telegram has no idempotency key, so such a delivery is sent again and marked `uncertain`
    (an edit can be repeated without harm and is not). One that was uncertain before is given up:
    a customer sees at most one repetition, however often the sender dies. Returns how many are
    uncertain.
    """
    given_up = []
    with desk.store.writing() as session:
        check(session, lease)
        query = select(DeliveryRow).where(DeliveryRow.state == DeliveryState.SENDING)
        rows = session.scalars(query).all()
        for row in rows:
            if row.uncertain:
                given_up.append((row.id, row.attempts))
                continue
            row.state = DeliveryState.PENDING
            row.uncertain = row.method not in IDEMPOTENT_METHODS
            if row.uncertain:
                counted(session, metrics.DELIVERIES, "uncertain")
                happened(session, "delivery.uncertain", delivery=row.id, message=row.message_id)
        uncertain = sum(row.uncertain for row in rows)
    for delivery_id, attempt in given_up:
        failed(desk, delivery_id, attempt, PERHAPS_ARRIVED)
    return uncertain


def put_back(desk: Desk, in_hand: Collection[int], lease: Holding | None = None) -> int:
    """What was taken, and whose taking nobody heard of, has not been sent: it is due again.

    `in_hand` are the deliveries that the one sender is about to send or has sent. Returns how
    many were put back.
    """
    with desk.store.writing() as session:
        check(session, lease)
        query = select(DeliveryRow).where(
            DeliveryRow.state == DeliveryState.SENDING, DeliveryRow.id.not_in(in_hand)
        )
        rows = session.scalars(query.with_for_update(skip_locked=True)).all()
        for row in rows:
            row.state = DeliveryState.PENDING
            happened(session, "delivery.put_back", delivery=row.id, message=row.message_id)
        return len(rows)


def recently_sent(desk: Desk, seconds: float) -> list[tuple[int, float]]:
    """What counts against Telegram's limits: (chat id, seconds ago) pairs, the oldest first.

    What is under way, or was when its sender died, counts as sent now.
    """
    now = desk.clock()
    columns = select(DeliveryRow.chat_id, DeliveryRow.sent_at).where(
        DeliveryRow.method.not_in(IDEMPOTENT_METHODS)
    )
    # By id, which is indexed; in that order they were sent, but for some that had to wait.
    newest = columns.where(DeliveryRow.state == DeliveryState.SENT).order_by(DeliveryRow.id.desc())
    sending = columns.where(DeliveryRow.state == DeliveryState.SENDING)
    with desk.store.reading() as session:
        rows = [*session.execute(newest.limit(MOST_SENT)), *session.execute(sending)]
    ages = [
        (chat_id, max(0.0, (now - sent_at).total_seconds()) if sent_at else 0.0)
        for chat_id, sent_at in rows
    ]
    recent = [(chat_id, age) for chat_id, age in ages if age < seconds]
    return sorted(recent, key=lambda pair: -pair[1])


def take(
    desk: Desk, busy_chats: Collection[int], limit: int, lease: Holding | None = None
) -> list[Delivery]:
    """Take the first due delivery of each chat that is not busy, and mark it `SENDING`.

    This is the last look before sending: a bot's answer to a conversation that a person has
    taken over is cancelled here. Raises `LostLeaseError` when the `lease` is another's.
    """
    if limit < 1:
        return []
    # The oldest unfinished delivery of a chat holds back the younger ones, even while it waits.
    heads = (
        select(func.min(DeliveryRow.id))
        .where(DeliveryRow.state.in_(UNFINISHED))
        .group_by(DeliveryRow.chat_id)
    )
    with desk.store.reading() as session:
        next_here = (
            None if desk.operator_chat_id in busy_chats else _next_to_operators(session, desk)
        )
        elsewhere = and_(
            DeliveryRow.id.in_(heads),
            DeliveryRow.chat_id.not_in([*busy_chats, desk.operator_chat_id or 0]),
        )
        query = (
            select(DeliveryRow)
            .where(
                or_(DeliveryRow.id == next_here, elsewhere),
                DeliveryRow.state == DeliveryState.PENDING,
                _due(desk),
            )
            .order_by(DeliveryRow.id)
            .limit(limit)
        )
        if session.scalar(query.limit(1)) is None:
            return []
    taken = []
    cancelled = False
    with desk.store.writing() as session:
        check(session, lease)
        for row in session.scalars(query.with_for_update(skip_locked=True)).all():
            if row.from_bot and _person_in_charge(session, row):
                row.state = DeliveryState.CANCELLED
                cancelled = True
                counted(session, metrics.DELIVERIES, "cancelled")
                happened(session, "delivery.cancelled", delivery=row.id, message=row.message_id)
                continue
            row.state = DeliveryState.SENDING
            row.attempts += 1
            taken.append(_delivery(session, desk, row))
    if cancelled:
        # What stood behind a cancelled one is due now, not at the next poll.
        busy = {*busy_chats, *(delivery.chat_id for delivery in taken)}
        taken += take(desk, busy, limit - len(taken), lease)
    return taken


def sent(desk: Desk, delivery_id: int, attempt: int, telegram_id: int | None) -> None:
    """Telegram has accepted the delivery; of no effect once a later attempt has begun.

    A card that was on its way while its conversation went on is brought up to date.
    """
    with desk.store.writing() as session:
        row = session.get_one(DeliveryRow, delivery_id)
        card = row.key.startswith(CARD_KEY) and row.conversation_id is not None
        # Who changes the state holds this lock, and so either sees the card sent or is seen here.
        conversation = (
            session.get_one(Conversation, row.conversation_id, with_for_update=True)
            if card
            else None
        )
        # One that was recovered but not taken again has arrived all the same.
        if not _under_way(session, row, attempt, DeliveryState.SENDING, DeliveryState.PENDING):
            return
        row.state, row.sent_at, row.error = DeliveryState.SENT, desk.clock(), None
        counted(session, metrics.DELIVERIES, "sent")
        waited = max(0.0, (row.sent_at - row.created_at).total_seconds())
        after_commit(session, lambda: metrics.DELIVERY_SECONDS.observe(waited))
        if telegram_id is not None:
            row.telegram_id = telegram_id
        if conversation is None or row.message_id is None or telegram_id is None:
            return
        customer = session.get_one(Customer, conversation.customer_id)
        message = session.get_one(Message, row.message_id)
        if row.payload["text"] != card_text(session, desk, customer, conversation, message):
            edit_card(session, desk, customer, conversation, message, telegram_id)


def again(
    desk: Desk,
    delivery_id: int,
    attempt: int,
    seconds: float,
    error: str,
    *,
    uncertain: bool = False,
) -> None:
    """The delivery goes back and is due again in so many seconds.

    `uncertain` says that it may have arrived already: the answer of Telegram was lost.
    """
    with desk.store.writing() as session:
        row = session.get_one(DeliveryRow, delivery_id)
        if not _under_way(session, row, attempt):
            return
        row.state, row.error = DeliveryState.PENDING, error[:2000]
        row.not_before = desk.clock() + timedelta(seconds=seconds)
        row.uncertain = row.uncertain or (uncertain and row.method not in IDEMPOTENT_METHODS)
        outcome = "uncertain" if uncertain and row.uncertain else "again"
        counted(session, metrics.DELIVERIES, outcome)


def failed(desk: Desk, delivery_id: int, attempt: int, error: str) -> None:
    """Telegram refuses the delivery for good; the operators learn what nobody else would see.

    What the bot could not say to a customer calls a person. A card that was refused is replaced
    by a bare text, once.
    """
    with desk.store.writing() as session:
        row = session.get_one(DeliveryRow, delivery_id)
        if row.conversation_id is None or row.method in IDEMPOTENT_METHODS:
            # A keyboard that could not be changed withholds nothing from the customer.
            if _under_way(session, row, attempt):
                _give_up(session, row, error, "failed")
            return
        customer = session.scalars(
            select(Customer)
            .join(Conversation, Conversation.customer_id == Customer.id)
            .where(Conversation.id == row.conversation_id)
            .with_for_update(of=Customer)
        ).one()
        conversation = session.get_one(Conversation, row.conversation_id, with_for_update=True)
        if not _under_way(session, row, attempt):
            return
        _give_up(session, row, error, "failed")
        if row.chat_id == desk.operator_chat_id:
            if row.key.startswith((CARD_KEY, POST_KEY)):
                _post_bare(session, desk, customer, conversation, row)
        elif row.chat_id == customer.chat_id:
            message = _undelivered(session, row)
            if conversation.state is ConversationState.BOT and message is not None:
                call_person(
                    session, desk, customer, conversation, message, NOT_DELIVERED, tell=False
                )
            text = "⚠️ " + html(shorten(say("not-delivered", desk.language, error=error), 1000))
            operators_text(session, desk, f"failed:{row.id}", text, customer=customer)


def customer_gone(desk: Desk, delivery_id: int, attempt: int, error: str) -> None:
    """The customer has blocked the bot: nothing more is sent until they write again."""
    with desk.store.writing() as session:
        row = session.get_one(DeliveryRow, delivery_id)
        customer = session.scalar(
            select(Customer).where(Customer.chat_id == row.chat_id).with_for_update()
        )
        if not _under_way(session, row, attempt):
            return
        _give_up(session, row, error, "gone")
        if customer is None:
            return
        told, customer.gone = customer.gone, True
        has_topic = customer.topic_id is not None
        if has_topic and customer.topic_chat_id == desk.operator_chat_id and not told:
            text = "⚠️ " + html(say("customer-gone", desk.language))
            operators_text(session, desk, f"gone:{row.id}", text, customer=customer)


def topic_made(desk: Desk, customer_id: int, thread_id: int | None) -> None:
    """Remember the customer's topic in the operators' chat, or with None that it is no more."""
    chat_id = desk.operator_chat_id if thread_id is not None else None
    with desk.store.writing() as session:
        # Telegram has just made it: whoever had that number before has it no more.
        session.execute(
            update(Customer)
            .where(
                Customer.topic_chat_id == chat_id,
                Customer.topic_id == thread_id,
                Customer.id != customer_id,
            )
            .values(topic_chat_id=None, topic_id=None)
        )
        customer = session.get_one(Customer, customer_id)
        customer.topic_chat_id, customer.topic_id = chat_id, thread_id


def topic_name(desk: Desk, customer_id: int) -> str:
    """How a customer's topic is called; Telegram takes 1 to 128 characters."""
    with desk.store.reading() as session:
        customer = session.get_one(Customer, customer_id)
        return (customer.name.strip() or str(customer.chat_id))[:128]


def retry_failed(desk: Desk) -> int:
    """Give every refused delivery another round; returns how many there were.

    Whoever has blocked the bot has to write first: theirs would only fail again.
    """
    gone = select(Customer.chat_id).where(Customer.gone.is_(True))
    with desk.store.writing() as session:
        rows = session.scalars(
            select(DeliveryRow).where(
                DeliveryRow.state == DeliveryState.FAILED, DeliveryRow.chat_id.not_in(gone)
            )
        ).all()
        for row in rows:
            # The attempts go on counting: an older one must not be taken for a new one.
            row.state, row.not_before = DeliveryState.PENDING, None
        return len(rows)


def counts(desk: Desk) -> dict[str, int]:
    """How many deliveries are in each state, and how many were uncertain."""
    with desk.store.reading() as session:
        query = select(DeliveryRow.state, func.count()).group_by(DeliveryRow.state)
        found = {str(state): number for state, number in session.execute(query)}
        found["uncertain"] = (
            session.scalar(select(func.count()).where(DeliveryRow.uncertain.is_(True))) or 0
        )
        return found


def _under_way(session: Session, row: DeliveryRow, attempt: int, *states: DeliveryState) -> bool:
    """Whether this attempt is the delivery's last one and still has no end; locks the row.

    The row's lock comes after the customer's and the conversation's, as everywhere.
    """
    session.refresh(row, with_for_update=True)
    return row.attempts == attempt and row.state in (states or (DeliveryState.SENDING,))


def _give_up(session: Session, row: DeliveryRow, error: str, outcome: str) -> None:
    row.state, row.error = DeliveryState.FAILED, error[:2000]
    counted(session, metrics.DELIVERIES, outcome)


def _next_to_operators(session: Session, desk: Desk) -> int | None:
    """What goes next to the operators' chat: the oldest card, or else the oldest of all.

    The chat takes 20 messages a minute, and a call for help must not wait behind chatter. Within a
    conversation the order is kept; nothing overtakes what is under way or was told to wait.
    """
    here = [DeliveryRow.chat_id == desk.operator_chat_id, DeliveryRow.state.in_(UNFINISHED)]
    held_up = or_(DeliveryRow.state == DeliveryState.SENDING, ~_due(desk))
    if session.scalar(select(DeliveryRow.id).where(*here, held_up).limit(1)) is not None:
        return None
    older = aliased(DeliveryRow)
    behind_its_own = (
        select(older.id)
        .where(
            older.chat_id == desk.operator_chat_id,
            older.state.in_(UNFINISHED),
            older.conversation_id == DeliveryRow.conversation_id,
            older.id < DeliveryRow.id,
        )
        .exists()
    )
    call = and_(DeliveryRow.key.startswith(CARD_KEY), ~behind_its_own)
    return session.scalar(
        select(DeliveryRow.id)
        .where(*here)
        .order_by(case((call, 0), else_=1), DeliveryRow.id)
        .limit(1)
    )


def _due(desk: Desk) -> ColumnElement[bool]:
    return or_(DeliveryRow.not_before.is_(None), DeliveryRow.not_before <= desk.clock())


def _person_in_charge(session: Session, row: DeliveryRow) -> bool:
    return (
        session.scalar(
            select(Conversation.id).where(
                and_(
                    Conversation.id == row.conversation_id,
                    Conversation.state == ConversationState.HUMAN,
                )
            )
        )
        is not None
    )


def _undelivered(session: Session, row: DeliveryRow) -> Message | None:
    """The customer's message that was left without an answer."""
    if row.message_id is not None:
        return session.get(Message, row.message_id)
    return session.scalar(
        select(Message)
        .where(Message.conversation_id == row.conversation_id, Message.author == Author.CUSTOMER)
        .order_by(Message.id.desc())
        .limit(1)
    )


def _post_bare(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    refused: DeliveryRow,
) -> None:
    message = session.get(Message, refused.message_id) if refused.message_id else None
    said = shorten(message.text, BARE_TEXT) if message else ""
    title = say("card-title", desk.language)
    operators_text(
        session,
        desk,
        f"bare:{refused.key}",
        html(f"🔔 {title} · {customer.name}\n{said}"),
        customer=customer,
        conversation=conversation,
        message=message,
    )


def _delivery(session: Session, desk: Desk, row: DeliveryRow) -> Delivery:
    # A topic is made and known in the operators' chat of now only.
    topic_of = row.topic_of if row.chat_id == desk.operator_chat_id else None
    topic = session.get(Customer, topic_of) if topic_of is not None else None
    if topic is not None and topic.topic_chat_id != row.chat_id:
        topic = None
    return Delivery(
        id=row.id,
        chat_id=row.chat_id,
        method=row.method,
        payload=row.payload,
        conversation_id=row.conversation_id,
        message_id=row.message_id,
        topic_of=topic_of,
        thread_id=topic.topic_id if topic else None,
        from_bot=row.from_bot,
        attempts=row.attempts,
        uncertain=row.uncertain,
    )

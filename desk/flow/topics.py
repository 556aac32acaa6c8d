"""Customers' topics in the operators' chat."""

from __future__ import annotations

from unicodedata import category

from sqlalchemy import and_, select, update
from sqlalchemy.orm import Session

from desk.domain import DeliveryState
from desk.flow.cards import status_card
from desk.flow.composing import TEXT_METHOD
from desk.flow.conversations import find_open
from desk.flow.delivering import cancel
from desk.flow.desk import Desk
from desk.flow.following import AT_MOST
from desk.flow.keys import CUSTOMER_KEYS, REPLYING_KEYS
from desk.flow.names import mark
from desk.flow.refreshing import refresh_card
from desk.tables import Customer, DeliveryRow, key_begins

TO_EVERYBODY = and_(
    DeliveryRow.topic_of.is_(None), DeliveryRow.chat_id < 0, DeliveryRow.method == TEXT_METHOD
)
"""What is for the operators and for no customer's topic. (Groups' ids are below 0.)"""
BLANKS = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and a symbol by their category that show nothing: fillers of Hangul, an empty Braille."""


def chat_was_used(desk: Desk) -> bool:
    """Whether anything was ever posted in the operators' chat: then it is the right one."""
    posted = select(DeliveryRow.id).where(
        DeliveryRow.chat_id == desk.operator_chat_id, DeliveryRow.telegram_id.is_not(None)
    )
    with desk.store.reading() as session:
        return session.scalar(posted.limit(1)) is not None


def readdress(session: Session, desk: Desk) -> None:
    """What was to go to customers' topics in another chat goes to theirs in this one, and what was
    for everybody there to everybody here, but for answers within its topics.

    Edits and the deletion of topics are about what stands in that chat, and stay.
    """
    elsewhere = and_(
        DeliveryRow.chat_id != desk.operator_chat_id, DeliveryRow.state == DeliveryState.PENDING
    )
    # Such a reply would be one to another message of that number.
    for row in session.scalars(
        select(DeliveryRow)
        .where(elsewhere, key_begins(REPLYING_KEYS))
        .order_by(DeliveryRow.id)
        .with_for_update()
    ):
        row.payload = {
            name: value for name, value in row.payload.items() if name != "reply_parameters"
        }
    session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.topic_of.is_not(None), elsewhere)
        .values(chat_id=desk.operator_chat_id)
    )
    for row in session.scalars(
        select(DeliveryRow)
        .where(TO_EVERYBODY, elsewhere)
        .order_by(DeliveryRow.id)
        .with_for_update()
    ):
        if "message_thread_id" in row.payload:
            cancel(session, row)
        elif desk.operator_chat_id is not None:
            row.chat_id = desk.operator_chat_id


def is_astray(desk: Desk, row: DeliveryRow) -> bool:
    """Whether a delivery is for the operators and goes to another chat than theirs."""
    to_everybody = row.chat_id < 0 and row.method == TEXT_METHOD
    return row.chat_id != desk.operator_chat_id and (row.topic_of is not None or to_everybody)


def topic_made(desk: Desk, customer_id: int, thread_id: int | None, *, again: bool = False) -> bool:
    """Remember the customer's topic in the operators' chat, or with None that it is no more.

    With `again` it stands for one that was deleted: what that showed of the open conversation goes
    once more, from its card on. Returns whether there is such.
    """
    chat_id = desk.operator_chat_id if thread_id is not None else None
    with desk.store.writing() as session:
        if thread_id is not None:
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
        customer = session.get_one(Customer, customer_id, with_for_update=True)
        customer.topic_chat_id, customer.topic_id = chat_id, thread_id
        customer.topic_closed = False
        return again and _show_again(session, desk, customer)


def _show_again(session: Session, desk: Desk, customer: Customer) -> bool:
    conversation = find_open(session, customer)
    card = status_card(session, desk, conversation, lock=True) if conversation else None
    if conversation is None or card is None or card.state is not DeliveryState.SENT:
        return False
    since = (
        select(DeliveryRow)
        .where(
            DeliveryRow.conversation_id == conversation.id,
            DeliveryRow.id >= card.id,
            DeliveryRow.topic_of == customer.id,
            DeliveryRow.state == DeliveryState.SENT,
            key_begins(CUSTOMER_KEYS),
        )
        .with_for_update()
    )
    rows = session.scalars(since.order_by(DeliveryRow.id)).all()
    for row in [*rows[:1], *rows[1:][-AT_MOST:]]:
        # The attempts go on counting, as in `delivering.retry_failed`.
        row.state, row.not_before, row.uncertain = DeliveryState.PENDING, desk.clock(), False
        row.telegram_id = None
    refresh_card(session, desk, customer, conversation)
    return bool(rows)


def topic_reopened(desk: Desk, customer_id: int) -> None:
    """Remember that the customer's topic, which somebody had closed, is open again."""
    with desk.store.writing() as session:
        session.get_one(Customer, customer_id).topic_closed = False


def topic_name(desk: Desk, customer_id: int) -> str:
    """How a customer's topic is called; Telegram takes 1 to 128 characters. Of two of one name who
    are with people the topic that is made later says which it is."""
    with desk.store.reading() as session:
        customer = session.get_one(Customer, customer_id)
        if not _shows(customer.name):
            return str(customer.chat_id)
        behind = mark(session, customer)
        return customer.name.strip()[: 128 - len(behind)] + behind


def _shows(name: str) -> bool:
    """Whether there is anything to see in a name: Telegram takes no other title."""
    return any(category(sign)[0] in "LNPS" and sign not in BLANKS for sign in name)

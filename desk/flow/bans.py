"""Bans: a customer whom an admin does not want to hear meets silence, until that is taken back."""

from __future__ import annotations

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import Session

from desk import metrics
from desk.domain import ConversationState, DeliveryState, MessageState
from desk.flow.conversations import HAS_DECISION
from desk.flow.desk import Desk
from desk.flow.handoff import resolve
from desk.flow.keys import UNHEARD_KEYS
from desk.flow.noting import counted, happened
from desk.flow.refreshing import refresh_card
from desk.store import in_bulk
from desk.tables import (
    IS_PENDING,
    Conversation,
    Customer,
    DeliveryRow,
    Message,
    Operator,
    key_begins,
)


def is_banned(session: Session, chat_id: int) -> bool:
    """Whether the customer with that private chat is banned; locks their row."""
    query = select(Customer.banned_at).where(Customer.chat_id == chat_id).with_for_update()
    return session.scalar(query) is not None


def ban(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    operator: Operator,
) -> None:
    """Ban a customer: their newest `conversation` is over, and what waits of them is dropped.

    Kept are their messages; dropped is what was to be answered, or shown to the operators.
    """
    customer.banned_at = desk.clock()
    happened(session, "customer.banned", customer=customer.id)
    theirs = select(Conversation.id).where(Conversation.customer_id == customer.id)
    undecided = update(Message).where(Message.conversation_id.in_(theirs), IS_PENDING)
    # As `captions.end_reading` does: with an attempt a file would teach.
    in_bulk(session, undecided.where(HAS_DECISION).values(attempt=0))
    in_bulk(session, undecided.values(state=MessageState.DECIDED))
    shows = key_begins(UNHEARD_KEYS)
    theirs_to_hear = DeliveryRow.chat_id == customer.chat_id
    dropped = session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.conversation_id.in_(theirs),
            DeliveryRow.state == DeliveryState.PENDING,
            or_(theirs_to_hear, and_(DeliveryRow.topic_of == customer.id, shows)),
        )
        .values(state=DeliveryState.CANCELLED)
        .returning(DeliveryRow.id)
        .execution_options(synchronize_session=False)
    )
    for _ in dropped.all():
        counted(session, metrics.DELIVERIES, "cancelled")
    if conversation.state is ConversationState.RESOLVED:
        conversation.operator_id = operator.user_id
        refresh_card(session, desk, customer, conversation)
    else:
        resolve(session, desk, customer, conversation, operator)


def unban(session: Session, desk: Desk, customer: Customer, conversation: Conversation) -> None:
    """Take a ban back; the customer's next message is answered as anybody's."""
    customer.banned_at = None
    happened(session, "customer.unbanned", customer=customer.id)
    refresh_card(session, desk, customer, conversation)


def count_banned(desk: Desk) -> int:
    """How many customers are banned."""
    query = select(func.count()).select_from(Customer).where(Customer.banned_at.is_not(None))
    with desk.store.reading() as session:
        return session.scalar(query) or 0

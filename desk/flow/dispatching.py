"""What goes out next: deliveries are taken in order per chat, and checked once more."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from desk import metrics
from desk.domain import ConversationState, Delivery, DeliveryState
from desk.flow.cards import CARD_KEY
from desk.flow.desk import Desk
from desk.flow.leases import Holding, check
from desk.flow.noting import counted, happened
from desk.tables import Conversation, Customer, DeliveryRow

UNFINISHED = (DeliveryState.PENDING, DeliveryState.SENDING)


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

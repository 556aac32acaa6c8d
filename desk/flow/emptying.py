"""What was said long ago to customers who are still there, or who are banned, loses its words.

The rest stays: who they are, the ban, their topic, and what was counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Text, and_, cast, func, or_, select, update
from sqlalchemy.orm import Session

from desk.domain import Author, ConversationState, DeliveryState, MessageState
from desk.flow.desk import Desk
from desk.flow.lessons import taught_messages
from desk.masking import mask
from desk.own_names import OwnNames
from desk.store import in_bulk
from desk.tables import IS_UNFINISHED, Conversation, Customer, DeliveryRow, Message

CHUNK = 200
"""So many conversations are looked at in one go: a second of work where they are long."""


def empty_conversations(desk: Desk, before: datetime, after: int) -> int | None:
    """Of the next conversations, empty those resolved before that moment, and quiet since.

    `after` is the id of the last that was looked at, 0 at first; returns the next such, or None at
    the end. What they taught stays, masked. It may be repeated and missed; what is still being sent
    waits for the next time.
    """
    over = _is_over(before)
    with desk.store.reading() as session:
        # By their numbers alone: a look for those that are over would read all the rest each time.
        query = select(Conversation.id).where(Conversation.id > after).order_by(Conversation.id)
        looked = session.scalars(query.limit(CHUNK)).all()
        if not looked:
            return None
        found = session.scalars(
            select(Conversation.id).where(Conversation.id.in_(looked), over)
        ).all()
    if not found:
        return looked[-1]
    with desk.store.writing() as session:
        these = Conversation.id.in_(found)
        session.scalars(
            select(Conversation.id).where(these).order_by(Conversation.id).with_for_update()
        ).all()
        # Asked under the lock and apart from it: a query that waits for a lock sees other tables
        # as they were before.
        _empty(session, session.scalars(select(Conversation.id).where(these, over)).all(), desk)
    return looked[-1]


def _is_over(before: datetime) -> ColumnElement[bool]:
    """Whether nothing was said in a conversation since, and nothing is to come."""
    stirs = select(Message.id).where(
        Message.conversation_id == Conversation.id,
        or_(
            and_(Message.created_at >= before, Message.author != Author.BOT),
            Message.state == MessageState.PENDING,
        ),
    )
    unsent = select(DeliveryRow.id).where(
        DeliveryRow.conversation_id == Conversation.id, IS_UNFINISHED
    )
    return and_(
        Conversation.state == ConversationState.RESOLVED,
        func.coalesce(Conversation.resolved_at, Conversation.opened_at) < before,
        ~stirs.exists(),
        ~unsent.exists(),
    )


def _empty(session: Session, ids: Sequence[int], desk: Desk) -> None:
    kept, own = taught_messages(session, ids), OwnNames(desk.pack)
    beside = (Message.quoted, Message.forwarded_from, Message.links)
    full = or_(Message.text != "", *(column.is_not(None) for column in beside))
    for message, customer in session.execute(
        select(Message, Customer)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .join(Customer, Customer.id == Conversation.customer_id)
        .where(Message.conversation_id.in_(ids), full)
    ).all():
        message.text = (
            mask(message.text, desk.pack.phone_regions, own.of(customer))
            if message.id in kept
            else ""
        )
        message.quoted = message.forwarded_from = message.links = None
    # As a text: PostgreSQL compares no JSON.
    said = and_(DeliveryRow.conversation_id.in_(ids), cast(DeliveryRow.payload, Text) != "{}")
    # Those refused must not be tried again, without words.
    refused = and_(said, DeliveryRow.state == DeliveryState.FAILED)
    for which, values in (
        (refused, {"state": DeliveryState.CANCELLED}),
        (said, {"payload": {}, "error": None}),
    ):
        in_bulk(session, update(DeliveryRow).where(which).values(values))

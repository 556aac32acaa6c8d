"""What was said long ago to customers who are still there, or who are banned, loses its words.

The rest stays: who they are, the ban, their topic, and what was counted.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from math import inf

from sqlalchemy import ColumnElement, Text, and_, cast, func, or_, select, update
from sqlalchemy.orm import Session

from desk.domain import Author, ConversationState, DeliveryState, MessageState
from desk.flow.desk import Desk
from desk.flow.lessons import taught_messages
from desk.flow.masked_lessons import MaskedLessons
from desk.store import in_bulk
from desk.tables import IS_UNFINISHED, Conversation, DeliveryRow, Message

CHUNK = 200
"""So many conversations are looked at in one go: a second of work where they are long."""


def empty_conversations(
    desk: Desk,
    before: datetime,
    after: int,
    seconds: float = inf,
    lessons: MaskedLessons | None = None,
) -> int | None:
    """Of the next conversations, empty those resolved before that moment, and quiet since.

    `after` is the id of the last that was looked at, 0 at first; returns the next such, or None at
    the end. What they taught stays, masked. Where that takes more than so many `seconds`, the same
    `after` is returned, and the next call with the same `lessons` goes on. It may be repeated and
    missed; what is still being sent, or was just taught, waits for the next time.
    """
    lessons = lessons or MaskedLessons()
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
    if not lessons.prepare(desk, found, seconds):
        return after
    with desk.store.reading() as session:
        full = _full(session, found, lessons)
    if not full:
        # Nearly always: what was emptied once is looked at again each day.
        lessons.clear()
        return looked[-1]
    with desk.store.writing() as session:
        these = Conversation.id.in_(full)
        session.scalars(
            select(Conversation.id).where(these).order_by(Conversation.id).with_for_update()
        ).all()
        # Asked under the lock and apart from it: a query that waits for a lock sees other tables
        # as they were before.
        still = session.scalars(select(Conversation.id).where(these, over)).all()
        _empty(session, still, lessons)
    lessons.clear()
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


def _full(session: Session, ids: Collection[int], lessons: MaskedLessons) -> list[int]:
    """Those of these conversations that have words which are to go."""
    kept = taught_messages(session, ids)
    messages = session.execute(
        select(Message.conversation_id, Message.id, Message.text, _has_beside()).where(
            Message.conversation_id.in_(ids), _has_words()
        )
    )
    full = {
        conversation_id
        for conversation_id, id_, text, has_beside in messages
        if has_beside or id_ not in kept or lessons.of(id_, text) != text
    }
    full.update(session.scalars(select(DeliveryRow.conversation_id).where(_said(ids)).distinct()))
    return sorted(full)


def _empty(session: Session, ids: Collection[int], lessons: MaskedLessons) -> None:
    kept = taught_messages(session, ids)
    words: dict[int, list[tuple[Message, str | None]]] = {id_: [] for id_ in ids}
    for message in session.scalars(
        select(Message).where(Message.conversation_id.in_(ids), _has_words())
    ).all():
        text = lessons.of(message.id, message.text) if message.id in kept else ""
        words[message.conversation_id].append((message, text))
    # All that is in a conversation, or nothing: what has been taught there since waits.
    ready = [id_ for id_, rows in words.items() if all(text is not None for _, text in rows)]
    for id_ in ready:
        for message, text in words[id_]:
            message.text = text or ""
            message.quoted = message.forwarded_from = message.links = None
    said = _said(ready)
    # Those refused must not be tried again, without words.
    refused = and_(said, DeliveryRow.state == DeliveryState.FAILED)
    for which, values in (
        (refused, {"state": DeliveryState.CANCELLED}),
        (said, {"payload": {}, "error": None}),
    ):
        in_bulk(session, update(DeliveryRow).where(which).values(values))


def _has_beside() -> ColumnElement[bool]:
    beside = (Message.quoted, Message.forwarded_from, Message.links)
    return or_(*(column.is_not(None) for column in beside))


def _has_words() -> ColumnElement[bool]:
    return or_(Message.text != "", _has_beside())


def _said(ids: Collection[int]) -> ColumnElement[bool]:
    """Whether a delivery is of these conversations and has its words."""
    # As a text: PostgreSQL compares no JSON.
    return and_(DeliveryRow.conversation_id.in_(ids), cast(DeliveryRow.payload, Text) != "{}")

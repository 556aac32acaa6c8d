"""What is asked before a conversation is closed in which nobody has replied to who was promised a
person, or in which the customer has just written: a slip would break the promise, or leave their
words behind, seen by nobody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from desk.domain import Author, ConversationState, DeliveryState, MessageState
from desk.flow.awaiting import (
    LAST_WORD_OF_OPERATOR,
    has_word_since,
    is_promised,
    wants_reply,
)
from desk.flow.desk import Desk
from desk.flow.keys import BARE_KEY, CUSTOMER_KEYS, PRIORITY_KEY
from desk.tables import Conversation, Customer, DeliveryRow, Message, key_begins

UNANSWERED = "resolve-unanswered"
"""The question: nobody has replied."""
WRITTEN_SINCE = "resolve-written-since"
"""The question where the customer has written since it was asked, or so lately that nobody can have
read it."""
ASKED_FOR = timedelta(minutes=10)
"""So long a yes counts that is given by a command, or to words that nobody can have read."""
READ_WITHIN = timedelta(seconds=10)
"""What has stood before operators for so long has been read by who closes the conversation."""


@dataclass(frozen=True, slots=True)
class Asked:
    """That it was asked before, and by which question."""

    question: str
    at: datetime


def question(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    asked: Asked | None,
) -> str | None:
    """What to ask before a conversation is closed that nobody has replied in who was promised, or
    in which there are `unread` words, as the name of a text; None where there is nothing to ask, or
    it was asked, and whoever closes it closes nothing that came after.

    Anew it is asked once: who writes on and on can't keep it open. But what everybody is told of,
    because it can't wait, is closed by no yes of before; of each such topic that is once a call,
    and again hours later.
    """
    called = conversation.escalated_at
    if not is_promised(session, customer, conversation):
        asked = _just_now(session, desk, conversation, asked)
        if asked is None:
            return WRITTEN_SINCE if _has_unread(session, desk, customer, conversation) else None
    elif asked is None or (called is not None and asked.at < called):
        return UNANSWERED
    urgent = select(DeliveryRow.id).where(
        DeliveryRow.conversation_id == conversation.id,
        DeliveryRow.key.startswith(PRIORITY_KEY),
        DeliveryRow.created_at > asked.at,
    )
    if session.scalar(urgent.limit(1)) is not None:
        return WRITTEN_SINCE
    if asked.question == WRITTEN_SINCE:
        return None
    said_last = session.scalar(
        select(Message.created_at)
        .where(Message.conversation_id == conversation.id, Message.author == Author.CUSTOMER)
        .order_by(Message.id.desc())
        .limit(1)
    )
    return WRITTEN_SINCE if said_last is not None and said_last > asked.at else None


def unread(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    asked: Asked | None,
) -> bool:
    """Whether a conversation has words of the customer that have no reply and that nobody can have
    read, and nobody was `asked` about that just now."""
    asked = _just_now(session, desk, conversation, asked)
    return asked is None and _has_unread(session, desk, customer, conversation)


def _just_now(
    session: Session, desk: Desk, conversation: Conversation, asked: Asked | None
) -> Asked | None:
    """What was asked, unless that was long ago or a person has said a word since."""
    if asked is None or asked.at < desk.clock() - ASKED_FOR:
        return None
    return None if has_word_since(session, conversation, asked.at) else asked


def _has_unread(
    session: Session, desk: Desk, customer: Customer, conversation: Conversation
) -> bool:
    """What a bot that is alone has answered is never put before anybody, and was not to be."""
    people = (ConversationState.WAITING, ConversationState.HUMAN)
    if customer.gone or conversation.state not in people:
        return False
    if not wants_reply(session, desk.pack, conversation):
        return False  # they have said thanks
    shows = select(DeliveryRow.id).where(
        DeliveryRow.message_id == Message.id,
        DeliveryRow.chat_id == desk.operator_chat_id,
        key_begins((*CUSTOMER_KEYS, BARE_KEY)),
    )
    on_its_way = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.SENT)
    to_be_shown = shows.where(DeliveryRow.state.in_(on_its_way)).correlate(Message).exists()
    was_read = and_(
        DeliveryRow.state == DeliveryState.SENT,
        DeliveryRow.sent_at <= desk.clock() - READ_WITHIN,
    )
    found = (
        select(Message.id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(
            Message.conversation_id == conversation.id,
            Message.author == Author.CUSTOMER,
            Message.id > func.coalesce(LAST_WORD_OF_OPERATOR, 0),
            or_(Message.state == MessageState.PENDING, to_be_shown),
            ~shows.where(was_read).correlate(Message).exists(),
        )
        .limit(1)
    )
    return session.scalar(found) is not None

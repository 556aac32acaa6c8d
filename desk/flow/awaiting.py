"""Who waits for a person's word: what all who ask for it mean by that, as conditions in SQL."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, String, and_, cast, func, literal, or_, select
from sqlalchemy.orm import Session, aliased

from desk.domain import Author, ConversationState, DeliveryState
from desk.flow.composing import WRITTEN_KEY
from desk.flow.desk import Desk
from desk.tables import Conversation, DeliveryRow, Message


def is_word_of_operator(message: type[Message]) -> ColumnElement[bool]:
    """Whether a message (the table, or an alias of it) is a person's word to the customer. A
    command that opened the conversation is none, nor is what surely never reached them."""
    key = func.coalesce(message.delivery_key, literal(WRITTEN_KEY) + cast(message.id, String))
    lost = select(DeliveryRow.id).where(
        DeliveryRow.key == key,
        DeliveryRow.state.in_([DeliveryState.FAILED, DeliveryState.CANCELLED]),
        DeliveryRow.uncertain.is_(False),
    )
    return and_(
        message.author == Author.OPERATOR,
        or_(message.telegram_id.is_not(None), message.delivery_key.is_not(None)),
        ~lost.correlate(message).exists(),
    )


_asked, _replied = aliased(Message), aliased(Message)

LAST_WORD_OF_OPERATOR = (
    select(func.max(_replied.id))
    .where(_replied.conversation_id == Conversation.id, is_word_of_operator(_replied))
    .correlate(Conversation)
    .scalar_subquery()
)
"""The id of the last message in a conversation that is a person's word; null without one."""
CUSTOMER_SPOKE_LAST = (
    select(_asked.id)
    .where(
        _asked.conversation_id == Conversation.id,
        _asked.author == Author.CUSTOMER,
        _asked.id > func.coalesce(LAST_WORD_OF_OPERATOR, 0),
    )
    .correlate(Conversation)
    .exists()
)
"""Whether no person has replied to what the customer said last; what the bot says is no reply."""
_ANSWERED = (
    select(_replied.id)
    .where(
        _replied.conversation_id == Conversation.id,
        _replied.created_at >= Conversation.escalated_at,
        is_word_of_operator(_replied),
    )
    .correlate(Conversation)
    .exists()
)
IS_CALLED = or_(
    Conversation.state == ConversationState.WAITING,
    and_(
        Conversation.state == ConversationState.HUMAN,
        Conversation.escalated_at.is_not(None),
        ~_ANSWERED,
    ),
)
"""Whether a person was promised who has not said a word yet. Merely to take it keeps no promise."""


def is_called(session: Session, conversation: Conversation) -> bool:
    """`IS_CALLED` of one conversation."""
    return _holds(session, conversation, IS_CALLED)


def customer_spoke_last(session: Session, conversation: Conversation) -> bool:
    """`CUSTOMER_SPOKE_LAST` of one conversation."""
    return _holds(session, conversation, CUSTOMER_SPOKE_LAST)


def has_person(desk: Desk) -> ColumnElement[bool]:
    """Whether a person has a conversation that is not over for being quiet. Where the customer
    spoke last somebody has yet to say that it is."""
    since = desk.clock() - timedelta(hours=desk.pack.policy.quiet_hours)
    lately = (
        select(_asked.id)
        .where(_asked.conversation_id == Conversation.id, _asked.created_at >= since)
        .correlate(Conversation)
        .exists()
    )
    return and_(
        Conversation.state == ConversationState.HUMAN,
        or_(lately, CUSTOMER_SPOKE_LAST),
    )


def _holds(session: Session, conversation: Conversation, condition: ColumnElement[bool]) -> bool:
    query = select(Conversation.id).where(Conversation.id == conversation.id, condition)
    return session.scalar(query) is not None

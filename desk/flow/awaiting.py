"""Who waits for a person's word: what all who ask for it mean by that, as conditions in SQL."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    String,
    and_,
    cast,
    false,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from desk.domain import Author, ConversationState, DeliveryState
from desk.flow.desk import Desk
from desk.flow.keys import WRITTEN_KEY
from desk.pack import Pack
from desk.tables import Conversation, Customer, DeliveryRow, Message, PredictionRow

_Value = TypeVar("_Value")


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

# Not max(): with that PostgreSQL reads all that was ever said in it.
LAST_WORD_OF_OPERATOR = (
    select(_replied.id)
    .where(_replied.conversation_id == Conversation.id, is_word_of_operator(_replied))
    .order_by(_replied.id.desc())
    .limit(1)
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


def is_promised(session: Session, customer: Customer, conversation: Conversation) -> bool:
    """Whether the customer waits for a person who was promised and has not said a word yet. Who has
    blocked the bot waits no more."""
    return not customer.gone and is_called(session, conversation)


def has_word_since(session: Session, conversation: Conversation, moment: datetime) -> bool:
    """Whether a person has said a word to the customer since then."""
    word = (
        select(_replied.id)
        .where(
            _replied.conversation_id == Conversation.id,
            _replied.created_at > moment,
            is_word_of_operator(_replied),
        )
        .correlate(Conversation)
        .exists()
    )
    return _holds(session, conversation, word)


def spoke_since(session: Session, conversations: Collection[int], moment: datetime) -> set[int]:
    """In which of these conversations, by id, a person has said a word to the customer since then;
    all are asked about at once."""
    words = select(_replied.conversation_id).where(
        _replied.conversation_id.in_(conversations),
        _replied.created_at > moment,
        is_word_of_operator(_replied),
    )
    return set(session.scalars(words))


def wants_reply(session: Session, pack: Pack, conversation: Conversation) -> bool:
    """Whether one conversation has a `first_unanswered` message."""
    return _holds(session, conversation, first_unanswered(pack).is_not(None))


def first_unanswered(pack: Pack) -> ScalarSelect[int]:
    """The id of the first message in a conversation that no person has replied to and that wants a
    reply; null without one. What closes a conversation, such as thanks, wants none; what the model
    has not read does."""
    return _first_unanswered(pack, _asked.id)


def unanswered_since(pack: Pack) -> ScalarSelect[datetime]:
    """When the `first_unanswered` was written."""
    # By itself: to find one message by its id PostgreSQL may read them all, where many are asked.
    return _first_unanswered(pack, _asked.created_at)


def _first_unanswered(pack: Pack, column: InstrumentedAttribute[_Value]) -> ScalarSelect[_Value]:
    read_as_closing = (
        select(PredictionRow.message_id)
        # A file's words close nothing.
        .where(PredictionRow.message_id == _asked.id, _asked.attempt > 0, _is_closing(pack))
        .exists()
    )
    return (
        select(column)
        .where(
            _asked.conversation_id == Conversation.id,
            _asked.author == Author.CUSTOMER,
            _asked.id > func.coalesce(LAST_WORD_OF_OPERATOR, 0),
            ~read_as_closing,
        )
        .order_by(_asked.id)
        .limit(1)
        .correlate(Conversation)
        .scalar_subquery()
    )


def _is_closing(pack: Pack) -> ColumnElement[bool]:
    """Whether the model is as sure that a message closes the conversation as the bot would have to
    be to answer it, and of no ill humour in it: a guess must silence no reminder. (Other small talk
    is no sign of that: "hello? anybody there?" waits.)"""
    read = PredictionRow
    kinds = [
        and_(
            read.intent == name,
            read.confidence
            >= (
                func.coalesce(read.threshold, pack.policy.threshold)
                if intent.threshold is None
                else literal(intent.threshold)
            ),
        )
        for name, intent in pack.intents.items()
        if intent.closing
    ]
    return and_(
        or_(false(), *kinds),
        read.language.is_(None),
        or_(
            read.scope.is_(None), read.scope_threshold.is_(None), read.scope >= read.scope_threshold
        ),
        or_(
            func.coalesce(read.sentiment, "") != "negative",
            read.sentiment_confidence < pack.policy.negative_confidence,
        ),
    )


def is_unanswered(session: Session, conversation: Conversation, message_id: int) -> bool:
    """Whether the person who has a conversation has still not replied to that message in it."""
    unanswered = and_(
        Conversation.state == ConversationState.HUMAN,
        func.coalesce(LAST_WORD_OF_OPERATOR, 0) < message_id,
    )
    return _holds(session, conversation, unanswered)


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

"""Customers with whom nothing has happened for long, and with whom nothing is left to do."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, false, or_, select

from desk.domain import Author, ConversationState, InboxState, MessageState
from desk.flow.awaiting import is_word_of_operator
from desk.flow.desk import Desk
from desk.flow.intake import is_stranded
from desk.tables import (
    IS_UNFINISHED,
    Conversation,
    Customer,
    DeliveryRow,
    Feedback,
    Inbox,
    Message,
)


def is_silent(desk: Desk, before: datetime) -> ColumnElement[bool]:
    """Whether a customer has said nothing since, nor a person to them, and nothing is owed to them.

    A condition on `Customer`. Who is banned does not count as silent, nor who is erased.
    """
    theirs = Conversation.customer_id == Customer.id
    talking = (
        select(Message.id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(
            theirs,
            or_(
                and_(Message.created_at >= before, Message.author != Author.BOT),
                Message.state == MessageState.PENDING,
            ),
        )
    )
    judging = (
        select(Feedback.id)
        .join(Message, Message.id == Feedback.message_id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(theirs, Feedback.created_at >= before)
    )
    replied = select(Message.id).where(
        Message.conversation_id == Conversation.id,
        is_word_of_operator(Message),
    )
    asked = select(Message.id).where(
        Message.conversation_id == Conversation.id, Message.author == Author.CUSTOMER
    )
    # Taken by somebody who has never said a word since. One who was answered and says thanks for
    # it waits for nothing, and to one who is gone there is no way.
    unanswered = select(Conversation.id).where(
        theirs,
        Conversation.state == ConversationState.HUMAN,
        ~Customer.gone,
        asked.exists(),
        ~replied.exists(),
    )
    under_way = select(Conversation.id).where(
        theirs,
        or_(
            Conversation.opened_at >= before,
            Conversation.taken_at >= before,
            # Where there are no operators nobody will ever come.
            and_(Conversation.state == ConversationState.WAITING, ~Customer.gone)
            if desk.operator_chat_id is not None
            else false(),
        ),
    )
    # What is left of a bot that runs no longer is handled by nobody, and says only when it came.
    waits = and_(
        Inbox.state == InboxState.NEW,
        or_(Inbox.received_at >= before, ~is_stranded(desk.store, desk.clock())),
    )
    unhandled = select(Inbox.id).where(
        or_(waits, Inbox.state == InboxState.PARKED), Inbox.chat_id == Customer.chat_id
    )
    unsent = select(DeliveryRow.id).where(IS_UNFINISHED, DeliveryRow.chat_id == Customer.chat_id)
    kept = (talking, judging, unanswered, under_way, unhandled, unsent)
    return and_(
        ~Customer.erased,
        Customer.banned_at.is_(None),
        Customer.created_at < before,
        *(~query.exists() for query in kept),
    )

"""The operators' chat is new, or another one: who waits for a person is announced there."""

from __future__ import annotations

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from desk.domain import Author, ConversationState
from desk.flow.cards import post_card
from desk.flow.desk import Desk
from desk.flow.handoff import copy_file
from desk.flow.topics import readdress
from desk.policy import ASKED_FOR_PERSON, ATTACHMENT, CHANGED, FLOOD, WAITING_FOR_PERSON
from desk.tables import IS_CARD, Conversation, Customer, DecisionRow, DeliveryRow, Message

OLD_KEY = "old:"
"""Begins the keys of what showed a message in a chat that is the operators' no longer."""


AT_ONCE = 20
"""So many conversations in a transaction, for whose end all writers to a SQLite file wait."""


def announce_waiting(desk: Desk) -> None:
    """Call the operators for conversations that were handed over while they had no chat, or
    another one; their files go along. A second call finds none.
    """
    last: int | None = 0
    while last is not None:
        last = _announce_next(desk, last)


def _announce_next(desk: Desk, last: int) -> int | None:
    """Some of the conversations behind this one; returns the last of them, None after the end."""
    called = select(DeliveryRow.conversation_id).where(
        IS_CARD,
        DeliveryRow.chat_id == desk.operator_chat_id,
        DeliveryRow.conversation_id.is_not(None),
    )
    query = select(Conversation).where(
        Conversation.state == ConversationState.WAITING, Conversation.id.not_in(called)
    )
    if desk.operator_chat_id is None:
        return None
    with desk.store.writing() as session:
        readdress(session, desk)
        query = query.where(Conversation.id > last).order_by(Conversation.id).limit(AT_ONCE)
        found = session.scalars(query).all()
        for conversation in found:
            message = session.scalar(
                select(Message)
                .join(DecisionRow, DecisionRow.message_id == Message.id)  # a mere /start has none
                .where(
                    Message.conversation_id == conversation.id,
                    Message.author == Author.CUSTOMER,
                    DecisionRow.rule.not_in([FLOOD, CHANGED]),
                )
                .order_by(Message.id.desc())
                .limit(1)
            )
            if (
                message is None
            ):  # a button called a person for a question of an earlier conversation
                message = session.scalar(
                    select(Message)
                    .join(DeliveryRow, DeliveryRow.message_id == Message.id)
                    .where(
                        DeliveryRow.conversation_id == conversation.id,
                        DeliveryRow.key.startswith("handover:"),
                    )
                    .order_by(DeliveryRow.id.desc())
                    .limit(1)
                )
            if message is not None:
                customer = session.get_one(Customer, conversation.customer_id)
                _forget_posts(session, desk, message)
                post_card(session, desk, customer, conversation, message)
                for file in session.scalars(_files(conversation)).all():
                    _forget_posts(session, desk, file)
                    copy_file(session, desk, customer, conversation, file)
    return found[-1].id if found else None


def _files(conversation: Conversation) -> Select[Message]:
    """What a customer sent that the model did not read and that a person is to see."""
    return (
        select(Message)
        .join(DecisionRow, DecisionRow.message_id == Message.id)
        .where(
            Message.conversation_id == conversation.id,
            Message.telegram_id.is_not(None),
            Message.attempt == 0,
            DecisionRow.rule.in_([ASKED_FOR_PERSON, ATTACHMENT, WAITING_FOR_PERSON]),
        )
        .order_by(Message.id)
    )


def _forget_posts(session: Session, desk: Desk, message: Message) -> None:
    """What was shown of a message in another chat keeps it from being shown here no longer."""
    elsewhere = select(DeliveryRow).where(
        DeliveryRow.message_id == message.id,
        DeliveryRow.topic_of.is_not(None),
        DeliveryRow.chat_id != desk.operator_chat_id,
        ~DeliveryRow.key.startswith(OLD_KEY),
    )
    for row in session.scalars(elsewhere).all():
        row.key = f"{OLD_KEY}{row.id}:{row.key}"
    session.flush()

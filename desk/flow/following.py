"""What follows behind a card: what the customer has said since its message, and sent at all."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from desk.flow.cards import post_message
from desk.flow.composing import has_delivery
from desk.flow.desk import Desk
from desk.flow.handoff import copy_file
from desk.flow.keys import CARD_KEY
from desk.policy import (
    ASKED_FOR_PERSON,
    ATTACHMENT,
    FLOOD,
    PERSON_IN_CHARGE,
    WAITING_FOR_PERSON,
)
from desk.tables import IS_PENDING, Conversation, Customer, DecisionRow, Message

AT_MOST = 10
"""So many of a customer's last words follow a card, also in a topic that is made again: the group
takes 20 messages a minute."""


def show_following(
    session: Session, desk: Desk, customer: Customer, conversation: Conversation, message: Message
) -> None:
    """Show the operators behind a message's card what its conversation has of the customer since,
    each once: what has its decision. What waits for the model is shown when it gets it."""
    if desk.operator_chat_id is None:
        return
    for said, is_file in following(session, conversation, message):
        show(session, desk, customer, conversation, said, is_file=is_file)


def following(
    session: Session, conversation: Conversation, message: Message
) -> list[tuple[Message, bool]]:
    """What is to follow behind a message's card, oldest first, and of each whether it is a file."""
    files = session.scalars(_files(conversation, message)).all()
    texts = _said_since(session, conversation, message)
    found = sorted({*files, *texts}, key=lambda said: said.id)
    return [(said, said in files) for said in found]


def show(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    said: Message,
    *,
    is_file: bool,
) -> None:
    """Show the operators one message of those, unless they have seen it."""
    if is_file:
        copy_file(session, desk, customer, conversation, said)
    elif not has_delivery(session, f"{CARD_KEY}{said.id}"):
        post_message(session, desk, customer, conversation, said)


def _said_since(
    session: Session, conversation: Conversation, message: Message
) -> Sequence[Message]:
    """What the customer has said since (nobody else's words have decisions), the last of it: the
    group takes 20 messages a minute."""
    return session.scalars(
        select(Message)
        .join(DecisionRow, DecisionRow.message_id == Message.id)
        .where(
            Message.conversation_id == conversation.id,
            Message.id > message.id,
            DecisionRow.rule != FLOOD,
        )
        .order_by(Message.id.desc())
        .limit(AT_MOST)
    ).all()


def _files(conversation: Conversation, message: Message) -> Select[Message]:
    """What a customer sent that is no text and that a person is to see, before the message as well:
    the card's own, and the last of the others."""
    return (
        select(Message)
        .join(DecisionRow, DecisionRow.message_id == Message.id)
        .where(
            Message.conversation_id == conversation.id,
            Message.telegram_id.is_not(None),
            or_(Message.attempt == 0, IS_PENDING),  # its words are still to be read
            DecisionRow.rule.in_(
                [ASKED_FOR_PERSON, ATTACHMENT, PERSON_IN_CHARGE, WAITING_FOR_PERSON]
            ),
        )
        .order_by((Message.id == message.id).desc(), Message.id.desc())
        .limit(AT_MOST)
    )

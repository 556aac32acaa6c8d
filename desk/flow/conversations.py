"""Conversations: a customer has one that is open, and its texts are classified one by one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from desk.domain import Action, Author, ConversationState, Person
from desk.flow.desk import Desk
from desk.flow.leaving import came_back
from desk.flow.quiet import begin_anew_if_quiet, close_if_quiet
from desk.policy import CHANGED
from desk.tables import IS_PENDING, Conversation, Customer, DecisionRow, Message
from desk.telegram_text import clean

HAS_DECISION = (
    select(DecisionRow.message_id)
    .where(DecisionRow.message_id == Message.id)
    .correlate(Message)
    .exists()
)
"""Of a pending message: whether it is a file, whose words are to be read."""


def is_kept_edit(message: type[Message]) -> ColumnElement[bool]:
    """Whether a message (the table, or an alias of it) is an edit that was only kept: its customer
    has said nothing anew, and a question before it is still the last word."""
    return (
        select(DecisionRow.message_id)
        .where(
            DecisionRow.message_id == message.id,
            DecisionRow.action == Action.SILENT,
            DecisionRow.rule == CHANGED,
        )
        .correlate(message)
        .exists()
    )


def enter(session: Session, desk: Desk, person: Person) -> tuple[Customer, Conversation]:
    """The customer, up to date and locked, and the conversation in which they act now."""
    customer = find_customer(session, person.chat_id)
    if customer is None:
        customer = Customer(chat_id=person.chat_id, name="", created_at=desk.clock())
        session.add(customer)
    customer.name = _one_line(person.name)
    customer.first_name = person.first_name and _one_line(person.first_name)
    customer.username = person.username
    customer.language = person.language and clean(person.language)[:16]
    was_gone, customer.gone = customer.gone, False
    session.flush()
    conversation = current_conversation(session, desk, customer)
    if was_gone:
        came_back(session, desk, customer, conversation)
    return customer, conversation


def find_customer(session: Session, chat_id: int) -> Customer | None:
    """The customer with that private chat, locked."""
    return session.scalar(select(Customer).where(Customer.chat_id == chat_id).with_for_update())


def _one_line(name: str) -> str:
    """What is kept of a name: whatever stands in a line of its own would pass for the desk's."""
    return " ".join(clean(name).split())[:256]


def current_conversation(session: Session, desk: Desk, customer: Customer) -> Conversation:
    """The conversation in which what a customer does belongs: the open one, unless it was quiet
    for so long that it is over; then a new one."""
    conversation = open_conversation(session, desk, customer)
    if close_if_quiet(session, desk, customer, conversation):
        conversation = open_conversation(session, desk, customer)
    begin_anew_if_quiet(session, desk, conversation)
    return conversation


def open_conversation(session: Session, desk: Desk, customer: Customer) -> Conversation:
    """The customer's conversation that is not resolved, locked; opens one where there is none."""
    conversation = find_open(session, customer)
    if conversation is None:
        conversation = Conversation(customer_id=customer.id, opened_at=desk.clock())
        session.add(conversation)
        session.flush()
    return conversation


def find_open(session: Session, customer: Customer) -> Conversation | None:
    """The one conversation of a customer that is not resolved, locked."""
    return session.scalar(
        select(Conversation)
        .where(
            Conversation.customer_id == customer.id,
            Conversation.state != ConversationState.RESOLVED,
        )
        .with_for_update()
    )


def add_message(
    session: Session,
    desk: Desk,
    conversation: Conversation,
    inbox_id: int,
    author: Author,
    text: str,
    telegram_id: int | None = None,
) -> Message:
    """What a person said; nothing of it waits for a decision, unless the caller has it so."""
    message = Message(
        conversation_id=conversation.id,
        inbox_id=inbox_id,
        author=author,
        text=clean(text),
        telegram_id=telegram_id,
        created_at=desk.clock(),
    )
    session.add(message)
    session.flush()
    return message


def first_pending(session: Session, conversation_id: int) -> Message | None:
    """The oldest message of a conversation that still waits for its decision."""
    return session.scalar(
        select(Message)
        .where(Message.conversation_id == conversation_id, IS_PENDING)
        .order_by(Message.id)
        .limit(1)
    )


def begin_attempt(message: Message, now: datetime) -> tuple[int, int]:
    """Start the next attempt at a message; a job of an older attempt no longer counts."""
    message.attempt += 1
    message.enqueued_at = now
    return message.id, message.attempt

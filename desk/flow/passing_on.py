"""What customers say that gets no answer of its own: it is kept, and shown to the person whom they
wait for or who has the conversation, or it is part of a flood."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from desk.domain import Action, Author, ConversationState
from desk.flow.advising import hears_when_back
from desk.flow.cards import post_message
from desk.flow.composing import customer_text
from desk.flow.conversations import HAS_DECISION, add_message, begin_attempt
from desk.flow.desk import Desk, who_answers
from desk.flow.handoff import call_person
from desk.flow.noting import decided, happened
from desk.flow.promising import waiting_text
from desk.flow.wording import language_of
from desk.policy import FLOOD, INTENT_NEEDS_PERSON, PERSON_IN_CHARGE, WAITING_FOR_PERSON
from desk.tables import IS_PENDING, Conversation, Customer, DecisionRow, Message
from desk.texts import say

FLOOD_SPAN = timedelta(minutes=1)
"""A flood ends when nothing was held back for that long."""


def _floods(session: Session, desk: Desk, message: Message) -> bool:
    """Whether the customer has sent more within a minute than the desk answers to."""
    before = session.scalar(
        select(Message.created_at)
        .where(
            Message.conversation_id == message.conversation_id,
            Message.author == Author.CUSTOMER,
            Message.id < message.id,
        )
        .order_by(Message.id.desc())
        .offset(desk.flood_per_minute - 1)
        .limit(1)
    )
    # What is further ahead was written before the clock was put back.
    return before is not None and abs(message.created_at - before) < FLOOD_SPAN


def held_back(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
) -> bool:
    """Whether a message is part of a flood: it is kept, and gets no answer of its own.

    The customer is told so once a flood, unless a person is in charge, who speaks for themselves.
    """
    if not _floods(session, desk, message):
        return False
    say_nothing(session, desk, message, FLOOD)
    last, customer.flooded_at = customer.flooded_at, message.created_at
    goes_on = last is not None and abs(message.created_at - last) < FLOOD_SPAN
    if not goes_on and conversation.state is not ConversationState.HUMAN:
        text = say("flood", language_of(desk, customer))
        if conversation.state is ConversationState.WAITING:  # whom no /human calls once more
            text = waiting_text(session, desk, customer, conversation)
            hears_when_back(desk, conversation)
        key = f"flood:{message.id}"
        customer_text(session, desk, key, customer, conversation, text, message=message)
    return True


def pass_on(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
) -> None:
    """Show a command or a press, which the bot leaves to them, to who is awaited or in charge."""
    show_undecided(session, desk, customer, conversation)
    leave_to_person(session, desk, conversation, message)
    post_message(session, desk, customer, conversation, message)


def tell_meanwhile(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    intent: str,
) -> None:
    """Tell a customer who waits what to do about the intent they have chosen; it is passed on."""
    show_undecided(session, desk, customer, conversation)
    call_person(session, desk, customer, conversation, message, INTENT_NEEDS_PERSON, intent)


def show_undecided(
    session: Session, desk: Desk, customer: Customer, conversation: Conversation
) -> None:
    """Show the person who is awaited or in charge the texts that still wait for the worker.

    What comes after them would overtake them otherwise. They go without suggestions, and are read
    all the same, for they may be about what can't wait; their posts are brought up to date then.
    Where nobody can be called they are left to the bot.
    """
    if who_answers(desk, conversation) is ConversationState.BOT:
        return
    waiting = session.scalars(
        select(Message)
        .where(
            Message.conversation_id == conversation.id,
            IS_PENDING,
            ~HAS_DECISION,  # a file is shown by its copy
        )
        .order_by(Message.id)
        .with_for_update()
    )
    for message in waiting.all():
        if not message.attempt:  # or it would pass for a file
            begin_attempt(message, desk.clock())
        post_message(session, desk, customer, conversation, message)


def leave_to_person(
    session: Session, desk: Desk, conversation: Conversation, message: Message
) -> None:
    """The decision to say nothing, because a person is awaited or in charge."""
    in_charge = conversation.state is ConversationState.HUMAN
    say_nothing(session, desk, message, PERSON_IN_CHARGE if in_charge else WAITING_FOR_PERSON)
    session.flush()


def say_nothing(session: Session, desk: Desk, message: Message, rule: str) -> None:
    """Keep the decision that a message gets no word, and why."""
    session.add(
        DecisionRow(message_id=message.id, action=Action.SILENT, rule=rule, created_at=desk.clock())
    )
    decided(session, message.id, Action.SILENT, rule)


def store_message(
    session: Session,
    desk: Desk,
    conversation: Conversation,
    inbox_id: int,
    telegram_id: int | None,
    text: str,
) -> Message:
    """What a customer has sent as a message of their conversation, and the event that says so."""
    message = add_message(session, desk, conversation, inbox_id, Author.CUSTOMER, text, telegram_id)
    happened(session, "message.stored", message=message.id, conversation=conversation.id)
    return message

"""The words beside a file: a person is called for the file at once, and the model reads them all
the same, for they may be about what can't wait.

Such a message has its decision and is pending. The bot answers it never; once it is read it is a
file like any other (without an attempt), which teaches nothing: its words mean what they mean with
what is beside them.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from desk.domain import ConversationState, Decision, MessageState
from desk.flow import priority
from desk.flow.calling_off import call_off_button
from desk.flow.cards import post_message
from desk.flow.composing import customer_text, has_delivery
from desk.flow.conversations import begin_attempt, first_pending
from desk.flow.desk import Desk
from desk.flow.handoff import call_person, told
from desk.flow.keys import CAPTION_KEY, CARD_KEY
from desk.flow.refreshing import refresh_post
from desk.policy import INTENT_NEEDS_PERSON
from desk.tables import Conversation, Customer, DecisionRow, Message


def put_before_model(session: Session, desk: Desk, message: Message) -> tuple[int, int] | None:
    """Have the words beside a file read that has its decision, unless they are meant as a command;
    returns what is to be enqueued after the commit."""
    if message.forwarded_from is not None or message.text.startswith("/"):
        return None
    first = first_pending(session, message.conversation_id) is None
    message.state = MessageState.PENDING
    return begin_attempt(message, desk.clock()) if first else None


def end_reading(message: Message) -> None:
    """It waits for the model no more, and is a file again."""
    message.state, message.attempt = MessageState.DECIDED, 0


def take_in(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    decision: Decision,
) -> None:
    """Show and say what follows from a file's words, by the `decision` that a text would get from
    who waits for a person or has one: nothing is decided anew, and nobody is called twice. But who
    has called the person off meanwhile gets one for what can't wait."""
    parties = (session, desk, customer, conversation, message)
    end_reading(message)
    if conversation.state is ConversationState.BOT and decision.intent in desk.pack.priorities():
        call_person(*parties, INTENT_NEEDS_PERSON, decision.intent, tell=False)
    goes_on = conversation.state in (ConversationState.WAITING, ConversationState.HUMAN)
    if goes_on and decision.intent is not None:
        session.get_one(DecisionRow, message.id).intent = decision.intent
    session.flush()
    refresh_post(*parties)
    if goes_on and decision.intent is not None:
        _tell_all(*parties, decision.intent)
    session.flush()


def _tell_all(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    intent: str,
) -> None:
    """What the words are surely about: what can't wait is shown, and told to everybody; who waits
    hears what to do until somebody is there."""
    parties = (session, desk, customer, conversation)
    if intent in desk.pack.priorities() and not has_delivery(session, f"{CARD_KEY}{message.id}"):
        post_message(*parties, message)  # of other words the copy of the file is enough
    priority.announce(*parties, intent)
    if conversation.state is ConversationState.WAITING:
        text = told(*parties, INTENT_NEEDS_PERSON, intent, waiting=True)
        buttons = call_off_button(desk, customer, conversation, intent)
        key = f"{CAPTION_KEY}{message.id}"
        customer_text(session, desk, key, customer, conversation, text, buttons, message=message)

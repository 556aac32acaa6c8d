"""What the bot says to a customer's message by itself: the pack's answer, or a question back."""

from __future__ import annotations

from sqlalchemy.orm import Session

from desk.domain import Decision
from desk.flow.answered import ANSWER_KEY
from desk.flow.composing import (
    CHOOSE_INTENT,
    SHOW_INTENT,
    answer_buttons,
    answer_text,
    customer_text,
    language_of,
    person_button,
    topic_buttons,
)
from desk.flow.desk import Desk
from desk.tables import Conversation, Customer, Message
from desk.texts import say


def answer(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    intent: str,
) -> None:
    """Give the pack's answer for an intent to a customer's message."""
    text = answer_text(desk, customer, intent)
    if text is None:
        raise ValueError(f"intent {intent!r} has no answer")
    customer_text(
        session,
        desk,
        f"{ANSWER_KEY}{message.id}",
        customer,
        conversation,
        text,
        answer_buttons(desk, customer, intent),
        message=message,
    )
    remember_answer(desk, conversation, intent)


def remember_answer(desk: Desk, conversation: Conversation, intent: str) -> None:
    """Keep which answers the bot gave last: the policy notices when one did not help."""
    kept = desk.pack.policy.same_answer
    conversation.last_intents = [intent, *conversation.last_intents][:kept]
    conversation.clarifications = 0


def ask_back(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    decision: Decision,
    *,
    because_of: Message | None = None,
) -> None:
    """Ask what a message means: with the decision's choices, or for other words with the menu. It
    is asked once for that message, or for another one `because_of` which it is asked again."""
    language = language_of(desk, customer)
    if decision.choices:
        key = "clarify" if len(decision.choices) > 1 else "clarify-one"
        buttons = topic_buttons(desk, decision.choices, language, CHOOSE_INTENT)
    else:
        key = "rephrase"
        buttons = topic_buttons(desk, desk.pack.menu, language, SHOW_INTENT)
    buttons.append([person_button(language)])
    text = say(key, language)
    customer_text(
        session,
        desk,
        f"{ANSWER_KEY}{(because_of or message).id}",
        customer,
        conversation,
        text,
        buttons,
        message=message,
    )
    conversation.clarifications += 1

"""What the bot says to a customer's message by itself: the pack's answer, or a question back."""

from __future__ import annotations

from sqlalchemy.orm import Session

from desk.domain import Decision
from desk.flow.advising import SMALL_TALK, advice_for_choices
from desk.flow.button_actions import CHOOSE_INTENT, SHOW_INTENT
from desk.flow.cards import LIMIT
from desk.flow.composing import customer_text
from desk.flow.desk import Desk
from desk.flow.keys import ANSWER_KEY
from desk.flow.wording import (
    answer_buttons,
    answer_text,
    answers_together,
    intent_title,
    language_of,
    person_button,
    topic_buttons,
)
from desk.policy import UNSURE, answered_as
from desk.tables import Conversation, Customer, Message
from desk.telegram_html import escaped as html
from desk.telegram_text import length
from desk.texts import say


def answer(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    intents: tuple[str, ...],
) -> None:
    """Give the pack's answer for an intent to a customer's message, or those for several."""
    if len(intents) == 1:
        text = answer_text(desk, customer, intents[0])
        buttons = answer_buttons(desk, customer, intents[0])
    else:
        text, buttons = answers_together(desk, customer, intents)
    if text is None:
        raise ValueError(f"no answer for {' and '.join(intents)}")
    customer_text(
        session,
        desk,
        f"{ANSWER_KEY}{message.id}",
        customer,
        conversation,
        text,
        buttons,
        message=message,
    )
    remember_answer(desk, conversation, answered_as(intents))


def remember_answer(desk: Desk, conversation: Conversation, answered: str) -> None:
    """Keep which answers the bot gave last, each by `answered_as`: the policy notices when one did
    not help. Small talk is none: thanks between two don't say that these did."""
    if answered not in desk.pack.small_talk():
        kept = desk.pack.policy.same_answer
        conversation.last_intents = [answered, *conversation.last_intents][:kept]
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
    is asked once for that message, or for another one `because_of` which it is asked again.

    What can't wait of the choices stands above the question.
    """
    language = language_of(desk, customer)
    if decision.choices:
        several = "clarify" if because_of is None else "clarify-which"
        question = say(several if len(decision.choices) > 1 else "clarify-one", language)
        buttons = topic_buttons(desk, decision.choices, language, CHOOSE_INTENT)
    else:
        question = say("rephrase" if desk.pack.menu else "rephrase-no-menu", language)
        buttons = topic_buttons(desk, desk.pack.menu, language, SHOW_INTENT)
    buttons.append([person_button(language)])
    room = LIMIT - length(question) - 2
    advice = advice_for_choices(desk, customer, conversation, decision.choices, room)
    # Colleagues will read a bare "yes" to it. They see the beginning of what the bot has said.
    titles = [html(f"[{intent_title(desk, name, language)}]") for name in decision.choices]
    customer_text(
        session,
        desk,
        f"{ANSWER_KEY}{(because_of or message).id}",
        customer,
        conversation,
        f"{advice}\n\n{question}" if advice else question,
        buttons,
        message=message,
        kept="\n\n".join(filter(None, [" ".join([question, *titles]), advice])),
    )
    begins = not conversation.last_intents and SMALL_TALK not in conversation.said_once
    if begins and _is_about_small_talk(desk, decision):
        # What comes next may still be asked about, once: who goes on like that gets a person. So
        # does who says to an answer what sounds like small talk ("yes i tried that").
        conversation.said_once = [*conversation.said_once, SMALL_TALK]
    else:
        conversation.clarifications += 1


def _is_about_small_talk(desk: Desk, decision: Decision) -> bool:
    """Whether it is small talk of which the bot is not sure, with nothing else to offer."""
    small_talk = decision.intent in desk.pack.small_talk()
    return decision.rule == UNSURE and not decision.choices and small_talk

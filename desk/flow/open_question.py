"""The question that the bot has just asked a customer, and what a short reply says to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select, true
from sqlalchemy.orm import Session

from desk.domain import Action, DeliveryState
from desk.flow.besides import may_quote
from desk.flow.conversations import is_kept_edit
from desk.flow.desk import Desk
from desk.flow.keys import ANSWER_KEY, OFFER_KEY
from desk.flow.wording import intent_title, language_of
from desk.replies import (
    OFFER,
    begins_sentence,
    means_both,
    place,
    plainly,
    says_something,
    told,
    yes_or_no,
)
from desk.sentences import asks
from desk.tables import Conversation, Customer, DecisionRow, DeliveryRow, Message
from desk.telegram_text import plain
from desk.texts import say


class Question(NamedTuple):
    asked: Message
    """The customer's message about which the bot has asked back, or whose answer did not help."""
    choices: Sequence[str] | None
    """None: it offers a person."""
    telegram_id: int | None
    """The question's own, in the customer's chat."""
    advice_asks: bool = False
    """Whether what to do until a person is there stands above it, and is a question as well."""
    is_repeated: bool = False
    """Whether it was asked once more, since the reply was a mere yes."""


def open_question(session: Session, conversation: Conversation, said: Message) -> Question | None:
    """The question, with choices or whether to call a person, to which a message is the very next
    word, if it has reached the customer by now and the message does not reply to something else."""
    key = session.scalar(
        select(Message.delivery_key)
        .where(
            Message.conversation_id == conversation.id,
            Message.id < said.id,
            ~is_kept_edit(Message),
        )
        .order_by(Message.id.desc())
        .limit(1)
    )
    if key is None or not key.startswith((ANSWER_KEY, OFFER_KEY)):
        return None
    offers_person = key.startswith(OFFER_KEY)
    # What is asked again about a message has the key of the one because of which it is.
    because_of = None if offers_person else int(key.removeprefix(ANSWER_KEY))
    found = session.execute(
        select(Message, DecisionRow.choices, DeliveryRow.telegram_id, DeliveryRow.payload)
        .select_from(DeliveryRow)
        .join(Message, Message.id == DeliveryRow.message_id)
        .outerjoin(DecisionRow, DecisionRow.message_id == because_of)
        .where(
            DeliveryRow.key == key,
            DeliveryRow.state == DeliveryState.SENT,
            true() if offers_person else DecisionRow.action == Action.CLARIFY,
        )
    ).one_or_none()
    if found is None:
        return None
    asked, choices, telegram_id, payload = found
    # What they reply to is the question as it was sent: it is kept in another order.
    if said.quoted is not None and not may_quote(said.quoted, plain(payload.get("text", ""))):
        return None
    if offers_person:
        return Question(asked, None, telegram_id)
    if not choices:
        return None
    advice = plain(payload.get("text", "")).rpartition("\n\n")[0]
    return Question(asked, choices, telegram_id, asks(advice), because_of != asked.id)


def wants_person(desk: Desk, customer: Customer, text: str) -> bool | None:
    """Whether a text accepts the person that is offered (True) or says no; None if neither."""
    if plainly(text) == plainly(say("talk-to-person", language_of(desk, customer))):
        return True
    return yes_or_no(text, desk.pack.languages, OFFER)


def named(desk: Desk, customer: Customer, choices: Sequence[str], text: str) -> tuple[str, ...]:
    """Which of the choices a text means, as they stand on the buttons: one, or two at once."""
    language, languages = language_of(desk, customer), desk.pack.languages
    titles = [plainly(intent_title(desk, intent, language)) for intent in choices]
    if plainly(text) in titles:
        return (choices[titles.index(plainly(text))],)
    if (yes := yes_or_no(text, languages)) is not None:
        return tuple(choices) if yes and len(choices) == 1 else ()
    number = place(text, languages)
    if number is not None:
        return tuple(choices[number - 1 : number])
    if len(choices) == 2 and means_both(text, languages):
        return tuple(choices)
    return ()


def worded(desk: Desk, customer: Customer, choices: Sequence[str], text: str) -> tuple[str, ...]:
    """The one choice that a text means which says nothing but words of its title, and at least one
    that says what it is about. A question is one of its own, and so is what begins as a sentence
    ("I have a car" is not "I have another car"), unless it has all the words; and where there is a
    single choice, a word of its title does not say that it is meant."""
    language, languages = language_of(desk, customer), desk.pack.languages
    if len(choices) == 1 or asks(text):
        return ()
    if yes_or_no(text, languages) is not None or place(text, languages) is not None:
        return ()
    said = told(text, languages).split()
    if not says_something(said, languages):
        return ()
    words, is_sentence = set(said), begins_sentence(said, languages)
    titles = {intent: plainly(intent_title(desk, intent, language)) for intent in choices}
    fit = [
        intent
        for intent, title in titles.items()
        if words <= set(title.split())
        and (not is_sentence or words >= set(told(title, languages).split()))
    ]
    return tuple(fit) if len(fit) == 1 else ()

"""/answer: an operator sends one of the pack's replies or answers, found by words of its title.

It says nothing about any message, and so teaches nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from desk.domain import Author, Button
from desk.flow.button_actions import ANSWER, CALL_PERSON, SHOW_INTENT
from desk.flow.cards import LIMIT
from desk.flow.composing import customer_text, keyboard, operators_text
from desk.flow.conversations import find_open, open_conversation
from desk.flow.desk import Desk
from desk.flow.handoff import take
from desk.flow.keys import BY_HAND, NOTE_KEY
from desk.flow.names import called, operator_name
from desk.flow.operators import enter_topic, give_card, unreachable
from desk.flow.telling import tell
from desk.flow.wording import answer_buttons, answer_text, intent_title, language_of
from desk.inert import defused, inert, inert_markup
from desk.pack import Escalate, folded
from desk.tables import Conversation, Customer, Message, Operator
from desk.telegram_html import escaped as html
from desk.telegram_text import length, plain, shorten
from desk.texts import say

CHOICES = 8
"""So many answers are offered at most where several are found."""
EXCERPT = 150
"""What is shown of each of them, in UTF-16 units."""


class ReadyAnswer(NamedTuple):
    """A reply, or an intent's answer, as a customer is to get it, and the key of its delivery."""

    name: str
    text: str
    key: str


def wanted(desk: Desk, inbox_id: int, user_id: int, thread_id: int, words: str) -> None:
    """/answer in a topic: the one answer that is found is sent; of several the operator chooses,
    and where there is none, or nothing was asked for, the titles are listed."""
    with desk.store.writing() as session:
        found = enter_topic(session, desk, inbox_id, user_id, thread_id)
        if found is None:
            return
        operator, customer, _ = found
        why = unreachable(customer)
        if why is not None:
            tell(session, desk, inbox_id, thread_id, say(why, desk.language))
            return
        names = matching(desk, words)
        if not names:
            tell(session, desk, inbox_id, thread_id, _titles(desk, words))
            return
        if len(names) > 1 and find_open(session, customer) is None:
            # Only what is sent opens a conversation again, and buttons belong to an open one.
            head = say("answer-several", desk.language, count=len(names))
            tell(session, desk, inbox_id, thread_id, _listed(desk, head, names))
            return
        # Where it is resolved this opens it again, as what is written does.
        conversation = open_conversation(session, desk, customer)
        if len(names) > 1:
            _ask_which(session, desk, inbox_id, customer, conversation, names)
        elif text := ready_text(desk, customer, names[0]):
            ready = ReadyAnswer(names[0], text, f"{BY_HAND}{inbox_id}")
            send_by_hand(session, desk, inbox_id, customer, conversation, operator, ready)


def matching(desk: Desk, words: str) -> list[str]:
    """The names of what may be meant: that which is called so, or else all that have each word in
    their name or in one of their titles."""
    asked = folded(words)
    exact, near = [], []
    for name in _ready_names(desk) if asked else ():
        titles = [_title(desk, name, language) for language in desk.pack.languages]
        own = [folded(each) for each in (name, *titles)]
        if asked in own:
            exact.append(name)
        if all(word in "\n".join(own) for word in asked.split()):
            near.append(name)
    return exact or near


def ready_text(desk: Desk, customer: Customer, name: str) -> str | None:
    """The reply, or the answer of the intent, of that name in the customer's language, filled in;
    None where the pack has neither."""
    reply = desk.pack.replies.get(name)
    if reply is None:
        return answer_text(desk, customer, name)
    return desk.pack.text(reply.text, language_of(desk, customer), called(customer))


def send_by_hand(
    session: Session,
    desk: Desk,
    inbox_id: int,
    customer: Customer,
    conversation: Conversation,
    operator: Operator,
    ready: ReadyAnswer,
) -> str:
    """Send an answer that replies to no message in particular; says what was done."""
    take(session, desk, inbox_id, customer, conversation, operator)
    give_card(session, desk, inbox_id, customer, conversation, f"/answer {ready.name}")
    return send_ready(session, desk, inbox_id, customer, conversation, operator, ready)


def send_ready(
    session: Session,
    desk: Desk,
    inbox_id: int,
    customer: Customer,
    conversation: Conversation,
    operator: Operator,
    ready: ReadyAnswer,
    message: Message | None = None,
) -> str:
    """Send what the pack has ready as a word of the operator who has the conversation, and note in
    the topic who sent which. Returns the note."""
    customer_text(
        session,
        desk,
        ready.key,
        customer,
        conversation,
        ready.text,
        _buttons(desk, customer, ready.name),
        message=message,
        from_bot=False,
        author=Author.OPERATOR,
        operator=operator,
    )
    title = _title(desk, ready.name, desk.language)
    name = operator_name(session, operator.user_id)
    note = say("sent-answer", desk.language, operator=name, title=title)
    operators_text(
        session,
        desk,
        f"{NOTE_KEY}{ready.key}",
        f"✉️ {inert(note)}\n{inert_markup(ready.text)}",
        customer=customer,
        conversation=conversation,
    )
    return note


def _buttons(desk: Desk, customer: Customer, name: str) -> list[list[Button]]:
    """Of an answer's buttons those that lead out of the bot or call a person, for the text may say
    to tap there: the bot's own answers follow no person's word."""
    if name not in desk.pack.intents:
        return []  # a reply belongs to no intent and has none
    people = {key for key, known in desk.pack.intents.items() if known.escalate is Escalate.ALWAYS}
    return [
        row
        for row in answer_buttons(desk, customer, name)
        if row[0].url is not None
        or row[0].action == CALL_PERSON
        or (row[0].action == SHOW_INTENT and row[0].argument in people)
    ]


def _ask_which(
    session: Session,
    desk: Desk,
    inbox_id: int,
    customer: Customer,
    conversation: Conversation,
    names: Sequence[str],
) -> None:
    lines = [html(say("answer-which", desk.language))]
    for name in names[:CHOICES]:
        words = plain(ready_text(desk, customer, name) or "")
        title = inert(_title(desk, name, desk.language))
        lines.append(f"\n<b>{title}</b>\n{inert(shorten(' '.join(words.split()), EXCERPT))}")
    if len(names) > CHOICES:
        lines.append("\n" + html(say("answer-more", desk.language, count=len(names) - CHOICES)))
    rows = [
        [Button(_title(desk, name, desk.language), ANSWER, f"{inbox_id}:{name}")]
        for name in names[:CHOICES]
    ]
    operators_text(
        session,
        desk,
        f"which:{inbox_id}",
        "\n".join(lines),
        customer=customer,
        conversation=conversation,
        reply_markup=keyboard(session, desk, rows, conversation),
    )


def _titles(desk: Desk, words: str) -> str:
    """What there is to choose from, as much as fits into a message."""
    names = _ready_names(desk)
    head = say("answer-titles", desk.language, count=len(names))
    if words.strip():
        # Without the words: they may be meant for the customer, and are erased with nobody.
        head = f"{say('answer-none', desk.language)}\n{head}"
    return _listed(desk, head, names)


def _listed(desk: Desk, head: str, names: Sequence[str]) -> str:
    """The titles of answers, as many as fit into a message."""
    lines = [head]
    for place, name in enumerate(names):
        more = say("answer-more", desk.language, count=len(names) - place)
        lines.append(f"• {defused(_title(desk, name, desk.language))}")
        if length("\n".join([*lines, more])) > LIMIT:
            return "\n".join([*lines[:-1], more])
    return "\n".join(lines)


def _ready_names(desk: Desk) -> list[str]:
    """Replies first: they are there for this alone."""
    answers = [name for name, intent in desk.pack.intents.items() if intent.answer is not None]
    return [*desk.pack.replies, *answers]


def _title(desk: Desk, name: str, language: str) -> str:
    reply = desk.pack.replies.get(name)
    if reply is None:
        return intent_title(desk, name, language)
    return plain(desk.pack.text(reply.title, language))

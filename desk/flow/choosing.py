"""What customers choose, a topic or a person: by a button, or by a word where the bot has just
asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import select, true
from sqlalchemy.orm import Session

from desk.domain import Action, Decision, DeliveryState, FeedbackKind
from desk.flow.answered import ANSWER_KEY, CHOSEN_KEY, HANDOVER_KEY, OFFER_KEY
from desk.flow.answering import ask_back, remember_answer
from desk.flow.besides import may_quote
from desk.flow.cards import CARD_KEY, LIMIT, is_post, post_message
from desk.flow.composing import (
    answer_buttons,
    answer_text,
    answers_together,
    change_keyboard,
    customer_text,
    has_delivery,
    intent_title,
    language_of,
    length,
    plain,
)
from desk.flow.desk import Desk
from desk.flow.feedback import note_feedback
from desk.flow.following import show_following
from desk.flow.handoff import call_person
from desk.flow.noting import decided
from desk.pack import Escalate
from desk.policy import (
    ASKED_FOR_PERSON,
    CLOSE_INTENTS,
    INTENT_NEEDS_PERSON,
    STILL_UNSURE,
    THUMB_DOWN,
    UNSURE,
    answered_as,
)
from desk.replies import OFFER, means_both, place, plainly, says_something, told, yes_or_no
from desk.sentences import asks
from desk.tables import Conversation, Customer, DecisionRow, DeliveryRow, Message
from desk.texts import say

NOT_CALLED_KEY = "not-called:"
"""Begins the key of what one hears who declines the person that is offered; the id of what they
said follows."""


def give(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    said: Message,
    intent: str,
    asked: Message | None = None,
    *,
    teaches: bool = True,
) -> None:
    """Answer what was chosen, or call a person about it. `said` is the word or tap by which it was,
    `asked` the message that it explains, where the bot has asked back: that it is now taught,
    unless the choice is not sure enough (`teaches`)."""
    if asked is not None and teaches:
        note_feedback(session, desk, asked, FeedbackKind.CLARIFIED, customer.chat_id, intent)
    known = desk.pack.intents.get(intent)
    always = known is not None and known.escalate is Escalate.ALWAYS
    text = None if always else answer_text(desk, customer, intent)
    if text is None:
        # Where it needs no person and yet has no answer, the pack has dropped it since.
        rule = INTENT_NEEDS_PERSON if always else ASKED_FOR_PERSON
        question = unseen(session, asked)
        hand_over(session, desk, customer, conversation, said, question, rule, intent)
        return
    key = f"press:{said.inbox_id}" if asked is None else chosen_key(asked, intent)
    buttons = answer_buttons(desk, customer, intent)
    customer_text(session, desk, key, customer, conversation, text, buttons, message=said)
    remember_answer(desk, conversation, intent)


def chosen_key(asked: Message, intent: str) -> str:
    """The key of the answer to a choice: however it is made, and made again, it goes out once."""
    return f"{CHOSEN_KEY}{asked.id}:{intent}"


def replied(
    session: Session,
    desk: Desk,
    inbox_id: int,
    customer: Customer,
    conversation: Conversation,
    said: Message,
) -> bool:
    """Do what a text means that only replies to the question which the bot has just asked: yes or
    no, or where it has asked back, a choice's number or words of its title. Says whether it was
    such a text.

    It counts as the press of that choice, or of the button that calls a person; but what is chosen
    by words of a title teaches nothing. No to all choices is one more message that leaves in doubt
    what is meant; a yes to several is asked once which. Like a tap it is no text that teaches. It
    must be the only one that waits.
    """
    question = _open_question(session, conversation, said)
    if question is None:
        return False
    if question.choices is None:
        wanted = _wants_person(desk, customer, said.text)
        if wanted is None:
            return False
        _drop_buttons(session, desk, inbox_id, customer, conversation, question)
        if wanted:
            call_about(session, desk, customer, conversation, said, question.asked, disliked=True)
        else:
            key, text = f"{NOT_CALLED_KEY}{said.id}", say("not-called", language_of(desk, customer))
            customer_text(session, desk, key, customer, conversation, text, message=said)
        return True
    yes = yes_or_no(said.text, desk.pack.languages)
    named = _chosen(desk, customer, question.choices, said.text)
    chosen = named or _worded(desk, customer, question.choices, said.text)
    # What stands above the question asks something, too ("Is it sparking?"): a yes may be to that.
    to_either = bool(yes) and question.advice_asks
    if not chosen and not to_either and (yes is None or (yes and question.is_repeated)):
        return False
    _drop_buttons(session, desk, inbox_id, customer, conversation, question)
    parties = (session, desk, customer, conversation, said)
    if to_either:
        hand_over(*parties, unseen(session, question.asked), STILL_UNSURE)
    elif len(chosen) == 1:
        give(*parties, chosen[0], question.asked, teaches=bool(named))
    elif chosen:
        _give_both(session, desk, customer, conversation, chosen, question.asked)
    elif yes:
        _ask_which(*parties, question.asked, question.choices)
    else:
        _none_of_these(*parties, question.asked)
    return True


def took_up(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    declined: Message,
    said: Message,
) -> bool:
    """Call the person whom a customer has `declined`, where they have changed that word to a yes,
    which is the message `said`, and nothing was said since. Says whether it was such a change."""
    question = _open_question(session, conversation, declined)
    if question is None or question.choices is not None:
        return False
    if not _wants_person(desk, customer, said.text):
        return False
    last = session.scalar(
        select(Message.delivery_key)
        .where(Message.conversation_id == conversation.id, Message.id < said.id)
        .order_by(Message.id.desc())
        .limit(1)
    )
    if last != f"{NOT_CALLED_KEY}{declined.id}":
        return False
    call_about(session, desk, customer, conversation, said, question.asked, disliked=True)
    return True


def hand_over(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    said: Message,
    question: Message | None,
    rule: str,
    intent: str | None = None,
) -> None:
    """Hand a question over, or else what was tapped or typed. What was said after the question is
    shown, too, and so is that if it says any more."""
    call_person(session, desk, customer, conversation, question or said, rule, intent)
    if question is not None:
        show_following(session, desk, customer, conversation, question)
        if said.text != say("talk-to-person", language_of(desk, customer)):
            post_message(session, desk, customer, conversation, said)


def call_about(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    said: Message,
    answered: Message | None,
    *,
    disliked: bool,
) -> None:
    """Call a person, as who is offered one asked for it by what was `said`, a tap or a word: with
    the question to which the bot had `answered`, unless the operators have had it already."""
    question = None if answered is None else unseen(session, _first_asked(session, answered))
    rule = THUMB_DOWN if disliked and question is not None else ASKED_FOR_PERSON
    hand_over(session, desk, customer, conversation, said, question, rule)


def _first_asked(session: Session, message: Message) -> Message:
    """The question that a choice explains, where a message is one; else the message itself."""
    chosen = session.scalar(
        select(DeliveryRow.key).where(
            DeliveryRow.message_id == message.id, DeliveryRow.key.startswith(CHOSEN_KEY)
        )
    )
    if chosen is None:
        return message
    return session.get_one(Message, int(chosen.split(":")[1]))


def unseen(session: Session, message: Message | None) -> Message | None:
    """A message, unless the operators have had it before them already."""
    if message is None:
        return None
    # Where there are no operators, what has called them in vain has been heard of all the same.
    keys = (f"{CARD_KEY}{message.id}", f"{HANDOVER_KEY}{message.id}")
    seen = is_post(session, message) or any(has_delivery(session, key) for key in keys)
    return None if seen else message


class _Question(NamedTuple):
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


def _open_question(session: Session, conversation: Conversation, said: Message) -> _Question | None:
    """The question, with choices or whether to call a person, to which a message is the very next
    word, if it has reached the customer by now and the message does not reply to something else."""
    key = session.scalar(
        select(Message.delivery_key)
        .where(Message.conversation_id == conversation.id, Message.id < said.id)
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
        return _Question(asked, None, telegram_id)
    if not choices:
        return None
    advice = plain(payload.get("text", "")).rpartition("\n\n")[0]
    return _Question(asked, choices, telegram_id, asks(advice), because_of != asked.id)


def _drop_buttons(
    session: Session,
    desk: Desk,
    inbox_id: int,
    customer: Customer,
    conversation: Conversation,
    question: _Question,
) -> None:
    """A question's buttons go when it is answered by a word, as they do when one is pressed."""
    if question.telegram_id is None:
        return
    none: dict[str, Any] = {"inline_keyboard": []}
    change_keyboard(
        session, desk, inbox_id, customer.chat_id, question.telegram_id, conversation, none
    )


def _wants_person(desk: Desk, customer: Customer, text: str) -> bool | None:
    """Whether a text accepts the person that is offered (True) or says no; None if neither."""
    if plainly(text) == plainly(say("talk-to-person", language_of(desk, customer))):
        return True
    return yes_or_no(text, desk.pack.languages, OFFER)


def _chosen(desk: Desk, customer: Customer, choices: Sequence[str], text: str) -> tuple[str, ...]:
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
        return tuple(choices) if _both(desk, customer, choices) is not None else ()
    return ()


def _worded(desk: Desk, customer: Customer, choices: Sequence[str], text: str) -> tuple[str, ...]:
    """The one choice that a text means which says nothing but words of its title, and at least one
    that says what it is about. A question is one of its own; and where there is a single choice, a
    word of its title does not say that it is meant."""
    language, languages = language_of(desk, customer), desk.pack.languages
    if len(choices) == 1 or asks(text):
        return ()
    if yes_or_no(text, languages) is not None or place(text, languages) is not None:
        return ()
    words = set(told(text, languages).split())
    if not says_something(words, languages):
        return ()
    titles = {intent: plainly(intent_title(desk, intent, language)) for intent in choices}
    fit = [intent for intent, title in titles.items() if words <= set(title.split())]
    return tuple(fit) if len(fit) == 1 else ()


def _both(desk: Desk, customer: Customer, choices: Sequence[str]) -> str | None:
    """The answers to choices as one text; None where one has none (any more), or it is too long."""
    known = [desk.pack.intents.get(intent) for intent in choices]
    if any(intent is None or intent.escalate is Escalate.ALWAYS for intent in known):
        return None
    text, _ = answers_together(desk, customer, tuple(choices))
    return text if text is not None and length(plain(text)) <= LIMIT else None


def _give_both(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    choices: tuple[str, ...],
    asked: Message,
) -> None:
    """Answer what was asked with all that it was chosen to mean, as one message. It teaches
    nothing: an example has one intent."""
    text, buttons = answers_together(desk, customer, choices)
    if text is None:
        raise ValueError(f"no answer for {' and '.join(choices)}")
    key = chosen_key(asked, answered_as(choices))
    customer_text(session, desk, key, customer, conversation, text, buttons, message=asked)
    remember_answer(desk, conversation, answered_as(choices))


def _ask_which(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    said: Message,
    asked: Message,
    choices: Sequence[str],
) -> None:
    """Ask once more which of several choices is meant; it is still the same question."""
    count = conversation.clarifications
    _ask_again(session, desk, customer, conversation, said, asked, CLOSE_INTENTS, choices)
    conversation.clarifications = count


def _none_of_these(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    said: Message,
    asked: Message,
) -> None:
    """Ask for other words, or, where the bot has asked back often enough, call a person."""
    if conversation.clarifications >= desk.pack.policy.clarifications:
        question = unseen(session, asked)
        hand_over(session, desk, customer, conversation, said, question, STILL_UNSURE)
        return
    _ask_again(session, desk, customer, conversation, said, asked, UNSURE)


def _ask_again(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    said: Message,
    asked: Message,
    rule: str,
    choices: Sequence[str] = (),
) -> None:
    """Ask once more about a message, because of what was `said` to the question about it."""
    decision = Decision(Action.CLARIFY, rule, choices=tuple(choices))
    session.add(
        DecisionRow(
            message_id=said.id,
            action=decision.action,
            rule=decision.rule,
            choices=list(choices),
            created_at=desk.clock(),
        )
    )
    decided(session, said.id, decision.action, decision.rule)
    session.flush()
    # About the same message: that is what a person will see who is called by its button.
    ask_back(session, desk, customer, conversation, asked, decision, because_of=said)

"""What customers choose, a topic or a person: by a button, or by a word where the bot has just
asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from desk.domain import Action, Decision, FeedbackKind
from desk.flow.answering import ask_back, remember_answer
from desk.flow.cards import LIMIT, is_post, post_message
from desk.flow.composing import change_keyboard, customer_text, has_delivery
from desk.flow.conversations import is_kept_edit
from desk.flow.desk import Desk
from desk.flow.feedback import note_feedback, withdraw_feedback
from desk.flow.following import show_following
from desk.flow.handoff import call_person
from desk.flow.keys import CARD_KEY, CHOSEN_KEY, HANDOVER_KEY, NOT_CALLED_KEY
from desk.flow.noting import decided
from desk.flow.open_question import Question, named, open_question, wants_person, worded
from desk.flow.wording import answer_buttons, answer_text, answers_together, language_of
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
from desk.replies import yes_or_no
from desk.tables import Conversation, Customer, DecisionRow, DeliveryRow, Message
from desk.telegram_text import length, plain
from desk.texts import say


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
    question = open_question(session, conversation, said)
    if question is None:
        return False
    parties = (session, desk, customer, conversation, said)
    if question.choices is None:
        act = _to_offer(*parties, question.asked)
    else:
        act = _to_choices(*parties, question, question.choices)
    if act is None:
        return False
    if question.telegram_id is not None:  # its buttons go, as they do when one is pressed
        chat_id, sent = customer.chat_id, question.telegram_id
        change_keyboard(session, desk, inbox_id, chat_id, sent, conversation)
    act()
    return True


def _to_offer(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    said: Message,
    asked: Message,
) -> Callable[[], None] | None:
    """What a text has done that replies to the offer of a person about what was `asked`."""
    parties = (session, desk, customer, conversation)
    wanted = wants_person(desk, customer, said.text)
    if wanted is None:
        return None
    if wanted:
        return partial(call_about, *parties, said, asked, disliked=True)
    key, text = f"{NOT_CALLED_KEY}{said.id}", say("not-called", language_of(desk, customer))
    return partial(customer_text, session, desk, key, *parties[2:], text, message=said)


def _to_choices(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    said: Message,
    question: Question,
    choices: Sequence[str],
) -> Callable[[], None] | None:
    """What a text has done that replies to a question with choices."""
    parties = (session, desk, customer, conversation)
    yes = yes_or_no(said.text, desk.pack.languages)
    if yes and question.advice_asks:
        # What stands above the question asks something, too ("Is it sparking?"): it may be to that.
        return partial(hand_over, *parties, said, unseen(session, question.asked), STILL_UNSURE)
    surely = named(desk, customer, choices, said.text)
    chosen = surely or worded(desk, customer, choices, said.text)
    if len(chosen) == 1:
        return partial(give, *parties, said, chosen[0], question.asked, teaches=bool(surely))
    if chosen:
        return _both(*parties, chosen, question.asked)
    if yes is False:
        return partial(_none_of_these, *parties, said, question.asked)
    if yes and not question.is_repeated:
        return partial(_ask_which, *parties, said, question.asked, choices)
    return None


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
    question = open_question(session, conversation, declined)
    if question is None or not wants_person(desk, customer, said.text):
        return False
    last = session.scalar(
        select(Message.delivery_key)
        .where(
            Message.conversation_id == conversation.id,
            Message.id < said.id,
            ~is_kept_edit(Message),
        )
        .order_by(Message.id.desc())
        .limit(1)
    )
    if last != f"{NOT_CALLED_KEY}{declined.id}":
        return False
    call_about(session, desk, customer, conversation, said, question.asked, disliked=True)
    return True


def unsay(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    said: Message,
    text: str,
) -> None:
    """Take back what a customer's word has taught that `said` which choice is meant, where they
    have changed it to a `text` that does not say so any more."""
    question = open_question(session, conversation, said)
    if question is None or question.choices is None:
        return
    chosen = named(desk, customer, question.choices, said.text)
    if len(chosen) == 1 and named(desk, customer, question.choices, text) != chosen:
        kind = FeedbackKind.CLARIFIED
        withdraw_feedback(session, desk, question.asked.id, kind, chosen[0])


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


def _both(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    choices: tuple[str, ...],
    asked: Message,
) -> Callable[[], None] | None:
    """What answers a question with all that it was chosen to mean, as one message; None where one
    has no answer (any more), or that is too long. It teaches nothing: an example has one intent."""
    known = [desk.pack.intents.get(intent) for intent in choices]
    if any(intent is None or intent.escalate is Escalate.ALWAYS for intent in known):
        return None
    text, buttons = answers_together(desk, customer, choices)
    if text is None or length(plain(text)) > LIMIT:
        return None
    answer = text

    def give_both() -> None:
        key = chosen_key(asked, answered_as(choices))
        customer_text(session, desk, key, customer, conversation, answer, buttons, message=asked)
        remember_answer(desk, conversation, answered_as(choices))

    return give_both


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

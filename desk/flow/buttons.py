"""What people press. A token says nothing by itself: state and role are checked here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from desk.domain import Author, ConversationState, DeliveryState, FeedbackKind, Pressed
from desk.flow import button_actions
from desk.flow.advising import hears_when_back
from desk.flow.answered import NEVER_ARRIVED
from desk.flow.calling_off import call_off, refusal
from desk.flow.card_keyboards import card_keyboard, label_keyboard, mood_title
from desk.flow.cards import is_post
from desk.flow.choosing import call_about, chosen_key, give
from desk.flow.composing import change_keyboard, customer_text, has_delivery
from desk.flow.conversations import add_message, current_conversation
from desk.flow.delivering import cancel
from desk.flow.desk import Desk, who_answers
from desk.flow.feedback import note_feedback, note_ready_answer
from desk.flow.handoff import is_in_charge, resolve, take
from desk.flow.intake import claim, forget
from desk.flow.keys import BY_HAND, OFFER_KEY, SENT_KEY
from desk.flow.names import operator_name
from desk.flow.passing_on import held_back, pass_on, tell_meanwhile
from desk.flow.priority import announce
from desk.flow.promising import passed_on_text, waiting_text
from desk.flow.ready_answers import ReadyAnswer, ready_text, send_by_hand, send_ready
from desk.flow.refreshing import edit_card, refresh_card
from desk.flow.resolving import Asked, question
from desk.flow.wording import answer_text, intent_title, language_of, person_button
from desk.policy import SEVERAL_QUESTIONS, answered_as, has_advice
from desk.tables import (
    ButtonRow,
    Conversation,
    Customer,
    DecisionRow,
    DeliveryRow,
    Message,
    Operator,
)
from desk.telegram_text import clean
from desk.texts import say

FOR_CUSTOMERS = frozenset(
    {
        button_actions.SHOW_INTENT,
        button_actions.CHOOSE_INTENT,
        button_actions.CALL_PERSON,
        button_actions.CALL_OFF,
        button_actions.THUMB_UP,
        button_actions.THUMB_DOWN,
    }
)
SAME_ANSWER = timedelta(minutes=5)
"""So long the same ready answer is sent to a customer by one press of a button: two colleagues may
press below two messages."""


@dataclass(frozen=True, slots=True)
class _Press:
    """A press that passed the checks."""

    session: Session
    desk: Desk
    inbox_id: int
    button: ButtonRow
    customer: Customer
    conversation: Conversation
    message: Message | None
    chat_id: int
    telegram_id: int
    """The message under which the button stands."""


def pressed(
    desk: Desk, inbox_id: int, token: str, user_id: int, chat_id: int, telegram_id: int
) -> Pressed:
    """Carry out a press of a button and say what to answer to it."""
    with desk.store.writing() as session:
        if not _claim(session, desk, inbox_id, chat_id):
            return Pressed()
        button = session.get(ButtonRow, clean(token))
        if button is None:
            return _void(session, desk, user_id, chat_id)
        asked = session.get_one(Conversation, button.conversation_id)
        customer = session.get_one(Customer, asked.customer_id, with_for_update=True)
        if customer.erased:
            forget(session, inbox_id)
            return _void(session, desk, user_id, chat_id)
        # Read again under the lock: a person may have taken over while we waited for it.
        conversation = session.get_one(
            Conversation, asked.id, with_for_update=True, populate_existing=True
        )
        message = session.get(Message, button.message_id) if button.message_id else None
        press = _Press(
            session,
            desk,
            inbox_id,
            button,
            customer,
            conversation,
            message,
            chat_id,
            telegram_id,
        )
        if button.action in FOR_CUSTOMERS:
            if user_id != customer.chat_id or chat_id != customer.chat_id:
                return _void(session, desk, user_id, chat_id)
            return Pressed() if customer.banned_at is not None else _by_customer(press)
        operator = session.get(Operator, user_id)
        if operator is None:
            text = say("operators-only", desk.language, user=str(user_id))
            return Pressed(text, alert=True)
        if chat_id == desk.operator_chat_id:
            if button.action == button_actions.ANSWER:
                return _send_by_hand(press, operator)
            if message is not None:
                return _by_operator(press, message, operator)
        return Pressed(say("button-void", desk.language), alert=True)  # such as a former group


def _claim(session: Session, desk: Desk, inbox_id: int, chat_id: int) -> bool:
    """As `claim`; of the press of somebody who is no customer nothing is kept."""
    if not claim(session, desk, inbox_id):
        return False
    known = select(Customer.id).where(Customer.chat_id == chat_id)
    if chat_id > 0 and session.scalar(known) is None:
        forget(session, inbox_id)
    return True


def _void(session: Session, desk: Desk, user_id: int, chat_id: int) -> Pressed:
    """The answer to a button that does nothing for whoever pressed it."""
    if chat_id == desk.operator_chat_id:
        return Pressed(say("button-void", desk.language), alert=True)
    customer = session.scalar(select(Customer).where(Customer.chat_id == user_id))
    if customer is not None and customer.banned_at is not None:
        return Pressed()
    language = language_of(desk, customer) if customer else desk.language
    return Pressed(say("button-expired", language), alert=True)


def _by_customer(press: _Press) -> Pressed:
    session, desk, customer = press.session, press.desk, press.customer
    action, intent = press.button.action, press.button.argument
    if action in (button_actions.THUMB_UP, button_actions.THUMB_DOWN):
        return _thumb(press, up=action == button_actions.THUMB_UP)
    if action == button_actions.CALL_OFF:
        return _call_off(press)
    conversation = current_conversation(session, desk, customer)
    if who_answers(desk, conversation) is not ConversationState.BOT:
        return _while_with_people(press, conversation)
    if action == button_actions.CALL_PERSON:
        if conversation.state is ConversationState.WAITING:  # and nobody can be called
            return Pressed(waiting_text(session, desk, customer), alert=True)
        disliked = press.button.argument == button_actions.THUMB_DOWN
        said = _tapped(press, conversation)
        call_about(session, desk, customer, conversation, said, press.message, disliked=disliked)
        return Pressed()
    asked = press.message if action == button_actions.CHOOSE_INTENT else None
    if asked is not None and has_delivery(session, chosen_key(asked, intent)):
        return Pressed()  # a choice that was tapped again before its buttons were gone
    message = _tapped(press, conversation)
    if held_back(session, desk, customer, conversation, message):
        return Pressed()  # the buttons stay, to be pressed when the flood is over
    if asked is not None:
        _drop_keyboard(press)
    give(session, desk, customer, conversation, message, intent, asked)
    return Pressed()


def _while_with_people(press: _Press, conversation: Conversation) -> Pressed:
    """The person who is awaited or in charge sees what was pressed; the bot answers nothing, but
    for what to do until they are there."""
    session, desk, customer = press.session, press.desk, press.customer
    text, language = _button_text(press), language_of(desk, customer)
    taken = conversation.state is ConversationState.HUMAN
    said_last = session.scalar(
        select(Message.text)
        # What a person has replied to may be pressed, and shown, anew.
        .where(Message.conversation_id == conversation.id, Message.author != Author.BOT)
        .order_by(Message.id.desc())
        .limit(1)
    )
    # It says nothing new to who is awaited, but to who thinks that their answer was all.
    says_nothing = text == say("talk-to-person", language) and not taken
    if text == said_last or says_nothing:
        if not taken:
            hears_when_back(desk, conversation)
        return Pressed(waiting_text(session, desk, customer, taken=taken), alert=True)
    message = _tapped(press, conversation)
    if held_back(session, desk, customer, conversation, message):
        return Pressed()
    chosen = press.button.action in (button_actions.SHOW_INTENT, button_actions.CHOOSE_INTENT)
    intent = press.button.argument
    if chosen and not taken and has_advice(intent, conversation.said_once, desk.pack):
        tell_meanwhile(session, desk, customer, conversation, message, intent)
        return Pressed()
    pass_on(session, desk, customer, conversation, message)
    if chosen and taken:
        announce(session, desk, customer, conversation, intent)
    if not taken:
        hears_when_back(desk, conversation)
    return Pressed(passed_on_text(session, desk, customer, taken=taken), alert=True)


def _call_off(press: _Press) -> Pressed:
    """End the very conversation in which the customer was told that a person comes."""
    session, desk, customer = press.session, press.desk, press.customer
    why = refusal(session, desk, press.conversation)
    if why is not None:
        return Pressed(say(why, language_of(desk, customer)), alert=True)
    _tapped(press, press.conversation)
    call_off(session, desk, customer, press.conversation)
    # An edit says it to operators: no message that would stand in a topic for each such press.
    refresh_card(session, desk, customer, press.conversation)
    _drop_keyboard(press)
    return Pressed()


def _thumb(press: _Press, *, up: bool) -> Pressed:
    session, customer = press.session, press.customer
    language = language_of(press.desk, customer)
    about = press.button.argument or None  # nothing: several answers, and so no single intent
    if press.message is not None:
        kind = FeedbackKind.THUMB_UP if up else FeedbackKind.THUMB_DOWN
        note_feedback(session, press.desk, press.message, kind, customer.chat_id, about)
    _drop_keyboard(press, last_row_only=True)
    if up:
        decision = None if about else session.get(DecisionRow, press.button.message_id)
        answered = answered_as(decision.choices) if decision is not None else about
        if press.conversation.last_intents[:1] == [answered]:
            press.conversation.last_intents = []  # it did help, so it was not given in vain
        return Pressed(say("thumb-thanks", language))
    # That of the answer may be over since: resolved, or quiet.
    conversation = current_conversation(session, press.desk, customer)
    if who_answers(press.desk, conversation) is ConversationState.BOT:
        # Said once an answer, however often the thumb is pressed before it is gone.
        customer_text(
            session,
            press.desk,
            f"{OFFER_KEY}{press.button.message_id}",
            customer,
            conversation,
            say("thumb-sorry", language),
            [[person_button(language, button_actions.THUMB_DOWN)]],
            message=press.message,
        )
    return Pressed()


def _by_operator(press: _Press, message: Message, operator: Operator) -> Pressed:
    session, desk, conversation = press.session, press.desk, press.conversation
    match press.button.action:
        case button_actions.SEND_ANSWER:
            return _send_answer(press, message, operator)
        case button_actions.TAKE:
            if conversation.state is ConversationState.RESOLVED:
                return Pressed(say("already-resolved", desk.language), alert=True)
            return _take(press, operator)
        case button_actions.RESOLVE | button_actions.RESOLVE_UNANSWERED:
            return _resolve(press, message, operator)
        case button_actions.RELABEL:
            page = int(press.button.argument or 0)
            _show_keyboard(press, label_keyboard(session, desk, conversation, message, page))
        case button_actions.CARD | button_actions.WHY:
            edit_card(
                session,
                desk,
                press.customer,
                conversation,
                message,
                press.telegram_id,
                why=press.button.action == button_actions.WHY,
            )
        case button_actions.LABEL:
            return _label(press, message, operator)
        case button_actions.MOOD:
            return _label_mood(press, message, operator)
    return Pressed()


def _resolve(press: _Press, message: Message, operator: Operator) -> Pressed:
    """Resolve the conversation. Where nobody has replied to who was promised a person, or has read
    what they have just written, the button only changes to one that says so, and is asked about
    anew where they have written since."""
    session, desk, conversation = press.session, press.desk, press.conversation
    if conversation.state is ConversationState.RESOLVED:
        return Pressed(say("already-resolved", desk.language), alert=True)
    asked = press.button.action == button_actions.RESOLVE_UNANSWERED
    before = Asked(press.button.argument, press.button.created_at) if asked else None
    asks = question(session, desk, press.customer, conversation, before)
    if asks is not None:
        markup = card_keyboard(session, desk, press.customer, conversation, message, asks=asks)
        _show_keyboard(press, markup)
        return Pressed(say(asks, desk.language), alert=True)
    resolve(session, desk, press.customer, conversation, operator)
    return Pressed()


def _take(press: _Press, operator: Operator) -> Pressed:
    session, desk, conversation = press.session, press.desk, press.conversation
    if is_in_charge(conversation, operator):
        conversation.taken_at = desk.clock()  # an act, though a small one: it is not quiet
        name = operator_name(session, operator.user_id)
        return Pressed(say("already-taken", desk.language, operator=name), alert=True)
    return Pressed(take(session, desk, press.inbox_id, press.customer, conversation, operator))


def _send_answer(press: _Press, message: Message, operator: Operator) -> Pressed:
    session, desk, customer = press.session, press.desk, press.customer
    intent = press.button.argument
    text = answer_text(desk, customer, intent)
    ready = _ready(press, intent, text, f"{SENT_KEY}{message.id}:{intent}")
    if isinstance(ready, Pressed):
        return ready
    if _sent_lately(press, ready.text):
        return Pressed(say("already-sent", desk.language), alert=True)
    decision = session.get(DecisionRow, message.id)
    # Of several questions the answer to one says nothing of the whole text.
    if decision is None or decision.rule != SEVERAL_QUESTIONS:
        note_ready_answer(session, desk, message, operator.user_id, intent)
    apart = is_in_charge(press.conversation, operator) or is_post(
        session, message, press.telegram_id
    )
    take(session, desk, press.inbox_id, customer, press.conversation, operator)
    if apart:  # otherwise the take-over has brought the card up to date
        edit_card(session, desk, customer, press.conversation, message, press.telegram_id)
    conversation = press.conversation
    return Pressed(
        send_ready(session, desk, press.inbox_id, customer, conversation, operator, ready, message)
    )


def _send_by_hand(press: _Press, operator: Operator) -> Pressed:
    """One of several answers that /answer has found: the button says for which command, too."""
    session, desk = press.session, press.desk
    command, _, name = press.button.argument.partition(":")
    ready = _ready(press, name, ready_text(desk, press.customer, name), f"{BY_HAND}{command}")
    if isinstance(ready, Pressed):
        return ready
    _drop_keyboard(press)
    return Pressed(
        send_by_hand(
            session, desk, press.inbox_id, press.customer, press.conversation, operator, ready
        )
    )


def _ready(press: _Press, name: str, text: str | None, key: str) -> ReadyAnswer | Pressed:
    """The answer to be sent, or why it is not; no `text`: the pack no longer has it."""
    session, desk, customer = press.session, press.desk, press.customer
    if customer.banned_at is not None:
        return Pressed(say("customer-banned", desk.language), alert=True)
    if press.conversation.state is ConversationState.RESOLVED:
        return Pressed(say("already-resolved", desk.language), alert=True)
    if text is None:
        return Pressed(say("button-void", desk.language), alert=True)
    before = _sent_before(session, press.conversation, key)
    if before is not None and (before.state not in NEVER_ARRIVED or before.uncertain):
        return Pressed(say("already-sent", desk.language), alert=True)
    if customer.gone:
        return Pressed(say("customer-gone", desk.language), alert=True)
    if before is not None:
        key = f"{key}:{press.inbox_id}"
        if before.state is DeliveryState.FAILED:
            cancel(session, before)  # or a retry would say it twice
    return ReadyAnswer(name, text, key)


def _sent_before(session: Session, conversation: Conversation, key: str) -> DeliveryRow | None:
    """The newest delivery of an answer: the first has the key, any other begins so."""
    return session.scalar(
        select(DeliveryRow)
        .where(
            DeliveryRow.conversation_id == conversation.id,  # which is indexed
            or_(DeliveryRow.key == key, DeliveryRow.key.startswith(f"{key}:", autoescape=True)),
        )
        .order_by(DeliveryRow.id.desc())
        .limit(1)
        .with_for_update()
    )


def _sent_lately(press: _Press, text: str) -> bool:
    """Whether an operator has just sent these very words to the customer, to whichever message."""
    sent = select(DeliveryRow.payload).where(
        DeliveryRow.chat_id == press.customer.chat_id,  # which is indexed
        DeliveryRow.key.startswith(SENT_KEY),
        DeliveryRow.created_at >= press.desk.clock() - SAME_ANSWER,
        or_(DeliveryRow.state.not_in(NEVER_ARRIVED), DeliveryRow.uncertain.is_(True)),
    )
    return any(payload.get("text") == text for payload in press.session.scalars(sent))


def _label(press: _Press, message: Message, operator: Operator) -> Pressed:
    session, desk = press.session, press.desk
    intent = press.button.argument
    note_feedback(session, desk, message, FeedbackKind.RELABEL, operator.user_id, intent)
    edit_card(session, desk, press.customer, press.conversation, message, press.telegram_id)
    title = intent_title(desk, intent, desk.language)
    name = operator_name(session, operator.user_id)
    return Pressed(say("relabelled", desk.language, operator=name, title=title))


def _label_mood(press: _Press, message: Message, operator: Operator) -> Pressed:
    session, desk = press.session, press.desk
    sentiment, by = press.button.argument, operator.user_id
    note_feedback(session, desk, message, FeedbackKind.MOOD, by, sentiment=sentiment)
    edit_card(session, desk, press.customer, press.conversation, message, press.telegram_id)
    title = mood_title(sentiment, desk.language)
    name = operator_name(session, by)
    return Pressed(say("mood-labelled", desk.language, operator=name, title=title))


def _tapped(press: _Press, conversation: Conversation) -> Message:
    """A press is something the customer said, and shows up so in the conversation."""
    text = _button_text(press)
    return add_message(
        press.session, press.desk, conversation, press.inbox_id, Author.CUSTOMER, text
    )


def _button_text(press: _Press) -> str:
    """What stands on the button that was pressed."""
    for row in _keyboard_of(press):
        for button in row:
            if button.get("callback_data") == press.button.token:
                return button["text"]
    # The message is one that arrived twice, and only the second one's number is known.
    language = language_of(press.desk, press.customer)
    if press.button.action == button_actions.CALL_PERSON:
        return say("talk-to-person", language)
    if press.button.action == button_actions.CALL_OFF:
        return say("call-off", language)
    return intent_title(press.desk, press.button.argument, language)


def _keyboard_of(press: _Press) -> list[list[dict[str, str]]]:
    """The rows of buttons with which the message was sent under which was pressed."""
    asked = press.session.scalar(
        select(DeliveryRow).where(
            DeliveryRow.chat_id == press.chat_id, DeliveryRow.telegram_id == press.telegram_id
        )
    )
    if asked is None or "reply_markup" not in asked.payload:
        return []
    rows: list[list[dict[str, str]]] = asked.payload["reply_markup"]["inline_keyboard"]
    return rows


def _drop_keyboard(press: _Press, *, last_row_only: bool = False) -> None:
    """Take away a question's buttons (or its thumbs) once they are answered."""
    rows = _keyboard_of(press)
    if not rows:
        return
    _show_keyboard(press, {"inline_keyboard": rows[:-1] if last_row_only else []})


def _show_keyboard(press: _Press, markup: dict[str, Any]) -> None:
    change_keyboard(
        press.session,
        press.desk,
        press.inbox_id,
        press.chat_id,
        press.telegram_id,
        press.conversation,
        markup,
    )

"""The bot hands a conversation to people: one is called, takes it and resolves it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from desk import metrics
from desk.domain import Action, Author, ConversationState, DeliveryState, MessageState
from desk.flow import priority
from desk.flow.advising import SOON, added, advice, hears_when_back, still_coming
from desk.flow.awaiting import spoke_since
from desk.flow.calling_off import call_off_button
from desk.flow.cards import LIMIT, post_card, post_message
from desk.flow.composing import add_delivery, customer_text, has_delivery, operators_text
from desk.flow.conversations import HAS_DECISION
from desk.flow.desk import Desk, who_answers
from desk.flow.keys import ADDED_KEY, CARD_KEY, FILE_KEY, HANDOVER_KEY, POST_KEY
from desk.flow.names import operator_name
from desk.flow.noting import counted, decided, happened
from desk.flow.promising import handover_text, next_opening, waiting_text
from desk.flow.refreshing import refresh_card
from desk.flow.settling import settle, unread_changes
from desk.flow.wording import language_of
from desk.policy import (
    ATTACHMENT,
    CHANGED,
    FORWARDED,
    INTENT_NEEDS_PERSON,
    LATE,
    NEGATIVE_SENTIMENT,
    PERSON_IN_CHARGE,
)
from desk.tables import (
    IS_PENDING,
    Conversation,
    Customer,
    DecisionRow,
    DeliveryRow,
    Message,
    Operator,
    key_begins,
)
from desk.telegram_html import escaped as html
from desk.telegram_text import length, plain, shorten
from desk.texts import say

FIRST_WORDS = {
    LATE: "late",
    NEGATIVE_SENTIMENT: "handover-upset",
    ATTACHMENT: "handover-file",
    FORWARDED: "handover-forwarded",
}
"""With which text the call for a person by a rule begins."""
SPOKE_LATELY = timedelta(minutes=30)
"""So long after a person's word they may say another, though the desk is closed."""


def call_person(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    rule: str,
    intent: str | None = None,
    *,
    likely: bool = True,
    tell: bool = True,
) -> None:
    """Hand a conversation over: note the decision, call the operators, tell the customer once.

    A message that the bot has answered before keeps its decision's row, with the new rule (and
    intent, where one is given). What the customer can do until a person is there is said with it;
    about the intent only if it is `likely` the right one. Where nobody can be called, who waits
    hears that at each command or tap, and for what they write now and then (`SOON`).
    """
    decision = session.get(DecisionRow, message.id)
    if decision is None:
        session.add(
            DecisionRow(
                message_id=message.id,
                action=Action.ESCALATE,
                rule=rule,
                intent=intent,
                created_at=desk.clock(),
            )
        )
        session.flush()
    else:
        decision.action, decision.rule = Action.ESCALATE, rule
        decision.intent = intent or decision.intent
    decided(session, message.id, Action.ESCALATE, rule)
    message.state = MessageState.DECIDED
    waiting = conversation.state in (ConversationState.WAITING, ConversationState.HUMAN)
    if conversation.state is ConversationState.BOT:
        conversation.state = ConversationState.WAITING
        conversation.escalated_at = desk.clock()
        conversation.clarifications = 0
    in_vain = waiting and who_answers(desk, conversation) is ConversationState.BOT
    if in_vain:  # what was counted has called somebody, and the bot begins anew
        conversation.clarifications, conversation.last_intents = 0, []
    if waiting:
        post_message(session, desk, customer, conversation, message)
    else:
        post_card(session, desk, customer, conversation, message)
    if rule == INTENT_NEEDS_PERSON and intent is not None:
        priority.announce(session, desk, customer, conversation, intent)
    if conversation.state is ConversationState.HUMAN or not tell:
        return  # a person who is there already will speak for themselves
    key = f"{HANDOVER_KEY}{message.id}"
    if has_delivery(session, key, message):
        return  # before what is told counts as said
    about = intent if likely else None
    text = told(session, desk, customer, conversation, rule, about, waiting=waiting)
    written = message.telegram_id is not None
    if in_vain and written and was_just_said(session, desk, conversation, text):
        return
    topic = intent or (decision.intent if decision is not None else None)
    buttons = call_off_button(desk, customer, conversation, topic)
    customer_text(session, desk, key, customer, conversation, text, buttons, message=message)


def was_just_said(session: Session, desk: Desk, conversation: Conversation, text: str) -> bool:
    """Whether the bot's last words in a conversation said this, a while ago at most."""
    last = session.execute(
        select(Message.text, Message.created_at)
        .where(Message.conversation_id == conversation.id, Message.author == Author.BOT)
        .order_by(Message.id.desc())
        .limit(1)
    ).first()
    if last is None:
        return False
    said, at = last
    return plain(text) in said and desk.clock() - at < SOON


def copy_file(
    session: Session, desk: Desk, customer: Customer, conversation: Conversation, message: Message
) -> None:
    """Show the operators a customer's file, once; one that was forwarded as such."""
    if desk.operator_chat_id is None:
        return
    add_delivery(
        session,
        desk,
        f"{FILE_KEY}{message.id}",
        desk.operator_chat_id,
        "copyMessage" if message.forwarded_from is None else "forwardMessage",
        {"from_chat_id": customer.chat_id, "message_id": message.telegram_id},
        conversation=conversation,
        message=message,
        topic_of=customer,
    )


def left_alone(
    session: Session, desk: Desk, conversations: Sequence[Conversation]
) -> Collection[int]:
    """Which of these conversations, by id, a person has who is not there: the desk is closed, and
    nobody has spoken in it a short while ago. Asked of all at once: a batch may have many."""
    in_hand = {each.id for each in conversations if each.state is ConversationState.HUMAN}
    if not in_hand or next_opening(desk) is None:
        return set()
    return in_hand - spoke_since(session, in_hand, desk.clock() - SPOKE_LATELY)


def say_added(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    *,
    alone: Collection[int],
    closing: bool = False,
) -> None:
    """Tell a customer who waits, and writes while nobody is there, that it was seen; so, too, where
    whoever has the conversation has left it `alone`. Or, where it is `closing` words, by one who
    may call that off, that somebody comes all the same."""
    waits = conversation.state is ConversationState.WAITING
    if not waits and conversation.id not in alone:
        return
    language = language_of(desk, customer)
    text = added(desk, conversation, language)
    buttons = call_off_button(desk, customer, conversation) if waits else ()
    if text is None and closing and buttons:
        text = still_coming(conversation, language)
    if text is not None:
        customer_text(
            session,
            desk,
            f"{ADDED_KEY}{message.id}",
            customer,
            conversation,
            text,
            buttons,
            message=message,
            from_bot=waits,  # else void where a person has the conversation
        )


def told(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    rule: str,
    intent: str | None,
    *,
    waiting: bool,
) -> str:
    """What a customer hears for whom a person is called, as one message: a first word that suits
    the reason, what to do until somebody is there, and when that will be."""
    language = language_of(desk, customer)
    if waiting:
        text = waiting_text(session, desk, customer, conversation)
        hears_when_back(desk, conversation)
    else:
        text = handover_text(session, desk, customer)
    begins = rule in FIRST_WORDS and (rule == LATE or not waiting)
    first = say(FIRST_WORDS[rule], language) if begins else None
    words = advice(desk, customer, conversation, rule, intent)
    if words is not None:
        room = LIMIT - length(plain(text)) - 2 - (length(first) + 1 if first else 0)
        if length(plain(words)) > room:  # a cut through its markup would be refused as a whole
            words = html(shorten(plain(words), room))
        text = f"{words}\n\n{text}"
    return f"{first}\n{text}" if first else text


def is_in_charge(conversation: Conversation, operator: Operator) -> bool:
    """Whether this very operator has the conversation."""
    human = conversation.state is ConversationState.HUMAN
    return human and conversation.operator_id == operator.user_id


def take(
    session: Session,
    desk: Desk,
    inbox_id: int,
    customer: Customer,
    conversation: Conversation,
    operator: Operator,
) -> str:
    """By what they do in an update an operator has the conversation, be it from a colleague, who
    reads that in the topic.

    Returns what stands there; empty where no colleague had it.
    """
    human, owner = conversation.state is ConversationState.HUMAN, conversation.operator_id
    take_over(session, desk, customer, conversation, operator)
    if not human or owner is None or owner == operator.user_id:
        return ""
    words = say(
        "taken-from",
        desk.language,
        operator=operator_name(session, operator.user_id),
        previous=operator_name(session, owner),
    )
    operators_text(
        session,
        desk,
        f"taken:{inbox_id}",
        html(words),
        customer=customer,
        conversation=conversation,
    )
    return words


def take_over(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    operator: Operator,
) -> None:
    """A person is in charge from now on, or another one: what the bot had not yet sent is void."""
    if is_in_charge(conversation, operator):
        return
    if conversation.state is ConversationState.BOT:
        conversation.escalated_at = None  # nobody was called: what was before is resolved
    conversation.state = ConversationState.HUMAN
    conversation.operator_id = operator.user_id
    conversation.taken_at = desk.clock()
    happened(session, "conversation.taken", conversation=conversation.id)
    void = session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.conversation_id == conversation.id,
            DeliveryRow.from_bot.is_(True),
            DeliveryRow.state == DeliveryState.PENDING,
        )
        .values(state=DeliveryState.CANCELLED)
        .returning(DeliveryRow.id, DeliveryRow.message_id)
    )
    for delivery_id, message_id in void.all():
        counted(session, metrics.DELIVERIES, "cancelled")
        happened(session, "delivery.cancelled", delivery=delivery_id, message=message_id)
    refresh_card(session, desk, customer, conversation)


def resolve(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    operator: Operator,
) -> None:
    """The conversation is over; the customer's next message opens one with the bot."""
    _leave_shown(session, desk, conversation)
    _show_changes(session, desk, customer, conversation)
    conversation.state = ConversationState.RESOLVED
    conversation.operator_id = operator.user_id
    conversation.resolved_at = desk.clock()
    happened(session, "conversation.resolved", conversation=conversation.id)
    refresh_card(session, desk, customer, conversation)


def _show_changes(
    session: Session, desk: Desk, customer: Customer, conversation: Conversation
) -> None:
    """Edits that the model has not read are shown unread and settled with their conversation: what
    they are of was handled, or is settled (`_leave_shown`), and the bot would answer it after a
    person has."""
    for message in unread_changes(session, conversation):
        settle(session, desk, message, CHANGED)
        session.flush()
        post_message(session, desk, customer, conversation, message)


def _leave_shown(session: Session, desk: Desk, conversation: Conversation) -> None:
    """What the operators saw before the model has read it is settled with its conversation: the bot
    has nothing to say to it. A text behind it that they did not see is begun by the scheduler, a
    few seconds later: nothing here can enqueue it."""
    posts = select(DeliveryRow.message_id).where(
        DeliveryRow.conversation_id == conversation.id, key_begins((CARD_KEY, POST_KEY))
    )
    waiting = session.scalars(
        select(Message)
        .where(
            Message.conversation_id == conversation.id,
            IS_PENDING,
            Message.id.in_(posts),
            ~HAS_DECISION,  # a file's words are read
        )
        .order_by(Message.id)
        .with_for_update()
    )
    for message in waiting.all():
        settle(session, desk, message, PERSON_IN_CHARGE)

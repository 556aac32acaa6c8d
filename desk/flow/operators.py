"""What operators do: they write, take and resolve conversations, and order training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from desk.domain import Author, ConversationState, Role
from desk.flow.albums import album_of, is_kept_back, mark_kept
from desk.flow.awaiting import is_promised
from desk.flow.bans import ban, unban
from desk.flow.cards import post_state_card, status_card
from desk.flow.colleagues import for_colleagues
from desk.flow.composing import NO_PREVIEW, TEXT_METHOD, add_delivery, operators_text
from desk.flow.conversations import add_message, open_conversation
from desk.flow.desk import Desk
from desk.flow.handoff import is_in_charge, resolve, take
from desk.flow.intake import claim, forget
from desk.flow.keys import (
    ASKED_KEY,
    DIGEST_KEYS,
    PRIORITY_KEY,
    QUEUE_KEY,
    REPORT_KEY,
    WRITTEN_KEY,
)
from desk.flow.names import operator_name, to_topic
from desk.flow.noting import happened
from desk.flow.refreshing import refresh_card
from desk.flow.replying import Answered, Quote, answered, reply_parameters
from desk.flow.resolving import ASKED_FOR, UNANSWERED, WRITTEN_SINCE, Asked, question, unread
from desk.flow.runs import new_run, running_training, want
from desk.flow.telling import (
    refuse,
    refused,
    tell,
    tell_at_times,
    tell_once,
    why_refused,
)
from desk.tables import Conversation, Customer, DeliveryRow, Inbox, Operator, key_begins
from desk.telegram_html import escaped as html
from desk.telegram_text import clean, shorten
from desk.texts import say

QUESTIONS = {
    UNANSWERED: "resolve-unanswered-command",
    WRITTEN_SINCE: "resolve-written-since-command",
}
"""With which text each question is asked below a /resolve."""
ALONE = {
    "take": "take-alone",
    "release": "release-alone",
    "resolve": "resolve-alone",
    "queue": "queue-alone",
}
"""What is said of words behind a command that takes none, and would lose them."""
ALBUM_ARRIVES = timedelta(seconds=1)
"""So long the pictures of an album wait for the one whose caption may make a note of them all."""


def operator_wrote(
    desk: Desk,
    inbox_id: int,
    user_id: int,
    thread_id: int,
    telegram_id: int,
    text: str,
    reply_to: int | None = None,
    quote: Quote | None = None,
    *,
    marks: Sequence[Mapping[str, Any]] = (),
    is_from_bot: bool = False,
) -> None:
    """What an operator writes in a topic reaches its customer; the bot falls silent there.

    What replies to a message by itself, or to a `quote` of it, there does so with the customer;
    what replies to something that is for colleagues is so, too, and stays. So does what names one,
    by its text or the `marks` (entities) in it, what reads like a note, and what is forwarded and
    `is_from_bot`, this one: it may be about another customer.
    """
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id):
            return
        operator = session.get(Operator, user_id)
        customer = customer_of(session, desk, thread_id)
        if operator is None or customer is None:
            # In a customer's topic each writer has to know; in any other, one answer does for all.
            nobodys = customer is None
            why = why_refused(operator, user_id)
            refuse(session, desk, why, user_id, thread_id, one_for_all=nobodys)
            return
        target: Answered | None = Answered(None)
        if reply_to is not None:
            target = answered(session, desk.operator_chat_id, customer, reply_to, user_id)
        kept = "kept-forwarded" if is_from_bot else None
        kept = kept or for_colleagues(session, customer, user_id, text, marks)
        if kept is not None or target is None:
            mark_kept(session, inbox_id)
            _tell_of_kept(session, desk, inbox_id, thread_id, kept or "kept-reply")
            return
        if is_kept_back(session, customer, inbox_id, user_id):
            return  # which is said of the picture with the caption, or of one that replies
        refusal = unreachable(customer)
        if refusal is not None:
            tell(session, desk, inbox_id, thread_id, say(refusal, desk.language))
            return
        conversation = open_conversation(session, desk, customer)
        # Who has them already changes no card by taking them, and its button may say that nobody
        # has replied.
        first_word = is_in_charge(conversation, operator) and is_promised(
            session, customer, conversation
        )
        take(session, desk, inbox_id, customer, conversation, operator)
        message = add_message(
            session, desk, conversation, inbox_id, Author.OPERATOR, text, telegram_id
        )
        message.operator_id = user_id
        post_state_card(session, desk, customer, conversation, message)
        happened(session, "operator.wrote", message=message.id, conversation=conversation.id)
        add_delivery(
            session,
            desk,
            f"{WRITTEN_KEY}{message.id}",
            customer.chat_id,
            "copyMessage",
            {
                "from_chat_id": desk.operator_chat_id,
                "message_id": telegram_id,
                **reply_parameters(target, quote),
            },
            conversation=conversation,
            message=message,
            not_before=_after_the_album(session, desk, inbox_id),
        )
        if first_word:
            refresh_card(session, desk, customer, conversation)


def _tell_of_kept(session: Session, desk: Desk, inbox_id: int, thread_id: int, why: str) -> None:
    """Say, by a text's name, why a message goes nowhere; of an album once."""
    album = album_of(session.get_one(Inbox, inbox_id))
    key = f"told:{inbox_id}" if album is None else f"told:{why}:{thread_id}:{album}"
    tell_once(session, desk, key, thread_id, say(why, desk.language))


def sent_file_with_command(desk: Desk, inbox_id: int, user_id: int, thread_id: int) -> None:
    """A file whose caption is for a bot goes nowhere, and whoever sent it is to know."""
    _answer(desk, inbox_id, user_id, thread_id, "caption-command")


def noted(desk: Desk, inbox_id: int, user_id: int, thread_id: int) -> None:
    """A note for colleagues: it stands in the topic and goes nowhere, and that is said."""
    _answer(desk, inbox_id, user_id, thread_id, "noted")


def took(
    desk: Desk, inbox_id: int, user_id: int, thread_id: int, telegram_id: int | None = None
) -> None:
    """/take in a topic, as the message of that id: the answer replies to it."""
    with desk.store.writing() as session:
        found = enter_topic(session, desk, inbox_id, user_id, thread_id)
        if found is None:
            return
        operator, customer, _ = found
        if _take(session, desk, inbox_id, thread_id, operator, customer, "/take"):
            name = operator_name(session, user_id)
            text = say("taken-by-command", desk.language, operator=name)
            tell(session, desk, inbox_id, thread_id, text, telegram_id)


def resolved(
    desk: Desk, inbox_id: int, user_id: int, thread_id: int, telegram_id: int | None = None
) -> None:
    """/resolve in a topic, as the message of that id: the answer replies to it.

    Where nobody has replied to a customer who was promised a person, or has read what they have
    just written, it takes a second one, and a third where they have written in between.
    """
    with desk.store.writing() as session:
        found = enter_topic(session, desk, inbox_id, user_id, thread_id)
        if found is None:
            return
        operator, customer, conversation = found
        if conversation.state is ConversationState.RESOLVED:
            text = say("already-resolved", desk.language)
            tell(session, desk, inbox_id, thread_id, text, telegram_id)
            return
        asked = _asked(session, desk, conversation)
        asks = question(session, desk, customer, conversation, asked)
        if asks is not None:
            tell_once(
                session,
                desk,
                f"{ASKED_KEY}{asks}:{inbox_id}",
                thread_id,
                say(QUESTIONS[asks], desk.language),
                telegram_id,
                conversation,
            )
            return
        resolve(session, desk, customer, conversation, operator)
        name = operator_name(session, user_id)
        text = say("resolved-by-command", desk.language, operator=name)
        tell(session, desk, inbox_id, thread_id, text, telegram_id)


def _asked(session: Session, desk: Desk, conversation: Conversation) -> Asked | None:
    """What the last /resolve was answered with a question, if that was just now."""
    asked = session.scalar(
        select(DeliveryRow)
        .where(
            DeliveryRow.conversation_id == conversation.id,
            DeliveryRow.key.startswith(ASKED_KEY),
            DeliveryRow.created_at >= desk.clock() - ASKED_FOR,
        )
        .order_by(DeliveryRow.id.desc())
        .limit(1)
    )
    if asked is None:
        return None
    return Asked(asked.key.removeprefix(ASKED_KEY).partition(":")[0], asked.created_at)


def banned(desk: Desk, inbox_id: int, user_id: int, thread_id: int) -> None:
    """/ban in a topic, by an admin: nothing is shown or answered of its customer any more."""
    with desk.store.writing() as session:
        found = enter_topic(session, desk, inbox_id, user_id, thread_id, Role.ADMIN)
        if found is None:
            return
        operator, customer, conversation = found
        if customer.banned_at is None:
            ban(session, desk, customer, conversation, operator)
        text = say("customer-banned", desk.language)
        tell(session, desk, inbox_id, thread_id, text)


def unbanned(desk: Desk, inbox_id: int, user_id: int, thread_id: int) -> None:
    """/unban in a topic, by an admin."""
    with desk.store.writing() as session:
        found = enter_topic(session, desk, inbox_id, user_id, thread_id, Role.ADMIN)
        if found is None:
            return
        _, customer, conversation = found
        if customer.banned_at is not None:
            unban(session, desk, customer, conversation)
        text = say("customer-unbanned", desk.language)
        tell(session, desk, inbox_id, thread_id, text)


def closed_topic(desk: Desk, inbox_id: int, user_id: int, thread_id: int) -> None:
    """Somebody has closed a customer's topic; an operator resolves the conversation with that, and
    anybody else is told that it goes on.

    It stays closed until something of the customer is to be posted there; what says that nobody can
    have read what they have just written opens it again.
    """
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id):
            return
        customer = customer_of(session, desk, thread_id)
        if customer is None:
            return
        customer.topic_closed = True
        operator, conversation = session.get(Operator, user_id), _newest(session, customer)
        if conversation is None or conversation.state is ConversationState.RESOLVED:
            return
        if operator is None:
            refuse(session, desk, "closed-by-nobody", user_id, thread_id)
            return
        asked = _asked(session, desk, conversation)
        if unread(session, desk, customer, conversation, asked):
            operators_text(
                session,
                desk,
                f"{ASKED_KEY}{WRITTEN_SINCE}:{inbox_id}",
                html(say("closed-written-since", desk.language)),
                customer=customer,
                conversation=conversation,
            )
            return
        resolve(session, desk, customer, conversation, operator)


def reopened_topic(desk: Desk, inbox_id: int, user_id: int, thread_id: int) -> None:
    """Somebody has reopened a customer's topic; an operator takes the conversation with that."""
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id):
            return
        customer = customer_of(session, desk, thread_id)
        if customer is None:
            return
        customer.topic_closed = False
        operator = session.get(Operator, user_id)
        if operator is not None:
            _take(session, desk, inbox_id, thread_id, operator, customer, "[forum topic reopened]")


def ordered_training(
    desk: Desk, inbox_id: int, user_id: int, thread_id: int | None = None
) -> tuple[int, int] | None:
    """/retrain: returns the (run id, attempt) to enqueue after the commit, if one was made.

    It is answered in the topic where it was written, or else in General.
    """
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id):
            return None
        operator = session.get(Operator, user_id)
        if operator is None or operator.role is not Role.ADMIN:
            why = "admins-only" if operator is not None else why_refused(None, user_id)
            refuse(session, desk, why, user_id, thread_id)
            return None
        running = running_training(session, desk)
        if running is not None:
            want(running, str(user_id))
            text = say("retrain-busy", desk.language, run=str(running.id))
            tell(session, desk, inbox_id, thread_id, text)
            return None
        run = new_run(session, str(user_id), desk.clock())
        text = say("retrain-queued", desk.language, run=str(run.id))
        tell(session, desk, inbox_id, thread_id, text)
        return run.id, run.attempt


def queue_wanted(desk: Desk, inbox_id: int, user_id: int, thread_id: int | None = None) -> None:
    """/queue in the operators' chat: who waits, as things stand when the answer is sent."""
    _wanted(desk, inbox_id, user_id, thread_id, QUEUE_KEY)


def report_wanted(desk: Desk, inbox_id: int, user_id: int, thread_id: int | None = None) -> None:
    """/report there: what became of the last days' messages, counted when the answer is sent."""
    _wanted(desk, inbox_id, user_id, thread_id, REPORT_KEY)


def _wanted(desk: Desk, inbox_id: int, user_id: int, thread_id: int | None, key: str) -> None:
    """An operator wants to be told something of which the sender makes the text."""
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id) or desk.operator_chat_id is None:
            return
        if refused(session, desk, user_id, thread_id):
            return
        payload: dict[str, object] = {"parse_mode": "HTML", **NO_PREVIEW}
        if thread_id is not None:
            payload["message_thread_id"] = thread_id
        add_delivery(session, desk, f"{key}{inbox_id}", desk.operator_chat_id, TEXT_METHOD, payload)


def misplaced(desk: Desk, inbox_id: int, user_id: int) -> None:
    """A command about a customer in General, which is no customer's."""
    _answer(desk, inbox_id, user_id, None, "topic-only")


def answered_in_general(
    desk: Desk, inbox_id: int, user_id: int, telegram_id: int, reply_to: int
) -> None:
    """A reply, by the message of that id, to a message of the bot's in General: where that tells of
    customers who wait, it may be meant for one of them, and is told that it reaches nobody."""
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id):
            return
        told_of = session.scalar(
            select(DeliveryRow)
            .where(
                DeliveryRow.chat_id == desk.operator_chat_id,
                DeliveryRow.telegram_id == reply_to,
                key_begins((*DIGEST_KEYS, PRIORITY_KEY)),
            )
            .limit(1)
        )
        if told_of is None:
            forget(session, inbox_id)
            return
        if refused(session, desk, user_id, None):
            return
        words, conversation = html(say("reached-nobody", desk.language)), None
        if told_of.conversation_id is not None:  # else whoever it named is erased
            conversation = session.get_one(Conversation, told_of.conversation_id)
            customer = session.get_one(Customer, conversation.customer_id)
            # By its link, not by name: an erasure would have to find that here, too.
            words = to_topic(desk, customer, words)
        operators_text(
            session,
            desk,
            f"told:{inbox_id}",
            words,
            conversation=conversation,
            reply_to=telegram_id,
        )


def alone(desk: Desk, inbox_id: int, user_id: int, thread_id: int | None, command: str) -> None:
    """A command that takes no words was written with some: nothing is done, which is said."""
    _answer(desk, inbox_id, user_id, thread_id, ALONE[command])


def help_wanted(desk: Desk, inbox_id: int, user_id: int, thread_id: int | None) -> None:
    """/help in the operators' chat."""
    _answer(desk, inbox_id, user_id, thread_id, "operator-help")


def _answer(desk: Desk, inbox_id: int, user_id: int, thread_id: int | None, text: str) -> None:
    """Answer an operator with a text, by its name; anybody else is refused."""
    with desk.store.writing() as session:
        if claim(session, desk, inbox_id) and not refused(session, desk, user_id, thread_id):
            tell(session, desk, inbox_id, thread_id, say(text, desk.language))


def mistyped(desk: Desk, inbox_id: int, user_id: int, thread_id: int | None, command: str) -> None:
    """A command that there is not: an operator is told where it was written, once in a while."""
    with desk.store.writing() as session:
        if claim(session, desk, inbox_id) and not refused(session, desk, user_id, thread_id):
            command = shorten(clean(command), 33)
            text = say("command-unknown", desk.language, command=command)
            tell_at_times(session, desk, f"{command}:{thread_id}", thread_id, text)


def enter_topic(
    session: Session,
    desk: Desk,
    inbox_id: int,
    user_id: int,
    thread_id: int,
    role: Role | None = None,
) -> tuple[Operator, Customer, Conversation] | None:
    """Who acts in whose topic, and the newest conversation there; None if that is refused.

    With a `role` others than that are refused.
    """
    if not claim(session, desk, inbox_id):
        return None
    operator = session.get(Operator, user_id)
    customer = customer_of(session, desk, thread_id)
    if operator is None or customer is None:
        refuse(session, desk, why_refused(operator, user_id), user_id, thread_id)
        return None
    if role is not None and operator.role is not role:
        refuse(session, desk, "admins-only", user_id, thread_id)
        return None
    conversation = _newest(session, customer) or open_conversation(session, desk, customer)
    return operator, customer, conversation


def _newest(session: Session, customer: Customer) -> Conversation | None:
    """The customer's open conversation, else the last one that was resolved; locked."""
    return session.scalar(
        select(Conversation)
        .where(Conversation.customer_id == customer.id)
        .order_by(Conversation.state == ConversationState.RESOLVED, Conversation.id.desc())
        .limit(1)
        .with_for_update()
    )


def _take(
    session: Session,
    desk: Desk,
    inbox_id: int,
    thread_id: int,
    operator: Operator,
    customer: Customer,
    act: str,
) -> bool:
    """Put the operator in charge; a conversation that this opens begins with the `act`.

    Whether they are and nothing says so below what they did: neither a new card nor a word that
    somebody else had it.
    """
    if customer.banned_at is not None:
        text = say("customer-banned", desk.language)
        tell(session, desk, inbox_id, thread_id, text)
        return False
    conversation = open_conversation(session, desk, customer)
    if is_in_charge(conversation, operator):
        conversation.taken_at = desk.clock()  # an act, though a small one: it is not quiet
        name = operator_name(session, operator.user_id)
        text = say("already-taken", desk.language, operator=name)
        tell(session, desk, inbox_id, thread_id, text)
        return False
    told = take(session, desk, inbox_id, customer, conversation, operator)
    has_card = status_card(session, desk, conversation) is not None
    give_card(session, desk, inbox_id, customer, conversation, act)
    return has_card and not told


def give_card(
    session: Session,
    desk: Desk,
    inbox_id: int,
    customer: Customer,
    conversation: Conversation,
    act: str,
) -> None:
    """Give a conversation its card, unless it has one; what is said in it begins with the `act`."""
    if status_card(session, desk, conversation) is None:
        message = add_message(session, desk, conversation, inbox_id, Author.OPERATOR, act)
        post_state_card(session, desk, customer, conversation, message)


def unreachable(customer: Customer) -> str | None:
    """Why nothing is sent to a customer, as the name of a text; None where it is."""
    if customer.gone:
        return "customer-gone"
    return "customer-banned" if customer.banned_at is not None else None


def customer_of(session: Session, desk: Desk, thread_id: int) -> Customer | None:
    """Whose topic this is in the operators' chat; other chats number theirs alike."""
    return session.scalar(
        select(Customer)
        .where(Customer.topic_chat_id == desk.operator_chat_id, Customer.topic_id == thread_id)
        .with_for_update()
    )


def _after_the_album(session: Session, desk: Desk, inbox_id: int) -> datetime | None:
    """When the words of a picture's album are there, too: a webhook's updates come side by side."""
    in_album = album_of(session.get_one(Inbox, inbox_id)) is not None
    return desk.clock() + ALBUM_ARRIVES if in_album else None

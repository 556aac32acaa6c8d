"""What was written is changed afterwards: a customer's words, and an operator's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from desk.domain import Action, Author, ConversationState, MessageState
from desk.flow.bans import is_banned
from desk.flow.cards import post_message
from desk.flow.composing import add_delivery, clean
from desk.flow.conversations import add_message, begin_attempt, find_open, first_pending
from desk.flow.customers import held_back, show_undecided
from desk.flow.delivering import CHANGE_KEY
from desk.flow.desk import Desk
from desk.flow.intake import claim
from desk.flow.noting import decided, happened
from desk.flow.operators import customer_of, tell
from desk.flow.quiet import close_if_quiet
from desk.policy import CHANGED
from desk.tables import Conversation, Customer, DecisionRow, Inbox, Message, Operator
from desk.texts import say

FILES = ("animation", "audio", "document", "photo", "video", "voice")
"""What a message may hold beside its text, where that can be changed."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a message has become, and how to make its copy the same."""

    text: str
    method: str
    payload: dict[str, Any]
    """The method's parameters, but for those that say which message."""


def customer_changed(
    desk: Desk, inbox_id: int, chat_id: int, telegram_id: int, text: str
) -> tuple[int, int] | None:
    """A customer has changed a message of the conversation that is open.

    One that waits for the model is read as it is now. One to which the bot has just asked back is
    read anew, for that may be the reply. Who is awaited or in charge is shown what it has become.
    Otherwise it was answered, and is only kept.

    Returns the (message id, attempt) to enqueue after the commit, if there is one.
    """
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id) or is_banned(session, chat_id):
            return None
        customer = session.scalar(
            select(Customer).where(Customer.chat_id == chat_id).with_for_update()
        )
        conversation = find_open(session, customer) if customer is not None else None
        if customer is None or conversation is None:
            return None
        written = session.scalar(
            select(Message)
            .where(
                Message.conversation_id == conversation.id,
                Message.author == Author.CUSTOMER,
                Message.telegram_id == telegram_id,
            )
            .order_by(Message.id.desc())
            .limit(1)
            .with_for_update()
        )
        text = clean(text)
        # Telegram tells of other changes, too, such as a link's preview.
        if written is None or written.text == text:
            return None
        if close_if_quiet(session, desk, customer, conversation):
            return None
        if written.state is MessageState.PENDING:
            written.text = text
            happened(session, "message.changed", message=written.id, conversation=conversation.id)
            first = first_pending(session, conversation.id) is written
            return begin_attempt(written, desk.clock()) if first else None
        alone = conversation.state is ConversationState.BOT
        asked_back = alone and _was_asked_back(session, written)
        message = add_message(
            session, desk, conversation, inbox_id, Author.CUSTOMER, text, telegram_id
        )
        happened(session, "message.changed", message=message.id, conversation=conversation.id)
        if asked_back:
            if held_back(session, desk, customer, conversation, message):
                return None
            message.state = MessageState.PENDING
            return begin_attempt(message, desk.clock())
        if not alone:
            show_undecided(session, desk, customer, conversation)
        session.add(DecisionRow(message_id=message.id, action=Action.SILENT, rule=CHANGED))
        decided(session, message.id, Action.SILENT, CHANGED)
        session.flush()
        if not alone:
            post_message(session, desk, customer, conversation, message)
        return None


def operator_changed(
    desk: Desk,
    inbox_id: int,
    user_id: int,
    thread_id: int,
    telegram_id: int,
    rewritten: Rewritten,
) -> None:
    """An operator has changed what they wrote in a topic: what the customer got is changed, too.

    They are told where that is not done. Who is in charge stays as it is.
    """
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id) or session.get(Operator, user_id) is None:
            return
        customer = customer_of(session, desk, thread_id)
        if customer is None:
            return
        # Conversations before the delivery's row, as everywhere.
        message = session.scalar(
            select(Message)
            .join(Conversation, Conversation.id == Message.conversation_id)
            .where(
                Conversation.customer_id == customer.id,
                Message.author == Author.OPERATOR,
                Message.telegram_id == telegram_id,
            )
            .with_for_update(of=Message)
        )
        text = clean(rewritten.text)
        refusal = _refusal(session, customer, message, text, inbox_id)
        if refusal is not None:
            tell(session, desk, f"told:{inbox_id}", thread_id, say(refusal, desk.language))
        if message is None or refusal is not None or text.startswith("/"):
            return
        message.text = text
        happened(
            session, "operator.changed", message=message.id, conversation=message.conversation_id
        )
        add_delivery(
            session,
            f"{CHANGE_KEY}{message.id}:{inbox_id}",
            customer.chat_id,
            rewritten.method,
            rewritten.payload,
            conversation=session.get_one(Conversation, message.conversation_id),
            message=message,
        )


def _was_asked_back(session: Session, message: Message) -> bool:
    """Whether this is the customer's last message, and the bot has asked back about it."""
    decision = session.get(DecisionRow, message.id)
    if decision is None or decision.action is not Action.CLARIFY:
        return False
    last = session.scalar(
        select(func.max(Message.id)).where(
            Message.conversation_id == message.conversation_id,
            Message.author == Author.CUSTOMER,
        )
    )
    return last == message.id


def _refusal(
    session: Session, customer: Customer, message: Message | None, text: str, inbox_id: int
) -> str | None:
    """Why a change does not reach the customer, as the name of a text; None where it does, or
    where nobody expects it to."""
    if text.startswith("/"):
        return "change-is-command" if message is not None else None
    if message is None:
        return "change-of-nothing-sent"
    if customer.gone:
        return "customer-gone"
    if customer.banned_at is not None:
        return "customer-banned"
    if message.inbox_id is not None:
        before, now = (_file(session.get(Inbox, id_)) for id_ in (message.inbox_id, inbox_id))
        if before is not None and before != now:
            return "change-of-file"
    return None


def _file(row: Inbox | None) -> str | None:
    """The lasting id of the file that an update's message holds."""
    for body in row.payload.values() if row is not None else ():
        for kind in FILES if isinstance(body, dict) else ():
            found = body.get(kind)
            largest = found[-1] if isinstance(found, list) and found else found
            if isinstance(largest, dict):
                return str(largest.get("file_unique_id"))
    return None

"""What an operator's reply in a customer's topic answers: the customer's words, their own that were
sent to them, or something for colleagues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from desk.domain import Author, DeliveryState
from desk.flow.composing import as_reply
from desk.flow.delivering import WITHDRAWN
from desk.flow.keys import (
    BARE_KEY,
    CUSTOMER_KEYS,
    NOTE_KEY,
    WRITTEN_KEY,
)
from desk.tables import Conversation, Customer, DeliveryRow, Message, key_begins
from desk.telegram_text import clean

ABOUT_CUSTOMER = (*CUSTOMER_KEYS, BARE_KEY)
"""How the keys begin of what the bot posts in a topic that a reply to the customer may answer: what
they wrote. Its notices and reminders are for colleagues, and so is a reply to one."""
_NOT_SENT = (DeliveryState.FAILED, DeliveryState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Quote:
    """The part of a message that a reply to it is about."""

    text: str
    position: int
    """Where it begins in the message, in UTF-16 units."""
    entities: list[dict[str, Any]]
    """Its formatting, as Telegram has it."""


class Answered(NamedTuple):
    """What a reply answers that is the customer's business, too."""

    telegram_id: int | None
    """Its id with the customer; None where they have no such message, or not yet."""
    on_card: str | None = None
    """The customer's words, where the reply is to a card of the bot's that shows them."""


def answered(
    session: Session,
    chat_id: int | None,
    customer: Customer,
    reply_to: int,
    writer: int | None,
) -> Answered | None:
    """What a reply of the operator `writer` answers to the message of that id in the customer's
    topic, which stands in the operators' chat `chat_id`; None for a note, a notice of the bot, what
    a colleague wrote or sent, and what was never sent, or was taken back: whoever replies there
    speaks to colleagues."""
    words = written_in_topic(session, chat_id, customer, reply_to)
    words = words or sent_as_ready(session, chat_id, customer, reply_to)
    if words is not None:
        said, copy = words
        not_sent = copy.state in _NOT_SENT or copy.payload.get(WITHDRAWN)
        if not_sent or said.operator_id is None or said.operator_id != writer:
            return None
        return Answered(copy.telegram_id)
    shown = _posted(session, chat_id, customer, reply_to, ABOUT_CUSTOMER)
    if shown is None:
        return None
    message = session.get(Message, shown.message_id) if shown.message_id is not None else None
    if message is None or message.author is not Author.CUSTOMER:
        return Answered(None)  # an operator opened it
    return Answered(message.telegram_id, None if shown.method == "copyMessage" else message.text)


def reply_parameters(found: Answered | None, quote: Quote | None) -> dict[str, Any]:
    """What makes a message to the customer a reply to what it answers, as a call's parameters;
    nothing where they have no such message."""
    if found is None or found.telegram_id is None:
        return {}
    return {"reply_parameters": as_reply(found.telegram_id) | _quoted(quote, found.on_card)}


def written_in_topic(
    session: Session, chat_id: int | None, customer: Customer, telegram_id: int
) -> tuple[Message, DeliveryRow] | None:
    """The message with that id which an operator wrote to this customer, and its copy.

    In the operators' chat `chat_id`, that of now: another numbers its messages alike.
    """
    query = (
        select(Message, DeliveryRow)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .join(DeliveryRow, DeliveryRow.message_id == Message.id)
        .where(
            Conversation.customer_id == customer.id,
            Message.author == Author.OPERATOR,
            Message.telegram_id == telegram_id,
            DeliveryRow.key.startswith(WRITTEN_KEY),
        )
        .order_by(Message.id.desc())
    )
    for message, copy in session.execute(query):
        if copy.payload.get("from_chat_id") == chat_id:
            return message, copy
    return None


def sent_as_ready(
    session: Session, chat_id: int | None, customer: Customer, telegram_id: int
) -> tuple[Message, DeliveryRow] | None:
    """The ready answer of which the message with that id in the operators' chat says that it was
    sent to this customer, and its delivery."""
    note = _posted(session, chat_id, customer, telegram_id, [NOTE_KEY])
    if note is None:
        return None
    key = note.key.removeprefix(NOTE_KEY)
    found = session.execute(
        select(Message, DeliveryRow)
        .join(DeliveryRow, DeliveryRow.key == Message.delivery_key)
        .where(Message.conversation_id == note.conversation_id, DeliveryRow.key == key)
    ).first()
    return (found[0], found[1]) if found is not None else None


def _posted(
    session: Session,
    chat_id: int | None,
    customer: Customer,
    telegram_id: int,
    keys: Sequence[str],
) -> DeliveryRow | None:
    """The bot's message with that id in the operators' chat `chat_id`, if it is about this customer
    and of such a kind."""
    return session.scalar(
        select(DeliveryRow)
        .join(Conversation, Conversation.id == DeliveryRow.conversation_id)
        .where(
            Conversation.customer_id == customer.id,
            DeliveryRow.chat_id == chat_id,
            DeliveryRow.telegram_id == telegram_id,
            key_begins(keys),
        )
        .order_by(DeliveryRow.id.desc())
        .limit(1)
    )


def _quoted(quote: Quote | None, on_card: str | None) -> dict[str, Any]:
    """What makes a reply one to a part of the customer's message: in their chat it is the same, or
    its text stands `on_card`, with more around it and in a dress of its own."""
    if quote is None:
        return {}
    words = clean(quote.text)
    if on_card is not None:
        # A word joiner may stand there behind an @ or a slash, so that nobody is notified.
        theirs = (each for each in (words, words.replace("\N{WORD JOINER}", "")) if each in on_card)
        return {"quote": part} if (part := next(theirs, "")) else {}
    return {"quote": words, "quote_position": quote.position, "quote_entities": quote.entities}

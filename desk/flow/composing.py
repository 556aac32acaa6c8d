"""Deliveries and keyboards: what will be sent, written inside the transaction that decides it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from desk.domain import Author, Button, DeliveryState
from desk.flow.batch import add_row, turn
from desk.flow.desk import Desk
from desk.flow.keys import WRITTEN_KEY
from desk.tables import ButtonRow, Conversation, Customer, DeliveryRow, Message, Operator
from desk.telegram_text import plain

TEXT_METHOD = "sendMessage"
EDIT_METHOD = "editMessageText"
KEYBOARD_METHOD = "editMessageReplyMarkup"
NO_PREVIEW = {"link_preview_options": {"is_disabled": True}}
"""With what goes to the operators' group: no stranger's picture stands there for a link."""

Keyboard = Sequence[Sequence[Button]]


def add_delivery(
    session: Session,
    desk: Desk,
    key: str,
    chat_id: int,
    method: str,
    payload: dict[str, Any],
    *,
    conversation: Conversation | None = None,
    message: Message | None = None,
    topic_of: Customer | None = None,
    from_bot: bool = False,
    not_before: datetime | None = None,
) -> None:
    """Add a delivery unless one with that key exists."""
    if has_delivery(session, key, message):
        return
    current = turn(session)
    known = current.deliveries.get(message.id) if message else None
    if known is not None:
        known.add(key)
    if key in current.others:
        current.others[key] = True
    add_row(
        session,
        DeliveryRow,
        key=key,
        chat_id=chat_id,
        method=method,
        payload=payload,
        conversation_id=conversation.id if conversation else None,
        message_id=message.id if message else None,
        topic_of=topic_of.id if topic_of else None,
        from_bot=from_bot,
        not_before=not_before,
        created_at=desk.clock(),
    )


def copy_key(session: Session, about: DeliveryRow) -> str:
    """The key under which the customer gets the operator's message that a delivery is about: that
    of a ready answer, or of a copy of what the operator wrote."""
    message = session.get(Message, about.message_id) if about.message_id is not None else None
    own = message.delivery_key if message is not None else None
    return own or f"{WRITTEN_KEY}{about.message_id}"


def has_delivery(session: Session, key: str, message: Message | None = None) -> bool:
    """Whether there is one with that key; of a batch's `message`, or of those it has asked for,
    also if still to be written."""
    current = turn(session)
    known = current.deliveries.get(message.id) if message else None
    if known is not None:
        return key in known
    if key in current.others:
        return current.others[key]
    return session.scalar(select(DeliveryRow.id).where(DeliveryRow.key == key)) is not None


def keyboard(
    session: Session,
    desk: Desk,
    rows: Keyboard,
    conversation: Conversation,
    message: Message | None = None,
) -> dict[str, Any]:
    """An inline keyboard for Telegram, with a fresh opaque token behind each button."""
    keys: list[list[dict[str, str]]] = []
    for row in rows:
        line = []
        for button in row:
            if button.url is not None:
                line.append({"text": button.text, "url": button.url})
                continue
            token = secrets.token_urlsafe(12)
            add_row(
                session,
                ButtonRow,
                token=token,
                action=button.action,
                argument=button.argument,
                conversation_id=conversation.id,
                message_id=message.id if message else None,
                created_at=desk.clock(),
            )
            line.append({"text": button.text, "callback_data": token})
        keys.append(line)
    return {"inline_keyboard": keys}


def last_of(
    session: Session, conversation: Conversation, chat_id: int, telegram_id: int
) -> DeliveryRow | None:
    """What a message that was sent shows, or is to show: the newest edit of it, or else itself.
    Locked."""
    edit = and_(
        DeliveryRow.method.in_((EDIT_METHOD, KEYBOARD_METHOD)),
        DeliveryRow.payload["message_id"].as_integer() == telegram_id,
    )
    return session.scalar(
        select(DeliveryRow)
        .where(
            DeliveryRow.conversation_id == conversation.id,  # which is indexed
            DeliveryRow.chat_id == chat_id,
            or_(edit, DeliveryRow.telegram_id == telegram_id),
        )
        .order_by(DeliveryRow.id.desc())
        .limit(1)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def is_replaceable(row: DeliveryRow) -> bool:
    """Whether what is wanted anew of a message takes the place of an edit that waits: a group takes
    few of them. One that was tried may stand there, or be noted as sent still."""
    return row.telegram_id is None and row.state is DeliveryState.PENDING and not row.attempts


def change_keyboard(
    session: Session,
    desk: Desk,
    inbox_id: int,
    chat_id: int,
    telegram_id: int,
    conversation: Conversation,
    markup: dict[str, Any] | None = None,
) -> None:
    """Have other buttons (or, without `markup`, none) stand under a message that was sent, because
    of an update; unless that was the last to be wanted there: who presses a button again and again
    costs no calls."""
    markup = {"inline_keyboard": []} if markup is None else markup
    last = last_of(session, conversation, chat_id, telegram_id)
    if last is not None and last.payload.get("reply_markup") == markup:
        return
    if last is not None and is_replaceable(last):
        last.payload = {**last.payload, "reply_markup": markup}
        return
    add_delivery(
        session,
        desk,
        f"keyboard:{inbox_id}",
        chat_id,
        KEYBOARD_METHOD,
        {"message_id": telegram_id, "reply_markup": markup},
        conversation=conversation,
    )


def customer_text(
    session: Session,
    desk: Desk,
    key: str,
    customer: Customer,
    conversation: Conversation,
    text: str,
    buttons: Keyboard = (),
    *,
    message: Message | None = None,
    from_bot: bool = True,
    author: Author = Author.BOT,
    operator: Operator | None = None,
    kept: str | None = None,
) -> None:
    """A text (Telegram HTML) to the customer, kept in the conversation, unless it exists; there as
    `kept`, where its buttons say something, too. It may be an `operator`'s."""
    if has_delivery(session, key, message):
        return  # before its buttons get rows: those of a text that is not sent would stay for good
    payload: dict[str, Any] = {"text": text, "parse_mode": "HTML"}
    if buttons:
        payload["reply_markup"] = keyboard(session, desk, buttons, conversation, message)
    add_delivery(
        session,
        desk,
        key,
        customer.chat_id,
        TEXT_METHOD,
        payload,
        conversation=conversation,
        message=message,
        from_bot=from_bot,
    )
    add_row(
        session,
        Message,
        conversation_id=conversation.id,
        author=author,
        text=plain(text if kept is None else kept),
        delivery_key=key,
        operator_id=operator.user_id if operator else None,
        created_at=desk.clock(),
    )


def as_reply(telegram_id: int) -> dict[str, Any]:
    """What makes a message a reply to the one of that id in its chat, should that still exist."""
    return {"message_id": telegram_id, "allow_sending_without_reply": True}


def operators_text(
    session: Session,
    desk: Desk,
    key: str,
    text: str,
    *,
    customer: Customer | None = None,
    conversation: Conversation | None = None,
    message: Message | None = None,
    reply_markup: dict[str, Any] | None = None,
    reply_to: int | None = None,
) -> None:
    """A text (Telegram HTML) to the operators: into the customer's topic, or to everybody.

    With `reply_to` it replies to the message of that id there, should that still exist.
    """
    if desk.operator_chat_id is None:
        return
    payload: dict[str, Any] = {"text": text, "parse_mode": "HTML", **NO_PREVIEW}
    if reply_markup is not None:
        payload["reply_markup"] = reply_markup
    if reply_to is not None:
        payload["reply_parameters"] = as_reply(reply_to)
    add_delivery(
        session,
        desk,
        key,
        desk.operator_chat_id,
        TEXT_METHOD,
        payload,
        conversation=conversation,
        message=message,
        topic_of=customer,
    )

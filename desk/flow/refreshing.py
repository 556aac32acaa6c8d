"""Cards and posts that are before the operators already: edited as things go on."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from desk.domain import DeliveryState
from desk.flow.cards import is_post, shown, status_card
from desk.flow.composing import EDIT_METHOD, add_delivery, is_replaceable, last_of
from desk.flow.desk import Desk
from desk.flow.keys import CARD_KEY, POST_KEY
from desk.tables import Conversation, Customer, DeliveryRow, Message


def refresh_card(
    session: Session, desk: Desk, customer: Customer, conversation: Conversation
) -> None:
    """Have the conversation's card show its state of now.

    One that is being sent at this moment, or may have arrived in an earlier attempt, keeps its
    text, which is how it stands there, and is brought up to date once Telegram has accepted it.
    """
    card = status_card(session, desk, conversation, lock=True)
    if card is not None and card.message_id is not None:
        message = session.get_one(Message, card.message_id)
        _refresh(session, desk, customer, conversation, message, card)


def refresh_post(
    session: Session, desk: Desk, customer: Customer, conversation: Conversation, message: Message
) -> None:
    """Have the post (or card) of a message show what the model makes of it, which had not read it
    yet; each in its own form, where it has both. One in a chat that is the operators' no longer
    stays: under its id there may be something else in this one."""
    keys = [f"{CARD_KEY}{message.id}", f"{POST_KEY}{message.id}"]
    query = (
        select(DeliveryRow)
        .where(DeliveryRow.key.in_(keys), DeliveryRow.chat_id == desk.operator_chat_id)
        .order_by(DeliveryRow.id)
    )
    locked = query.with_for_update().execution_options(populate_existing=True)
    for row in session.scalars(locked).all():
        _refresh(session, desk, customer, conversation, message, row)


def _refresh(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    row: DeliveryRow,
) -> None:
    if row.state is DeliveryState.PENDING and not row.uncertain:
        post = row.key.startswith(POST_KEY)
        row.payload = shown(session, desk, customer, conversation, message, post=post)
    elif row.telegram_id is not None:
        edit_card(session, desk, customer, conversation, message, row.telegram_id)


def edit_card(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    telegram_id: int,
    *,
    why: bool = False,
) -> None:
    """Queue the edit of one card or post, unless it says so already; it keeps its own form. With
    `why` a card is opened."""
    if desk.operator_chat_id is None:
        return
    session.flush()
    post = is_post(session, message, telegram_id)
    payload = {
        "message_id": telegram_id,
        **shown(session, desk, customer, conversation, message, post=post, why=why),
    }
    last = last_of(session, conversation, desk.operator_chat_id, telegram_id)
    if last is not None and _says(last.payload) == _says(payload) and last.state in _STANDS:
        return
    if last is not None and is_replaceable(last):
        last.method, last.payload, last.message_id = EDIT_METHOD, payload, message.id
        return
    add_delivery(
        session,
        desk,
        f"edit:{message.id}:{_edits(session, message)}",
        desk.operator_chat_id,
        EDIT_METHOD,
        payload,
        conversation=conversation,
        message=message,
    )


_STANDS = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.SENT)


def _says(payload: dict[str, Any]) -> object:
    """What can be read in a card: each of its buttons has another token each time."""
    rows = payload.get("reply_markup", {}).get("inline_keyboard", [])
    return payload.get("text"), [[button["text"] for button in row] for row in rows]


def _edits(session: Session, message: Message) -> int:
    query = select(func.count()).where(
        DeliveryRow.message_id == message.id, DeliveryRow.method == EDIT_METHOD
    )
    return session.scalar(query) or 0

"""Cards and posts that are before the operators already: edited as things go on."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from desk.domain import DeliveryState
from desk.flow.cards import is_post, shown, status_card
from desk.flow.composing import add_delivery
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
    """Queue the edit of one card or post; it keeps its own form. With `why` a card is opened."""
    if desk.operator_chat_id is None:
        return
    session.flush()
    number = _edits(session, message)
    post = is_post(session, message, telegram_id)
    add_delivery(
        session,
        desk,
        f"edit:{message.id}:{number}",
        desk.operator_chat_id,
        "editMessageText",
        {
            "message_id": telegram_id,
            **shown(session, desk, customer, conversation, message, post=post, why=why),
        },
        conversation=conversation,
        message=message,
    )


def _edits(session: Session, message: Message) -> int:
    query = select(func.count()).where(
        DeliveryRow.message_id == message.id, DeliveryRow.method == "editMessageText"
    )
    return session.scalar(query) or 0

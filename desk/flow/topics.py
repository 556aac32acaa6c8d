"""Customers' topics in the operators' chat."""

from __future__ import annotations

from unicodedata import category

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from desk.domain import DeliveryState
from desk.flow.desk import Desk
from desk.tables import Customer, DeliveryRow

BLANKS = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and a symbol by their category that show nothing: fillers of Hangul, an empty Braille."""


def chat_was_used(desk: Desk) -> bool:
    """Whether anything was ever posted in the operators' chat: then it is the right one."""
    posted = select(DeliveryRow.id).where(
        DeliveryRow.chat_id == desk.operator_chat_id, DeliveryRow.telegram_id.is_not(None)
    )
    with desk.store.reading() as session:
        return session.scalar(posted.limit(1)) is not None


def readdress(session: Session, desk: Desk) -> None:
    """What was to go to customers' topics in another chat goes to theirs in this one."""
    session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.topic_of.is_not(None),
            DeliveryRow.chat_id != desk.operator_chat_id,
            DeliveryRow.state == DeliveryState.PENDING,
        )
        .values(chat_id=desk.operator_chat_id)
    )


def topic_made(desk: Desk, customer_id: int, thread_id: int | None) -> None:
    """Remember the customer's topic in the operators' chat, or with None that it is no more."""
    chat_id = desk.operator_chat_id if thread_id is not None else None
    with desk.store.writing() as session:
        if thread_id is not None:
            # Telegram has just made it: whoever had that number before has it no more.
            session.execute(
                update(Customer)
                .where(
                    Customer.topic_chat_id == chat_id,
                    Customer.topic_id == thread_id,
                    Customer.id != customer_id,
                )
                .values(topic_chat_id=None, topic_id=None)
            )
        customer = session.get_one(Customer, customer_id)
        customer.topic_chat_id, customer.topic_id = chat_id, thread_id
        customer.topic_closed = False


def topic_reopened(desk: Desk, customer_id: int) -> None:
    """Remember that the customer's topic, which somebody had closed, is open again."""
    with desk.store.writing() as session:
        session.get_one(Customer, customer_id).topic_closed = False


def topic_name(desk: Desk, customer_id: int) -> str:
    """How a customer's topic is called; Telegram takes 1 to 128 characters."""
    with desk.store.reading() as session:
        customer = session.get_one(Customer, customer_id)
        return (customer.name.strip() if _shows(customer.name) else str(customer.chat_id))[:128]


def _shows(name: str) -> bool:
    """Whether there is anything to see in a name: Telegram takes no other title."""
    return any(category(sign)[0] not in "CZ" and sign not in BLANKS for sign in name)

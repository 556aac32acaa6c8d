"""What customers and operators are called in texts."""

from __future__ import annotations

from sqlalchemy.orm import Session

from desk.flow.desk import Desk
from desk.inert import inert
from desk.tables import Customer, Operator
from desk.telegram_text import shorten

LINKED_NAME = 40
"""What is shown of a customer's name that leads to their topic, in UTF-16 units."""


def linked(desk: Desk, customer: Customer) -> str:
    """The customer's name as Telegram HTML, which leads to their topic where they have one."""
    return to_topic(desk, customer, inert(shorten(customer.name, LINKED_NAME)))


def to_topic(desk: Desk, customer: Customer, words: str) -> str:
    """Words, as Telegram HTML, that lead to the customer's topic where they have one."""
    chat = str(desk.operator_chat_id)
    # The address of a message in a supergroup has the chat's id without its mark.
    if customer.topic_id is None or str(customer.topic_chat_id) != chat or chat[:4] != "-100":
        return words
    return f'<a href="https://t.me/c/{chat[4:]}/{customer.topic_id}">{words}</a>'


def operator_name(session: Session, user_id: int) -> str:
    """How colleagues call an operator: by name, or by id where it is unknown."""
    operator = session.get(Operator, user_id)
    return shorten((operator.name if operator else "") or str(user_id), 64)


def called(customer: Customer) -> str:
    """What a customer is called in texts to them, safe inside Telegram's HTML; inert, since those
    that an operator sends stand in the group, too."""
    return inert(customer.first_name or customer.name)

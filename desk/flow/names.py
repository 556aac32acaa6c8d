"""What customers and operators are called in texts."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from desk.domain import ConversationState
from desk.flow.desk import Desk
from desk.inert import inert
from desk.tables import Conversation, Customer, Operator
from desk.telegram_text import length, shorten

LINKED_NAME = 40
"""What is shown of a customer's name that leads to their topic, in UTF-16 units."""
MARK = r" · (?:@\u2060?\w+|…\d+)"
"""What may stand behind a name, as a pattern: see `marks`."""


def marks(session: Session, customers: Collection[Customer]) -> dict[int, str]:
    """What stands behind the names of these customers, by id, to tell them from others of that name
    who are with people: their @name, or else the last digits of the id that their card shows. Who
    is the only one of their name is missing."""
    with_people = (ConversationState.WAITING, ConversationState.HUMAN)
    found = session.execute(
        select(Customer.id, Customer.name)
        .join(Conversation, Conversation.customer_id == Customer.id)
        .where(
            Conversation.state.in_(with_people),
            Customer.name.in_({customer.name for customer in customers}),
        )
    )
    of_that_name: dict[str, set[int]] = {}
    for id_, name in found:
        of_that_name.setdefault(name, set()).add(id_)
    return {
        customer.id: f" · @{customer.username}"
        if customer.username
        else f" · …{str(customer.chat_id)[-4:]}"
        for customer in customers
        if of_that_name.get(customer.name, set()) - {customer.id}
    }


def mark(session: Session, customer: Customer) -> str:
    """That of one customer; empty where they need none."""
    return marks(session, [customer]).get(customer.id, "")


def linked(desk: Desk, customer: Customer, behind: str) -> str:
    """The customer's name, with what stands `behind` it, as Telegram HTML that leads to their topic
    where they have one."""
    name = inert(shorten(customer.name, LINKED_NAME - length(behind)) + behind)
    return to_topic(desk, customer, name)


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

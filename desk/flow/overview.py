"""/queue: who waits for a person, and who for the next word of the person they have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session

from desk.domain import Author
from desk.flow.awaiting import IS_CALLED, LAST_WORD_OF_OPERATOR, has_person
from desk.flow.composing import shorten
from desk.flow.desk import Desk
from desk.flow.reminding import CALLED, WAITING, is_late, late_replies, taken_by
from desk.inert import inert
from desk.tables import Conversation, Customer, Message
from desk.telegram_html import escaped as html
from desk.texts import say
from desk.times import span

QUEUE_KEY = "queue:"
"""How the key of an answer begins. Its text is made when it is sent, and names many customers: no
row keeps it."""
SHOWN = 15
"""So many customers are named of each kind, those first who have waited longest."""
NAME = 48

Waits = tuple[Customer, datetime, str]
"""Who waits, since when, and what is said of it behind."""


def overview(desk: Desk) -> str:
    """How things stand now, as Telegram HTML; each name leads to the customer's topic."""
    language = desk.language
    with desk.store.reading() as session:
        called = _count(session, CALLED)
        waiting = session.execute(WAITING.with_only_columns(Customer, Conversation).limit(SHOWN))
        late = [
            (
                customer,
                conversation.escalated_at,
                (" ⏰" if is_late(desk, conversation.escalated_at) else "")
                + _whose(session, conversation),
            )
            for customer, conversation in waiting
            if conversation.escalated_at is not None
        ]
        lines = ["⏳ " + say("queue-waiting", language, count=called), *_lines(desk, late, called)]
        others = and_(has_person(desk), Customer.gone.is_(False), ~IS_CALLED)
        taken = session.scalar(select(func.count(Conversation.id)).join(Customer).where(others))
        if taken:
            unanswered = _unanswered(others)
            count = _count(session, unanswered)
            named = session.execute(unanswered.limit(SHOWN)).all()
            theirs = [conversation.id for _, _, conversation in named]
            too_late = late_replies(session, desk, Conversation.id.in_(theirs))
            waits = [
                (
                    customer,
                    since,
                    (" ⏰" if conversation.id in too_late else "") + _whose(session, conversation),
                )
                for customer, since, conversation in named
            ]
            text = say("queue-unanswered", language, count=count, taken=taken)
            lines += ["", f"🧑\u200d💼 {text}", *_lines(desk, waits, count)]
    return "\n".join(lines)


def _count(session: Session, rows: Select[*tuple[Any, ...]]) -> int:
    return session.scalar(select(func.count()).select_from(rows.order_by(None).subquery())) or 0


def _unanswered(taken: ColumnElement[bool]) -> Select[Customer, datetime, Conversation]:
    """Customers to whom nobody has replied in such a conversation, since when, and which it is."""
    since = func.min(Message.created_at)
    return (
        select(Customer, since, Conversation)
        .join(Conversation, Conversation.customer_id == Customer.id)
        .join(Message, Message.conversation_id == Conversation.id)
        .where(
            taken,
            Message.author == Author.CUSTOMER,
            Message.id > func.coalesce(LAST_WORD_OF_OPERATOR, 0),
        )
        .group_by(Customer.id, Conversation.id)
        .order_by(since, Conversation.id)
    )


def _whose(session: Session, conversation: Conversation) -> str:
    """Behind a line: which colleague has the conversation, if one does."""
    operator = taken_by(session, conversation)
    return f" · {html(operator)}" if operator else ""


def _lines(desk: Desk, waits: Sequence[Waits], of: int) -> list[str]:
    lines = []
    for customer, since, behind in waits:
        minutes = max(1, int((desk.clock() - since).total_seconds() // 60))
        lines.append(f"• {_linked(desk, customer)} – {span(minutes, desk.language)}{behind}")
    if of > len(waits):
        lines.append(say("queue-more", desk.language, count=of - len(waits)))
    return lines


def _linked(desk: Desk, customer: Customer) -> str:
    """The customer's name, which leads to their topic where they have one."""
    name = inert(shorten(customer.name, NAME))
    chat = str(desk.operator_chat_id)
    # The address of a message in a supergroup has the chat's id without its mark.
    if customer.topic_id is None or str(customer.topic_chat_id) != chat or chat[:4] != "-100":
        return name
    return f'<a href="https://t.me/c/{chat[4:]}/{customer.topic_id}">{name}</a>'

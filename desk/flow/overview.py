"""/queue: who waits for a person, and who for the next word of the person they have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from desk.domain import Author, ConversationState
from desk.flow.composing import operator_name, shorten
from desk.flow.desk import Desk
from desk.flow.reminding import CALLED, WAITING, is_late
from desk.tables import Conversation, Customer, Message
from desk.telegram_html import escaped as html
from desk.texts import say
from desk.times import span

SHOWN = 15
"""So many customers are named of each kind, those first who have waited longest."""
NAME = 48

Waits = tuple[Customer, datetime, str]
"""Who waits, since when, and what is said of it behind."""


def overview(session: Session, desk: Desk) -> str:
    """How things stand now, as Telegram HTML; each name leads to the customer's topic."""
    language = desk.language
    called = session.scalar(select(func.count()).select_from(CALLED.order_by(None).subquery())) or 0
    waiting = session.execute(
        WAITING.with_only_columns(Customer, Conversation.escalated_at).limit(SHOWN)
    )
    lines = ["⏳ " + say("queue-waiting", language, count=called)]
    lines += _lines(
        desk,
        [
            (customer, since, " ⏰" if is_late(desk, since) else "")
            for customer, since in waiting
            if since is not None
        ],
        called,
    )
    taken, unanswered = _with_person(session)
    if taken:
        counts = {"count": len(unanswered), "taken": taken}
        lines += ["", "🧑‍💼 " + say("queue-unanswered", language, **counts)]
        lines += _lines(desk, unanswered[:SHOWN], len(unanswered))
    return "\n".join(lines)


def _with_person(session: Session) -> tuple[int, list[Waits]]:
    """How many conversations a person has, and in which the customer spoke last, longest first."""
    has_person = Conversation.state == ConversationState.HUMAN
    newest = (
        select(func.max(Message.id).label("id"))
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(has_person, Message.author != Author.BOT)
        .group_by(Message.conversation_id)
        .subquery()
    )
    query = (
        select(Customer, Message.created_at, Conversation.operator_id)
        .join(newest, newest.c.id == Message.id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .join(Customer, Customer.id == Conversation.customer_id)
        .where(Message.author == Author.CUSTOMER, Customer.gone.is_(False))
        .order_by(Message.id)
    )
    unanswered: list[Waits] = [
        (who, since, f" · {html(operator_name(session, operator))}" if operator else "")
        for who, since, operator in session.execute(query)
    ]
    taken = session.scalar(select(func.count(Conversation.id)).where(has_person))
    return taken or 0, unanswered


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
    name = html(shorten(customer.name, NAME))
    chat = str(desk.operator_chat_id)
    # The address of a message in a supergroup has the chat's id without its mark.
    if customer.topic_id is None or str(customer.topic_chat_id) != chat or chat[:4] != "-100":
        return name
    return f'<a href="https://t.me/c/{chat[4:]}/{customer.topic_id}">{name}</a>'

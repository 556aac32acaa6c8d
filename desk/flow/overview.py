"""/queue: who waits for a person, and who for the next word of the person they have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session, aliased

from desk.domain import Author, ConversationState
from desk.flow.composing import operator_name, shorten
from desk.flow.conversations import is_word_of_operator
from desk.flow.desk import Desk
from desk.flow.reminding import CALLED, WAITING, is_late
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
        waiting = session.execute(
            WAITING.with_only_columns(Customer, Conversation.escalated_at).limit(SHOWN)
        )
        late = [
            (customer, since, " ⏰" if is_late(desk, since) else "")
            for customer, since in waiting
            if since is not None
        ]
        lines = ["⏳ " + say("queue-waiting", language, count=called), *_lines(desk, late, called)]
        recent = _with_person(desk)
        taken = session.scalar(select(func.count(Conversation.id)).join(Customer).where(recent))
        if taken:
            unanswered = _unanswered(recent)
            count = _count(session, unanswered)
            waits = [
                (customer, since, f" · {html(operator_name(session, who))}" if who else "")
                for customer, since, who in session.execute(unanswered.limit(SHOWN))
            ]
            text = say("queue-unanswered", language, count=count, taken=taken)
            lines += ["", f"🧑\u200d💼 {text}", *_lines(desk, waits, count)]
    return "\n".join(lines)


def _count(session: Session, rows: Select[*tuple[Any, ...]]) -> int:
    return session.scalar(select(func.count()).select_from(rows.order_by(None).subquery())) or 0


def _with_person(desk: Desk) -> ColumnElement[bool]:
    """Whether a person has a conversation that is not over for being quiet, or for want of a
    customer."""
    since = desk.clock() - timedelta(hours=desk.pack.policy.quiet_hours)
    lately = (
        select(Message.id)
        .where(Message.conversation_id == Conversation.id, Message.created_at >= since)
        .correlate(Conversation)
        .exists()
    )
    return and_(Conversation.state == ConversationState.HUMAN, Customer.gone.is_(False), lately)


def _unanswered(recent: ColumnElement[bool]) -> Select[Customer, datetime, int | None]:
    """Customers to whom nobody has replied in such a conversation, since when, and whose it is."""
    written = aliased(Message)
    answered = (
        select(func.max(written.id))
        .where(
            written.conversation_id == Conversation.id,
            is_word_of_operator(written),
        )
        .correlate(Conversation)
        .scalar_subquery()
    )
    since = func.min(Message.created_at)
    return (
        select(Customer, since, Conversation.operator_id)
        .join(Conversation, Conversation.customer_id == Customer.id)
        .join(Message, Message.conversation_id == Conversation.id)
        .where(
            recent,
            Message.author == Author.CUSTOMER,
            Message.id > func.coalesce(answered, 0),
        )
        .group_by(Customer.id, Conversation.id)
        .order_by(since, Conversation.id)
    )


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

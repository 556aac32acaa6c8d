"""/queue: who waits for a person, and whom colleagues have, those first who wrote last."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session

from desk.domain import Author
from desk.flow.awaiting import CUSTOMER_SPOKE_LAST, IS_CALLED, LAST_WORD_OF_OPERATOR, has_person
from desk.flow.desk import Desk
from desk.flow.names import linked, marks
from desk.flow.priority import SIGN, is_first, topics
from desk.flow.reminding import CALLED, WAITING, is_late, late_replies, taken_by
from desk.flow.wording import intent_title
from desk.tables import Conversation, Customer, Message
from desk.telegram_html import escaped as html
from desk.telegram_text import shorten
from desk.texts import say
from desk.times import span

SHOWN = 15
"""So many customers are named of each kind: those first who can't wait, then who waited longest."""
TITLE, OPERATOR = 28, 24
"""What is shown of a topic's title and of a colleague's name, in UTF-16 units: all lines fit into a
message."""

Named = tuple[Customer, datetime, Conversation]
"""Who is named, since when they wait, or nobody has said a word, and in which conversation."""


def overview(desk: Desk) -> str:
    """How things stand now, as Telegram HTML; each name leads to the customer's topic."""
    language, urgent = desk.language, is_first(desk.pack)
    with desk.store.reading() as session:
        called = _count(session, CALLED)
        waiting = [
            (customer, conversation.escalated_at, conversation)
            for customer, conversation in session.execute(
                WAITING.with_only_columns(Customer, Conversation)
                .order_by(None)
                .order_by(urgent.desc(), Conversation.escalated_at)
                .limit(SHOWN)
            )
            if conversation.escalated_at is not None
        ]
        late = [each.id for _, since, each in waiting if is_late(desk, since)]
        lines = ["⏳ " + say("queue-waiting", language, count=called)]
        lines += _lines(session, desk, waiting, called, late)
        others = and_(has_person(desk), Customer.gone.is_(False), ~IS_CALLED)
        taken = session.scalar(select(func.count(Conversation.id)).join(Customer).where(others))
        if taken:
            lines += ["", *_with_people(session, desk, others, taken)]
    return "\n".join(lines)


def _with_people(
    session: Session, desk: Desk, others: ColumnElement[bool], taken: int
) -> list[str]:
    """The conversations that people have who have spoken: those in which the customer wrote last,
    and, as far as there is room, those that are answered."""
    language = desk.language
    unanswered = _spoken_in(
        others,
        and_(
            Message.author == Author.CUSTOMER,
            Message.id > func.coalesce(LAST_WORD_OF_OPERATOR, 0),
        ),
        func.min(Message.created_at),
    )
    count = _count(session, unanswered)
    first = unanswered.order_by(None).order_by(is_first(desk.pack).desc(), "since", Conversation.id)
    named = [(who, since, where) for who, since, where in session.execute(first.limit(SHOWN))]
    theirs = Conversation.id.in_([conversation.id for _, _, conversation in named])
    text = say("queue-unanswered", language, count=count, taken=taken)
    lines = [f"🧑\u200d💼 {text}"]
    lines += _lines(session, desk, named, count, late_replies(session, desk, theirs))
    if count == taken:
        return lines
    if count:
        lines.append(say("queue-answered", language, count=taken - count))
    answered = _spoken_in(others, ~CUSTOMER_SPOKE_LAST, func.max(Message.created_at))
    few = answered.limit(SHOWN - len(named))
    rest = [(who, since, where) for who, since, where in session.execute(few)]
    return [*lines, *_lines(session, desk, rest, taken - count, [])]


def _count(session: Session, rows: Select[*tuple[Any, ...]]) -> int:
    return session.scalar(select(func.count()).select_from(rows.order_by(None).subquery())) or 0


def _spoken_in(
    others: ColumnElement[bool], which: ColumnElement[bool], when: ColumnElement[datetime]
) -> Select[Customer, datetime, Conversation]:
    """Customers in such a conversation, a moment of what was said there, and which it is; in order
    of these moments. `which` says of which messages, or in which conversations."""
    since = when.label("since")
    return (
        select(Customer, since, Conversation)
        .join(Conversation, Conversation.customer_id == Customer.id)
        .join(Message, Message.conversation_id == Conversation.id)
        .where(others, which)
        .group_by(Customer.id, Conversation.id)
        .order_by(since, Conversation.id)
    )


def _lines(
    session: Session, desk: Desk, named: Sequence[Named], of: int, late: Collection[int]
) -> list[str]:
    about = topics(session, desk.pack, [conversation.id for _, _, conversation in named])
    behind = marks(session, [customer for customer, _, _ in named])
    lines = []
    for customer, since, conversation in named:
        topic, operator = about.get(conversation.id), taken_by(session, conversation)
        urgent = f"{SIGN} " if topic in desk.pack.priorities() else ""
        title = shorten(intent_title(desk, topic, desk.language), TITLE) if topic else ""
        minutes = max(1, int((desk.clock() - since).total_seconds() // 60))
        lines.append(
            f"• {urgent}{linked(desk, customer, behind.get(customer.id, ''))}"
            + (f" · {html(title)}" if title else "")
            + f" – {span(minutes, desk.language)}"
            + (" ⏰" if conversation.id in late else "")
            + (f" · {html(shorten(operator, OPERATOR))}" if operator else "")
        )
    if of > len(named):
        lines.append(say("queue-more", desk.language, count=of - len(named)))
    return lines

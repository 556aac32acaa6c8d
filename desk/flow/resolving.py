"""What is asked before a conversation is closed in which nobody has replied to who was promised a
person: a slip would break the promise, seen by nobody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from desk.domain import Author
from desk.flow.keys import PRIORITY_KEY
from desk.tables import Conversation, DeliveryRow, Message

UNANSWERED = "resolve-unanswered"
"""The question: nobody has replied."""
WRITTEN_SINCE = "resolve-written-since"
"""The question where the customer has written since it was asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """That it was asked before, and by which question."""

    question: str
    at: datetime


def question(session: Session, conversation: Conversation, asked: Asked | None) -> str | None:
    """What to ask before a conversation is closed that nobody has replied in, as the name of a
    text; None where it was asked, and whoever closes it closes nothing that came after.

    Anew it is asked once: who writes on and on can't keep it open. But what everybody is told of,
    because it can't wait, is closed by no yes of before; of each such topic that is once a call,
    and again hours later.
    """
    called = conversation.escalated_at
    if asked is None or (called is not None and asked.at < called):
        return UNANSWERED
    urgent = select(DeliveryRow.id).where(
        DeliveryRow.conversation_id == conversation.id,
        DeliveryRow.key.startswith(PRIORITY_KEY),
        DeliveryRow.created_at > asked.at,
    )
    if session.scalar(urgent.limit(1)) is not None:
        return WRITTEN_SINCE
    if asked.question == WRITTEN_SINCE:
        return None
    said_last = session.scalar(
        select(Message.created_at)
        .where(Message.conversation_id == conversation.id, Message.author == Author.CUSTOMER)
        .order_by(Message.id.desc())
        .limit(1)
    )
    return WRITTEN_SINCE if said_last is not None and said_last > asked.at else None

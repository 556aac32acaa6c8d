"""What waits, in numbers: for those who look from outside. Reads only, and quickly.

Each query walks an index and stops at `MOST` rows, so what is done costs nothing. Of each
conversation that a person has it is asked whether they have said a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, text
from sqlalchemy.orm import Session

from desk.domain import DeliveryState, InboxState, MessageState, RunState
from desk.flow.delivering import DELETE_TOPIC
from desk.flow.desk import Desk
from desk.flow.reminding import CALLED, waited_seconds
from desk.tables import Conversation, DeliveryRow, Inbox, Message, RunRow

MOST = 10_000
"""Nothing is counted beyond that many rows: the number is bad enough then."""
STATEMENT_SECONDS = 3


@dataclass(frozen=True, slots=True)
class Backlog:
    """Counts (up to `MOST`) by state; ages in seconds, 0 where nothing waits."""

    inbox: dict[InboxState, int]
    inbox_oldest: float
    pending: int
    pending_oldest: float
    deliveries: dict[DeliveryState, int]
    deliveries_oldest: float
    """Without topics that are still to be deleted: after a night of `RETENTION_DAYS` these wait for
    hours, last of all, and nobody for them."""
    waiting: int
    """Conversations that wait for a person."""
    longest_waiting: float
    """How long the first of them has, in seconds of opening hours."""
    last_run: RunState | None
    """The state in which the last finished training run ended."""


def backlog(desk: Desk) -> Backlog:
    """What is not done yet. Raises SQLAlchemy's errors; PostgreSQL ends a slow query itself."""
    with desk.store.reading() as session:
        if not desk.store.sqlite:
            session.execute(text(f"SET LOCAL statement_timeout = {1000 * STATEMENT_SECONDS}"))
        now = desk.clock()
        new, unsent = Inbox.state == InboxState.NEW, DeliveryState.PENDING
        return Backlog(
            inbox={
                state: _count(session, select(Inbox.id).where(Inbox.state == state))
                for state in (InboxState.NEW, InboxState.PARKED)
            },
            inbox_oldest=_age(
                session, select(Inbox.received_at).where(new).order_by(Inbox.id), now
            ),
            pending=_count(
                session, select(Message.id).where(Message.state == MessageState.PENDING)
            ),
            pending_oldest=_age(
                session,
                select(Message.created_at)
                .where(Message.state == MessageState.PENDING)
                .order_by(Message.created_at),
                now,
            ),
            deliveries={
                state: _count(session, select(DeliveryRow.id).where(DeliveryRow.state == state))
                for state in (unsent, DeliveryState.SENDING, DeliveryState.FAILED)
            },
            deliveries_oldest=_age(
                session,
                select(DeliveryRow.created_at)
                .where(DeliveryRow.state == unsent, DeliveryRow.method != DELETE_TOPIC)
                .order_by(DeliveryRow.id),
                now,
            ),
            waiting=_count(session, CALLED.with_only_columns(Conversation.id)),
            longest_waiting=waited_seconds(
                desk, session.scalar(CALLED.with_only_columns(Conversation.escalated_at).limit(1))
            ),
            last_run=session.scalar(
                select(RunRow.state)
                .where(RunRow.finished_at.is_not(None))
                .order_by(RunRow.id.desc())
                .limit(1)
            ),
        )


def _count(session: Session, rows: Select[Any]) -> int:
    return session.scalar(select(func.count()).select_from(rows.limit(MOST).subquery())) or 0


def _age(session: Session, moments: Select[datetime], now: datetime) -> float:
    oldest = session.scalar(moments.limit(1))
    return 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())

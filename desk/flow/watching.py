"""What got stuck: found in SQL, so that an emptied Redis or a dead worker loses nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, and_, func, or_, select
from sqlalchemy.orm import aliased

from desk.domain import Action, MessageState, RunState, Trial
from desk.flow.clocks import AHEAD
from desk.flow.conversations import begin_attempt
from desk.flow.desk import Desk
from desk.policy import UNPROCESSABLE
from desk.tables import DecisionRow, Message, RunRow

MOST = 1000
"""No more messages are handled at once: the next look finds the others."""


def waiting_longer(desk: Desk, seconds: float) -> list[tuple[int, int]]:
    """Pending messages whose attempt began so long ago, as (message id, attempt) pairs.

    Only the oldest of each conversation counts; the others wait for it on purpose. At most `MOST`.
    """
    earlier = aliased(Message)
    query = (
        select(Message.id, Message.attempt)
        .where(
            Message.state == MessageState.PENDING,
            _is_past(desk, func.coalesce(Message.enqueued_at, Message.created_at), seconds),
            ~select(earlier.id)
            .where(
                earlier.conversation_id == Message.conversation_id,
                earlier.state == MessageState.PENDING,
                earlier.id < Message.id,
            )
            .exists(),
        )
        .order_by(Message.id)
        .limit(MOST)
    )
    with desk.store.reading() as session:
        return [(id_, attempt) for id_, attempt in session.execute(query)]


def next_attempts(
    desk: Desk, message_ids: Sequence[int], suspected: Collection[int] = ()
) -> list[tuple[int, int]]:
    """Begin another attempt at these messages; returns what to enqueue after the commit.

    Those `suspected` of a worker's death are tried alone from now on.
    """
    begun = []
    with desk.store.writing() as session:
        for message_id in message_ids:
            message = session.get(Message, message_id, with_for_update=True)
            if message is not None and message.state is MessageState.PENDING:
                if message.trial or message_id in suspected:
                    message.trial = Trial.SUSPECTED
                begun.append(begin_attempt(message, desk.clock()))
    return begun


def tried_alone(desk: Desk, message_ids: Collection[int]) -> set[int]:
    """Which of these pending messages a worker has begun to try alone."""
    query = select(Message.id).where(
        Message.id.in_(message_ids),
        Message.state == MessageState.PENDING,
        Message.trial == Trial.ALONE,
    )
    with desk.store.reading() as session:
        return set(session.scalars(query))


def unprocessable(desk: Desk) -> list[int]:
    """Messages that went to a person because the classifier fails or dies over them, by id."""
    query = (
        select(DecisionRow.message_id)
        .where(
            # Both are in the index, which begins with the action.
            DecisionRow.action.in_([Action.ESCALATE, Action.SILENT]),
            DecisionRow.rule == UNPROCESSABLE,
        )
        .order_by(DecisionRow.message_id)
    )
    with desk.store.reading() as session:
        return list(session.scalars(query))


def overdue(desk: Desk, seconds: float) -> list[int]:
    """Messages that have waited longer than that for their decision, oldest first; at most `MOST`.

    Ids only: `count_overdue` says how many there are in all.
    """
    query = select(Message.id).where(_is_overdue(desk, seconds)).order_by(Message.id).limit(MOST)
    with desk.store.reading() as session:
        return list(session.scalars(query))


def count_overdue(desk: Desk, seconds: float) -> int:
    """How many messages have waited longer than that for their decision."""
    query = select(func.count(Message.id)).where(_is_overdue(desk, seconds))
    with desk.store.reading() as session:
        return session.scalar(query) or 0


def _is_overdue(desk: Desk, seconds: float) -> ColumnElement[bool]:
    return and_(Message.state == MessageState.PENDING, _is_past(desk, Message.created_at, seconds))


def _is_past(desk: Desk, moment: SQLColumnExpression[Any], seconds: float) -> ColumnElement[bool]:
    """Whether a moment was so long ago, or is so far ahead that nobody knows how long ago it was.

    For one whose message nobody looks after a person is called a little early, not an hour late.
    """
    now = desk.clock()
    return or_(moment < now - timedelta(seconds=seconds), moment > now + AHEAD)


def unfinished_runs(desk: Desk) -> list[tuple[int, int, RunState]]:
    """Training runs without a verdict, as (id, attempt, state)."""
    query = select(RunRow.id, RunRow.attempt, RunRow.state).where(
        RunRow.state.in_([RunState.QUEUED, RunState.RUNNING])
    )
    with desk.store.reading() as session:
        return [(id_, attempt, state) for id_, attempt, state in session.execute(query)]

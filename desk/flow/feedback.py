"""What somebody's act says about the truth of a message, kept for the lessons."""

from __future__ import annotations

from sqlalchemy import or_, update
from sqlalchemy.orm import Session

from desk.domain import FeedbackKind
from desk.flow.desk import Desk
from desk.flow.noting import happened
from desk.tables import Feedback, Message


def note_feedback(
    session: Session,
    desk: Desk,
    message: Message,
    kind: FeedbackKind,
    by: int,
    intent: str | None = None,
    sentiment: str | None = None,
) -> None:
    """Keep what an act says about a message; the newest word of a kind by the same person counts.

    A `MOOD` says a sentiment, each other kind an intent, or none where it is about several.
    """
    now = desk.clock()
    # What was withdrawn was an earlier word. Written in any case: somebody may be withdrawing that
    # very row, which a look at it would not show.
    said_before = session.execute(
        update(Feedback)
        .where(Feedback.message_id == message.id, Feedback.kind == kind, Feedback.by == by)
        .values(intent=intent, sentiment=sentiment, created_at=now, withdrawn_at=None)
        .returning(Feedback.id)
    ).first()
    if said_before is None:
        row = Feedback(message_id=message.id, kind=kind, by=by, created_at=now)
        row.intent, row.sentiment = intent, sentiment
        session.add(row)
    session.flush()
    happened(session, "feedback.given", message=message.id, kind=str(kind))


def note_ready_answer(session: Session, desk: Desk, message: Message, by: int, intent: str) -> None:
    """Keep that an operator has answered a message by one tap. Where it was answered so with
    another intent before, by whomever, it asks for several things: then it means no one of them."""
    kind = FeedbackKind.ONE_TAP_ANSWER
    another = session.execute(
        update(Feedback)
        .where(
            Feedback.message_id == message.id,
            Feedback.kind == kind,
            or_(Feedback.intent.is_(None), Feedback.intent != intent),
            Feedback.withdrawn_at.is_(None),
        )
        .values(intent=None)
        .returning(Feedback.id)
    ).first()
    note_feedback(session, desk, message, kind, by, None if another else intent)


def withdraw_feedback(
    session: Session, desk: Desk, message_id: int, kind: FeedbackKind, intent: str
) -> None:
    """Have what was said of a message by that kind of act, and whose act was taken back, teach no
    more; it stays as a record."""
    session.execute(
        update(Feedback)
        .where(
            Feedback.message_id == message_id,
            Feedback.kind == kind,
            Feedback.intent == intent,
            Feedback.withdrawn_at.is_(None),
        )
        .values(withdrawn_at=desk.clock())
    )

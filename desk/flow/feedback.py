"""What somebody's act says about the truth of a message, kept for the lessons."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session, aliased

from desk.domain import DeliveryState, FeedbackKind
from desk.flow.answered import NEVER_ARRIVED
from desk.flow.desk import Desk
from desk.flow.keys import DELETE_KEY, SENT_KEY
from desk.flow.noting import happened
from desk.tables import DeliveryRow, Feedback, Message, key_begins


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

    A `MOOD` says a sentiment, each other kind an intent.
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
    """Keep that an operator answers a message by one tap. Where another intent's answer stands
    below it already, whoever sent that, it asks for several things: of neither it is what it means.
    """
    note_feedback(session, desk, message, FeedbackKind.ONE_TAP_ANSWER, by, intent)
    if _standing(session, message.id) - {intent}:
        _withdraw(session, desk, message.id)


def forget_ready_answer(session: Session, desk: Desk, message_id: int, intent: str) -> None:
    """Have a message teach no more that it means the intent of an answer that is taken back, but
    what the one other answer says that was sent; the records stay."""
    others = _standing(session, message_id) - {intent}
    words = _withdraw(session, desk, message_id)
    if len(others) == 1 and words:
        (other,) = others
        # An operator's second tap has taken the place of their first.
        word = next((word for word in words if word.intent == other), words[-1])
        word.intent, word.withdrawn_at = other, None
        session.flush()


def _standing(session: Session, message_id: int) -> set[str]:
    """The intents of the ready answers that operators have sent to a message by a tap, without what
    is taken back, be it still to be deleted, or never arrived."""
    deletion, answer = aliased(DeliveryRow), aliased(Message)
    goes = (
        select(deletion.id)
        .join(answer, answer.id == deletion.message_id)
        .where(
            deletion.conversation_id == DeliveryRow.conversation_id,
            deletion.state.in_([DeliveryState.PENDING, DeliveryState.SENDING]),
            deletion.key.startswith(DELETE_KEY),
            answer.delivery_key == DeliveryRow.key,
        )
        .correlate(DeliveryRow)
        .exists()
    )
    keys = session.scalars(
        select(DeliveryRow.key).where(
            DeliveryRow.message_id == message_id,
            key_begins((SENT_KEY,)),
            DeliveryRow.state.not_in(NEVER_ARRIVED),
            ~goes,
        )
    )
    return {key.split(":")[2] for key in keys}


def _withdraw(session: Session, desk: Desk, message_id: int) -> Sequence[Feedback]:
    """Have no answer by one tap say what a message means."""
    words = session.scalars(
        select(Feedback)
        .where(Feedback.message_id == message_id, Feedback.kind == FeedbackKind.ONE_TAP_ANSWER)
        .order_by(Feedback.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    for word in words:
        word.withdrawn_at = word.withdrawn_at or desk.clock()
    session.flush()
    return words


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

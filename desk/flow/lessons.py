"""Feedback becomes examples: what people taught, masked, one example a text."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from desk.domain import FeedbackKind, whole_text
from desk.flow.desk import Desk
from desk.masking import mask
from desk.tables import Feedback, Message, PredictionRow
from desk.validation.near import exact_key

# Whose word counts when they differ: an operator's label, then a customer's choice, then a thumb.
AUTHORITY = {
    FeedbackKind.RELABEL: 3,
    FeedbackKind.ONE_TAP_ANSWER: 3,
    FeedbackKind.CLARIFIED: 2,
    FeedbackKind.THUMB_UP: 1,
}
OPERATORS_WORD = frozenset({FeedbackKind.RELABEL, FeedbackKind.ONE_TAP_ANSWER})


@dataclass(frozen=True, slots=True)
class Learned:
    """A masked text with the intent that people gave it."""

    text: str
    intent: str
    kind: FeedbackKind
    at: datetime


def learned(desk: Desk) -> list[Learned]:
    """All feedback as training examples: masked, one a text, conflicts resolved.

    The greater authority wins, then the newer word. A thumb down says only that an answer was
    wrong: it silences an earlier thumb up of that message and gives no label itself. Only what
    was sent to be classified is a customer's own words: commands, photos and tapped titles are not.
    """
    with desk.store.reading() as session:
        rows = taught(session)
    return resolve_conflicts(
        Learned(
            mask(
                whole_text(message.text, before.text if before else None), desk.pack.phone_regions
            ),
            row.intent,
            row.kind,
            row.created_at,
        )
        for row, message, before in rows
        if row.intent in desk.pack.intents and row.intent is not None
    )


def taught(
    session: Session, conversation_ids: Collection[int] | None = None
) -> list[tuple[Feedback, Message, Message | None]]:
    """The feedback that gives a label to a customer's own words, with these and with the message
    before them, if both were read as one text; oldest first.

    In these conversations, or in all. What was withdrawn counts for nothing: a thumb down that was
    silences no thumb up.
    """
    before = aliased(Message)
    query = (
        select(Feedback, Message, before)
        .join(Message, Message.id == Feedback.message_id)
        .outerjoin(PredictionRow, PredictionRow.message_id == Message.id)
        .outerjoin(before, before.id == PredictionRow.read_with)
        .where(Message.attempt > 0, Feedback.withdrawn_at.is_(None))
        .order_by(Feedback.id)
    )
    if conversation_ids is not None:
        query = query.where(Message.conversation_id.in_(conversation_ids))
    rows = [(feedback, message, first) for feedback, message, first in session.execute(query)]
    disliked = {
        row.message_id: row.created_at for row, _, _ in rows if row.kind is FeedbackKind.THUMB_DOWN
    }
    return [
        (row, message, first)
        for row, message, first in rows
        if row.kind in AUTHORITY
        and row.intent is not None
        and message.text.strip()
        and not (
            row.kind is FeedbackKind.THUMB_UP
            and row.message_id in disliked
            and row.created_at <= disliked[row.message_id]
        )
    ]


def resolve_conflicts(said: Iterable[Learned]) -> list[Learned]:
    """One example a text: what has the greater authority, then what is newer."""
    best: dict[str, Learned] = {}
    for example in said:
        key = exact_key(example.text)
        known = best.get(key)
        if known is None or (AUTHORITY[example.kind], example.at) >= (
            AUTHORITY[known.kind],
            known.at,
        ):
            best[key] = example
    return list(best.values())

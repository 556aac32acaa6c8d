"""Feedback becomes examples: what people taught, masked, one example a text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from desk.domain import FeedbackKind, whole_text
from desk.flow.desk import Desk
from desk.masking import mask
from desk.own_names import OwnNames
from desk.tables import Conversation, Customer, Feedback, Message, PredictionRow
from desk.validation.near import exact_key

# Whose word counts when they differ: an operator's label, then a customer's choice, then a thumb.
AUTHORITY = {
    FeedbackKind.RELABEL: 3,
    FeedbackKind.ONE_TAP_ANSWER: 3,
    FeedbackKind.MOOD: 3,
    FeedbackKind.CLARIFIED: 2,
    FeedbackKind.THUMB_UP: 1,
}
OPERATORS_WORD = frozenset({FeedbackKind.RELABEL, FeedbackKind.ONE_TAP_ANSWER, FeedbackKind.MOOD})
CHUNK = 1000
"""So many rows are fetched at once."""

TEXTS_OF_A_CUSTOMER = 20
"""Of so many texts, the latest, a customer's own choice or thumb counts. Whoever means well rarely
gets there; without a limit one who does not could outweigh the pack's examples of an intent."""


@dataclass(frozen=True, slots=True)
class Learned:
    """A masked text with the one label that somebody gave it: an intent, or a sentiment."""

    text: str
    intent: str | None
    """Under its name of today; None where the kind is `MOOD`."""
    kind: FeedbackKind
    at: datetime
    by: int
    """The Telegram id of the operator or customer; a negative number for one who was erased."""
    message_id: int
    sentiment: str | None = None
    """Where the kind is `MOOD`."""
    by_outcome: bool = False
    """That there is such a word hung on whether the model was right (`_hangs_on_outcome`)."""


@dataclass(frozen=True, slots=True)
class Taught:
    """A row of feedback that gives a label to a customer's own words."""

    id: int
    kind: FeedbackKind
    intent: str | None
    sentiment: str | None
    """Where the kind is `MOOD`, which has no intent."""
    at: datetime
    by: int
    message_id: int
    text: str
    before_id: int | None
    """The message before it, where both were read as one text."""
    before: str | None
    customer: Customer
    suggested: str | None
    """The model's first intent for that text."""
    confidence: float | None
    threshold: float | None
    """From which confidence on that intent was answered."""


def learned(desk: Desk) -> list[Learned]:
    """All feedback as training examples: masked, conflicts resolved; of a text one intent and one
    sentiment at most."""
    return resolve_conflicts(heard(desk))


def heard(desk: Desk) -> list[Learned]:
    """All words that count when conflicts are resolved, masked; the oldest first.

    A thumb down says only that an answer was wrong: it silences an earlier thumb up of that message
    and gives no label itself. Only what was sent to be classified is a customer's own words:
    commands, photos and tapped titles are not. The choices and thumbs of banned customers do not
    count, nor those of any one customer beyond `TEXTS_OF_A_CUSTOMER`.
    """
    names, own = desk.pack.names(), OwnNames(desk.pack)
    with desk.store.reading() as session:
        banned = set(
            session.scalars(select(Customer.chat_id).where(Customer.banned_at.is_not(None)))
        )
    said = [
        Learned(
            mask(whole_text(row.text, row.before), desk.pack.phone_regions, own.of(row.customer)),
            None if row.intent is None else names[row.intent],
            row.kind,
            row.at,
            row.by,
            row.message_id,
            row.sentiment,
            _hangs_on_outcome(row, names),
        )
        for row in _all_taught(desk)
        if (row.intent is None or row.intent in names)
        and (row.kind in OPERATORS_WORD or row.by not in banned)
    ]
    return _latest_of_each_customer(said)


def _hangs_on_outcome(row: Taught, names: Mapping[str, str]) -> bool:
    """Whether an operator labels such a message more often where the model is right, or where it is
    wrong: then their labels say nothing of how often it is.

    What it was sure of is with people for another reason, such as the mood: where it is right a tap
    gives its answer, or nothing is left to say; where it is wrong the operator labels it, or just
    writes. And what it was not sure of they tap where its first suggestion is right.
    """
    if row.kind not in OPERATORS_WORD or row.intent is None:
        return False
    confirms = names.get(row.suggested or "") == names[row.intent]
    sure = row.threshold is not None and (row.confidence or 0.0) >= row.threshold
    return sure or (confirms and row.kind is FeedbackKind.ONE_TAP_ANSWER)


def _all_taught(desk: Desk) -> Iterator[Taught]:
    """All that `taught` has; no transaction is open while its caller works at a row."""
    last = 0
    while True:
        with desk.store.reading() as session:
            rows = list(taught(session, after=last, limit=CHUNK))
        yield from rows
        if len(rows) < CHUNK:
            return
        last = rows[-1].id


def left_out(desk: Desk) -> dict[str, int]:
    """How many labels teach nothing because the pack has no such intent, by its name; most first.

    An intent that was renamed, merged or dropped: see `formerly` in the pack.
    """
    banned = select(Customer.chat_id).where(Customer.banned_at.is_not(None))
    query = (
        select(Feedback.intent, func.count())
        .join(Message, Message.id == Feedback.message_id)
        .where(
            _gives_label(),
            Feedback.intent.not_in(desk.pack.names()),
            or_(Feedback.kind.in_(OPERATORS_WORD), Feedback.by.not_in(banned)),
        )
        .group_by(Feedback.intent)
        .order_by(func.count().desc(), Feedback.intent)
    )
    with desk.store.reading() as session:
        return {str(intent): count for intent, count in session.execute(query)}


def _latest_of_each_customer(said: Sequence[Learned]) -> list[Learned]:
    """Without what a customer says of texts before their latest; the oldest word first."""
    texts: defaultdict[int, set[str]] = defaultdict(set)
    kept = []
    for word in sorted(said, key=lambda word: word.at)[::-1]:
        if word.kind not in OPERATORS_WORD:
            theirs, key = texts[word.by], exact_key(word.text)
            if key not in theirs and len(theirs) == TEXTS_OF_A_CUSTOMER:
                continue
            theirs.add(key)
        kept.append(word)
    return kept[::-1]


def taught(
    session: Session,
    conversation_ids: Collection[int] | None = None,
    *,
    after: int = 0,
    limit: int | None = None,
) -> Iterator[Taught]:
    """The feedback that gives a label to a customer's own words, the oldest first.

    In these conversations, or in all; with ids above `after`, `limit` of them at most. What was
    withdrawn counts for nothing: a thumb down that was silences no thumb up.
    """
    before = aliased(Message)
    query = (
        select(
            Feedback.id,
            Feedback.kind,
            Feedback.intent,
            Feedback.sentiment,
            Feedback.created_at,
            Feedback.by,
            Feedback.message_id,
            Message.text,
            before.id,
            before.text,
            Customer,
            PredictionRow.intent,
            PredictionRow.confidence,
            PredictionRow.threshold,
        )
        .join(Message, Message.id == Feedback.message_id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .join(Customer, Customer.id == Conversation.customer_id)
        .outerjoin(PredictionRow, PredictionRow.message_id == Message.id)
        .outerjoin(before, before.id == PredictionRow.read_with)
        .where(_gives_label())
        .order_by(Feedback.id)
        .limit(limit)
    )
    if conversation_ids is not None:
        query = query.where(Message.conversation_id.in_(conversation_ids))
    if after:
        query = query.where(Feedback.id > after)
    # A desk may have a hundred thousand of them: they are not all to be in memory at once.
    for row in session.execute(query.execution_options(yield_per=CHUNK)):
        yield Taught(*tuple(row))


def taught_messages(session: Session, conversation_ids: Collection[int]) -> set[int]:
    """The ids of the messages in these conversations of whose words something is taught, those
    that were read with them, too."""
    return {
        message_id
        for row in taught(session, conversation_ids)
        for message_id in (row.message_id, row.before_id)
        if message_id is not None
    }


def _gives_label() -> ColumnElement[bool]:
    """Whether a row of `Feedback`, joined with its `Message`, gives a label to a text."""
    down = aliased(Feedback)
    disliked_since = exists().where(
        down.message_id == Feedback.message_id,
        down.kind == FeedbackKind.THUMB_DOWN,
        down.withdrawn_at.is_(None),
        down.created_at >= Feedback.created_at,
    )
    return and_(
        Message.attempt > 0,
        func.trim(Message.text) != "",
        Feedback.withdrawn_at.is_(None),
        Feedback.kind.in_(AUTHORITY),
        or_(Feedback.intent.is_not(None), Feedback.sentiment.is_not(None)),
        or_(Feedback.kind != FeedbackKind.THUMB_UP, ~disliked_since),
    )


def resolve_conflicts(said: Iterable[Learned]) -> list[Learned]:
    """Of each text one intent and one sentiment at most: what has the most votes among those of
    the greatest authority. Who speaks of the one says nothing of the other."""
    words: defaultdict[tuple[str, bool], list[Learned]] = defaultdict(list)
    for word in said:
        words[exact_key(word.text), word.kind is FeedbackKind.MOOD].append(word)
    return [_elected(of_text) for of_text in words.values()]


def _elected(words: Sequence[Learned]) -> Learned:
    """The newest word for the label that has the most votes; of two such labels, the newer word.

    Each person has one vote a message, and their last word on it counts: so one slip does not
    undo what a hundred messages were labelled with, and a change of mind is no second vote.
    """
    greatest = max(AUTHORITY[word.kind] for word in words)
    heard = [word for word in words if AUTHORITY[word.kind] == greatest]
    heard.sort(key=lambda word: word.at)
    last = {(word.by, word.message_id): word for word in heard}
    votes = Counter((word.intent, word.sentiment) for word in last.values())
    ranked = sorted(last.values(), key=lambda w: (votes[w.intent, w.sentiment], w.at))
    elected = ranked[-1]
    agreeing = [w for w in heard if (w.intent, w.sentiment) == (elected.intent, elected.sentiment)]
    return replace(elected, by_outcome=all(word.by_outcome for word in agreeing))

"""What the desk did in a time: who wrote, what became of it, and what the model got wrong.

The model's errors are known where people said what a message was. That is mostly where it was
unsure, so their share is no measure of all its answers: `frontdesk evaluate` is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session, aliased

from desk.domain import Action, Author, FeedbackKind, MessageState, whole_text
from desk.flow.desk import Desk
from desk.flow.lessons import AUTHORITY
from desk.tables import Conversation, DecisionRow, Feedback, Message, PredictionRow

THUMBS = (FeedbackKind.THUMB_UP, FeedbackKind.THUMB_DOWN)


@dataclass(frozen=True, slots=True)
class OfIntent:
    """What became of the messages that the model took for one intent."""

    intent: str
    predicted: int
    answered: int
    """By the bot, at once."""
    labelled: int
    """People said what they were, ..."""
    wrong: int
    """... and it was something else."""


@dataclass(frozen=True, slots=True)
class OfModel:
    """What became of the messages that one version of the model read."""

    model: str
    decided: int
    answered: int
    """By the bot, at once."""
    thumbs_down: int
    labelled: int
    wrong: int
    """As in `OfIntent`."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A message of which people said what it was, and what the model had said."""

    at: datetime
    text: str
    predicted: str
    confidence: float | None
    intent: str
    """What people say it was."""
    by: FeedbackKind
    model: str


@dataclass(frozen=True, slots=True)
class Report:
    customers: int
    conversations: int
    decisions: dict[Action, int]
    rules: dict[Action, dict[str, int]]
    """The same by rule, the most frequent first."""
    small_talk: int
    """How many of the answers were no more than a greeting or thanks returned."""
    thumbs_up: int
    thumbs_down: int
    labelled: int
    wrong: list[Judged]
    """The newest first; of the messages `labelled`."""
    intents: list[OfIntent]
    """The most frequent first; under their names of today, as all of these."""
    models: list[OfModel]
    """By version, the oldest first."""

    @property
    def asked(self) -> int:
        """How many messages the bot had to say something to."""
        return sum(self.decisions.values()) - self.decisions[Action.SILENT]

    @property
    def automated(self) -> float | None:
        """The share of these that the bot answered."""
        return self.decisions[Action.ANSWER] / self.asked if self.asked else None


def report(desk: Desk, since: datetime) -> Report:
    """What became of the messages that customers wrote since that moment."""
    # By when they were written: together with the state that is indexed.
    in_time = and_(
        Message.state == MessageState.DECIDED,
        Message.created_at >= since,
        Message.author == Author.CUSTOMER,
    )
    names = desk.pack.names()
    with desk.store.reading() as session:
        customers, conversations = session.execute(
            select(
                func.count(Conversation.customer_id.distinct()),
                func.count(Conversation.id.distinct()),
            )
            .join(Message, Message.conversation_id == Conversation.id)
            .where(in_time)
        ).one()
        talk = [name for name, today in names.items() if today in desk.pack.small_talk()]
        rules, small_talk = _rules(session, in_time, talk)
        predicted = _predicted(session, in_time, names)
        labels = _labels(session, in_time, names)
        last_thumbs = _thumbs(session, since)
        read = _read(session, in_time)
    wrong = [each for each in labels if each.predicted != each.intent]
    labelled = Counter(each.predicted for each in labels)
    mistaken = Counter(each.predicted for each in wrong)
    thumbs = Counter(kind for kind, _ in last_thumbs)
    disliked = Counter(m for kind, m in last_thumbs if kind is FeedbackKind.THUMB_DOWN)
    told = Counter(each.model for each in labels)
    untrue = Counter(each.model for each in wrong)
    return Report(
        customers=customers,
        conversations=conversations,
        decisions={action: sum(rules[action].values()) for action in Action},
        rules=rules,
        small_talk=small_talk,
        thumbs_up=thumbs[FeedbackKind.THUMB_UP],
        thumbs_down=thumbs[FeedbackKind.THUMB_DOWN],
        labelled=len(labels),
        wrong=sorted(wrong, key=lambda each: each.at, reverse=True),
        intents=[
            OfIntent(intent, number, answered, labelled[intent], mistaken[intent])
            for intent, number, answered in predicted
        ],
        models=[
            OfModel(model, number, answered, disliked[model], told[model], untrue[model])
            for model, number, answered in read
        ],
    )


def _rules(
    session: Session, in_time: ColumnElement[bool], talk: Collection[str]
) -> tuple[dict[Action, dict[str, int]], int]:
    """(how many decisions by action and rule, how many answers to what is in `talk`)."""
    number = func.count()
    of_talk = number.filter(DecisionRow.intent.in_(talk))
    rows = session.execute(
        select(DecisionRow.action, DecisionRow.rule, number, of_talk)
        .join(Message, Message.id == DecisionRow.message_id)
        .where(in_time)
        .group_by(DecisionRow.action, DecisionRow.rule)
        .order_by(number.desc(), DecisionRow.rule)
    )
    found: dict[Action, dict[str, int]] = {action: {} for action in Action}
    small_talk = 0
    for action, rule, times, talked in rows:
        found[action][rule] = times
        small_talk += talked if action is Action.ANSWER else 0
    return found, small_talk


def _predicted(
    session: Session, in_time: ColumnElement[bool], names: Mapping[str, str]
) -> list[tuple[str, int, int]]:
    """Each intent under its name of today, how often it was predicted, and how often of these
    answered; the most frequent first."""
    number = func.count()
    answered = func.count().filter(DecisionRow.action == Action.ANSWER)
    rows = session.execute(
        select(PredictionRow.intent, number, answered)
        .join(Message, Message.id == PredictionRow.message_id)
        .join(DecisionRow, DecisionRow.message_id == Message.id)
        .where(in_time, Message.attempt > 0, PredictionRow.intent.is_not(None))  # no files
        .group_by(PredictionRow.intent)
    )
    predicted, answers = Counter[str](), Counter[str]()
    for intent, times, of_these in rows:
        name = _today(names, intent)
        predicted[name] += times
        answers[name] += of_these
    ranked = sorted(predicted.items(), key=lambda each: (-each[1], each[0]))
    return [(intent, times, answers[intent]) for intent, times in ranked]


def _read(session: Session, in_time: ColumnElement[bool]) -> list[tuple[str, int, int]]:
    """Each version, how many messages it read, and how many of these were answered."""
    number = func.count()
    answered = func.count().filter(DecisionRow.action == Action.ANSWER)
    rows = session.execute(
        select(PredictionRow.model, number, answered)
        .join(Message, Message.id == PredictionRow.message_id)
        .join(DecisionRow, DecisionRow.message_id == Message.id)
        .where(in_time)
        .group_by(PredictionRow.model)
        .order_by(PredictionRow.model)
    )
    return [(model, times, of_these) for model, times, of_these in rows]


def _today(names: Mapping[str, str], intent: str | None) -> str:
    """An intent's name of today: its own where the pack knows it no longer."""
    return names.get(intent or "", intent or "")


def _labels(
    session: Session, in_time: ColumnElement[bool], names: Mapping[str, str]
) -> list[Judged]:
    """What people say that the messages were about, beside what the model said.

    Of several words on one message that of the greater authority counts, then the newer one; one
    that was withdrawn says nothing of the model.
    """
    before = aliased(Message)
    rows = session.execute(
        # No whole rows, whose JSON takes most of the time to read.
        select(
            Message.id,
            Message.created_at,
            Message.text,
            before.text,
            PredictionRow.intent,
            PredictionRow.confidence,
            Feedback.intent,
            Feedback.kind,
            PredictionRow.model,
        )
        .select_from(Feedback)
        .join(Message, Message.id == Feedback.message_id)
        .join(PredictionRow, PredictionRow.message_id == Message.id)
        .outerjoin(before, before.id == PredictionRow.read_with)
        .where(in_time, PredictionRow.intent.is_not(None), Feedback.intent.is_not(None))
        .where(Message.attempt > 0, Feedback.kind.not_in(THUMBS), Feedback.withdrawn_at.is_(None))
        .order_by(Feedback.created_at, Feedback.id)
    )
    labels: dict[int, Judged] = {}
    for message_id, at, words, words_before, predicted, confidence, intent, kind, model in rows:
        known = labels.get(message_id)
        if known is None or AUTHORITY[kind] >= AUTHORITY[known.by]:
            text = whole_text(words, words_before)
            said, meant = _today(names, predicted), _today(names, intent)
            labels[message_id] = Judged(at, text, said, confidence, meant, kind, model)
    return list(labels.values())


def _thumbs(session: Session, since: datetime) -> list[tuple[FeedbackKind, str | None]]:
    """The last thumb on each answer, and which version had read what it answered; those of the menu
    have no prediction.

    Withdrawn ones, too: they say how customers liked an answer, whatever they would teach.
    """
    rows = session.execute(
        select(Feedback.message_id, Feedback.kind, PredictionRow.model)
        .outerjoin(PredictionRow, PredictionRow.message_id == Feedback.message_id)
        .where(Feedback.created_at >= since, Feedback.kind.in_(THUMBS))
        .order_by(Feedback.created_at, Feedback.id)
    )
    return list({message_id: (kind, model) for message_id, kind, model in rows}.values())

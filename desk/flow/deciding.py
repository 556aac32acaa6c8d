"""Predictions become decisions: prediction, decision and deliveries commit together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, bindparam, func, or_, select
from sqlalchemy.orm import Session, aliased
from sqlalchemy.orm.attributes import flag_modified

from classifier.vocabulary import Prediction
from desk import faultpoints, metrics
from desk.domain import (
    Action,
    Author,
    Before,
    ConversationState,
    Decision,
    History,
    MessageState,
    PendingMessage,
    Trial,
)
from desk.flow import batch, captions, priority
from desk.flow.answering import answer, ask_back
from desk.flow.calling_off import may_call_off, was_called_off
from desk.flow.card_history import HISTORY
from desk.flow.cards import is_shown, post_message
from desk.flow.conversations import HAS_DECISION, begin_attempt, is_kept_edit
from desk.flow.desk import Desk, who_answers
from desk.flow.handoff import call_person, left_alone, say_added
from desk.flow.noting import counted, decided
from desk.flow.refreshing import refresh_card, refresh_post
from desk.policy import LATE, closes, decide_continued, in_doubt, is_negative
from desk.several import decide_sentences
from desk.store import DATABASE_AWAY
from desk.tables import (
    IS_PENDING,
    Base,
    Conversation,
    Customer,
    DecisionRow,
    Message,
    PredictionRow,
)
from desk.telegram_text import clean, shorten

KEPT_RANKING = 10
KEPT_NEIGHBOURS = 3
NEIGHBOUR_TEXT = 300
"""What is kept of a training example's text, in UTF-16 units."""
GOES_ON = timedelta(minutes=10)
"""So long after words about which the bot has asked back, a message may go on with them."""
LONGEST_PIECE = 200
"""Words that are longer, in UTF-8, were no piece. Of a text the classifier reads 128 tokens: these
are hardly more than half as many (in Chinese one for three bytes, in English for four), and what
goes on must be read, too."""
_NONE: Mapping[tuple[int, int], Any] = MappingProxyType({})


def pending(desk: Desk, wanted: Sequence[tuple[int, int]]) -> dict[int, PendingMessage]:
    """The messages among (id, attempt) pairs that still wait in just that attempt, by id."""
    attempts = dict(wanted)
    with desk.store.reading() as session:
        found = [
            PendingMessage(
                message.id,
                message.attempt,
                message.text,
                message.enqueued_at,
                message.trial,
                Before(before.id, before.text) if before and _goes_on(message, before) else None,
            )
            for message, before in session.execute(_pending(), {"ids": list(attempts)})
        ]
    return {message.id: message for message in found if attempts[message.id] == message.attempt}


@cache
def _pending() -> Select[Message, Message]:
    """The query of `pending`, for messages of these `ids`. Made once: that takes as long as to run
    it for 64."""
    earlier, asked = aliased(Message), aliased(Message)
    last_said = (
        select(earlier.id)
        .where(
            earlier.conversation_id == Message.conversation_id,
            earlier.author == Author.CUSTOMER,
            earlier.id < Message.id,
            ~is_kept_edit(earlier),
        )
        .order_by(earlier.id.desc())
        .limit(1)
        .correlate(Message)
        .scalar_subquery()
    )
    asked_back = and_(DecisionRow.message_id == last_said, DecisionRow.action == Action.CLARIFY)
    return (
        select(Message, asked)
        .select_from(Message)
        .outerjoin(DecisionRow, asked_back)
        .outerjoin(asked, asked.id == DecisionRow.message_id)
        .where(
            Message.id.in_(bindparam("ids", expanding=True)), Message.state == MessageState.PENDING
        )
    )


def _goes_on(message: Message, before: Message) -> bool:
    """Whether a message may go on with the one before it; as its edit it stands instead of it, and
    a mere no, which the model did not read, is no piece."""
    edited = message.telegram_id is not None and message.telegram_id == before.telegram_id
    soon = message.created_at - before.created_at <= GOES_ON
    piece = before.attempt > 0 and len(before.text.encode()) <= LONGEST_PIECE
    return soon and not edited and piece


def begin_trial(desk: Desk, waiting: PendingMessage) -> bool:
    """Note that a suspected message is tried alone from now on; whether it still waits for it.

    Committed before the trial: what the next look finds is `Trial.ALONE` if a worker dies of it.
    """
    with desk.store.writing() as session:
        message = session.get(Message, waiting.id, with_for_update=True)
        if message is None or message.state is not MessageState.PENDING:
            return False
        if message.attempt != waiting.attempt or message.trial != waiting.trial:
            return False  # or somebody else has begun the trial since, and may be dead of it
        message.trial = Trial.ALONE
        message.enqueued_at = desk.clock()  # its time begins now, not with the batch it came in
        return True


def decide_batch(
    desk: Desk,
    predicted: Sequence[tuple[PendingMessage, Prediction]],
    together: Mapping[tuple[int, int], Prediction] = _NONE,
    apart: Mapping[tuple[int, int], Sequence[Prediction]] = _NONE,
) -> list[tuple[int, int]]:
    """Decide a batch of messages in one transaction, in as many statements as for one of them; but
    for texts that were shown unread, whose posts are brought up to date one by one: few ever.

    `together` has what the model says of `PendingMessage.whole`, where there is something before,
    and `apart` what it says of each of `PendingMessage.sentences`.

    A message that was decided meanwhile, or moved on to another attempt, is left alone. Returns
    the (message id, attempt) pairs to enqueue after the commit: the next message of each
    conversation that got its decision.
    """
    predictions = {(each[0].id, each[0].attempt): each for each in reversed(predicted)}
    # Each flush writes the whole batch's rows; a query in between must not begin one.
    with desk.store.writing() as session, session.no_autoflush:
        held = _hold(session, {message_id for message_id, _ in predictions})
        messages = [message for message in held.messages if _attempt(message) in predictions]
        touched = {message.conversation_id for message in messages}
        for message in [each for each in messages if each.id in held.files]:
            alone = predictions[_attempt(message)][1]
            _read_caption(session, desk, held, message, alone, apart.get(_attempt(message), ()))
        messages = [message for message in messages if message.id not in held.files]
        for cases in held.turns(messages):
            keys = [_attempt(case.message) for case in cases]
            found = [
                _decide(
                    desk,
                    case.conversation,
                    *predictions[key],
                    together.get(key),
                    apart.get(key, ()),
                )
                for case, key in zip(cases, keys, strict=True)
            ]
            rows = [
                _prediction_row(case.message, outcome)
                for case, outcome in zip(cases, found, strict=True)
            ]
            session.add_all(rows)
            read_with = {
                case.message.id: outcome.read_with
                for case, outcome in zip(cases, found, strict=True)
                if outcome.read_with is not None
            }
            closing = {
                case.message.id
                for case, outcome in zip(cases, found, strict=True)
                if closes(outcome.prediction, desk.pack)
            }
            decisions = [outcome.decision for outcome in found]
            _apply(session, desk, cases, decisions, read_with, closing)
            for case, outcome in zip(cases, found, strict=True):
                negative = is_negative(outcome.prediction, desk.pack)
                case.conversation.negatives = case.conversation.negatives + 1 if negative else 0
        _show_reopened(session, desk, held)
        following = _next_of(session, desk, touched)
        session.flush()
        faultpoints.point("worker.before_commit")
        return following


def give_up(desk: Desk, message_ids: Sequence[int], rule: str = LATE) -> list[tuple[int, int]]:
    """Nobody predicted these messages (in time): the customer is told once, a person is called.

    Returns what to enqueue next, as `decide_batch` does. An error over one of them is raised once
    the others are done, whose next ones are left to `watching.waiting_longer` then.
    """
    try:
        return _give_up(desk, message_ids, rule)
    except DATABASE_AWAY:
        raise
    except Exception as error:
        if len(message_ids) < 2:
            error.add_note(f"messages: {list(message_ids)}")
            raise
    # Nobody is met with silence for another's sake: so few halves tell who it was.
    following: list[tuple[int, int]] = []
    trouble: Exception | None = None
    middle = len(message_ids) // 2
    for part in (message_ids[:middle], message_ids[middle:]):
        try:
            following += give_up(desk, part, rule)
        except DATABASE_AWAY:
            raise
        except Exception as error:  # noqa: BLE001 - raised below
            trouble = error
    if trouble is not None:
        raise trouble
    return following


def _give_up(desk: Desk, message_ids: Sequence[int], rule: str) -> list[tuple[int, int]]:
    with desk.store.writing() as session, session.no_autoflush:
        held = _hold(session, message_ids)
        touched = {message.conversation_id for message in held.messages}
        for message in [each for each in held.messages if each.id in held.files]:
            captions.end_reading(message)  # a person was called before, and the customer knows
        session.flush()
        messages = [message for message in held.messages if message.id not in held.files]
        for message in messages:
            if not message.attempt:
                # It still waited for an earlier one: without an attempt it would teach nothing.
                begin_attempt(message, desk.clock())
        if rule == LATE:
            counted(session, metrics.LATE, number=len(messages))
        for cases in held.turns(messages):
            answers = [who_answers(desk, case.conversation) for case in cases]
            with_bot = [who is ConversationState.BOT for who in answers]
            decisions = [
                Decision(Action.ESCALATE if bot else Action.SILENT, rule) for bot in with_bot
            ]
            _apply(session, desk, cases, decisions, {})
        return _next_of(session, desk, touched)


class _Case(NamedTuple):
    """A pending message, the conversation it now belongs to, and whose that is; all locked."""

    message: Message
    conversation: Conversation
    customer: Customer


@dataclass(frozen=True, slots=True)
class _Held:
    """What a batch has locked."""

    messages: Sequence[Message]
    """Those of the batch that are pending, by id."""
    files: Collection[int]
    """The ids of those of which the words beside a file are read: they have their decision."""
    conversations: dict[int, Conversation]
    customers: dict[int, Customer]
    reopened: list[Conversation] = field(default_factory=list)
    """Those that a message which was still pending has given back to the bot."""

    def turns(self, messages: Sequence[Message]) -> Iterator[list[_Case]]:
        """The messages by id, with each customer once in a turn: what is decided of one message
        bears on the customer's next."""
        waiting = list(messages)
        while waiting:
            turn: dict[int, Message] = {}
            for message in waiting:
                turn.setdefault(self.conversations[message.conversation_id].customer_id, message)
            yield [self.case(message) for message in turn.values()]
            waiting = [message for message in waiting if message.state is MessageState.PENDING]

    def case(self, message: Message) -> _Case:
        """A message in the conversation to which it belongs now, which is not over."""
        conversation = self.conversations[message.conversation_id]
        customer = self.customers[conversation.customer_id]
        if conversation.state is ConversationState.RESOLVED:
            # Written before a person resolved it, decided after.
            for current in self.conversations.values():
                if (
                    current.customer_id == customer.id
                    and current.state is not ConversationState.RESOLVED
                ):
                    message.conversation_id = current.id
                    return _Case(message, current, customer)
            # The bot is in charge once more.
            conversation.state, conversation.resolved_at = ConversationState.BOT, None
            conversation.clarifications, conversation.negatives = 0, 0
            conversation.last_intents, conversation.said_once = [], []
            self.reopened.append(conversation)
        return _Case(message, conversation, customer)


def _hold(session: Session, message_ids: Collection[int]) -> _Held:
    """Lock messages and whose they are: customers before conversations as everywhere, then the
    messages, each by id, so that no two batches wait for each other."""
    conversation_ids = set(
        session.scalars(select(Message.conversation_id).where(Message.id.in_(message_ids)))
    )
    owners = select(Conversation.customer_id).where(Conversation.id.in_(conversation_ids))
    customers = session.scalars(
        select(Customer).where(Customer.id.in_(owners)).order_by(Customer.id).with_for_update()
    ).all()
    theirs = Conversation.customer_id.in_([customer.id for customer in customers])
    conversations = session.scalars(
        select(Conversation)
        .where(
            or_(
                Conversation.id.in_(conversation_ids),
                and_(theirs, Conversation.state != ConversationState.RESOLVED),
            )
        )
        .order_by(Conversation.id)
        .with_for_update()
    ).all()
    messages = session.execute(
        select(Message, HAS_DECISION)
        .where(Message.id.in_(message_ids), Message.state == MessageState.PENDING)
        .order_by(Message.id)
        .with_for_update()
    ).all()
    return _Held(
        [message for message, _ in messages],
        {message.id for message, has_decision in messages if has_decision},
        {conversation.id: conversation for conversation in conversations},
        {customer.id: customer for customer in customers},
    )


def _show_reopened(session: Session, desk: Desk, held: _Held) -> None:
    """Have the cards of conversations that the bot has again say so: few ever, and one by one.
    Where the message has called a person there is a card of that."""
    for conversation in held.reopened:
        if conversation.state is ConversationState.BOT:
            refresh_card(session, desk, held.customers[conversation.customer_id], conversation)


def _attempt(message: Message) -> tuple[int, int]:
    return message.id, message.attempt


def _next_of(
    session: Session, desk: Desk, conversation_ids: Collection[int]
) -> list[tuple[int, int]]:
    """Begin the attempt at the oldest pending message of each conversation."""
    oldest = (
        select(func.min(Message.id))
        .where(Message.conversation_id.in_(conversation_ids), IS_PENDING)
        .group_by(Message.conversation_id)
    )
    found = session.scalars(
        select(Message)
        .where(Message.id.in_(oldest), Message.state == MessageState.PENDING)
        .order_by(Message.id)
        .with_for_update()
    )
    now = desk.clock()
    return [begin_attempt(message, now) for message in found]


class _Outcome(NamedTuple):
    prediction: Prediction
    """The one that counts."""
    decision: Decision
    read_with: Before | None
    """The message before, where that is the prediction of both."""


def _decide(
    desk: Desk,
    conversation: Conversation,
    waiting: PendingMessage,
    alone: Prediction,
    together: Prediction | None,
    sentences: Sequence[Prediction],
) -> _Outcome:
    history = _history(desk, conversation)
    read, decision = decide_sentences(alone, sentences, history, desk.pack)
    if together is None or read is not alone or not in_doubt(decision):
        return _Outcome(read, decision, None)
    counts, decision = decide_continued(alone, together, history, desk.pack)
    return _Outcome(counts, decision, None if counts is alone else waiting.before)


def _read_caption(
    session: Session,
    desk: Desk,
    held: _Held,
    message: Message,
    alone: Prediction,
    sentences: Sequence[Prediction],
) -> None:
    """Keep what the model makes of the words beside a file, for which a person is called already,
    whatever has become of the call. Where its customer has called that off, and the words are about
    what can't wait, the conversation goes on."""
    conversation = held.conversations[message.conversation_id]
    in_charge = conversation.state is ConversationState.HUMAN
    state = ConversationState.HUMAN if in_charge else ConversationState.WAITING
    history = replace(_history(desk, conversation), state=state)
    read, decision = decide_sentences(alone, sentences, history, desk.pack)
    session.add(_prediction_row(message, _Outcome(read, decision, None)))
    customer = held.customers[conversation.customer_id]
    if decision.intent in desk.pack.priorities() and was_called_off(session, conversation):
        conversation = held.case(message).conversation
    captions.take_in(session, desk, customer, conversation, message, decision)


def _history(desk: Desk, conversation: Conversation) -> History:
    return History(
        state=who_answers(desk, conversation),
        clarifications=conversation.clarifications,
        negatives=conversation.negatives,
        last_intents=tuple(conversation.last_intents),
        said=tuple(conversation.said_once),
    )


def _prediction_row(message: Message, outcome: _Outcome) -> PredictionRow:
    prediction, before = outcome.prediction, outcome.read_with
    intent, sentiment = prediction.intent, prediction.sentiment
    return PredictionRow(
        message_id=message.id,
        intent=intent.name if intent else None,
        confidence=intent.confidence if intent else None,
        ranking=[scored.as_dict() for scored in prediction.intent_ranking[:KEPT_RANKING]],
        sentiment=sentiment.name if sentiment else None,
        sentiment_confidence=sentiment.confidence if sentiment else None,
        threshold=prediction.threshold,
        scope=prediction.scope,
        scope_threshold=prediction.scope_threshold,
        language=prediction.language,
        neighbours=[
            {**near.as_dict(), "text": shorten(clean(near.text), NEIGHBOUR_TEXT)}
            for near in prediction.neighbours[:KEPT_NEIGHBOURS]
        ],
        read_with=before.id if before else None,
        model=prediction.model,
    )


def _apply(
    session: Session,
    desk: Desk,
    cases: Sequence[_Case],
    decisions: Sequence[Decision],
    read_with: Mapping[int, Before],
    closing: Collection[int] = (),
) -> None:
    """Keep the decisions and write what follows from each; `read_with` are the messages before
    those with which they were read as one text, and `closing` the ids of those that surely end a
    conversation."""
    now = desk.clock()
    # Held until the end: cards find them in the session, which forgets what nobody holds.
    rows = [
        DecisionRow(
            message_id=case.message.id,
            action=decision.action,
            rule=decision.rule,
            intent=decision.intent,
            choices=list(decision.choices),
            created_at=now,
        )
        for case, decision in zip(cases, decisions, strict=True)
    ]
    session.add_all(rows)
    for case in cases:
        case.message.state = MessageState.DECIDED
        _write_whole(case.message, "state", "conversation_id")
    session.flush()
    calls, passed_on = _for_operators(desk, cases, decisions)
    # Of who is called in the next second the key is another, and is asked for by itself.
    told = (
        priority.announcement(desk, case.conversation, decision.intent)
        for case, decision in zip(cases, decisions, strict=True)
        if decision.intent is not None
    )
    batch.begin(
        session,
        [case.message for case in cases],
        calls=calls,
        passed_on=passed_on,
        read_with=read_with,
        others={key for key in told if key is not None},
        operator_chat_id=desk.operator_chat_id,
        history=HISTORY,
    )
    # Nobody is offered a button that would say no.
    ends = [case for case in cases if case.message.id in closing]
    free = may_call_off(session, desk, [case.conversation for case in ends])
    alone = left_alone(
        session, desk, [case.conversation for case in cases if case.message.id not in closing]
    )
    for (message, conversation, customer), decision in zip(cases, decisions, strict=True):
        parties = (session, desk, customer, conversation, message)
        shown = is_shown(session, message)
        if decision.action is not Action.ESCALATE:  # which `call_person` notes
            decided(session, message.id, decision.action, decision.rule)
        match decision.action:
            case Action.ESCALATE:
                call_person(*parties, decision.rule, decision.intent, likely=decision.likely)
            case Action.ANSWER if decision.intent is not None:
                answer(*parties, decision.choices or (decision.intent,))
            case Action.CLARIFY:
                ask_back(*parties, decision)
            case _:
                post_message(*parties)
                if decision.intent is not None:
                    priority.announce(session, desk, customer, conversation, decision.intent)
                say_added(*parties, alone=alone, closing=conversation.id in free)
        if shown:
            refresh_post(*parties)
        _write_whole(conversation, *_CHANGED_BY_DECISIONS)
    batch.end(session)


def _for_operators(
    desk: Desk, cases: Sequence[_Case], decisions: Sequence[Decision]
) -> tuple[list[Message], list[Message]]:
    """The messages about which a person is called, and those that who is called already is shown;
    none where there is no operators' chat."""
    calls: list[Message] = []
    passed_on: list[Message] = []
    if desk.operator_chat_id is not None:
        for case, decision in zip(cases, decisions, strict=True):
            if case.conversation.state is not ConversationState.BOT:
                passed_on.append(case.message)
            elif decision.action is Action.ESCALATE:
                calls.append(case.message)
    return calls, passed_on


_CHANGED_BY_DECISIONS = (
    "state", "clarifications", "negatives", "last_intents", "said_once", "escalated_at",
    "resolved_at",
)  # fmt: skip


def _write_whole(row: Base, *columns: str) -> None:
    """Write these columns, changed or not: rows that write the same ones share a statement."""
    for column in columns:
        flag_modified(row, column)

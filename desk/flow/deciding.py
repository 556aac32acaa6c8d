"""Predictions become decisions: prediction, decision and deliveries commit together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from classifier.vocabulary import Prediction
from desk import faultpoints
from desk.domain import (
    Action,
    ConversationState,
    Decision,
    History,
    MessageState,
    PendingMessage,
)
from desk.flow.cards import post_message
from desk.flow.composing import (
    CHOOSE_INTENT,
    SHOW_INTENT,
    answer_buttons,
    answer_text,
    clean,
    customer_text,
    person_button,
    shorten,
    topic_buttons,
)
from desk.flow.customers import begin_attempt, call_person, find_open, first_pending
from desk.flow.desk import Desk
from desk.flow.noting import decided
from desk.policy import LATE, decide, is_negative
from desk.tables import Conversation, Customer, DecisionRow, Message, PredictionRow
from desk.texts import say

KEPT_RANKING = 10
KEPT_NEIGHBOURS = 3
NEIGHBOUR_TEXT = 300
"""What is kept of a training example's text, in UTF-16 units."""


def pending(desk: Desk, wanted: Sequence[tuple[int, int]]) -> dict[int, PendingMessage]:
    """The messages among (id, attempt) pairs that still wait in just that attempt, by id."""
    attempts = dict(wanted)
    query = select(Message.id, Message.attempt, Message.text, Message.enqueued_at).where(
        Message.id.in_(attempts), Message.state == MessageState.PENDING
    )
    with desk.store.reading() as session:
        return {
            id_: PendingMessage(id_, attempt, text, enqueued_at)
            for id_, attempt, text, enqueued_at in session.execute(query)
            if attempts[id_] == attempt
        }


def decide_batch(
    desk: Desk, predicted: Sequence[tuple[PendingMessage, Prediction]]
) -> list[tuple[int, int]]:
    """Decide a batch of messages in one transaction.

    A message that was decided meanwhile, or moved on to another attempt, is left alone. Returns
    the (message id, attempt) pairs to enqueue after the commit: the next message of each
    conversation that got its decision.
    """
    with desk.store.writing() as session:
        touched: set[int] = set()
        for waiting, prediction in sorted(predicted, key=lambda pair: pair[0].id):
            message = _lock(session, waiting.id, waiting.attempt)
            if message is None:
                continue
            touched.add(message.conversation_id)
            conversation, customer = _conversation(session, message)
            _keep_prediction(session, message, prediction)
            history = History(
                state=conversation.state,
                clarifications=conversation.clarifications,
                negatives=conversation.negatives,
                last_intents=tuple(conversation.last_intents),
            )
            decision = decide(prediction, history, desk.pack)
            _apply(session, desk, customer, conversation, message, decision)
            negative = is_negative(prediction, desk.pack)
            conversation.negatives = conversation.negatives + 1 if negative else 0
        session.flush()
        following = _next_of(session, desk, touched)
        session.flush()
        faultpoints.point("worker.before_commit")
        return following


def give_up(desk: Desk, message_ids: Sequence[int]) -> list[tuple[int, int]]:
    """Nobody predicted these messages in time: the customer is told once, a person is called.

    Returns what to enqueue next, as `decide_batch` does.
    """
    with desk.store.writing() as session:
        touched: set[int] = set()
        for message_id in sorted(message_ids):
            message = _lock(session, message_id, None)
            if message is None:
                continue
            touched.add(message.conversation_id)
            conversation, customer = _conversation(session, message)
            if conversation.state is ConversationState.BOT:
                call_person(session, desk, customer, conversation, message, LATE)
            else:
                decision = Decision(Action.SILENT, LATE)
                _apply(session, desk, customer, conversation, message, decision)
        session.flush()
        return _next_of(session, desk, touched)


def _next_of(
    session: Session, desk: Desk, conversation_ids: Iterable[int]
) -> list[tuple[int, int]]:
    """Begin the attempt at the oldest pending message of each conversation."""
    found = [first_pending(session, conversation_id) for conversation_id in conversation_ids]
    now = desk.clock()
    return [begin_attempt(message, now) for message in found if message is not None]


def _lock(session: Session, message_id: int, attempt: int | None) -> Message | None:
    message = session.get(Message, message_id, with_for_update=True)
    if message is None or message.state is not MessageState.PENDING:
        return None
    return message if attempt is None or message.attempt == attempt else None


def _conversation(session: Session, message: Message) -> tuple[Conversation, Customer]:
    """The conversation a message now belongs to, locked after its customer as everywhere."""
    customer = session.scalars(
        select(Customer)
        .join(Conversation, Conversation.customer_id == Customer.id)
        .where(Conversation.id == message.conversation_id)
        .with_for_update(of=Customer)
    ).one()
    conversation = session.get_one(Conversation, message.conversation_id, with_for_update=True)
    if conversation.state is ConversationState.RESOLVED:
        # Written before a person resolved it, decided after.
        current = find_open(session, customer)
        if current is not None:
            message.conversation_id = current.id
            return current, customer
        # The bot is in charge once more.
        conversation.state, conversation.resolved_at = ConversationState.BOT, None
        conversation.clarifications, conversation.negatives = 0, 0
        conversation.last_intents = []
    return conversation, customer


def _keep_prediction(session: Session, message: Message, prediction: Prediction) -> None:
    intent, sentiment = prediction.intent, prediction.sentiment
    session.add(
        PredictionRow(
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
            model=prediction.model,
        )
    )


def _apply(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    decision: Decision,
) -> None:
    if decision.action is Action.ESCALATE:
        call_person(session, desk, customer, conversation, message, decision.rule, decision.intent)
        return
    session.add(
        DecisionRow(
            message_id=message.id,
            action=decision.action,
            rule=decision.rule,
            intent=decision.intent,
            choices=list(decision.choices),
        )
    )
    decided(session, message.id, decision.action, decision.rule)
    message.state = MessageState.DECIDED
    session.flush()
    match decision.action:
        case Action.ANSWER if decision.intent is not None:
            answer(session, desk, customer, conversation, message, decision.intent)
        case Action.CLARIFY:
            _ask_back(session, desk, customer, conversation, message, decision)
        case _:
            post_message(session, desk, customer, conversation, message)


def answer(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    intent: str,
) -> None:
    """Give the pack's answer for an intent to a customer's message."""
    text = answer_text(desk, customer, intent)
    if text is None:
        raise ValueError(f"intent {intent!r} has no answer")
    customer_text(
        session,
        f"answer:{message.id}",
        customer,
        conversation,
        text,
        answer_buttons(desk, customer, intent),
        message=message,
    )
    remember_answer(desk, conversation, intent)


def remember_answer(desk: Desk, conversation: Conversation, intent: str) -> None:
    """Keep which answers the bot gave last: the policy notices when one did not help."""
    kept = desk.pack.policy.same_answer
    conversation.last_intents = [intent, *conversation.last_intents][:kept]
    conversation.clarifications = 0


def _ask_back(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    message: Message,
    decision: Decision,
) -> None:
    language = desk.pack.language(customer.language)
    if decision.choices:
        key = "clarify" if len(decision.choices) > 1 else "clarify-one"
        buttons = topic_buttons(desk, decision.choices, language, CHOOSE_INTENT)
    else:
        key = "rephrase"
        buttons = topic_buttons(desk, desk.pack.menu, language, SHOW_INTENT)
    buttons.append([person_button(customer.language)])
    text = say(key, customer.language)
    customer_text(
        session, f"answer:{message.id}", customer, conversation, text, buttons, message=message
    )
    conversation.clarifications += 1

"""What the bot has answered to a message already, as its card and post say."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from desk.domain import Action, DeliveryState
from desk.flow.batch import turn
from desk.flow.desk import Desk
from desk.flow.keys import CHOSEN_KEY, HANDOVER_KEY
from desk.flow.wording import answer_text, titled_answer
from desk.policy import INTENT_NEEDS_PERSON
from desk.tables import Customer, DecisionRow, DeliveryRow, Message

NEVER_ARRIVED = (DeliveryState.FAILED, DeliveryState.CANCELLED)


def answers_given(session: Session, desk: Desk, customer: Customer, message: Message) -> list[str]:
    """The intents whose answers the bot has sent to this very message, or to the customer's choice
    of what it meant, or says with the call for a person, and which an operator's tap would send
    once more, word for word."""
    decision = session.get(DecisionRow, message.id)
    if decision is None or decision.action is Action.SILENT:
        return []
    # The card goes before what the customer hears, so this is told by the rule.
    with_call = decision.intent if decision.rule == INTENT_NEEDS_PERSON else None
    if message.id in turn(session).deliveries:  # in a batch a message gets its first decision
        given = [with_call]
        if decision.action is Action.ANSWER:  # just now: it was shown before it was read
            given = list(decision.choices) or [decision.intent]
        return _with_answers(desk, customer, *given)
    never_arrived = and_(DeliveryRow.state.in_(NEVER_ARRIVED), DeliveryRow.uncertain.is_(False))
    if with_call is not None:
        key = f"{HANDOVER_KEY}{message.id}"
        refused = select(DeliveryRow.id).where(DeliveryRow.key == key, never_arrived)
        if session.scalar(refused) is None:
            return _with_answers(desk, customer, with_call)
    keys = [f"{CHOSEN_KEY}{message.id}:{choice}" for choice in decision.choices]
    query = select(DeliveryRow.payload).where(
        or_(DeliveryRow.message_id == message.id, DeliveryRow.key.in_(keys)),
        DeliveryRow.from_bot.is_(True),
        ~never_arrived,
    )
    # By their texts: the decision may be another one since, and no longer says what was answered.
    said = {payload["text"] for payload in session.scalars(query) if payload}  # not if erased
    if not said:
        return []
    return [
        name
        for name in desk.pack.intents
        if answer_text(desk, customer, name) in said
        or (name in decision.choices and _among_several(desk, customer, name, said))
    ]


def _among_several(desk: Desk, customer: Customer, name: str, said: Iterable[str]) -> bool:
    answer = titled_answer(desk, customer, name)
    return answer is not None and any(answer in text for text in said)


def _with_answers(desk: Desk, customer: Customer, *intents: str | None) -> list[str]:
    """Those intents for which the pack has an answer."""
    known = [intent for intent in intents if intent is not None]
    return [intent for intent in known if answer_text(desk, customer, intent) is not None]

"""Telegram refuses, waits, breaks, or loses its answer: order is kept and doubt is marked."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from desk.domain import DeliveryState
from desk.tables import Customer, DecisionRow, DeliveryRow, Message
from tests.chaos.conftest import LONG
from tests.chaos.stack import Stack

WHERE, REFUND = "where is my parcel", "refund the lamp"
RETRY_AFTER = 30 if LONG else 3


@pytest.mark.parametrize(
    ("fault", "uncertain"),
    [
        ({"kind": "too_many_requests", "retry_after": RETRY_AFTER}, 0),
        ({"kind": "refused"}, 1),
        ({"kind": "lost"}, 1),
        ({"kind": "server_error", "times": 3}, 1),
        ({"kind": "server_error", "status": 504}, 1),
        (
            {"kind": "error", "description": "Bad Request: can't parse entities: unsupported tag"},
            0,
        ),
    ],
    ids=["429", "refused", "lost", "502", "504", "markup"],
)
def test_telegram_answers_with(stack: Stack, fault: dict[str, Any], uncertain: int) -> None:
    customer, other = stack.customer(), stack.customer()
    stack.fault(method="sendMessage", chat_id=customer, **fault)
    stack.says(customer, WHERE, REFUND)
    stack.says(other, WHERE)
    verdict = stack.good([customer, other])
    assert verdict.uncertain == uncertain
    assert verdict.doubled == (fault["kind"] == "lost")
    assert verdict.shown == 3 + verdict.doubled
    if fault["kind"] == "too_many_requests":
        assert _first_call(stack, other) < _first_call(stack, customer), "other chats go on"


def test_answer_lost_twice(stack: Stack) -> None:
    customer = stack.customer()
    stack.fault(method="sendMessage", chat_id=customer, kind="lost", times=2)
    stack.says(customer, WHERE)
    verdict = stack.good([customer])
    assert verdict.shown == 2  # and not a third time
    assert [row.state for row in _deliveries(stack, customer)] == [DeliveryState.FAILED]


def test_customer_has_blocked_the_bot(stack: Stack) -> None:
    customer, other = stack.customer(), stack.customer()
    stack["bot"].end()
    stack.says(customer, WHERE)
    stack.says(other, WHERE)
    stack.simulator.post(f"/sim/customers/{customer}/block", {})
    stack["bot"].start()
    verdict = stack.good([customer, other])
    assert verdict.shown == 1
    with stack.store.reading() as session:
        assert session.scalars(select(Customer.gone).where(Customer.chat_id == customer)).one()
    assert all(row.attempts == 1 for row in _deliveries(stack, customer))
    stack.simulator.post(f"/sim/customers/{customer}/unblock", {})
    stack.says(customer, WHERE)
    # What was refused then is no answer to call a person for now.
    assert stack.good([customer]).shown == 1


def test_permanent_refusal_calls_a_person(stack: Stack) -> None:
    customer = stack.customer()
    refusal = {"kind": "error", "description": "Bad Request: message is too long"}
    stack.fault(method="sendMessage", chat_id=customer, **refusal)
    stack.says(customer, WHERE)
    stack.good([customer])
    (row,) = _deliveries(stack, customer)
    assert (row.state, row.attempts) == (DeliveryState.FAILED, 1)
    with stack.store.reading() as session:
        rule = (
            select(DecisionRow.rule)
            .join(Message, Message.id == DecisionRow.message_id)
            .where(Message.id == row.message_id)
        )
        assert session.scalars(rule).one() == "not_delivered"


def _first_call(stack: Stack, customer: int) -> int:
    """The place of the chat's first message among all that Telegram took."""
    calls = stack.simulator.get(f"/sim/log?ok=true&method=sendMessage&chat_id={customer}")
    return min(int(call["seq"]) for call in calls)


def _deliveries(stack: Stack, customer: int) -> list[DeliveryRow]:
    with stack.store.reading() as session:
        query = select(DeliveryRow).where(DeliveryRow.chat_id == customer)
        return list(session.scalars(query.order_by(DeliveryRow.id)))

"""The inference worker is killed, frozen and held up: each message is decided once."""

from __future__ import annotations

import signal

import pytest
from sqlalchemy import select

from desk.tables import Message
from tests.chaos.conftest import LONG
from tests.chaos.stack import Stack, until

WHERE, REFUND = "where is my parcel", "refund the lamp"


@pytest.mark.parametrize(
    "fault",
    [
        "worker.after_take=kill",
        "worker.before_commit=kill",
        "worker.after_commit=kill",
        *(
            [
                "worker.before_forward=kill",
                "worker.before_forward=kill_after:0.01",
                "worker.before_finish=kill",
            ]
            if LONG
            else []
        ),
    ],
)
def test_worker_killed_at(stack: Stack, fault: str) -> None:
    worker = stack["inference"]
    deaths, customers = worker.deaths, [stack.customer() for _ in range(3)]
    stack.arm(fault)
    for customer in customers:
        stack.says(customer, WHERE, REFUND)
    stack.comes_to_pass(fault)
    until(lambda: worker.deaths > deaths, "the worker is killed")
    verdict = stack.good(customers)
    assert verdict.uncertain == 0
    assert verdict.shown == 6


def test_worker_killed_in_a_retry(stack: Stack) -> None:
    customer = stack.customer()
    stack.arm("worker.before_forward=raise")
    stack.arm("worker.in_retry=kill")
    stack.says(customer, WHERE, REFUND)
    stack.comes_to_pass("worker.in_retry=kill")
    verdict = stack.good([customer])
    assert verdict.shown == 2


def test_worker_stopped_in_a_batch(stack: Stack) -> None:
    customers = [stack.customer() for _ in range(10)]
    stack.arm("worker.before_forward=sleep:3")
    for customer in customers:
        stack.says(customer, WHERE, REFUND)
    stack.comes_to_pass("worker.before_forward=sleep:3")
    stack["inference"].end()
    stack["inference"].start()
    verdict = stack.good(customers)
    assert verdict.shown == 20


# With a row's lock in its hands it is ended by the watchdog only: half a minute.
@pytest.mark.parametrize(
    "point", ["worker.before_forward", *(["worker.before_commit"] if LONG else [])]
)
def test_worker_frozen_and_resumed(stack: Stack, point: str) -> None:
    customer = stack.customer()
    second = stack.twin("inference")
    try:
        stack.arm(f"{point}=stop")
        stack.says(customer, WHERE)
        stack.comes_to_pass(f"{point}=stop")
        # The other one answers, or a person is called: either way there is one reply.
        stack.answered(customer)
        for worker in (stack["inference"], second):
            worker.signal(signal.SIGCONT)
        stack.says(customer, REFUND)
        verdict = stack.good([customer])
        assert verdict.shown == 2
        with stack.store.reading() as session:
            text = select(Message).where(Message.text == WHERE).order_by(Message.id.desc())
            assert session.scalars(text.limit(1)).one().attempt > 1
    finally:
        stack.remove(second)


def test_worker_raises(stack: Stack) -> None:
    customer = stack.customer()
    stack.arm("worker.before_forward=raise")
    stack.says(customer, WHERE)
    stack.comes_to_pass("worker.before_forward=raise")
    assert stack.good([customer]).shown == 1


@pytest.mark.skipif(not LONG, reason="the watchdog waits 25 s; make chaos runs it")
def test_device_hangs(stack: Stack) -> None:
    worker = stack["inference"]
    deaths, customer = worker.deaths, stack.customer()
    stack.arm("worker.before_forward=hang")
    stack.says(customer, WHERE)
    stack.comes_to_pass("worker.before_forward=hang")
    # The customer hears of a person at the latest when the reply is late; the watchdog ends the
    # worker, which nothing else could.
    until(lambda: worker.deaths > deaths, "the watchdog ends the worker")
    stack.says(customer, REFUND)
    assert stack.good([customer]).decisions.total() == 2


def test_poison_kills_twice(stack: Stack) -> None:
    worker = stack["inference"]
    deaths, customer, other = worker.deaths, stack.customer(), stack.customer()
    stack.arm("worker.before_forward=kill")
    stack.says(customer, WHERE)
    stack.comes_to_pass("worker.before_forward=kill")
    # What was in the batch of a dead worker is tried alone: let that one die of it as well.
    stack.arm("worker.before_forward=kill")
    stack.comes_to_pass("worker.before_forward=kill")
    stack.says(other, WHERE)
    verdict = stack.good([customer, other])
    assert verdict.decisions == {"escalate": 1, "answer": 1}
    assert worker.deaths == deaths + 2

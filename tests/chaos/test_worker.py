"""The inference worker is killed, frozen and held up: each message is decided once."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import select

from desk.domain import MessageState
from desk.queues import CLASSIFY_TIMEOUT
from desk.tables import Conversation, Customer, Message
from tests.chaos.conftest import LONG
from tests.chaos.stack import Process, Stack, until
from workers.batching import BatchWorker

WHERE, REFUND = "where is my parcel", "refund the lamp"
LEASE = CLASSIFY_TIMEOUT + BatchWorker.lease_margin


def messages(stack: Stack, *customers: int) -> list[Message]:
    """The messages of these customers, oldest first."""
    query = (
        select(Message)
        .join(Conversation, Message.conversation_id == Conversation.id)
        .join(Customer, Conversation.customer_id == Customer.id)
        .where(Customer.chat_id.in_(customers))
        .order_by(Message.id)
    )
    with stack.store.reading() as session:
        return list(session.scalars(query))


def hung(workers: Sequence[Process]) -> int:
    """How many of their lives a watchdog has ended."""
    return sum(worker.said("worker.hung") for worker in workers)


def pid(worker: Process) -> int:
    assert worker.running is not None
    return worker.running.pid


def is_stopped(worker: Process) -> bool:
    stat = Path(f"/proc/{pid(worker)}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def children(worker: Process) -> list[int]:
    """The processes that it has started."""
    found = Path(f"/proc/{pid(worker)}/task/{pid(worker)}/children").read_text()
    return [int(each) for each in found.split()]


@pytest.mark.parametrize(
    "fault",
    [
        "worker.after_take=kill",
        "worker.before_commit=kill",
        "worker.after_commit=kill",
        *(
            [
                "worker.before_forward=kill",
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


@pytest.mark.skipif(not LONG, reason="a worker of its own takes its time; make chaos runs it")
def test_worker_killed_at_work_in_the_forward_pass(stack: Stack, tmp_path: Path) -> None:
    customers = [stack.customer() for _ in range(3)]
    first = stack["inference"]
    first.end()
    worker = stack.add(
        Process(
            "inference-still",
            [sys.executable, str(Path(__file__).with_name("still_worker.py")), str(tmp_path)],
            first.environment,
            first.log.with_name("inference-still.log"),
            first.works,
        )
    )
    try:
        stack.wait_ready(worker.name)
        (tmp_path / "wanted").touch()
        for customer in customers:
            stack.says(customer, WHERE, REFUND)
        until((tmp_path / "standing").exists, "it stands still in the forward pass")
        states = {message.state for message in messages(stack, *customers)}
        assert states == {MessageState.PENDING}, "nothing of it is committed"
        worker.signal(signal.SIGKILL)
        until(lambda: worker.deaths == 1, "the worker is killed")
        verdict = stack.good(customers)
        assert verdict.uncertain == 0
        assert verdict.shown == 6
    finally:
        stack.remove(worker)


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


# With a row's lock in its hands it holds up the other until PostgreSQL ends its transaction: 15 s.
@pytest.mark.parametrize(
    "point", ["worker.before_forward", *(["worker.before_commit"] if LONG else [])]
)
def test_worker_frozen_and_resumed(stack: Stack, point: str) -> None:
    customer = stack.customer()
    second = stack.twin("inference")
    workers = (stack["inference"], second)
    before = hung(workers)
    try:
        stack.arm(f"{point}=stop")
        stack.says(customer, WHERE)
        stack.comes_to_pass(f"{point}=stop")
        # The other one answers, or a person is called: either way there is one reply.
        stack.answered(customer)
        for worker in workers:
            worker.signal(signal.SIGCONT)
        stack.says(customer, REFUND)
        verdict = stack.good([customer])
        assert verdict.shown == 2
        assert messages(stack, customer)[0].attempt > 1
        assert hung(workers) == before, "no watchdog had to end it"
    finally:
        stack.remove(second)


@pytest.mark.skipif(not LONG, reason="it lasts as long as a lease; make chaos runs it")
@pytest.mark.parametrize("watchdog_too", [False, True])
def test_worker_frozen_past_its_lease(stack: Stack, watchdog_too: bool) -> None:
    customer = stack.customer()
    second = stack.twin("inference")
    workers = (stack["inference"], second)
    deaths, ended = sum(worker.deaths for worker in workers), hung(workers)
    try:
        stack.arm("worker.before_forward=stop")
        stack.says(customer, WHERE)
        stack.comes_to_pass("worker.before_forward=stop")
        begun = time.monotonic()
        frozen = next(worker for worker in workers if is_stopped(worker))
        (watchdog,) = children(frozen)
        if watchdog_too:  # as `docker pause` does, or a host that stands still
            os.kill(watchdog, signal.SIGSTOP)
        else:
            until(lambda: hung(workers) == ended + 1, "the watchdog ends it")
            assert time.monotonic() - begun < LEASE, "while nobody else could have its job"
        until(lambda: not stack.redis.zcard("rq:wip:classify"), "its lease is over")
        assert time.monotonic() - begun > LEASE - 1
        if watchdog_too:
            frozen.signal(signal.SIGCONT)
            until(lambda: "was no longer ours" in frozen.log.read_text(), "its lease is lost")
            os.kill(watchdog, signal.SIGCONT)
        stack.says(customer, REFUND)
        verdict = stack.good([customer])
        assert verdict.shown == 2
        assert messages(stack, customer)[0].attempt > 1
        assert sum(worker.deaths for worker in workers) == deaths + (not watchdog_too)
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

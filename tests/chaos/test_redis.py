"""Redis is away, emptied, killed, read-only, full, or swallows an answer: SQL knows better."""

from __future__ import annotations

import signal

import pytest

from desk.texts import say
from tests.chaos.conftest import LONG
from tests.chaos.stack import Stack, pause, until

WHERE, REFUND = "where is my parcel", "refund the lamp"
AWAY_SECONDS = 60.0 if LONG else 5.0
REFUSED_SECONDS = 40.0 if LONG else 8.0
"""Beyond the next of a worker's own writes, at which it would die; in the long form beyond the time
for a reply, too."""


def write(stack: Stack, number: int = 5) -> list[int]:
    customers = [stack.customer() for _ in range(number)]
    for customer in customers:
        stack.says(customer, WHERE, REFUND)
    return customers


def test_enqueue_answer_lost(stack: Stack) -> None:
    swallowed = stack.redis_proxy.swallowed
    stack.redis_proxy.swallow(b"classify message")
    customers = write(stack)
    until(lambda: stack.redis_proxy.swallowed > swallowed, "an answer of Redis is lost")
    assert stack.good(customers).shown == 10


def test_redis_away(stack: Stack) -> None:
    failures = stack["bot"].said("not_enqueued")
    stack.redis_proxy.refuse()
    customers = write(stack)
    until(lambda: stack["bot"].said("not_enqueued") > failures, "the bot misses Redis")
    pause(AWAY_SECONDS)
    stack.redis_proxy.restore()
    verdict = stack.good(customers)
    assert verdict.decisions.total() == 10
    if LONG:
        # A person is called for the first message of each, and gets the second with it.
        assert verdict.decisions == {"escalate": 5, "silent": 5}
        for customer in customers:
            (told,) = stack.sent_to(customer)
            assert told.startswith(say("late", "en"))


def test_redis_silent(stack: Stack) -> None:
    bot = stack["bot"]
    before = bot.said("message.stored")
    stack.redis_proxy.silent()
    # The short form shows that nobody waits; the calls for a person take the group minutes.
    customers = [stack.customer() for _ in range(40 if LONG else 24)]
    for customer in customers:
        stack.says(customer, WHERE)
    stack.says(asks := stack.customer(), "/help")
    # An enqueueing takes 4 s. If 8 lanes waited for theirs, the last of 24 would have to wait 12 s.
    until(lambda: stack.sent_to(asks), "help while Redis is silent", 10)
    until(lambda: bot.said("message.stored") > before + len(customers), "everything is stored", 10)
    if LONG:
        for customer in customers:
            stack.answered(customer)
            assert stack.sent_to(customer)[0].startswith(say("late", "en"))
    stack.redis_proxy.restore()
    # Forty calls for a person need two minutes in the operators' group.
    stack.good([*customers, asks], 240)


def test_redis_cut(stack: Stack) -> None:
    customers = write(stack)
    for _ in range(3):
        stack.redis_proxy.cut()
        customers += write(stack)
    stack.good(customers)


def test_redis_slow(stack: Stack) -> None:
    stack.redis_proxy.delay(0.3)
    stack.good(write(stack))


def test_redis_emptied(stack: Stack) -> None:
    stack["inference"].end()
    customers = write(stack)
    until(lambda: stack.redis.llen("rq:queue:classify") >= 5, "all is queued")
    stack.redis.flushall()
    stack["inference"].start()
    assert stack.good(customers).shown == 10


def test_redis_killed(stack: Stack) -> None:
    redis = stack["redis"]
    deaths, customers = redis.deaths, write(stack)
    redis.signal(signal.SIGKILL)
    customers += write(stack)
    until(lambda: redis.deaths > deaths, "Redis is dead")
    stack.good(customers)


def _turn(stack: Stack, trouble: str, *, on: bool) -> None:
    if trouble == "read_only":
        stack.redis.replicaof(*(("127.0.0.1", "1") if on else ("NO", "ONE")))
    else:
        stack.redis.config_set("maxmemory", int(on))


@pytest.mark.parametrize("trouble", ["read_only", "out_of_memory"])
def test_redis_refuses_writes(stack: Stack, trouble: str) -> None:
    failures = stack["bot"].said("not_enqueued")
    deaths = {name: stack[name].deaths for name in ("bot", "inference", "scheduler")}
    _turn(stack, trouble, on=True)
    try:
        customers = write(stack)
        until(lambda: stack["bot"].said("not_enqueued") > failures, "a write is refused")
        pause(REFUSED_SECONDS)
        assert {name: stack[name].deaths for name in deaths} == deaths
    finally:
        _turn(stack, trouble, on=False)
    verdict = stack.good(customers)
    if LONG:
        assert verdict.decisions == {"escalate": 5, "silent": 5}  # as without any Redis

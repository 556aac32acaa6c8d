"""The sender and its database: ends that it refuses, and texts that are made when they leave."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis
from sqlalchemy.exc import IntegrityError, OperationalError
from structlog.testing import capture_logs

from bot import sender
from bot.tenure import Tenure
from desk.domain import DeliveryState
from desk.flow import delivering, dispatching
from desk.flow.desk import Desk
from desk.tables import DeliveryRow
from simulator.world import OPERATORS_CHAT
from tests.bot.conftest import Rows, Running, World, eventually, state
from tests.bot.test_sender import post


async def test_a_sent_message_is_noted_even_if_the_database_was_away_just_then(
    monkeypatch: pytest.MonkeyPatch,
    bot: Running,
    world: World,
    desk: Desk,
    redis: Redis,
    rows: Rows,
    ann: int,
) -> None:
    await world.said(ann)
    sent, failures = delivering.sent, 2

    def failing(*args: Any) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise OperationalError("update", {}, Exception("away"))
        sent(*args)

    monkeypatch.setattr(delivering, "sent", failing)
    await post(desk, redis, "k", ann, "just once")
    row = await state(rows, "k", DeliveryState.SENT)
    assert (row.attempts, row.uncertain) == (1, False)
    assert len(await world.said(ann, "just once")) == 1


def refusal() -> Exception:
    """What the database says that refuses something though it is there."""
    return IntegrityError("insert", {}, Exception("odd"))


@pytest.mark.parametrize("error", [KeyError, refusal])
@pytest.mark.parametrize("end", ["sent", "failed"])
async def test_an_end_that_can_not_be_told_is_noted_all_the_same_and_holds_up_nobody(
    end: str,
    error: Callable[[], Exception],
    bot: Running,
    world: World,
    rows: Rows,
    desk: Desk,
    ann: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any, **__: Any) -> str:
        raise error()

    monkeypatch.setattr(sender, "backoff", lambda *_, **__: 0.02)
    await world.said(ann)
    if end == "failed":
        await world.fault("error", method="sendMessage", chat_id=OPERATORS_CHAT, status=400)
    monkeypatch.setattr(delivering, "card_text" if end == "sent" else "_post_bare", broken)
    with capture_logs() as logs:
        await world.write(ann, "/human")
        (waiting,) = await rows.until(DeliveryRow, chat_id=OPERATORS_CHAT)
        card = await state(rows, waiting.key, DeliveryState.SENT, DeliveryState.FAILED)
        bob = await world.customer("Bob")
        await world.write(bob, "/human")
        await world.said(OPERATORS_CHAT, "Bob")
    assert (str(card.state), card.attempts, card.telegram_id is None) == (end, 1, end == "failed")
    assert "delivery_settled_barely" in str(logs)
    shown = await world.said(OPERATORS_CHAT, "Needs a person", count=0)
    assert len([card for card in shown if "Ann" in card["text"]]) == (1 if end == "sent" else 0)


@pytest.mark.parametrize("end", ["sent", "failed"])
async def test_an_end_that_the_database_takes_at_its_last_try_is_told_in_full(
    end: str,
    bot: Running,
    world: World,
    rows: Rows,
    ann: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "card_text" if end == "sent" else "_post_bare"
    follows, refusals = getattr(delivering, name), sender.ODD_TRIES - 1

    def refused_at_first(*args: Any, **values: Any) -> Any:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise refusal()
        return follows(*args, **values)

    monkeypatch.setattr(sender, "backoff", lambda *_, **__: 0.02)
    await world.said(ann)
    if end == "failed":
        await world.fault("error", method="sendMessage", chat_id=OPERATORS_CHAT, status=400)
    monkeypatch.setattr(delivering, name, refused_at_first)
    with capture_logs() as logs:
        await world.write(ann, "/human")
        (waiting,) = await rows.until(DeliveryRow, chat_id=OPERATORS_CHAT)
        card = await state(rows, waiting.key, DeliveryState.SENT, DeliveryState.FAILED)
    assert (str(card.state), card.attempts, refusals) == (end, 1, 0)
    assert "delivery_settled_barely" not in str(logs)
    if end == "failed":
        await rows.until(DeliveryRow, key=f"bare:{card.key}")


async def test_what_was_taken_though_the_databases_answer_was_lost_is_sent_once(
    monkeypatch: pytest.MonkeyPatch,
    bot: Running,
    world: World,
    rows: Rows,
    desk: Desk,
    redis: Redis,
    ann: int,
) -> None:
    await world.said(ann)
    take, calls, lost = dispatching.take, 0, 0

    def committed_without_an_answer(*args: Any) -> Any:
        nonlocal calls, lost
        calls += 1
        taken = take(*args)
        if taken and not lost:
            lost += 1
            raise OperationalError("commit", {}, Exception("connection lost"))
        return taken

    monkeypatch.setattr(dispatching, "take", committed_without_an_answer)
    # A look that began before the line above would take what is posted now, and lose nothing.
    await eventually(lambda: calls)
    await post(desk, redis, "lost", ann, "once")
    await world.said(ann, "once", timeout=20)
    assert lost == 1
    (row,) = rows.all(DeliveryRow, key="lost")
    assert not row.uncertain
    await asyncio.sleep(1.5)
    assert len(await world.said(ann, "once")) == 1


async def test_what_the_database_refuses_while_it_is_sent_is_given_up_and_the_next_goes_out(
    bot: Running,
    world: World,
    desk: Desk,
    redis: Redis,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(_: Desk) -> str:
        raise refusal()

    monkeypatch.setattr(sender, "backoff", lambda *_, **__: 0.02)
    monkeypatch.setitem(sender.MADE_WHEN_SENT, sender.REPORT_KEY, refused)
    await post(desk, redis, "report:1", OPERATORS_CHAT, "")
    await post(desk, redis, "next", OPERATORS_CHAT, "and on it goes")
    await world.said(OPERATORS_CHAT, "and on it goes")
    row = await state(rows, "report:1", DeliveryState.FAILED)
    assert row.attempts == sender.ODD_TRIES


async def test_what_takes_too_long_to_count_holds_up_no_call_for_help(
    bot: Running, world: World, desk: Desk, redis: Redis, ann: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting, done = threading.Event(), threading.Event()

    def slow(_: Desk) -> str:
        counting.set()
        done.wait(60)
        return "counted"

    monkeypatch.setattr(sender, "MAKE_SECONDS", 0.1)
    monkeypatch.setitem(sender.MADE_WHEN_SENT, sender.REPORT_KEY, slow)
    await world.said(ann)
    await post(desk, redis, "report:1", OPERATORS_CHAT, "")
    await eventually(counting.is_set)
    try:
        await world.write(ann, "/human")
        await world.said(OPERATORS_CHAT, "Needs a person", timeout=10)
        assert await world.said(OPERATORS_CHAT, "takes too long")
    finally:
        done.set()


async def test_however_many_ask_for_what_takes_long_it_is_counted_once_at_a_time(
    bot: Running, world: World, desk: Desk, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting, done = 0, threading.Event()

    def slow(_: Desk) -> str:
        nonlocal counting
        counting += 1
        done.wait(20)
        return f"counted {counting}"

    monkeypatch.setattr(sender, "MAKE_SECONDS", 0.1)
    monkeypatch.setitem(sender.MADE_WHEN_SENT, sender.REPORT_KEY, slow)
    for number in range(5):
        await post(desk, redis, f"report:{number}", OPERATORS_CHAT, "")
    await world.said(OPERATORS_CHAT, "takes too long", count=5)
    assert counting == 1
    done.set()
    monkeypatch.setattr(sender, "MAKE_SECONDS", 5)
    await post(desk, redis, "report:5", OPERATORS_CHAT, "")
    await world.said(OPERATORS_CHAT, "counted")


async def test_what_the_database_ends_for_taking_too_long_is_not_asked_for_ever(
    bot: Running, world: World, desk: Desk, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(_: Desk) -> str:
        raise OperationalError("select", {}, Exception("canceling statement due to timeout"))

    monkeypatch.setattr(sender, "backoff", lambda *_, **__: 0.02)
    monkeypatch.setitem(sender.MADE_WHEN_SENT, sender.REPORT_KEY, ended)
    await post(desk, redis, "report:1", OPERATORS_CHAT, "")
    await world.said(OPERATORS_CHAT, "takes too long")


async def test_a_try_that_the_database_refuses_to_note_is_noted_in_the_end_and_blocks_no_chat(
    bot: Running,
    world: World,
    desk: Desk,
    redis: Redis,
    rows: Rows,
    ann: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await world.said(ann)
    again, refusals = delivering.again, sender.ODD_TRIES + 2

    def refused(*args: Any, **kwargs: Any) -> None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise refusal()
        again(*args, **kwargs)

    monkeypatch.setattr(sender, "backoff", lambda *_, **__: 0.02)
    monkeypatch.setattr(delivering, "again", refused)
    await world.fault("error", method="sendMessage", chat_id=ann, status=500)
    await post(desk, redis, "k", ann, "one")
    await post(desk, redis, "next", ann, "two")
    await world.said(ann, "two")
    assert (await state(rows, "k", DeliveryState.SENT)).attempts == 2


async def test_an_end_that_the_database_refuses_in_any_form_for_a_while_is_noted_at_last(
    bot: Running,
    world: World,
    desk: Desk,
    redis: Redis,
    rows: Rows,
    ann: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await world.said(ann)
    barely, refusals = delivering.sent_barely, sender.ODD_TRIES + 2

    def refused(*_: Any) -> None:
        raise refusal()

    def refused_at_first(*args: Any) -> None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise refusal()
        barely(*args)

    monkeypatch.setattr(sender, "backoff", lambda *_, **__: 0.02)
    monkeypatch.setattr(delivering, "sent", refused)
    monkeypatch.setitem(sender._BARE, refused, refused_at_first)
    await post(desk, redis, "k", ann, "once")
    assert (await state(rows, "k", DeliveryState.SENT)).attempts == 1
    assert len(await world.said(ann, "once")) == 1


async def test_a_bot_whose_lease_ran_out_while_it_counted_sends_nothing(
    bot: Running,
    world: World,
    desk: Desk,
    redis: Redis,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sure = True

    def counted(_: Desk) -> str:
        nonlocal sure
        sure = False
        return "counted"

    monkeypatch.setattr(Tenure, "sure", lambda _: sure)
    monkeypatch.setitem(sender.MADE_WHEN_SENT, sender.REPORT_KEY, counted)
    await post(desk, redis, "report:1", OPERATORS_CHAT, "")
    row = await eventually(lambda: next(iter(rows.all(DeliveryRow, error="LostLeaseError")), None))
    assert (row.key, row.state) == ("report:1", DeliveryState.PENDING)
    assert await world.said(OPERATORS_CHAT, "counted", count=0) == []


@pytest.mark.parametrize("failures", [1, 9])
async def test_an_end_that_can_not_be_noted_at_all_is_logged_and_its_chat_goes_on(
    failures: int,
    bot: Running,
    world: World,
    desk: Desk,
    redis: Redis,
    rows: Rows,
    ann: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await world.said(ann)
    barely, left = delivering.sent_barely, failures

    def broken(*_: Any) -> None:
        raise KeyError("odd")

    def broken_at_first(*args: Any) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise KeyError("odd")
        barely(*args)

    monkeypatch.setattr(sender, "DOUBT_SECONDS", 0.3)
    with capture_logs() as logs:
        with monkeypatch.context() as patch:
            patch.setattr(delivering, "sent", broken)
            patch.setitem(sender._BARE, broken, broken_at_first)
            await post(desk, redis, "k", ann, "twice at most")
            row = await state(rows, "k", DeliveryState.SENT, DeliveryState.FAILED)
        await post(desk, redis, "next", ann, "and on it goes")
        await world.said(ann, "and on it goes")
    assert (str(row.state), row.attempts, row.uncertain) == (
        ("sent" if failures == 1 else "failed"),
        2,
        True,
    )
    assert len(await world.said(ann, "twice at most")) == 2
    told = [line for line in logs if line["event"] == "delivery_left_open"]
    assert [line["delivery"] for line in told] == [row.id] * min(failures, 2)


async def test_a_look_for_deliveries_that_fails_as_nobody_foresaw_is_repeated(
    bot: Running,
    world: World,
    desk: Desk,
    redis: Redis,
    ann: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await world.said(ann)
    take, odd = dispatching.take, 2

    def broken_at_first(*args: Any) -> Any:
        nonlocal odd
        taken = take(*args)
        if taken and odd:
            odd -= 1
            raise ValueError("an unknown state")
        return taken

    monkeypatch.setattr(sender, "backoff", lambda *_, **__: 0.02)
    monkeypatch.setattr(dispatching, "take", broken_at_first)
    with capture_logs() as logs:
        await post(desk, redis, "k", ann, "at last")
        await world.said(ann, "at last")
    told = [line for line in logs if line["event"] == "deliveries_not_read"]
    assert [(line["log_level"], line["exc_info"]) for line in told] == [("error", True)] * 2

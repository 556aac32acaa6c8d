"""The database away: who writes or presses is told once, nothing is lost, short troubles pass."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from bot import disturbance
from bot.app import BotOptions
from bot.limits import Limits
from bot.waiting import pause
from bot.webhook import Webhook
from desk.domain import InboxState
from desk.flow import intake
from desk.flow.desk import Desk
from desk.tables import Inbox
from desk.texts import say
from simulator.world import OPERATORS_CHAT
from tests.bot.conftest import OLGA, Rows, Running, Starter, World, eventually
from tests.ports import free_port

TOLD = "something on our side is not working"
OPERATORS_TOLD = "The database does not answer"


class Outage:
    """Call it to let the database refuse updates, or take them again."""

    def __init__(self, store: Callable[..., int]) -> None:
        self._store, self._away = store, False
        self.refusals = 0

    def __call__(self, away: bool) -> None:
        self._away = away

    def store(self, *args: Any) -> int:
        if self._away:
            self.refusals += 1
            raise OperationalError("insert", {}, Exception("away"))
        return self._store(*args)

    async def refuses_again(self) -> None:
        """Until the updates have been fetched once more, and refused."""
        seen = self.refusals
        await eventually(lambda: self.refusals > seen)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disturbance, "PATIENCE", 0.2)


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Outage:
    outage = Outage(intake.store_updates)
    monkeypatch.setattr(intake, "store_updates", outage.store)
    return outage


@asynccontextmanager
async def locked(desk: Desk) -> AsyncIterator[None]:
    """Another program holds the SQLite file: writing waits."""
    connection = sqlite3.connect(str(make_url(desk.store.url).database), isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


async def test_each_customer_and_the_operators_are_told_once_an_outage_and_all_is_handled_after(
    bot: Running, world: World, rows: Rows, away: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = await world.customer("Ann"), await world.customer("Bob", "zh-hans")
    away(True)
    asked = [await world.write(ann, "/help"), await world.write(ann, "/help")]
    asked.append(await world.write(bob, "/help"))
    await world.write_topic(None, "is it only me?")
    await world.said(ann, TOLD, timeout=20)
    await world.said(bob, say("disturbance", "zh"), timeout=20)
    await world.said(OPERATORS_CHAT, OPERATORS_TOLD, timeout=20)
    asked.append(await world.write(ann, "/help"))
    away(False)
    await rows.until(Inbox, count=len(asked) + 1, state=InboxState.DONE)
    await world.said(ann, "/human", count=3, timeout=20)
    await world.said(bob, "/human", timeout=20)
    assert len(await world.said(ann, TOLD)) == 1
    assert len(await world.said(bob, say("disturbance", "zh"))) == 1
    assert len(await world.said(OPERATORS_CHAT, OPERATORS_TOLD)) == 1

    away(True)  # a database that flickers is one outage
    await world.write(ann, "/help")
    await asyncio.sleep(1)
    away(False)
    await world.said(ann, "/human", count=4, timeout=20)
    assert len(await world.said(ann, TOLD)) == 1

    monkeypatch.setattr(disturbance, "ONE_OUTAGE", 0.0)
    away(True)
    await world.write(ann, "/help")
    await world.said(ann, TOLD, count=2, timeout=20)


async def test_who_was_not_told_when_an_outage_ended_is_told_in_the_next(
    bot: Running, world: World, away: Outage, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await world.customer()
    with monkeypatch.context() as full:
        full.setattr(Limits, "room", lambda _: 0)
        away(True)
        await world.write(ann, "/help")
        await asyncio.sleep(1.5)
        away(False)
        await rows.until(Inbox, state=InboxState.DONE, timeout=20)
    assert await world.said(ann, TOLD, count=0) == []
    away(True)
    await world.write(ann, "/help")
    await world.said(ann, TOLD, timeout=20)
    await world.write(ann, "/help")
    away(False)
    await world.said(ann, "/human", count=3, timeout=20)
    assert len(await world.said(ann, TOLD)) == 1


async def test_a_second_try_comes_soon_for_new_writers_are_to_be_told(
    bot: Running, world: World, away: Outage
) -> None:
    away(True)
    with capture_logs() as logs:
        await world.write(await world.customer(), "/help")
        await eventually(lambda: away.refusals > 2)
    pauses = [line["retry_in"] for line in logs if line["event"] == "updates_not_stored"]
    assert [pause <= most for pause, most in zip(pauses, (0.5, 1.0), strict=False)] == [True, True]


async def test_however_long_the_database_is_away_the_next_try_comes_within_seconds(
    bot: Running, world: World, away: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(event: asyncio.Event, _: float) -> bool:
        return await pause(event, 0.01)

    monkeypatch.setattr("bot.intake.pause", at_once)
    away(True)
    with capture_logs() as logs:
        await world.write(await world.customer(), "/help")
        await eventually(lambda: away.refusals > 8)
    pauses = [line["retry_in"] for line in logs if line["event"] == "updates_not_stored"]
    assert len(pauses) >= 8
    assert max(pauses) <= 5.0


@pytest.mark.parametrize(
    ("fault", "times"), [("too_many_requests", 2), ("lost", 1)], ids=["refused", "answer lost"]
)
async def test_whom_telegram_did_not_tell_is_told_again_and_who_may_have_heard_is_not(
    bot: Running, world: World, away: Outage, fault: str, times: int
) -> None:
    ann = await world.customer()
    await world.fault(fault, method="sendMessage", chat_id=ann)
    away(True)
    asked = await world.write(ann, "/help")
    await world.said(ann, TOLD, timeout=20)
    await away.refuses_again()
    away(False)
    await world.reply(asked, "/human", timeout=20)
    calls = await world.calls("sendMessage", ann)
    assert sum(TOLD in call["params"]["text"] for call in calls) == times


@pytest.mark.parametrize(
    ("fault", "status"), [("error", 500), ("server_error", 502), ("error", 504)]
)
async def test_after_an_error_of_a_server_nobody_is_told_again_for_they_may_have_heard(
    bot: Running, world: World, away: Outage, fault: str, status: int
) -> None:
    ann = await world.customer()
    await world.fault(fault, method="sendMessage", chat_id=ann, status=status)
    away(True)
    asked = await world.write(ann, "/help")
    await eventually(lambda: world.calls("sendMessage", ann))
    await away.refuses_again()
    away(False)
    await world.reply(asked, "/human", timeout=20)
    calls = await world.calls("sendMessage", ann)
    assert sum(TOLD in call["params"]["text"] for call in calls) == 1


async def test_a_database_that_hangs_is_noticed_before_it_fails(
    bot: Running, world: World, desk: Desk
) -> None:
    ann = await world.customer()
    await world.reply(await world.write(ann, "/help"))
    async with locked(desk):
        asked = await world.write(ann, "/help")
        await world.said(ann, TOLD, timeout=10)
    await world.reply(asked, "/human", timeout=20)
    assert len(await world.said(ann, TOLD)) == 1


async def test_a_short_trouble_is_not_told(
    monkeypatch: pytest.MonkeyPatch, bot: Running, world: World, away: Outage
) -> None:
    monkeypatch.setattr(disturbance, "PATIENCE", 60.0)
    ann = await world.customer()
    away(True)
    asked = await world.write(ann, "/help")
    await asyncio.sleep(0.5)
    away(False)
    await world.reply(asked, "/human", timeout=20)
    assert len(await world.said(ann)) == 1
    assert await world.said(OPERATORS_CHAT, count=0) == []


async def test_two_short_troubles_far_apart_are_no_outage(
    monkeypatch: pytest.MonkeyPatch, bot: Running, world: World, away: Outage
) -> None:
    claim, failing = intake.claim, 1

    def perhaps(*args: Any) -> bool:
        nonlocal failing
        if failing:
            failing -= 1
            raise OperationalError("select", {}, Exception("deadlock"))
        return claim(*args)

    monkeypatch.setattr(disturbance, "PATIENCE", 1.0)
    monkeypatch.setattr("desk.flow.customers.claim", perhaps)
    ann = await world.customer()
    await world.reply(await world.write(ann, "/help"), "/human", timeout=20)
    await asyncio.sleep(1.2)
    away(True)
    asked = await world.write(ann, "/help")
    await asyncio.sleep(0.3)
    away(False)
    await world.reply(asked, "/human", timeout=20)
    assert await world.said(ann, TOLD, count=0) == []


async def test_the_webhook_refuses_tells_and_takes_the_update_when_it_comes_again(
    start_bot: Starter, options: BotOptions, world: World, rows: Rows, away: Outage
) -> None:
    port = free_port()
    hook = Webhook(f"http://127.0.0.1:{port}", "s3cret", port)
    await start_bot(replace(options, webhook=hook))
    ann = await world.customer()
    await world.reply(await world.write(ann, "/help"), "/human")
    away(True)
    asked = await world.write(ann, "/help")
    await world.said(ann, TOLD, timeout=30)
    away(False)
    await world.reply(asked, "/human", timeout=30)
    assert len(await world.said(ann, TOLD)) == 1


async def test_an_update_that_is_stored_but_cannot_be_handled_is_told_too(
    bot: Running, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, refused = intake.claim, True

    def perhaps(*args: Any) -> bool:
        if refused:
            raise OperationalError("select", {}, Exception("away"))
        return claim(*args)

    monkeypatch.setattr("desk.flow.customers.claim", perhaps)
    ann = await world.customer()
    asked = await world.write(ann, "/help")
    await world.said(ann, TOLD, timeout=20)
    refused = False
    await world.reply(asked, "/human", timeout=20)
    assert len(await world.said(ann, TOLD)) == 1


async def test_who_presses_is_told_once_that_it_may_take_another_press_each_in_their_language(
    bot: Running, world: World, away: Outage
) -> None:
    ann, li = await world.customer("Ann"), await world.customer("Li", "zh-hans")
    greeted = await world.reply(await world.write(ann, "/start"))
    greeted_li = await world.reply(await world.write(li, "/start"))
    await world.write(li, "/human")
    (card,) = await world.said(OPERATORS_CHAT, "Needs a person")
    away(True)
    await world.press(greeted, "Opening hours", timeout=0)
    await world.press(greeted_li, "营业时间", timeout=0)
    await world.press(card, "Take", OLGA, timeout=0)
    await world.said(ann, say("disturbance-press"), timeout=20)
    await world.said(li, say("disturbance-press", "zh"), timeout=20)
    await world.press(greeted, "Opening hours", timeout=0)
    await away.refuses_again()
    await away.refuses_again()
    assert len(await world.said(ann, TOLD)) == 1
    assert await world.said(OLGA, TOLD, count=0) == []
    assert len(await world.said(OPERATORS_CHAT, OPERATORS_TOLD)) == 1
    away(False)
    await world.said(ann, "nine to six", timeout=20)


async def test_a_press_that_telegram_forgot_during_an_outage_calls_one_person_when_it_is_over(
    bot: Running, world: World, away: Outage, rows: Rows
) -> None:
    ann = await world.customer()
    greeted = await world.reply(await world.write(ann, "/start"))
    await world.ask("PATCH", "settings", {"callback_lifetime": 1})
    away(True)
    await world.press(greeted, "Talk to a person", timeout=0)
    await world.said(ann, say("disturbance-press"), timeout=20)
    await eventually(lambda: forgotten(world))
    await away.refuses_again()
    away(False)
    await world.said(OPERATORS_CHAT, "Needs a person", timeout=20)
    await world.reply(await world.write(ann, "/help"), "/human")
    assert len(await world.said(OPERATORS_CHAT, "Needs a person")) == 1
    assert ["callback_query" in row.payload for row in rows.all(Inbox)] == [False, True, False]


async def forgotten(world: World) -> bool:
    """Whether nothing waits at Telegram any more."""
    (bot,) = await world.ask("GET", "bots")
    return bool(bot["pending_update_count"] == 0)

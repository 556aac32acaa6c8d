"""Two bots with one token: one works, the other waits for its turn."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError
from structlog.testing import capture_logs

from bot import admins, lanes
from bot.app import BotOptions
from bot.tenure import Tenure
from bot.webhook import Webhook
from desk.domain import DeliveryState, InboxState
from desk.flow import leases, roster
from desk.flow.desk import Desk
from desk.flow.leases import Holding, LostLeaseError
from desk.tables import DeliveryRow, Inbox, Lease, Operator
from simulator.world import DEFAULT_TOKEN, OPERATORS_CHAT
from tests.bot.conftest import OLGA, Rows, Starter, World, eventually
from tests.ports import free_port

LEASE = leases.bot_lease(int(DEFAULT_TOKEN.partition(":")[0]))


async def test_a_second_bot_waits_and_takes_over_when_the_first_stops(
    start_bot: Starter, world: World
) -> None:
    first = await start_bot()
    ann = await world.customer()
    await world.reply(await world.write(ann, "/help"))
    await start_bot()
    await world.reply(await world.write(ann, "/help"))
    assert await world.calls("getUpdates") == [], "a standby that polled would cause a 409"
    await first.stop()
    await world.reply(await world.write(ann, "/help"))
    assert len(await world.said(ann)) == 3


async def test_a_standby_announces_who_waits_in_its_operators_chat_when_it_takes_over(
    start_bot: Starter, options: BotOptions, desk: Desk, world: World, rows: Rows
) -> None:
    alone = replace(options, desk=replace(desk, operator_chat_id=None))
    first = await start_bot(alone)
    ann = await world.customer()
    await world.reply(await world.write(ann, "/human"))
    await start_bot()
    assert {row.chat_id for row in rows.all(DeliveryRow)} == {ann}
    await first.stop()
    assert "message_thread_id" in (await world.said(OPERATORS_CHAT, "Needs a person"))[0]


async def test_a_standby_that_polls_changes_neither_operators_nor_commands_nor_the_webhook(
    start_bot: Starter, desk: Desk, world: World, rows: Rows
) -> None:
    elsewhere = Holding(LEASE, "elsewhere")
    assert await asyncio.to_thread(leases.hold, desk, elsewhere, 50)
    await asyncio.to_thread(roster.sync_admins, desk, [(5, "Oscar")])
    with capture_logs() as logs:
        await start_bot()
        await eventually(lambda: [entry for entry in logs if entry["event"] == "standby"])
    changing = ("setMyCommands", "deleteWebhook")
    assert [await world.calls(method) for method in changing] == [[], []]
    assert [row.user_id for row in rows.all(Operator)] == [5]
    await asyncio.to_thread(leases.release, desk, elsewhere)
    await eventually(lambda: [row.user_id for row in rows.all(Operator)] == [OLGA])
    for method in changing:
        await eventually(partial(world.calls, method))


async def test_a_bot_takes_over_though_telegram_does_not_say_who_is_an_administrator_and_asks_again(
    start_bot: Starter, world: World, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admins, "AGAIN_SECONDS", 0.05)
    await world.fault("error", method="getChatAdministrators", status=500, times=2)
    await start_bot()
    ann = await world.customer()
    await world.reply(await world.write(ann, "/help"))
    assert (await rows.until(Operator))[0].user_id == OLGA


async def test_a_bot_starts_though_what_telegram_says_of_administrators_can_not_be_read(
    start_bot: Starter, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(*_: object) -> None:
        raise ValueError("no user in it")

    monkeypatch.setattr("bot.admins.roster.sync_admins", odd)
    await start_bot()
    await world.reply(await world.write(await world.customer(), "/help"))


@pytest.mark.parametrize(
    "error", [KeyError("nobody foresaw that"), IntegrityError("insert", {}, Exception("odd"))]
)
async def test_a_bot_starts_though_who_waits_can_not_be_announced(
    error: Exception, start_bot: Starter, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("bot.app.announcing.announce_waiting", broken)
    await start_bot()
    ann = await world.customer()
    await world.reply(await world.write(ann, "/help"))


async def test_a_standby_stores_what_its_webhook_is_told_and_leaves_it_to_the_holder(
    start_bot: Starter, options: BotOptions, desk: Desk, world: World, rows: Rows
) -> None:
    elsewhere = Holding(LEASE, "elsewhere")
    assert await asyncio.to_thread(leases.hold, desk, elsewhere, 50)
    port = free_port()
    hook = Webhook(f"http://127.0.0.1:{port}", "s3cret", port)
    await start_bot(replace(options, webhook=hook))
    ann = await world.customer()
    asked = await world.write(ann, "/help")
    await rows.until(Inbox, state=InboxState.NEW)
    await asyncio.to_thread(leases.release, desk, elsewhere)
    await world.reply(asked)


async def test_what_a_standby_stores_is_handled_at_once_by_the_holder(
    start_bot: Starter,
    options: BotOptions,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lanes, "POLL_SECONDS", 3600)  # only what it is told wakes the holder
    ports = [free_port(), free_port()]
    ann = await world.customer()
    for port in ports:
        hook = Webhook(f"http://127.0.0.1:{port}", "s3cret", port)
        await start_bot(replace(options, webhook=hook))
        # The newest has told Telegram its own address, so the second time it is the standby.
        await world.reply(await world.write(ann, "/help"))


async def test_a_bot_whose_lease_was_taken_over_ends_and_does_nothing_more(
    start_bot: Starter, desk: Desk, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.05)
    running = await start_bot()
    ann = await world.customer()
    await world.reply(await world.write(ann, "/help"))

    def take_over() -> None:
        with desk.store.writing() as session:
            session.get_one(Lease, LEASE).holder = "another"

    await asyncio.to_thread(take_over)
    with pytest.raises(LostLeaseError):
        await asyncio.wait_for(running.task, 20)
    await world.write(ann, "/help")
    assert len(await world.said(ann)) == 1
    assert [holder for _, holder, _ in leases.held(desk)] == ["another"]


async def test_a_bot_whose_host_has_slept_past_the_lease_is_not_sure_of_it(
    desk: Desk, sleep_host: Callable[[float], None]
) -> None:
    stop = asyncio.Event()
    begin = Beginning()
    begin.over.set()
    tenure = Tenure(desk, 1, begin)
    running = asyncio.create_task(tenure.run(stop))
    await eventually(tenure.is_held)
    assert tenure.sure()
    sleep_host(leases.SECONDS)
    assert not tenure.sure()
    stop.set()
    await running


class Beginning:
    """What a bot begins with, and that takes as long as the test wants."""

    def __init__(self) -> None:
        self.times = 0
        self.over = threading.Event()

    async def __call__(self, _: Holding) -> None:
        self.times += 1
        assert await asyncio.to_thread(self.over.wait, 60)


async def test_a_lease_is_renewed_while_what_comes_first_takes_long(
    desk: Desk, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.05)
    begin, stop = Beginning(), asyncio.Event()
    tenure = Tenure(desk, 1, begin)
    running = asyncio.create_task(tenure.run(stop))
    await eventually(lambda: begin.times)
    (first,) = rows.all(Lease)
    await eventually(lambda: rows.all(Lease)[0].until > first.until)
    assert not tenure.is_held(), "nothing is handled before that is done"
    begin.over.set()
    await eventually(tenure.is_held)
    assert begin.times == 1
    stop.set()
    await running


@pytest.mark.parametrize("renewed", [0.05, 3600.0])
async def test_a_bot_whose_lease_was_taken_over_in_its_beginning_waits_and_begins_anew(
    renewed: float, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", renewed)
    begin, stop = Beginning(), asyncio.Event()
    tenure = Tenure(desk, 1, begin)
    running = asyncio.create_task(tenure.run(stop))
    await eventually(lambda: begin.times)
    another = replace(tenure.lease, holder="another")

    def take_over() -> None:
        leases.release(desk, tenure.lease)
        assert leases.hold(desk, another)

    await asyncio.to_thread(take_over)
    with capture_logs() as logs:
        begin.over.set()
        await eventually(lambda: [entry for entry in logs if entry["event"] == "standby"])
    assert (begin.times, tenure.is_held()) == (1, False)
    await asyncio.to_thread(leases.release, desk, another)
    await eventually(tenure.is_held)
    assert begin.times == 2
    stop.set()
    await running


async def test_a_bot_that_lost_its_lease_in_its_beginning_begins_anew_though_it_has_it_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, refused = leases.hold, threading.Event()

    def observed(*args: Any) -> bool:
        held = hold(*args)
        if not held:
            refused.set()
        return held

    begin, stop = Beginning(), asyncio.Event()
    tenure = Tenure(desk, 1, begin)
    another = replace(tenure.lease, holder="another")

    def take_over_for_a_while() -> None:
        leases.release(desk, tenure.lease)
        while not hold(desk, another):  # it was renewed in between
            leases.release(desk, tenure.lease)
        assert refused.wait(20)
        leases.release(desk, another)

    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr("bot.tenure.LOOK_SECONDS", 0.05)
    monkeypatch.setattr(leases, "hold", observed)
    running = asyncio.create_task(tenure.run(stop))
    await eventually(lambda: begin.times)
    await asyncio.to_thread(take_over_for_a_while)
    begin.over.set()
    await eventually(tenure.is_held)
    assert begin.times == 2, "the other one may have handled what came first"
    stop.set()
    await running


async def test_a_database_away_while_a_lease_is_renewed_in_the_beginning_begins_nothing_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, away, refused = leases.hold, False, 0

    def perhaps(*args: Any) -> bool:
        nonlocal refused
        if away:
            refused += 1
            raise OperationalError("update", {}, Exception("away"))
        return hold(*args)

    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr("bot.tenure.LOOK_SECONDS", 0.05)
    monkeypatch.setattr(leases, "hold", perhaps)
    begin, stop = Beginning(), asyncio.Event()
    tenure = Tenure(desk, 1, begin)
    running = asyncio.create_task(tenure.run(stop))
    await eventually(lambda: begin.times)
    away = True
    await eventually(lambda: refused >= 2)
    away = False
    begin.over.set()
    await eventually(tenure.is_held)
    assert begin.times == 1
    stop.set()
    await running


async def test_a_bot_that_is_unsure_of_its_lease_holds_back_what_it_has_taken(
    start_bot: Starter, world: World, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    sure = False
    monkeypatch.setattr(Tenure, "sure", lambda _: sure)
    monkeypatch.setattr("bot.intake.UNSURE_SECONDS", 0.5)
    await start_bot()
    ann = await world.customer()
    asked = await world.write(ann, "/help")
    (row,) = await rows.until(DeliveryRow)
    await eventually(lambda: rows.all(DeliveryRow, id=row.id)[0].attempts > 0)
    assert await world.said(ann, count=0) == []
    sure = True
    await world.reply(asked, timeout=20)
    (row,) = await rows.until(DeliveryRow, state=DeliveryState.SENT)
    assert not row.uncertain

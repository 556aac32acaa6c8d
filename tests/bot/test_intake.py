"""Intake: stored before acknowledged, each update once, whatever happens to Telegram or to SQL."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiogram import Dispatcher
from sqlalchemy.exc import OperationalError

from bot import customers, operators, presses
from bot.intake import chat_of, incoming
from bot.routers import groups_router
from bot.telegram import RefusedError, Telegram, _result
from bot.tenure import Tenure
from desk import health, metrics
from desk.domain import DeskError, InboxState
from desk.flow import intake
from desk.flow.desk import Desk
from desk.tables import Inbox
from simulator.app import Simulator
from simulator.world import DEFAULT_TOKEN, OPERATORS_CHAT
from tests.bot.conftest import Rows, Running, Starter, World, eventually


def polls(telegram_calls: list[dict[str, Any]]) -> list[int | None]:
    return [params.get("offset") for params in telegram_calls]


def last_poll() -> float:
    [family] = metrics.LAST_POLL.collect()
    return family.samples[0].value


@pytest.fixture
def polled(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The parameters of every getUpdates of the bot."""
    seen: list[dict[str, Any]] = []
    call = Telegram.call

    async def spy(self: Telegram, method: str, params: Any = None, seconds: float = 20.0) -> Any:
        if method == "getUpdates":
            seen.append(dict(params))
        return await call(self, method, params, seconds)

    monkeypatch.setattr(Telegram, "call", spy)
    return seen


async def test_the_offset_moves_only_after_the_commit(
    monkeypatch: pytest.MonkeyPatch,
    polled: list[dict[str, Any]],
    start_bot: Starter,
    world: World,
    rows: Rows,
) -> None:
    failures = 2
    store = intake.store_updates

    def failing(desk: Any, updates: Any) -> int:
        nonlocal failures
        if failures:
            failures -= 1
            raise OperationalError("insert", {}, Exception("the database is away"))
        return store(desk, updates)

    monkeypatch.setattr(intake, "store_updates", failing)
    await start_bot()
    ann = await world.customer()
    await world.reply(await world.write(ann, "/help"))
    assert len(await world.said(ann)) == 1
    (row,) = rows.all(Inbox)
    offsets = await eventually(lambda: (seen := polls(polled))[-1] is not None and seen)
    # Polled thrice without acknowledging anything, then past the stored update.
    assert offsets[-1] == row.update_id + 1
    assert set(offsets[:-1]) == {None}
    assert len(offsets) == 4


async def test_an_update_that_is_delivered_twice_is_one_row_and_one_reply(
    bot: Running, world: World, rows: Rows
) -> None:
    ann = await world.customer()
    await world.fault("duplicate_update")
    await world.write(ann, "/help")
    later = await world.write(ann, "/start")
    await world.reply(later, "welcome")
    assert len(rows.all(Inbox)) == 2
    assert len(await world.said(ann)) == 2


async def test_updates_that_come_newest_first_are_all_stored(
    bot: Running, world: World, rows: Rows
) -> None:
    ann, bob = await world.customer("Ann"), await world.customer("Bob")
    await world.fault("out_of_order")
    await world.write(ann, "/help")
    await world.write(bob, "/help")
    await world.said(ann)
    await world.said(bob)
    assert len(rows.all(Inbox, state=InboxState.DONE)) == 2


async def test_ids_that_begin_anew_while_the_bot_is_down_are_not_skipped(
    start_bot: Starter, world: World, rows: Rows
) -> None:
    first = await start_bot()
    ann = await world.customer()
    await world.reply(await world.write(ann, "/help"))
    await first.stop()
    await world.fault("reset_update_id", next=7)
    lower = await world.write(ann, "/start")
    await start_bot()
    await world.reply(lower, "welcome")
    assert [row.update_id for row in rows.all(Inbox)][1] == 7


async def test_ids_that_begin_anew_while_the_bot_polls_are_not_skipped(
    monkeypatch: pytest.MonkeyPatch,
    polled: list[dict[str, Any]],
    start_bot: Starter,
    world: World,
) -> None:
    monkeypatch.setattr("bot.intake.POLL_SECONDS", 1)
    await start_bot()
    ann = await world.customer()
    await world.reply(await world.write(ann, "/help"))
    await eventually(lambda: polls(polled)[-1] is not None)
    # An empty answer has acknowledged everything: from there on no old offset is in the way.
    await eventually(lambda: polls(polled)[-1] is None)
    await world.fault("reset_update_id")
    await world.reply(await world.write(ann, "/start"), "welcome")


async def test_a_bot_that_may_have_lost_its_lease_only_looks_from_time_to_time(
    monkeypatch: pytest.MonkeyPatch,
    polled: list[dict[str, Any]],
    start_bot: Starter,
    world: World,
) -> None:
    sure = False
    monkeypatch.setattr(Tenure, "sure", lambda _: sure)
    monkeypatch.setattr("bot.intake.UNSURE_SECONDS", 1.0)
    await start_bot()
    await asyncio.sleep(2.5)
    # A poll that waits at Telegram would end the other one's again and again.
    assert 1 <= len(polled) <= 2
    assert {params["timeout"] for params in polled} == {0}
    sure = True
    await eventually(lambda: polled[-1]["timeout"] > 0)


async def test_a_second_poller_is_outlasted(
    bot: Running, world: World, simulator: Simulator
) -> None:
    async with Telegram(DEFAULT_TOKEN, simulator.url) as other:
        assert await other.call("getUpdates", {"timeout": 0}) == []
        ann = await world.customer()
        await world.reply(await world.write(ann, "/help"))


async def test_telegram_being_away_is_waited_for(bot: Running, world: World) -> None:
    await world.fault("server_error", method="getUpdates", times=2)
    await world.fault("refused", method="getUpdates")
    ann = await world.customer()
    await world.reply(await world.write(ann, "/help"))
    await world.reply(await world.write(ann, "/start"))


async def test_when_telegram_last_answered_a_poll_is_shown_by_the_bot_that_polls(
    start_bot: Starter, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.intake.POLL_SECONDS", 1)
    bot = await start_bot()
    began = await eventually(last_poll)
    assert abs(began - time.time()) < 10
    # Polls without an update.
    await eventually(lambda: last_poll() > began + 1)
    await world.fault("server_error", method="getUpdates", times=1000)
    await asyncio.sleep(2)  # the last one that was under way
    stood = last_poll()
    await asyncio.sleep(2)
    assert last_poll() == stood
    await bot.stop()
    assert last_poll() == 0


async def test_while_the_database_holds_up_what_came_no_poll_of_telegram_is_missed(
    start_bot: Starter, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked, free = threading.Event(), threading.Event()
    store = intake.store_updates

    def waits_for_a_lock(desk: Any, updates: Any) -> int:
        locked.set()
        free.wait(20)
        return store(desk, updates)

    monkeypatch.setattr(intake, "store_updates", waits_for_a_lock)
    bot = await start_bot()
    await eventually(last_poll)
    ann = await world.customer()
    asked = await world.write(ann, "/help")
    try:
        await eventually(locked.is_set)
        assert last_poll() == 0
        released = time.time()
    finally:
        free.set()
    await world.reply(asked)
    assert last_poll() >= released
    await bot.stop()
    assert last_poll() == 0


@dataclass
class Away:
    """A database that takes no updates until it is `back`; `refused` is what it did not take."""

    store: Callable[[Any, Any], int]
    refused: list[list[int]] = field(default_factory=list)
    back: bool = False

    def __call__(self, desk: Any, updates: Any) -> int:
        if self.back:
            return self.store(desk, updates)
        self.refused.append([update.update_id for update in updates])
        raise OperationalError("insert", {}, Exception("away"))


@pytest.fixture
async def greeted(bot: Running, world: World) -> dict[str, Any]:
    """Ann's greeting, with its buttons, from a bot all of whose updates are acknowledged."""
    greeted = await world.reply(await world.write(await world.customer(), "/start"))
    await eventually(lambda: all_confirmed(world))
    await world.ask("PATCH", "settings", {"callback_lifetime": 1})
    return greeted


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch, greeted: dict[str, Any]) -> Away:
    away = Away(intake.store_updates)
    monkeypatch.setattr(intake, "store_updates", away)
    return away


async def all_confirmed(world: World) -> bool:
    (bot,) = await world.ask("GET", "bots")
    return bool(bot["pending_update_count"] == 0)


async def test_a_press_that_telegram_forgot_is_stored_in_its_place_and_nothing_acknowledged_before(
    polled: list[dict[str, Any]],
    greeted: dict[str, Any],
    away: Away,
    world: World,
    rows: Rows,
) -> None:
    customer = greeted["chat_id"]
    before = len(polled)
    await world.write(customer, "before")
    await world.press(greeted, "Talk to a person", timeout=0)
    await world.write(customer, "/help")
    stood = rows.all(Inbox)[-1].update_id
    await eventually(lambda: away.refused[-1:] == [[stood + 1, stood + 2, stood + 3]])
    # With the press kept, all three are tried again though Telegram returns two.
    await asyncio.sleep(1.5)
    seen = len(away.refused)
    await eventually(lambda: len(away.refused) > seen)
    assert away.refused[-1] == [stood + 1, stood + 2, stood + 3]
    assert {offset or 0 for offset in polls(polled)[before:]} <= {0, stood + 1}
    (bot,) = await world.ask("GET", "bots")
    assert bot["pending_update_count"] == 2, "Telegram has forgotten the press, and is told nothing"
    away.back = True
    stored = await rows.until(Inbox, count=4, state=InboxState.DONE)
    assert [row.update_id for row in stored] == [stood, stood + 1, stood + 2, stood + 3]
    assert len(await world.said(OPERATORS_CHAT, "Needs a person")) == 1
    await eventually(lambda: polls(polled)[-1] == stood + 4)


async def test_what_telegram_still_has_is_not_acknowledged_by_a_press_kept_that_came_later(
    polled: list[dict[str, Any]],
    greeted: dict[str, Any],
    away: Away,
    world: World,
    rows: Rows,
) -> None:
    before = len(polled)
    await world.write(greeted["chat_id"], "/help")
    await world.press(greeted, "Talk to a person", timeout=0)
    stood = rows.all(Inbox)[-1].update_id
    await eventually(lambda: [stood + 1, stood + 2] in away.refused)
    await asyncio.sleep(1.2)
    away.back = True
    await rows.until(Inbox, count=3, state=InboxState.DONE)
    await eventually(lambda: polls(polled)[-1] is not None and polls(polled)[-1] > stood + 1)
    assert max(offset or 0 for offset in polls(polled)[before:]) == stood + 2


async def test_a_press_alone_is_stored_at_once_when_the_database_is_back(
    polled: list[dict[str, Any]], greeted: dict[str, Any], away: Away, world: World, rows: Rows
) -> None:
    await world.press(greeted, "Talk to a person", timeout=0)
    await eventually(lambda: away.refused)
    await eventually(lambda: all_confirmed(world))
    seen = len(away.refused)
    await eventually(lambda: len(away.refused) > seen)
    assert polled[-1]["timeout"] == 0, "it would wait until somebody writes"
    away.back = True
    await world.said(OPERATORS_CHAT, "Needs a person", timeout=10)
    await eventually(lambda: polled[-1]["timeout"] > 0)


async def test_a_kept_press_that_another_bot_has_stored_meanwhile_is_handled_once(
    desk: Desk, greeted: dict[str, Any], away: Away, world: World, rows: Rows
) -> None:
    await world.press(greeted, "Talk to a person", timeout=0)
    await eventually(lambda: away.refused)
    (bot,) = await world.ask("GET", "bots")
    async with Telegram(DEFAULT_TOKEN, world.url) as other:
        # It holds the lease by now: it stores, and acknowledges.
        (raw,) = await other.call("getUpdates", {"timeout": 0})
        update = incoming(bot["id"], raw)
        assert update is not None
        assert await asyncio.to_thread(away.store, desk, [update]) == 1
        assert await other.call("getUpdates", {"timeout": 0, "offset": update.update_id + 1}) == []
    await world.said(OPERATORS_CHAT, "Needs a person")
    seen = len(away.refused)
    await eventually(lambda: len(away.refused) > seen)
    assert away.refused[-1] == [update.update_id]
    away.back = True
    await world.reply(await world.write(greeted["chat_id"], "/help"), "/human")
    assert len(rows.all(Inbox)) == 3
    assert len(await world.said(OPERATORS_CHAT, "Needs a person")) == 1


async def test_a_token_that_is_refused_for_a_while_makes_the_bot_unready_and_does_not_end_it(
    start_bot: Starter, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PROCESS", health.Health())
    health.PROCESS.need(["telegram"])
    await start_bot()
    ann = await world.customer()
    await world.fault("error", method="getUpdates", status=401, description="Unauthorized", times=3)
    asked = await world.write(ann, "/help")
    refused = {"telegram": "does not accept the token"}
    await eventually(lambda: health.PROCESS.missing() == refused)
    await world.reply(asked)
    await eventually(lambda: health.PROCESS.missing() == {})


async def test_a_revoked_token_ends_the_bot_with_a_sentence(
    start_bot: Starter, world: World, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.intake.REFUSED_SECONDS", 0.5)
    bot = await start_bot()
    simulator.world.settings.only_token = simulator.world.bots[0].token = "1:" + "x" * 35
    await world.write(await world.customer(), "/help")
    with pytest.raises(DeskError, match="no longer accepts the bot's token"):
        await asyncio.wait_for(bot.task, 5)


@pytest.mark.parametrize(
    "answer",
    [
        (404, b"<html><h1>404 Not Found</h1></html>"),
        (401, b"<html><h1>Who are you?</h1></html>"),
        (503, b'{"ok": false, "error_code": 503, "description": "Service Unavailable"}'),
    ],
    ids=["proxy 404", "proxy 401", "503"],
)
async def test_a_proxys_page_is_waited_out_and_is_no_revoked_token(
    answer: tuple[int, bytes], monkeypatch: pytest.MonkeyPatch, start_bot: Starter, world: World
) -> None:
    call, pages = Telegram.call, 2

    async def through_a_proxy(self: Telegram, method: str, *args: Any) -> Any:
        nonlocal pages
        if method == "getUpdates" and pages:
            pages -= 1
            return _result(method, *answer)
        return await call(self, method, *args)

    monkeypatch.setattr(Telegram, "call", through_a_proxy)
    await start_bot()
    await world.reply(await world.write(await world.customer(), "/help"))
    assert pages == 0


async def test_telegram_is_asked_for_what_has_a_handler_and_for_nothing_else(
    polled: list[dict[str, Any]], bot: Running
) -> None:
    dispatcher = Dispatcher(disable_fsm=True)
    dispatcher.include_routers(
        groups_router(),
        customers.make_router(),
        operators.make_router(OPERATORS_CHAT),
        presses.make_router(),
    )
    await eventually(lambda: polled)
    assert sorted(polled[0]["allowed_updates"]) == sorted(dispatcher.resolve_used_update_types())


@pytest.mark.parametrize(
    ("update", "chat"),
    [
        ({"message": {"chat": {"id": 5}}}, 5),
        ({"callback_query": {"from": {"id": 1}, "message": {"chat": {"id": -7}}}}, -7),
        ({"my_chat_member": {"chat": {"id": 8}}}, 8),
        ({"message": {"chat": "nowhere"}}, None),
        ({"message": {"chat": {"id": "5"}}}, None),
        ({"message": {"chat": {"id": 2**70}}}, None),
        ({"message": None}, None),
        ({"poll": {"id": "1"}}, None),
    ],
)
def test_the_chat_of_an_update_is_found_without_parsing_it(
    update: dict[str, Any], chat: int | None
) -> None:
    assert chat_of({"update_id": 1} | update) == chat


@pytest.mark.parametrize(
    "raw", [None, [], "x", {}, {"update_id": "1"}, {"update_id": 2**70}, {"update_id": -1}]
)
def test_what_has_no_usable_id_is_no_update(raw: object) -> None:
    assert incoming(1, raw) is None


async def test_an_error_never_holds_the_token(simulator: Simulator) -> None:
    async with Telegram(DEFAULT_TOKEN, "http://127.0.0.1:9") as nowhere:
        with pytest.raises(Exception, match="no connection") as caught:
            await nowhere.call("getMe")
        assert DEFAULT_TOKEN not in str(caught.value)
    async with Telegram(DEFAULT_TOKEN, simulator.url) as telegram:
        with pytest.raises(RefusedError, match="404") as refused:
            await telegram.call("noSuchMethod")
        assert DEFAULT_TOKEN not in str(refused.value)

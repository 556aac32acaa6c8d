"""Lanes: in order within a chat, at once across chats, and nobody waits for a poison update."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from psycopg.errors import DeadlockDetected
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from bot.disturbance import Disturbance
from bot.lanes import Lanes
from bot.limits import Limits
from bot.telegram import Telegram
from desk.domain import Author, InboxRow, InboxState, Incoming
from desk.flow import customers, intake
from desk.flow.desk import Desk
from desk.pack import Pack
from desk.store import Store
from desk.tables import DeliveryRow, Inbox, Message
from simulator import people
from simulator.app import Simulator
from simulator.world import DEFAULT_TOKEN, OPERATORS_CHAT
from tests.bot.conftest import Rows, Running, Starter, World, eventually, quiet
from tests.databases import PostgresServer
from tests.desk.acting import hold_lease

BOT = 77


def put(desk: Desk, *updates: tuple[int, int | None]) -> None:
    """Store updates as (id, chat)."""
    intake.store_updates(desk, [Incoming(BOT, id_, chat, {}) for id_, chat in updates])


@asynccontextmanager
async def running(
    desk: Desk, handle: Callable[[InboxRow], Awaitable[None]], concurrency: int = 8
) -> AsyncIterator[Lanes]:
    lease = await asyncio.to_thread(hold_lease, desk)
    lanes, stop = Lanes(desk, BOT, handle, lease, quiet(desk), concurrency), asyncio.Event()
    task = asyncio.create_task(lanes.run(stop))
    yield lanes
    stop.set()
    await task


async def test_rows_of_a_chat_are_handled_in_order_and_other_chats_do_not_wait(
    desk: Desk, rows: Rows
) -> None:
    handled: list[int] = []
    gate = asyncio.Event()

    async def handle(row: InboxRow) -> None:
        if row.update_id == 1:
            await gate.wait()
        handled.append(row.update_id)
        await asyncio.to_thread(intake.done, desk, row.id)

    # These were stored before the lanes start, as after a crash.
    put(desk, (1, 5), (2, 5), (3, 6), (4, None), (5, 5), (6, 6))
    async with running(desk, handle):
        await rows.until(Inbox, count=3, state=InboxState.DONE)
        assert sorted(handled) == [3, 4, 6]
        gate.set()
        await rows.until(Inbox, count=6, state=InboxState.DONE)
    assert [id_ for id_ in handled if id_ in (1, 2, 5)] == [1, 2, 5]
    assert handled.index(3) < handled.index(6)


async def test_one_chats_flood_leaves_room_for_the_others_and_is_handled_in_order(
    desk: Desk, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.lanes.HELD", 40)
    monkeypatch.setattr("bot.lanes.HELD_OF_CHAT", 10)
    monkeypatch.setattr("bot.lanes.FETCH", 60)
    flood: list[int] = []
    gate = asyncio.Event()

    async def handle(row: InboxRow) -> None:
        if row.chat_id == 5:
            await gate.wait()
            flood.append(row.update_id)
        await asyncio.to_thread(intake.done, desk, row.id)

    put(desk, *((number, 5) for number in range(1, 101)), (101, 6), (102, None))
    async with running(desk, handle):
        await rows.until(Inbox, count=2, state=InboxState.DONE)
        assert flood == []
        gate.set()
        await rows.until(Inbox, count=102, state=InboxState.DONE)
    assert flood == list(range(1, 101))


async def test_no_more_rows_are_held_than_allowed_and_the_next_come_as_soon_as_there_is_room(
    desk: Desk, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.lanes.HELD", 3)
    monkeypatch.setattr("bot.lanes.FETCH", 3)
    monkeypatch.setattr("bot.lanes.POLL_SECONDS", 60.0)
    gate, begun = asyncio.Event(), 0

    async def handle(row: InboxRow) -> None:
        nonlocal begun
        begun += 1
        await gate.wait()
        await asyncio.to_thread(intake.done, desk, row.id)

    put(desk, *((number, number) for number in range(1, 9)))
    async with running(desk, handle) as lanes:
        await eventually(lambda: begun == 3)
        for _ in range(3):
            lanes.wake()
            await asyncio.sleep(0.05)
        assert begun == 3
        gate.set()
        await rows.until(Inbox, count=8, state=InboxState.DONE)


async def test_no_more_handlers_run_at_once_than_allowed(desk: Desk, rows: Rows) -> None:
    at_once = most = 0

    async def handle(row: InboxRow) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        await asyncio.to_thread(intake.done, desk, row.id)

    put(desk, *((number, number) for number in range(1, 21)))
    async with running(desk, handle, concurrency=3):
        await rows.until(Inbox, count=20, state=InboxState.DONE)
    assert most == 3


async def test_each_row_is_handled_once_however_often_the_lanes_are_woken(
    desk: Desk, rows: Rows
) -> None:
    handled: list[int] = []

    async def handle(row: InboxRow) -> None:
        handled.append(row.update_id)
        await asyncio.to_thread(intake.done, desk, row.id)

    async with running(desk, handle) as lanes:
        for number in range(1, 101):
            await asyncio.to_thread(put, desk, (number, number % 7))
            lanes.wake()
        await rows.until(Inbox, count=100, state=InboxState.DONE)
    assert sorted(handled) == list(range(1, 101))


async def test_a_database_that_is_away_is_not_the_updates_fault(desk: Desk, rows: Rows) -> None:
    failures = 6

    async def handle(row: InboxRow) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise OperationalError("update", {}, Exception("away"))
        await asyncio.to_thread(intake.done, desk, row.id)

    put(desk, (1, 5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bot.lanes.backoff", lambda *_, **__: 0.01)
        async with running(desk, handle):
            (row,) = await rows.until(Inbox, state=InboxState.DONE)
    assert row.attempts == 0


async def test_an_update_whose_statement_can_not_be_right_is_parked_and_holds_up_no_chat(
    desk: Desk, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "RETRY_SECONDS", (0.01, 0.01, 0.01, 0.01))

    def ask(number: int) -> None:
        with desk.store.writing() as session:
            if number == 1:
                session.execute(text(f"SELECT length({', '.join(['1'] * 200)})"))

    async def handle(row: InboxRow) -> None:
        await asyncio.to_thread(ask, row.update_id)
        await asyncio.to_thread(intake.done, desk, row.id)

    put(desk, (1, 5), (2, 5))
    async with running(desk, handle):
        await rows.until(Inbox, state=InboxState.DONE)
    (parked,) = rows.all(Inbox, state=InboxState.PARKED)
    assert parked.update_id == 1


class Deadlocks:
    """A handler that ends in so many deadlocks first, and what becomes of them."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch, collisions: int) -> None:
        self._desk, self._collisions = desk, collisions
        self.outages = 0
        self.pauses: list[int] = []
        """How many failures each pause was for."""
        monkeypatch.setattr(Disturbance, "trouble", self._trouble)
        monkeypatch.setattr("bot.lanes.backoff", self._backoff)

    async def handle(self, row: InboxRow) -> None:
        if self._collisions:
            self._collisions -= 1
            raise OperationalError("update", {}, DeadlockDetected("deadlock detected"))
        await asyncio.to_thread(intake.done, self._desk, row.id)

    def _trouble(self, *_: object) -> None:
        self.outages += 1

    def _backoff(self, failures: int, **_: float) -> float:
        self.pauses.append(failures)
        return 0.01


async def test_a_deadlock_is_no_outage_and_the_update_is_handled_at_once(
    desk: Desk, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = Deadlocks(desk, monkeypatch, 1)
    put(desk, (1, 5))
    async with running(desk, once.handle):
        (row,) = await rows.until(Inbox, state=InboxState.DONE)
    assert (row.attempts, once.outages, once.pauses) == (0, 0, [])


async def test_a_deadlock_that_comes_again_is_an_outage_and_is_waited_for_longer_and_longer(
    desk: Desk, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    often = Deadlocks(desk, monkeypatch, 3)
    put(desk, (1, 5))
    async with running(desk, often.handle):
        (row,) = await rows.until(Inbox, state=InboxState.DONE)
    assert (row.attempts, often.outages, often.pauses) == (0, 2, [2, 3])


async def test_who_wrote_is_told_when_the_database_takes_no_writes_and_is_answered_afterwards(
    postgres_server: PostgresServer,
    postgres_url: str,
    pack: Pack,
    simulator: Simulator,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bot.disturbance.PATIENCE", 0.1)
    monkeypatch.setattr("bot.lanes.backoff", lambda *_, **__: 0.05)
    desk = Desk(Store(postgres_url), pack, OPERATORS_CHAT)
    rows = Rows(desk.store)

    begun, go_on = asyncio.Event(), asyncio.Event()

    async def handle(row: InboxRow) -> None:
        begun.set()
        await go_on.wait()
        await asyncio.to_thread(intake.done, desk, row.id)

    ann = await world.customer()
    await world.write(ann, "hello")  # or Telegram would not let the bot speak
    chat = {"id": ann, "type": "private"}
    intake.store_updates(desk, [Incoming(BOT, 1, ann, {"message": {"chat": chat, "from": {}}})])
    stop = asyncio.Event()
    async with Telegram(DEFAULT_TOKEN, simulator.url) as telegram:
        disturbance = Disturbance(desk, telegram, Limits(), lambda: True)
        lanes = Lanes(desk, BOT, handle, hold_lease(desk), disturbance)
        task = asyncio.create_task(lanes.run(stop))
        await begun.wait()
        with postgres_server.read_only(postgres_url):
            go_on.set()
            await world.said(ann, "something on our side is not working")
        (row,) = await rows.until(Inbox, state=InboxState.DONE)
        stop.set()
        await task
        await disturbance.close()
    assert row.attempts == 0, "it is not the update's fault"
    desk.store.dispose()


async def test_the_stop_waits_for_a_handler_and_leaves_the_rest_for_the_next_start(
    desk: Desk, rows: Rows
) -> None:
    begun = asyncio.Event()

    async def handle(row: InboxRow) -> None:
        begun.set()
        await asyncio.sleep(0.2)
        await asyncio.to_thread(intake.done, desk, row.id)

    put(desk, (1, 5), (2, 5))
    async with running(desk, handle):
        await begun.wait()
    assert [row.state for row in rows.all(Inbox)] == [InboxState.DONE, InboxState.NEW]


async def test_the_stop_does_not_wait_for_what_is_to_be_tried_again_and_tries_it_no_more(
    desk: Desk, rows: Rows
) -> None:
    failed = asyncio.Event()
    tries = 0

    async def handle(row: InboxRow) -> None:
        nonlocal tries
        tries += 1
        failed.set()
        raise OperationalError("update", {}, Exception("away"))

    put(desk, (1, 5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bot.lanes.backoff", lambda *_, **__: 60.0)
        async with asyncio.timeout(10), running(desk, handle):
            await failed.wait()
            await asyncio.sleep(0.1)
    assert tries == 1
    assert [row.state for row in rows.all(Inbox)] == [InboxState.NEW]


async def test_an_unreadable_update_is_parked_at_once_and_operators_are_told(
    bot: Running, world: World, rows: Rows
) -> None:
    ann = await world.customer()
    await world.fault("garbage_update")
    bad = {"message": {"message_id": "x", "date": None, "chat": {"id": ann, "type": "private"}}}
    await world.fault("garbage_update", update=bad)
    await world.reply(await world.write(ann, "/help"))
    parked = await rows.until(Inbox, count=2, state=InboxState.PARKED)
    assert all(row.attempts == 1 and "ValidationError" not in row.error for row in parked)
    assert all("validation errors for Update" in row.error for row in parked)
    await world.said(OPERATORS_CHAT, "could not be handled", count=2)


async def test_a_customers_message_that_can_not_be_read_calls_a_person_who_gets_a_copy(
    bot: Running, world: World, rows: Rows, simulator: Simulator
) -> None:
    ann = await world.customer("Ann")
    telegram = simulator.world
    chat = telegram.private_chat(telegram.bots[0], telegram.users[ann])
    strange = {"paid_media": {"star_count": 1, "paid_media": [{"type": "hologram", "depth": 3}]}}
    with capture_logs() as logs:
        sent = people.write(telegram, chat, telegram.users[ann], extra=strange)
        card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
        assert "Ann" in card["text"]
        assert "[unknown]" in card["text"]
        await world.said(ann, "colleague")
    (copied,) = await eventually(lambda: world.calls("copyMessage", OPERATORS_CHAT))
    assert copied["params"]["message_id"] == sent.message_id
    # What of it can be read is kept.
    caption = {"paid_media": "strange", "caption": "is this yours?"}
    people.write(telegram, chat, telegram.users[ann], extra=caption)
    await rows.until(Inbox, count=2, state=InboxState.DONE)
    rich = {"blocks": [{"type": "paragraph", "text": "or this?"}]}
    people.write(telegram, chat, telegram.users[ann], extra={"game": 4, "rich_message": rich})
    await rows.until(Inbox, count=3, state=InboxState.DONE)
    said = [row.text for row in rows.all(Message, author=Author.CUSTOMER)]
    assert said == ["[unknown]", "is this yours?", "or this?"]
    assert "the first at message.paid_media.paid_media.0" in str(logs)
    assert "hologram" not in str(logs), "what customers send is never logged"


async def test_a_notice_that_can_not_be_read_calls_nobody(
    bot: Running, world: World, rows: Rows, simulator: Simulator
) -> None:
    ann = await world.customer("Ann")
    telegram = simulator.world
    chat = telegram.private_chat(telegram.bots[0], telegram.users[ann])
    people.write(telegram, chat, telegram.users[ann], extra={"pinned_message": "strange"})
    await rows.until(Inbox, state=InboxState.PARKED)
    assert not rows.all(Message)


async def test_a_poison_update_is_retried_and_parked_while_others_go_on(
    bot: Running,
    world: World,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intake, "RETRY_SECONDS", (0.1, 0.1, 0.1, 0.1))
    wrote = customers.wrote
    tries = 0

    def poisoned(
        desk: Any, inbox_id: int, person: Any, telegram_id: int, text: str, *rest: Any
    ) -> Any:
        nonlocal tries
        if text == "poison":
            tries += 1
            raise ValueError("can't read 'poison'")
        return wrote(desk, inbox_id, person, telegram_id, text, *rest)

    monkeypatch.setattr(customers, "wrote", poisoned)
    ann, bob = await world.customer("Ann"), await world.customer("Bob")
    with capture_logs() as logs:
        await world.write(ann, "poison")
        behind = await world.write(ann, "/help")
        await eventually(lambda: tries)
        await world.reply(await world.write(bob, "/help"))
        assert tries < intake.MAX_ATTEMPTS, "Bob was answered while Ann's message was retried"
        assert not await world.said(ann, count=0)
        await world.reply(behind)
    (parked,) = rows.all(Inbox, state=InboxState.PARKED)
    assert (tries, parked.attempts) == (intake.MAX_ATTEMPTS, intake.MAX_ATTEMPTS)
    assert parked.error == "ValueError: can't read 'poison'"
    assert "update_parked" in str(logs)
    assert "poison" not in str(logs), "what customers write is never logged"
    # Once the cause is mended, a parked update can have another round.
    monkeypatch.setattr(customers, "wrote", wrote)
    await asyncio.to_thread(intake.retry_parked, bot_desk(rows))
    await eventually(lambda: not rows.all(Inbox, state=InboxState.PARKED))
    await eventually(lambda: not rows.all(Inbox, state=InboxState.NEW))


def bot_desk(rows: Rows) -> Any:
    class OnlyStore:
        store = rows._store

    return OnlyStore()


async def test_an_unreadable_update_among_a_hundred_is_parked_and_the_others_are_answered(
    start_bot: Starter, desk: Desk, rows: Rows
) -> None:
    bot_id = int(DEFAULT_TOKEN.partition(":")[0])

    def update(number: int) -> Incoming:
        person = {"id": number, "is_bot": False, "first_name": "Ann"}
        chat = {"id": number, "type": "private", "first_name": "Ann"}
        message = {"message_id": 1, "date": 1, "chat": chat, "from": person, "text": "/help"}
        payload = {"update_id": number, "message": message if number != 50 else "what is this?"}
        return Incoming(bot_id, number, None if number == 50 else number, payload)

    updates = [update(number) for number in range(1, 101)]
    await asyncio.to_thread(intake.store_updates, desk, updates)
    await start_bot()
    await rows.until(Inbox, count=99, timeout=60, state=InboxState.DONE)
    (parked,) = await rows.until(Inbox, state=InboxState.PARKED)
    assert parked.update_id == 50
    answers = [row for row in rows.all(DeliveryRow) if row.key.startswith("help:")]
    assert len({row.chat_id for row in answers}) == 99

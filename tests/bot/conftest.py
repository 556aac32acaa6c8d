"""A bot that runs against a real simulator, a real Valkey and a real SQLite database.

There is no classifier: `Decider` puts predictions in by hand, as the inference worker would.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis import Redis
from sqlalchemy import select

from bot import limits
from bot.app import BotOptions, serve
from bot.disturbance import Disturbance
from bot.limits import Limits
from bot.telegram import Telegram
from classifier.vocabulary import Prediction, Scored
from desk import queues
from desk.domain import DeliveryState, MessageState, PendingMessage
from desk.flow import deciding, intake
from desk.flow.desk import Desk
from desk.pack import Pack
from desk.store import Store
from desk.tables import Base, DeliveryRow, Message
from desk.texts import LANGUAGES
from simulator.app import Simulator
from simulator.world import DEFAULT_TOKEN, OPERATORS_CHAT
from tests.conftest import NO_FLOOD
from tests.redis_servers import embedded_redis

OLGA = 9001
"""Creator of the operators' group, and so an admin of the desk."""
OMAR = 9002
"""A plain member of the group, and so no operator."""

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "RETRY_SECONDS", (0.05, 0.05, 0.05, 0.05))


@pytest.fixture(autouse=True)
def limits_on_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    """None here, where nothing else is waited for: test_limits.py has them."""
    monkeypatch.setattr(limits, "CHAT_BURST", 1000)
    monkeypatch.setattr(limits, "GROUP_COUNT", 1000)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One database is enough here: the use cases are tested on both elsewhere."""
    return sqlite_url


@pytest.fixture
def desk(store: Store, pack: Pack) -> Desk:
    """The florist's desk with the simulator's group and the real clock."""
    return Desk(store, pack, OPERATORS_CHAT, flood_per_minute=NO_FLOOD)


@pytest.fixture(scope="session")
def _valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_redis(tmp_path_factory.mktemp("valkey")) as server:
        yield server.url


@pytest.fixture
def redis(_valkey: str) -> Iterator[Redis]:
    """An empty Redis."""
    with Redis.from_url(_valkey) as client:
        client.flushall()
        yield client


@pytest.fixture
def redis_url(redis: Redis, _valkey: str) -> str:
    """The address of an empty Redis."""
    return _valkey


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A fresh simulated Telegram."""
    async with Simulator() as running:
        yield running


def quiet(desk: Desk) -> Disturbance:
    """Stores, and tells nobody."""
    return Disturbance(desk, Telegram("1:x"), Limits(), lambda: False)


class World:
    """Customers, operators and faults, through the simulator's control API."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def ask(self, method: str, path: str, body: Json | None = None, /, **query: Any) -> Any:
        """Call the control API; fails the test on an error."""
        url = f"{self.url}/sim/{path}"
        async with self._session.request(method, url, json=body, params=query) as response:
            answer = await response.json()
            assert response.status < 400, answer
            return answer

    async def customer(self, name: str = "Ann", language: str = "en", last_name: str = "") -> int:
        """A new customer; returns the id of the person and of the private chat."""
        body = {"first_name": name, "last_name": last_name, "language_code": language}
        found = await self.ask("POST", "customers", body)
        return int(found["id"])

    async def write(self, customer: int, text: str) -> Json:
        sent: Json = await self.ask("POST", f"customers/{customer}/send", {"text": text})
        return sent

    async def write_topic(self, thread: int | None, text: str, operator: int = OLGA) -> Json:
        body = {"text": text, "thread": thread}
        sent: Json = await self.ask("POST", f"operators/{operator}/send", body)
        return sent

    async def press(
        self, message: Json, text: str, operator: int | None = None, timeout: float = 5.0
    ) -> Json:
        """Press a button by its text, as the customer of the chat or as an operator; wait so long
        for the answer."""
        who = f"customers/{message['chat_id']}" if operator is None else f"operators/{operator}"
        body = {"message_id": message["message_id"], "text": text, "timeout": timeout}
        pressed: Json = await self.ask("POST", f"{who}/press", body)
        return pressed

    async def said(
        self,
        chat: int,
        contains: str = "",
        count: int = 1,
        after: int = 0,
        timeout: float = 30.0,
    ) -> list[Json]:
        """What the bot said in a chat, once there are so many messages."""
        deadline = asyncio.get_running_loop().time() + timeout
        query = {"from": "bot", "contains": contains, "after": after}
        while True:
            found: list[Json] = await self.ask("GET", f"chats/{chat}/messages", None, **query)
            found = [message for message in found if "text" in message or "caption" in message]
            if len(found) >= count:
                return found
            if asyncio.get_running_loop().time() > deadline:
                everything = await self.ask("GET", f"chats/{chat}/messages")
                raise AssertionError(
                    f"{len(found)} of {count} messages with {contains!r} in chat {chat}: "
                    f"{[message.get('text') for message in everything]}"
                )
            await asyncio.sleep(0.01)

    async def reply(self, to: Json, contains: str = "", timeout: float = 30.0) -> Json:
        """The first thing the bot says in a chat after a message."""
        chat, after = to["chat_id"], to["message_id"]
        return (await self.said(chat, contains, after=after, timeout=timeout))[0]

    async def topics(self) -> list[Json]:
        found: list[Json] = await self.ask("GET", f"chats/{OPERATORS_CHAT}/topics")
        return found

    async def fault(self, kind: str, **values: Any) -> None:
        await self.ask("POST", "faults", {"kind": kind} | values)

    async def calls(self, method: str, chat: int | None = None) -> list[Json]:
        """Calls of the bot that Telegram has seen."""
        query: Json = {"method": method} | ({} if chat is None else {"chat_id": chat})
        found: list[Json] = await self.ask("GET", "log", None, **query)
        return found

    async def commands_set(self) -> None:
        """Wait until the bot has described its commands to customers and operators."""

        async def look() -> bool:
            return len(await self.calls("setMyCommands")) == 2 + len(LANGUAGES)

        await eventually(look)


@pytest.fixture
async def world(simulator: Simulator) -> AsyncIterator[World]:
    """People and faults of the simulated Telegram."""
    async with aiohttp.ClientSession() as session:
        yield World(simulator.url, session)


@pytest.fixture
async def ann(world: World) -> int:
    """A customer who has opened the chat."""
    customer = await world.customer("Ann")
    await world.write(customer, "/help")
    return customer


@dataclass
class Running:
    """A bot under way."""

    task: asyncio.Task[None]
    stopping: asyncio.Event

    async def stop(self) -> None:
        """Stop it; raises what it failed with."""
        self.stopping.set()
        await self.task


@dataclass
class Starter:
    """Starts bots, and stops what the test leaves running."""

    options: BotOptions
    started: list[Running] = field(default_factory=list)

    async def __call__(self, options: BotOptions | None = None) -> Running:
        ready, stopping = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(serve(options or self.options, stopping, ready.set))
        running = Running(task, stopping)
        self.started.append(running)
        waiting = asyncio.ensure_future(ready.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done():
            task.result()
        return running


@pytest.fixture
async def options(desk: Desk, simulator: Simulator, redis_url: str, tmp_path: Path) -> BotOptions:
    """How the bot runs in these tests: polling the simulator."""
    return BotOptions(desk, DEFAULT_TOKEN, simulator.url, redis_url, tmp_path)


@pytest.fixture
async def start_bot(options: BotOptions) -> AsyncIterator[Starter]:
    """Call it to start a bot."""
    starter = Starter(options)
    yield starter
    for running in starter.started:
        if not running.task.done():
            running.stopping.set()
            with contextlib.suppress(Exception):
                await running.task


@pytest.fixture
async def bot(start_bot: Starter) -> Running:
    """A bot that runs."""
    return await start_bot()


@dataclass
class Decider:
    """Stands in for the inference worker, with predictions made by hand."""

    desk: Desk
    redis: Redis

    def pending(self) -> list[PendingMessage]:
        """Messages whose attempt has begun and that wait for their decision."""
        query = select(Message).where(Message.state == MessageState.PENDING, Message.attempt > 0)
        with self.desk.store.reading() as session:
            rows = session.scalars(query.order_by(Message.id)).all()
            return [PendingMessage(row.id, row.attempt, row.text) for row in rows]

    async def decide(self, *ranking: tuple[str, float], sentiment: str = "neutral") -> None:
        """Wait for a pending message and decide what is pending: intents, likeliest first."""
        waiting = await eventually(lambda: asyncio.to_thread(self.pending))
        scored = tuple(Scored(name, confidence) for name, confidence in ranking)
        predicted = [
            (
                message,
                Prediction(message.text, scored[0], scored, Scored(sentiment, 0.9), 0.6, "v1"),
            )
            for message in waiting
        ]
        following = await asyncio.to_thread(deciding.decide_batch, self.desk, predicted)
        if following:
            await asyncio.to_thread(queues.enqueue_classify, self.redis, following)
        await asyncio.to_thread(self.redis.publish, queues.WAKE_SENDER, "")


@pytest.fixture
def decider(desk: Desk, redis: Redis) -> Decider:
    """The inference worker's part, played by hand."""
    return Decider(desk, redis)


class Rows:
    """Looks into the tables."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self, table: type[Base], **values: Any) -> list[Any]:
        """The rows of a table with these values, in order."""
        with self._store.reading() as session:
            query = select(table).filter_by(**values).order_by(*table.__table__.primary_key)
            return list(session.scalars(query))

    async def until(
        self, table: type[Base], count: int = 1, timeout: float = 30.0, **values: Any
    ) -> list[Any]:
        """The rows with these values, once there are so many."""

        async def look() -> list[Any] | None:
            found = await asyncio.to_thread(self.all, table, **values)
            return found if len(found) >= count else None

        rows: list[Any] = await eventually(look, timeout)
        return rows


@pytest.fixture
def rows(store: Store) -> Rows:
    """The tables, to look into."""
    return Rows(store)


async def eventually(look: Callable[[], Any], timeout: float = 30.0) -> Any:
    """The first true result of `look` (a function or coroutine function) within the time."""
    deadline = asyncio.get_running_loop().time() + timeout
    while True:
        found = look()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert asyncio.get_running_loop().time() < deadline, "it did not come about in time"
        await asyncio.sleep(0.01)


async def state(rows: Rows, key: str, *states: DeliveryState) -> DeliveryRow:
    """The delivery of that key, once it is in one of the states."""

    def look() -> DeliveryRow | None:
        (row,) = rows.all(DeliveryRow, key=key)
        return row if row.state in states else None

    found: DeliveryRow = await eventually(look)
    return found


async def card_of(world: World, decider: Decider, customer: int, text: str) -> dict[str, Any]:
    """Have the bot hand a message over; returns its card."""
    await world.write(customer, text)
    await decider.decide(("complaint", 0.8), ("order_status", 0.15), ("refund", 0.05))
    return (await world.said(OPERATORS_CHAT, "Needs a person"))[-1]

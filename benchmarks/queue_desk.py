"""The desk's databases for benchmarks/queue.py: filled with waiting messages, or with updates."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from redis import Redis
from sqlalchemy import func, insert, select, text

from benchmarks.queue_contestants import Setup, read_texts
from bot.disturbance import Disturbance
from bot.lanes import Lanes
from bot.limits import Limits
from bot.telegram import Telegram
from desk import pack as packs
from desk import queues
from desk.domain import Author, InboxRow, Incoming, MessageState, Person
from desk.flow import customers, intake, leases
from desk.flow.desk import Desk
from desk.flow.leases import Holding
from desk.store import Store
from desk.tables import Conversation, Customer, Inbox, Message
from tests.databases import NoPostgresError, running_postgres

OPERATOR_CHAT = -1001234567890
BOT = 1
STORED_AT_ONCE = 100  # what Telegram gives in one answer


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """Empty databases by name: SQLite, and PostgreSQL where it is installed."""
    with ExitStack() as stack:
        urls = {"sqlite": f"sqlite:///{folder / 'desk.db'}"}
        try:
            server = stack.enter_context(running_postgres())
        except NoPostgresError:
            pass
        else:
            urls["postgresql"] = stack.enter_context(server.database(migrated=False))
        for url in urls.values():
            store = Store(url)
            store.migrate()
            store.dispose()
        yield urls


def open_desk(setup: Setup) -> Desk:
    return Desk(Store(setup.database), packs.load(Path(setup.pack)), OPERATOR_CHAT)


def add_waiting(setup: Setup, count: int) -> list[tuple[int, int]]:
    """So many new customers, each with one message that waits; returns what to enqueue."""
    store, texts = Store(setup.database), read_texts(setup.data)
    with store.writing() as session:
        first = (session.scalar(select(func.max(Customer.id))) or 0) + 1
        numbers = range(first, first + count)
        message = (session.scalar(select(func.max(Message.id))) or 0) + 1
        session.execute(
            insert(Customer), [{"id": n, "chat_id": n, "name": f"Customer {n}"} for n in numbers]
        )
        session.execute(insert(Conversation), [{"id": n, "customer_id": n} for n in numbers])
        rows = [
            {
                "id": message + row,
                "conversation_id": n,
                "author": Author.CUSTOMER,
                "text": texts[row % len(texts)],
                "state": MessageState.PENDING,
                "attempt": 1,
            }
            for row, n in enumerate(numbers)
        ]
        session.execute(insert(Message), rows)
        if not store.sqlite:
            for table in ("customers", "conversations", "messages"):
                session.execute(
                    text(
                        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) "  # noqa: S608
                        f"FROM {table}"
                    )
                )
    store.dispose()
    return [(message + row, 1) for row in range(count)]


def undecided(setup: Setup) -> int:
    """How many messages still wait for their decision."""
    store = Store(setup.database)
    with store.reading() as session:
        found = session.scalar(select(func.count()).where(Message.state == MessageState.PENDING))
    store.dispose()
    return found or 0


def from_inbox_to_queue(setup: Setup, count: int) -> dict[str, float]:
    """Messages/s of the bot's side, without Telegram: updates stored in batches of 100, and from
    the inbox through lanes and use case to the queue. One customer a message, 8 at a time."""
    desk, connection = open_desk(setup), Redis.from_url(setup.redis)
    texts = read_texts(setup.data)
    with desk.store.reading() as session:
        before = session.scalar(select(func.max(Inbox.update_id))) or 0
    updates = [
        Incoming(BOT, before + n, 10_000_000 + before + n, {"update_id": before + n})
        for n in range(1, count + 1)
    ]
    began = time.perf_counter()
    for start in range(0, count, STORED_AT_ONCE):
        intake.store_updates(desk, updates[start : start + STORED_AT_ONCE])
    stored = time.perf_counter()
    asyncio.run(_handle_all(desk, connection, texts, count))
    handled = time.perf_counter()
    connection.delete(f"rq:queue:{queues.CLASSIFY}")
    desk.store.dispose()
    return {"stored_per_s": count / (stored - began), "queued_per_s": count / (handled - stored)}


async def _handle_all(desk: Desk, connection: Redis, texts: list[str], count: int) -> None:
    done, stop = 0, asyncio.Event()

    def handle(row: InboxRow) -> None:
        person = Person(chat_id=row.chat_id or 0, name="Ana", language="en")
        said = texts[row.update_id % len(texts)]
        job = customers.wrote(desk, row.id, person, row.update_id, said)
        if job is not None:
            queues.enqueue_classify(connection, [job])

    async def handled(row: InboxRow) -> None:
        nonlocal done
        await asyncio.to_thread(handle, row)
        done += 1
        if done == count:
            stop.set()

    lease = Holding(leases.bot_lease(BOT), "benchmark")
    leases.hold(desk, lease)
    quiet = Disturbance(desk, Telegram("1:x"), Limits(), lambda: False)
    await Lanes(desk, BOT, handled, lease, quiet).run(stop)

"""Lanes: stored updates are handled in order within a chat and at once across chats."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError
from structlog.contextvars import bound_contextvars

from bot.disturbance import Disturbance
from bot.waiting import backoff, pass_on, pause
from desk import metrics
from desk.domain import InboxRow
from desk.flow import intake
from desk.flow.desk import Desk
from desk.flow.leases import Holding
from desk.store import DATABASE_AWAY, collided

log = structlog.get_logger(__name__)

CONCURRENCY = 8
HELD = 1000
HELD_OF_CHAT = 50
"""A chat that has so many waiting gets no more of them until half are done: others have room."""
FETCH = 500
POLL_SECONDS = 1.0

Lane = int | str


class UnreadableError(Exception):
    """An update that no second try can make readable: it is parked at once."""


class Lanes:
    """Takes inbox rows of one bot and runs `handle` on each until it succeeds or is parked."""

    def __init__(
        self,
        desk: Desk,
        bot_id: int,
        handle: Callable[[InboxRow], Awaitable[None]],
        lease: Holding,
        disturbance: Disturbance,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self._desk = desk
        self._bot_id = bot_id
        self._handle = handle
        self._lease = lease
        self._disturbance = disturbance
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._slots = asyncio.Semaphore(concurrency)
        self._lanes: dict[Lane, deque[InboxRow]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: set[int] = set()
        self._full: set[int] = set()

    def wake(self) -> None:
        """New rows are in the inbox."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Handle rows until `stop`, then finish those that a handler is in the middle of."""
        self._stop = stop
        stopping = asyncio.ensure_future(pass_on(stop, self._wake))
        failures = 0
        try:
            while not self._stop.is_set():
                self._wake.clear()
                try:
                    more = await self._fetch()
                    failures = 0
                except SQLAlchemyError as error:
                    failures += 1
                    log.warning("inbox_not_read", error=type(error).__name__)
                    await pause(self._stop, backoff(failures, most=5.0))
                    continue
                self._raise_crash()
                if not more:
                    await pause(self._wake, POLL_SECONDS)
            if self._tasks:
                await asyncio.wait(self._tasks)
            self._raise_crash()
        finally:
            stopping.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(stopping, *self._tasks, return_exceptions=True)

    def _raise_crash(self) -> None:
        for task in [task for task in self._tasks if task.done()]:
            self._tasks.discard(task)
            task.result()

    async def _fetch(self) -> bool:
        """Put new rows into their lanes; says whether there may be more."""
        if len(self._held) >= HELD:
            return False
        # What leaves the held rows after this copy is excluded by it; before, it is done in SQL.
        held = list(self._held)
        full = list(self._full)
        rows = await asyncio.to_thread(
            intake.new_rows, self._desk, self._bot_id, held, self._lease, FETCH, full
        )
        for row in rows:
            if row.chat_id not in self._full:
                self._add(row)
        return len(rows) == FETCH

    def _add(self, row: InboxRow) -> None:
        # An update without a chat waits for nobody.
        lane: Lane = f"update {row.id}" if row.chat_id is None else row.chat_id
        self._held.add(row.id)
        waiting = self._lanes.get(lane)
        if waiting is not None:
            waiting.append(row)
            if row.chat_id is not None and len(waiting) >= HELD_OF_CHAT:
                self._full.add(row.chat_id)
            return
        self._lanes[lane] = deque([row])
        self._tasks.add(asyncio.create_task(self._run_lane(lane)))
        self._tasks = {task for task in self._tasks if not _fine(task)}

    async def _run_lane(self, lane: Lane) -> None:
        rows = self._lanes[lane]
        while rows and not self._stop.is_set():
            row = rows[0]
            failures = 0
            while (seconds := await self._try(row, failures)) is not None:
                failures += 1
                if await pause(self._stop, seconds):
                    return
            rows.popleft()
            self._held.discard(row.id)
            if len(self._held) == HELD - 1:
                self._wake.set()
            if row.chat_id in self._full and len(rows) <= HELD_OF_CHAT // 2:
                self._full.discard(row.chat_id)
                self._wake.set()
        self._lanes.pop(lane, None)

    async def _try(self, row: InboxRow, failures: int) -> float | None:
        """Handle a row once; returns the seconds until it is to be tried again, else None."""
        async with self._slots:
            with bound_contextvars(inbox=row.id, update=row.update_id):
                return await self._try_here(row, failures)

    async def _try_here(self, row: InboxRow, failures: int) -> float | None:
        try:
            with metrics.HANDLE_SECONDS.time():
                await self._handle(row)
        except DATABASE_AWAY as error:
            if collided(error) and not failures:
                log.info("transactions_collided")
                return 0.0
            # Which is not the update's fault: it is not counted.
            log.warning("database_away", error=type(error).__name__)
            self._disturbance.trouble([row.payload])
            return backoff(failures + 1, most=5.0)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, others go on
            return await self._failed(row, error, failures)
        self._disturbance.over()
        metrics.HANDLED.labels("done").inc()
        return None

    async def _failed(self, row: InboxRow, error: Exception, failures: int) -> float | None:
        final = isinstance(error, UnreadableError)
        text = f"{type(error).__name__}: {error}"
        try:
            seconds = await asyncio.to_thread(intake.failed, self._desk, row.id, text, final=final)
        except SQLAlchemyError:
            return backoff(failures + 1, most=5.0)
        metrics.HANDLED.labels("parked" if seconds is None else "failed").inc()
        # The error's text may quote the customer: it is in the inbox row, not in the log.
        log.error(
            "update_parked" if seconds is None else "update_failed",
            error=type(error).__name__,
            at=_place(error),
        )
        return seconds


def _fine(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"

"""Handing jobs to RQ. Redis is dispatch only: what can't be enqueued now, the scheduler finds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from bot.waiting import unless
from desk import faultpoints, queues

log = structlog.get_logger(__name__)

TIMEOUT = 2.0


class Jobs:
    """Enqueues in the background, all that waits in one go.

    A Redis that does not answer holds up nobody. It is logged, never raised.
    """

    def __init__(self, redis_url: str) -> None:
        # One more try, at once, for a connection that went stale.
        self._redis = Redis.from_url(
            redis_url,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 1),
        )
        self._messages: list[tuple[int, int]] = []
        self._runs: list[tuple[int, int]] = []
        self._due = asyncio.Event()

    def classify(self, messages: Iterable[tuple[int, int]]) -> None:
        """Have (message id, attempt) pairs enqueued."""
        self._messages += messages
        self._due.set()

    def train(self, run: tuple[int, int] | None) -> None:
        """Have a training run's (id, attempt) enqueued, if there is one."""
        if run is not None:
            self._runs.append(run)
            self._due.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Enqueue what comes until `stop`, and then what is left."""
        while await unless(stop, self._due.wait()):
            await self._enqueue()
        await self._enqueue()

    async def _enqueue(self) -> None:
        self._due.clear()
        messages, self._messages = self._messages, []
        runs, self._runs = self._runs, []
        if messages:
            ids = [message_id for message_id, _ in messages]
            try:
                await asyncio.to_thread(queues.enqueue_classify, self._redis, messages)
                log.info("messages.enqueued", messages=ids)
            except (RedisError, OSError) as error:
                log.warning("not_enqueued", messages=ids, error=type(error).__name__)
            faultpoints.point("lane.after_enqueue")
        for run in runs:
            try:
                await asyncio.to_thread(queues.enqueue_train, self._redis, *run)
            except (RedisError, OSError) as error:
                log.warning("not_enqueued", run=run[0], error=type(error).__name__)

    def close(self) -> None:
        self._redis.close()

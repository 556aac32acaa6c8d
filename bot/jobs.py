"""Handing jobs to RQ. Redis is dispatch only: what can't be enqueued now, the scheduler finds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from desk import queues

log = structlog.get_logger(__name__)

TIMEOUT = 2.0


class Jobs:
    """Enqueues through threads; a Redis that does not answer is logged, never raised."""

    def __init__(self, redis_url: str) -> None:
        # One more try, at once, for a connection that went stale; more would hold up the lane.
        self._redis = Redis.from_url(
            redis_url,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 1),
        )

    async def classify(self, messages: Iterable[tuple[int, int]]) -> None:
        """Enqueue (message id, attempt) pairs."""
        wanted = list(messages)
        if not wanted:
            return
        try:
            await asyncio.to_thread(queues.enqueue_classify, self._redis, wanted)
            log.info("messages.enqueued", messages=[message_id for message_id, _ in wanted])
        except (RedisError, OSError) as error:
            ids = [message_id for message_id, _ in wanted]
            log.warning("not_enqueued", messages=ids, error=type(error).__name__)

    async def train(self, run: tuple[int, int] | None) -> None:
        """Enqueue a training run's (id, attempt), if there is one."""
        if run is None:
            return
        try:
            await asyncio.to_thread(queues.enqueue_train, self._redis, *run)
        except (RedisError, OSError) as error:
            log.warning("not_enqueued", run=run[0], error=type(error).__name__)

    def close(self) -> None:
        self._redis.close()

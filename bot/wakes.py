"""Hearing from other processes that deliveries wait: Redis pub/sub, which mends itself.

A hint only: the sender also looks by itself every second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from bot.waiting import backoff, pause, unless
from desk import queues

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 2.0
LISTEN_SECONDS = 10


async def listen(redis_url: str, wake: Callable[[], None], stop: asyncio.Event) -> None:
    """Call `wake` for each message on the sender's channel, until `stop`."""
    failures = 0
    while not stop.is_set():
        client = Redis.from_url(
            redis_url,
            socket_connect_timeout=CONNECT_SECONDS,
            health_check_interval=LISTEN_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            async with client.pubsub() as pubsub:
                await pubsub.subscribe(queues.WAKE_SENDER)
                failures = 0
                while not stop.is_set():
                    message = await unless(stop, pubsub.get_message(timeout=LISTEN_SECONDS))
                    # The confirmation of the subscription counts too: what was published
                    # while nobody listened is fetched now.
                    if message is not None:
                        wake()
        except (RedisError, OSError) as error:
            failures += 1
            if failures == 1:
                log.warning("redis_away", error=type(error).__name__)
            await pause(stop, backoff(failures, first=0.1, most=2.0))
        finally:
            await client.aclose()

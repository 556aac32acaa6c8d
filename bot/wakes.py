"""Hearing from other processes that there is work, and telling them: Redis pub/sub.

Hints only: sender and lanes also look by themselves every second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from bot.waiting import backoff, pause, unless

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 2.0
LISTEN_SECONDS = 10
ANNOUNCE_SECONDS = 1.0
"""After so long a hint is worth nothing: the others have looked by themselves."""


async def listen(
    redis_url: str, wakes: Mapping[str, Callable[[], None]], stop: asyncio.Event
) -> None:
    """Call what `wakes` has for a channel at each message on it, until `stop`."""
    failures = 0
    while not stop.is_set():
        client = _client(redis_url)
        try:
            async with client.pubsub() as pubsub:
                await pubsub.subscribe(*wakes)
                failures = 0
                while not stop.is_set():
                    message = await unless(stop, pubsub.get_message(timeout=LISTEN_SECONDS))
                    # The confirmation of the subscription counts too: what was published
                    # while nobody listened is fetched now.
                    if message is not None:
                        wakes[message["channel"].decode()]()
        except (RedisError, OSError) as error:
            failures += 1
            if failures == 1:
                log.warning("redis_away", error=type(error).__name__)
            await pause(stop, backoff(failures, first=0.1, most=2.0))
        finally:
            await client.aclose()


class Announcer:
    """Tells the listeners of a channel, in the background: a Redis that is away delays nobody."""

    def __init__(self, redis_url: str, channel: str) -> None:
        self._redis_url = redis_url
        self._channel = channel
        self._due = asyncio.Event()

    def announce(self) -> None:
        """There is work; what is announced while one message is on its way makes one more."""
        self._due.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`."""
        client = _client(self._redis_url)
        try:
            while await unless(stop, self._due.wait()):
                self._due.clear()
                try:
                    async with asyncio.timeout(ANNOUNCE_SECONDS):
                        await client.publish(self._channel, "")
                except (RedisError, OSError) as error:
                    log.debug("not_announced", channel=self._channel, error=type(error).__name__)
        finally:
            await client.aclose()


def _client(redis_url: str) -> Redis:
    return Redis.from_url(
        redis_url,
        socket_connect_timeout=CONNECT_SECONDS,
        health_check_interval=LISTEN_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )

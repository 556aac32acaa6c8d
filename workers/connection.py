"""Connecting to Redis as every worker process does: patient at the start, bounded always."""

from __future__ import annotations

import time

import structlog
from redis import Redis
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError

from desk.domain import DeskError
from desk.scrubbing import scrub

log = structlog.get_logger(__name__)


def client(url: str) -> Redis:
    """A connection pool for the server at `url`, not yet connected; `DeskError` for a wrong URL."""
    try:
        return Redis.from_url(url, socket_connect_timeout=5, health_check_interval=30)
    except ValueError as error:
        raise DeskError(
            f"REDIS_URL is no Redis address ({error}); write redis://host:6379/0"
        ) from None


def connect(url: str, wait: float = 30.0) -> Redis:
    """A connection pool to the server at `url`, which has answered a PING.

    Waits up to `wait` seconds for the server to come up; raises `DeskError` if it does not.
    """
    connection = client(url)
    deadline = time.monotonic() + wait
    while True:
        try:
            connection.ping()
            return connection
        except AuthenticationError as error:
            raise DeskError(f"Redis refuses the password in REDIS_URL: {error}") from None
        except (RedisError, BusyLoadingError, OSError) as error:
            if time.monotonic() > deadline:
                raise DeskError(
                    f"Redis at {scrub(url)} does not answer: {error}. "
                    "Check REDIS_URL and that the server runs."
                ) from None
            time.sleep(0.2)

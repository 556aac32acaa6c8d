"""Connecting to Redis as every worker process does: patient at the start, bounded always."""

from __future__ import annotations

import socket
import time
from typing import Any

from redis import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from desk.domain import DeskError
from desk.scrubbing import scrub

START_SECONDS = 30.0
OLDEST = (6, 2)
"""The first Redis with BLMOVE, by which a worker waits. Valkey says a later one's number."""
# A server whose host falls silent is given up after some 15 seconds: with words on their way to it
# by the user timeout, in quiet by the keepalives. A limit on each answer would not do, since a
# worker waits for its next job as long as it takes.
_SILENCE = {
    getattr(socket, name): value
    for name, value in {
        "TCP_KEEPIDLE": 5,
        "TCP_KEEPINTVL": 5,
        "TCP_KEEPCNT": 2,
        "TCP_USER_TIMEOUT": 15_000,
    }.items()
    if hasattr(socket, name)
}


def client(url: str, answer_within: float | None = None) -> Redis:
    """A connection pool for the server at `url`, not yet connected.

    `answer_within` so many seconds a command has its answer, for who never waits on purpose.
    """
    options: dict[str, Any] = {"socket_connect_timeout": 5, "health_check_interval": 30}
    if answer_within is not None:
        options["socket_timeout"] = answer_within
    if not url.startswith("unix:"):
        options |= {"socket_keepalive": True, "socket_keepalive_options": _SILENCE}
    return Redis.from_url(url, **options)


def connect(url: str) -> Redis:
    """A connection pool to the server at `url`, which has answered a PING.

    Waits `START_SECONDS` for the server to come up; raises `DeskError` if it does not, or is too
    old.
    """
    connection = client(url)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            connection.ping()
            check_version(connection)
            return connection
        except AuthenticationError as error:
            raise DeskError(f"Redis refuses the password in REDIS_URL: {error}") from None
        except (RedisError, OSError) as error:
            if time.monotonic() > deadline:
                raise DeskError(
                    f"Redis at {scrub(url)} does not answer: {error}. "
                    "Check REDIS_URL and that the server runs."
                ) from None
            time.sleep(0.2)


def check_version(connection: Redis) -> None:
    """Raise `DeskError` for a server older than `OLDEST`; one that does not say is believed."""
    try:
        version = str(connection.info("server")["redis_version"])
        known = tuple(int(part) for part in version.split(".")[:2])
    except (ResponseError, KeyError, ValueError):
        return  # a user without INFO, a managed server, a version as 7.4-rc1
    if known < OLDEST:
        raise DeskError(
            f"Redis {version} is too old: {OLDEST[0]}.{OLDEST[1]} or later is needed, or Valkey."
        )

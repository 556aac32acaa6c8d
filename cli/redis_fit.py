"""Whether a Redis answers, and is of use to the queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cli.errors import CommandError, MisconfiguredError

if TYPE_CHECKING:
    from redis import Redis


def ping_redis(url: str) -> None:
    """Raise `MisconfiguredError` for a wrong password, `CommandError` where nothing answers."""
    with _redis(url):
        pass


def check_redis(url: str) -> None:
    """As `ping_redis`, and `MisconfiguredError` for a server that is too old or refuses to work."""
    import redis

    from desk import queues
    from desk.domain import DeskError
    from workers import connection

    with _redis(url) as client:
        try:
            connection.check_version(client)
            queues.check_writes(client)
        except DeskError as error:
            raise MisconfiguredError(str(error)) from None
        except redis.exceptions.ResponseError as error:
            raise MisconfiguredError(f"Redis answers, but {_refusal(error)}") from None


def is_shared(url: str) -> bool:
    """Whether another desk uses that database as well. Raises as `ping_redis` does."""
    from desk import queues

    with _redis(url) as client:
        return queues.is_shared(client)


def eviction(url: str) -> str | None:
    """The policy by which a server throws keys away once it is full; None if it does not, or does
    not say. Raises as `ping_redis` does."""
    import redis

    with _redis(url) as client:
        try:
            memory: Any = client.info("memory")
        except redis.exceptions.ResponseError:
            return None
    policy = memory.get("maxmemory_policy", "noeviction")
    return str(policy) if memory.get("maxmemory") and policy != "noeviction" else None


def _refusal(error: Exception) -> str:
    """What a server that refuses to write needs."""
    import redis

    said = str(error)
    if isinstance(error, redis.exceptions.OutOfMemoryError) or "OOM" in said:
        return f"is full: {said}. Give it more memory (maxmemory), or look what else fills it."
    if isinstance(error, redis.exceptions.ReadOnlyError) or "READONLY" in said:
        return f"is a replica: {said}. REDIS_URL must lead to the primary."
    if "MISCONF" in said:
        return f"can't write to its disk: {said}."
    if (
        isinstance(error, redis.exceptions.ClusterCrossSlotError | redis.exceptions.MovedError)
        or "CROSSSLOT" in said
    ):
        return (
            f"is in cluster mode: {said}. The queue needs one primary that has all keys: turn "
            "cluster mode off, or take another server."
        )
    if isinstance(error, redis.exceptions.NoPermissionError) or "NOPERM" in said:
        return (
            f"forbids its user what the queue needs: {said}. Allow all keys rq:* and what else is "
            "in ops/redis.acl (docs/deploy.md, A Redis that others use, too)."
        )
    return f"it refuses to write: {said}."


@contextmanager
def _redis(url: str) -> Iterator[Redis]:
    """A connection that has answered a PING. `CommandError` where it stops answering, too."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    from desk.scrubbing import scrub

    client = redis.Redis.from_url(
        url, socket_timeout=3, socket_connect_timeout=3, retry=Retry(NoBackoff(), 0)
    )
    with client:
        try:
            client.ping()
            yield client
        except redis.exceptions.AuthenticationError as error:
            raise MisconfiguredError(f"Redis refuses the password in REDIS_URL: {error}.") from None
        except (redis.exceptions.RedisError, OSError) as error:
            raise CommandError(
                f"Redis at {scrub(url)} does not answer: {error}. Check REDIS_URL and that the "
                "server runs; without REDIS_URL `frontdesk up` starts an embedded one."
            ) from None

"""Settings into objects: what every verb begins with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cli.errors import CommandError, MisconfiguredError

if TYPE_CHECKING:
    from redis import Redis

    from desk.flow.desk import Desk
    from desk.pack import Pack
    from desk.settings import Settings
    from desk.store import Store


def load_settings(**overrides: Any) -> Settings:
    """The settings in force. Raises `MisconfiguredError` with a line for each wrong one.

    Beside a `frontdesk up` that keeps its SQLite database in DATA_DIR, that is the database: it
    may have been started with a BOT_TOKEN that is not set here.
    """
    from cli.rundir import running

    settings = read_settings(**overrides)
    if settings.database_url is None and (run := running(settings.data_dir)):
        return settings.model_copy(update={"database_url": run.get("database")})
    return settings


def read_settings(**overrides: Any) -> Settings:
    """The settings as they are set, whatever runs. Raises as `load_settings` does."""
    from desk.domain import DeskError
    from desk.scrubbing import protect
    from desk.settings import load

    try:
        settings = load(**overrides)
    except DeskError as error:
        raise MisconfiguredError(str(error)) from None
    protect(*settings.secrets())
    return settings


def load_pack(settings: Settings) -> Pack:
    """The pack in force. Raises `MisconfiguredError` listing all its problems."""
    from desk.pack import PackError, load

    try:
        return load(settings.pack_dir)
    except PackError as error:
        raise MisconfiguredError(str(error)) from None


def open_store(settings: Settings) -> Store:
    """The database, not yet connected.

    Raises `MisconfiguredError` for an address that is none, or that is not known here (yet:
    `CommandError`).
    """
    from desk.domain import DeskError
    from desk.store import Store

    check_known(settings)
    try:
        return Store(settings.database)
    except DeskError as error:
        raise MisconfiguredError(str(error)) from None


def check_known(settings: Settings) -> None:
    """Raise `MisconfiguredError` where the desk that runs here has a database we don't know, and
    `CommandError` while it has not said yet which one."""
    from cli.rundir import running

    if settings.database_url is not None:
        return
    run = running(settings.data_dir)
    if run is None:
        return
    if not run:
        raise CommandError(
            f"Frontdesk is just starting on DATA_DIR {settings.data_dir}. Try again in a moment."
        )
    # An address may hold a password, so run.json has it for a file alone.
    if "database" not in run:
        raise MisconfiguredError(
            f"Frontdesk runs on DATA_DIR {settings.data_dir} with a DATABASE_URL that is not "
            "set here. Set DATABASE_URL to the same, in the environment or in .env."
        )


def open_desk(settings: Settings, *, wait: float = 0.0) -> Desk:
    """Pack and database, the latter up to date; waits up to `wait` seconds for its migrations."""
    from desk.flow.desk import Desk

    pack, store = load_pack(settings), open_store(settings)
    check_store(store, wait)
    return Desk(
        store,
        pack,
        settings.operator_chat_id,
        flood_per_minute=settings.flood_per_minute,
        retention_days=settings.retention_days,
    )


def check_store(store: Store, wait: float = 0.0) -> None:
    """Return when the database answers and is up to date; raise `CommandError` with what to do."""
    from desk.domain import DeskError

    deadline = time.monotonic() + wait
    while True:
        try:
            store.check()
            return
        except DeskError as error:
            if time.monotonic() >= deadline:
                waited = f" (waited {wait:g} s)" if wait else ""
                raise CommandError(f"{error}{waited}") from None
        time.sleep(0.3)


def redis_url(settings: Settings) -> str:
    """REDIS_URL, or the address of the embedded server that runs for this DATA_DIR.

    Raises `MisconfiguredError` where there is neither.
    """
    if settings.redis_url is not None:
        return settings.redis_url
    from cli.rundir import running

    run = running(settings.data_dir)
    if run is not None and run.get("redis_url"):
        return str(run["redis_url"])
    raise MisconfiguredError(
        "REDIS_URL is not set and no embedded Redis runs here. Set REDIS_URL to a server that "
        "runs, or let `frontdesk up` start everything."
    )


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

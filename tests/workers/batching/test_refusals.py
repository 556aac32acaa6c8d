"""Redis answers and refuses: after a failover, with a full disk, without its replicas."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from batch_process import start, stop, until
from redis import Redis
from redis.exceptions import ReadOnlyError, ResponseError

from desk.queues import CLASSIFY, TRAIN, check_writes, enqueue_classify, enqueue_train
from tests.chaos.proxy import Proxy
from tests.redis_servers import embedded_redis
from tests.workers.batching.jobs import enqueue, ids, listed
from workers.embedded import EmbeddedRedis

TROUBLE_SECONDS = 3.0
"""Longer than a worker waits for a job at a time, and than it waits after its first failures."""


class Failover:
    """One address that leads to the first of two servers, and then to the second."""

    def __init__(self, first: EmbeddedRedis, second: EmbeddedRedis) -> None:
        self._proxy = Proxy(first.socket)
        self._second = second.socket
        self.old, self.new = Redis.from_url(first.url), Redis.from_url(second.url)
        self.url = f"redis://127.0.0.1:{self._proxy.port}/0"

    def demote(self) -> None:
        """The first lives on as a replica; nobody cuts the connections to it."""
        self.old.replicaof("127.0.0.1", "1")

    def move(self) -> None:
        self._proxy.lead_to(self._second)

    def close(self) -> None:
        self._proxy.close()
        self.old.close()
        self.new.close()


@pytest.fixture
def failover(tmp_path: Path) -> Iterator[Failover]:
    with embedded_redis(tmp_path / "first") as first, embedded_redis(tmp_path / "second") as second:
        made = Failover(first, second)
        yield made
        made.close()


@contextmanager
def surviving_worker(url: str, connection: Redis) -> Iterator[None]:
    """A worker that waits for jobs, and must not have died at the end of the block."""
    process: subprocess.Popen[bytes] = start(url, "plain")
    try:
        until(lambda: waits(connection))
        yield
        assert process.poll() is None, "the worker has died"
    finally:
        stop(process)


def waits(connection: Redis) -> bool:
    keys: Any = connection.smembers("rq:workers")
    return [connection.hget(key, "state") for key in keys] == [b"idle"]


@pytest.mark.parametrize(
    ("name", "act"),
    [
        (CLASSIFY, partial(enqueue_classify, messages=[(1, 1)])),
        (TRAIN, partial(enqueue_train, run_id=1, attempt=1)),
    ],
)
def test_who_enqueues_fails_once_and_then_finds_the_new_primary(
    failover: Failover, name: str, act: Callable[[Redis], object]
) -> None:
    with Redis.from_url(failover.url) as connection:
        connection.ping()
        failover.demote()
        failover.move()
        with pytest.raises(ReadOnlyError):
            act(connection)
        act(connection)
    assert failover.new.llen(f"rq:queue:{name}") == 1


def test_the_check_of_a_process_health_finds_the_new_primary_too(failover: Failover) -> None:
    with Redis.from_url(failover.url) as connection:
        check_writes(connection)
        failover.demote()
        failover.move()
        with pytest.raises(ReadOnlyError):
            check_writes(connection)
        check_writes(connection)
    assert failover.new.exists("rq:frontdesk:check:0")


def test_a_worker_outlives_a_failover_and_works_for_the_new_primary(failover: Failover) -> None:
    with surviving_worker(failover.url, failover.old):
        failover.demote()
        time.sleep(TROUBLE_SECONDS)
        failover.move()
        enqueue_classify(failover.new, [(1, 1)])
        until(lambda: listed(failover.new, "test:done") == ids(1))


@contextmanager
def full_disk(connection: Redis, directory: Path) -> Iterator[str]:
    """A server that could not save, and so takes no writes."""
    (directory / "dump.rdb").mkdir()  # it can't be replaced by a file
    connection.config_set("save", "3600 1")
    connection.bgsave()
    until(lambda: connection.info("persistence")["rdb_last_bgsave_status"] == "err")  # type: ignore[index]
    yield "MISCONF"
    connection.config_set("save", "")


@contextmanager
def no_replicas(connection: Redis, _directory: Path) -> Iterator[str]:
    """A primary whose replicas are cut off, where it must not write without them."""
    connection.config_set("min-replicas-to-write", 1)
    yield "NOREPLICAS"
    connection.config_set("min-replicas-to-write", 0)


@contextmanager
def full_memory(connection: Redis, _directory: Path) -> Iterator[str]:
    connection.config_set("maxmemory", 1)
    yield "command not allowed"
    connection.config_set("maxmemory", 0)


@pytest.mark.parametrize("trouble", [full_disk, no_replicas, full_memory])
def test_a_worker_outlives_a_server_that_takes_no_writes(
    tmp_path: Path, trouble: Callable[[Redis, Path], Any]
) -> None:
    with (
        embedded_redis(tmp_path / "redis") as server,
        Redis.from_url(server.url) as connection,
        surviving_worker(server.url, connection),
    ):
        with trouble(connection, server.directory) as word:
            with pytest.raises(ResponseError, match=word):
                enqueue(connection, 1)
            # Beyond the next of its own words, which go in a pipeline: every two seconds or so.
            time.sleep(2 * TROUBLE_SECONDS)
        enqueue(connection, 2)
        until(lambda: listed(connection, "test:done") == ids(2))

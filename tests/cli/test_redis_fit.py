"""What is said of a Redis that answers and is of no use."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from cli.compose import check_redis
from cli.errors import MisconfiguredError
from desk import queues
from desk.domain import DeskError
from tests.redis_servers import embedded_redis
from tests.security.redis_server import valkey
from workers import connection


def full(server: Redis) -> None:
    server.config_set("maxmemory", "1")


def replica(server: Redis) -> None:
    server.replicaof("127.0.0.1", 1)


@pytest.mark.parametrize(("trouble", "says"), [(full, "maxmemory"), (replica, "to the primary")])
def test_one_that_takes_nothing_is_told_with_what_to_do(
    tmp_path: Path, trouble: Callable[[Redis], None], says: str
) -> None:
    with embedded_redis(tmp_path) as running, Redis.from_url(running.url) as server:
        check_redis(running.url)
        trouble(server)
        with pytest.raises(MisconfiguredError, match=says):
            check_redis(running.url)
        with pytest.raises(RedisError):  # what a process's health asks
            queues.check_writes(server)


def test_one_in_cluster_mode_is_told(tmp_path: Path) -> None:
    with valkey(tmp_path, "--cluster-enabled", "yes") as port:
        url = f"redis://127.0.0.1:{port}/0"
        with Redis.from_url(url) as server:
            server.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            until_it_has_its_slots(server)
        with pytest.raises(MisconfiguredError, match="cluster mode"):
            check_redis(url)


def until_it_has_its_slots(server: Redis) -> None:
    deadline = time.monotonic() + 20
    while b"cluster_state:ok" not in server.execute_command("CLUSTER", "INFO"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_one_that_is_too_old_is_told_to_the_command_and_to_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def info(_server: Redis, _section: str) -> dict[str, Any]:
        return {"redis_version": "6.0.16"}

    with embedded_redis(tmp_path) as running:
        monkeypatch.setattr(Redis, "info", info)
        with pytest.raises(MisconfiguredError, match=r"6\.0\.16 is too old: 6\.2"):
            check_redis(running.url)
        with pytest.raises(DeskError, match=r"6\.2 or later"):
            connection.connect(running.url)

"""What is said of a Redis that answers and is of no use."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from cli.errors import FAILED, CommandError, MisconfiguredError
from cli.redis_fit import check_redis, eviction
from desk import queues
from desk.domain import DeskError
from tests.ports import free_port
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


def test_a_user_who_may_not_use_the_queues_keys_is_told_which_they_are(tmp_path: Path) -> None:
    with (
        valkey(tmp_path) as port,
        user(port, ["other:*"], ["+@all"]) as url,
        pytest.raises(MisconfiguredError, match=r"Allow all keys rq:\*"),
    ):
        check_redis(url)


def test_a_user_who_may_not_ask_for_the_version_is_none_the_worse(tmp_path: Path) -> None:
    with valkey(tmp_path) as port, user(port, ["*"], ["+@all", "-@dangerous"]) as url:
        check_redis(url)
        assert eviction(url) is None
        connection.connect(url).close()


@contextmanager
def user(port: int, keys: list[str], may: list[str]) -> Iterator[str]:
    """The address of a server for somebody who may do that alone, at these keys."""
    with Redis(port=port) as server:
        server.acl_setuser("desk", enabled=True, nopass=True, keys=keys, categories=may)
        yield f"redis://desk:x@127.0.0.1:{port}/0"


def test_one_that_holds_back_writes_does_not_answer_and_may_do_so_later(tmp_path: Path) -> None:
    with embedded_redis(tmp_path) as running, Redis.from_url(running.url) as server:
        server.client_pause(10_000, all=False)
        with pytest.raises(CommandError, match="does not answer") as told:
            check_redis(running.url)
        server.client_unpause()
    assert told.value.code == FAILED


@pytest.mark.parametrize(
    ("policy", "most", "found"),
    [
        ("allkeys-lru", "1gb", "allkeys-lru"),
        ("allkeys-lru", "0", None),
        ("noeviction", "1gb", None),
    ],
)
def test_a_limit_at_which_keys_are_thrown_away_is_found(
    tmp_path: Path, policy: str, most: str, found: str | None
) -> None:
    with embedded_redis(tmp_path) as running, Redis.from_url(running.url) as server:
        server.config_set("maxmemory-policy", policy)
        server.config_set("maxmemory", most)
        assert eviction(running.url) == found


@pytest.mark.parametrize("told", [{"redis_version": "7.4-rc1"}, {"redis_version": "?"}, {}])
def test_one_whose_version_can_not_be_read_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: dict[str, Any]
) -> None:
    monkeypatch.setattr(Redis, "info", lambda _server, _section: told)
    with embedded_redis(tmp_path) as running, Redis.from_url(running.url) as server:
        connection.check_version(server)


def test_one_in_cluster_mode_is_told(tmp_path: Path) -> None:
    # Its second port would be 10,000 above the first, which may be beyond the last there is.
    bus = ("--cluster-port", str(free_port()))
    with valkey(tmp_path, "--cluster-enabled", "yes", *bus) as port:
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

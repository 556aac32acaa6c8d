"""Every command of docker-compose.yml is started for real, with its service's environment alone.

The containers are folders here: /data, /models and the packs are moved, the addresses of
PostgreSQL and Redis point at real servers of this test, and Telegram is the simulator.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from tests.classifier.tiny import make_base
from tests.conftest import FLORIST
from tests.deploy.files import (
    COMPLETE,
    LONG_RUNNING,
    NEEDED,
    ONE_SHOT,
    OURS,
    ROOT,
    environment,
    services,
)
from tests.ports import free_port
from workers.embedded import find_binary

BIN = Path(sys.executable).parent
PATIENCE = 120.0


@dataclass
class Host:
    """Where the containers of a test run: servers, folders, and what each service is told."""

    folder: Path
    database_url: str
    redis_url: str
    telegram_url: str

    def environment(self, name: str) -> dict[str, str]:
        """The service's own variables and the image's, with this host's addresses and folders."""
        given = environment(services(COMPLETE)[name], COMPLETE)
        moved = {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "TELEGRAM_API_URL": self.telegram_url,
            "BASE_MODEL": str(self.folder / "base"),
            "PACK": "florist",
            "METRICS_PORT": str(free_port()),  # here all of them share one network
        }
        image = {
            "PATH": f"{BIN}:/usr/bin:/bin",
            "DATA_DIR": str(self.folder / "data" / name),
            "MODELS_DIR": str(self.folder / "models"),
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": "1",
        }
        return given | {key: value for key, value in moved.items() if key in given} | image

    def start(self, name: str, command: list[str] | None = None) -> subprocess.Popen[bytes]:
        """Start a service's command, or another one in its place, as in its container."""
        command = command or services(NEEDED)[name]["command"]
        command = [part.replace("/models/", f"{self.folder}/models/") for part in command]
        command[0] = str(BIN / command[0]) if command[0] == "frontdesk" else command[0]
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder / "app",
                env=self.environment(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def check(self, name: str) -> subprocess.Popen[bytes]:
        """Start the service's own health check: it ends with 0 for a healthy one."""
        kind, *command = services(NEEDED)[name]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.start(name, command)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, postgres_server: Any) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    (folder / "app" / "packs").mkdir(parents=True)
    (folder / "app" / "packs" / "florist").symlink_to(FLORIST)
    (folder / "models").mkdir()
    make_base(folder / "base")
    with ExitStack() as stack:
        database_url = stack.enter_context(postgres_server.database(migrated=False))
        redis_port, telegram_port = free_port(), free_port()
        for command in (
            valkey(folder, redis_port),
            [sys.executable, "-m", "simulator", "--port", str(telegram_port)],
        ):
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
            stack.callback(end, process)
        until(lambda: answers(telegram_port) and answers(redis_port), "the servers answer")
        redis_url = f"redis://:{NEEDED['REDIS_PASSWORD']}@127.0.0.1:{redis_port}/0"
        yield Host(folder, database_url, redis_url, f"http://127.0.0.1:{telegram_port}")


def test_redis_starts_as_written_and_forgets_nothing_and_asks_for_its_password(host: Host) -> None:
    with Redis.from_url(host.redis_url) as client:
        settings = client.config_get("appendonly", "maxmemory*", "save")
        assert settings["appendonly"] == "yes"
        assert settings["maxmemory-policy"] == "noeviction"
        assert int(settings["maxmemory"]) == 256 * 1024**2
        assert settings["save"] == ""
    stranger = Redis.from_url(host.redis_url.replace(NEEDED["REDIS_PASSWORD"], "wrong"))
    with stranger, pytest.raises(AuthenticationError):
        stranger.ping()


def test_every_service_comes_up_in_its_order_is_healthy_stops_on_sigterm_and_logs_no_secret(
    host: Host,
) -> None:
    running: dict[str, subprocess.Popen[bytes]] = {}
    with ExitStack() as stack:
        assert host.check("scheduler").wait(PATIENCE) == 1, "what never ran is healthy"
        for name in ONE_SHOT:
            assert host.start(name).wait(PATIENCE) == 0, host.log(name)
        assert (host.folder / "models" / "champion").is_symlink(), host.log("starter")
        trained = list((host.folder / "models").iterdir())
        for name in LONG_RUNNING:
            running[name] = host.start(name)
            stack.callback(end, running[name])
        for name in LONG_RUNNING:
            until(partial(beats, host, running, name), f"{name} beats")
        # With them, a second start of the one-shots, as after an upgrade: nothing is done twice.
        checks = {name: host.check(name) for name in LONG_RUNNING}
        checks |= {name: host.start(name) for name in ONE_SHOT}
        for name, check in checks.items():
            assert check.wait(PATIENCE) == 0, host.log(name)
        assert list((host.folder / "models").iterdir()) == trained
        for process in running.values():
            process.send_signal(signal.SIGTERM)
        ended = {name: process.wait(30) for name, process in running.items()}
    logs = {name: host.log(name) for name in OURS}
    assert ended == dict.fromkeys(LONG_RUNNING, 0), "\n".join(logs.values())
    for name, text in logs.items():
        assert text, f"{name} has written nothing, so its log proves nothing"
        for secret in ("BOT_TOKEN", "REDIS_PASSWORD"):
            assert NEEDED[secret] not in text, name


def valkey(folder: Path, port: int) -> list[str]:
    """The redis service's own command, on a port and in a folder of this test."""
    program, *arguments = services(NEEDED)["redis"]["command"]
    assert program == "valkey-server"
    (folder / "redis").mkdir()
    where = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder / "redis")]
    return [str(find_binary()), *arguments, *where]


def beats(host: Host, running: dict[str, subprocess.Popen[bytes]], name: str) -> bool:
    assert running[name].poll() is None, host.log(name)
    return (host.folder / "data" / name / "alive" / name).exists()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"it never happened: {what}"
        time.sleep(0.1)


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()

"""Frontdesk's real processes with a proxy before Redis and before the database.

What dies is started again, as a supervisor would. Faults are given to one process by its
environment; each happens once, whatever is started again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from cli.simulated import Simulator, begin_anew, register_staff
from desk import faultpoints, heartbeat
from desk import pack as packs
from desk.flow.desk import Desk
from desk.settings import Settings
from desk.store import Store
from simulator.world import DEFAULT_TOKEN, OPERATORS_CHAT
from tests.chaos import oracle
from tests.chaos.proxy import Proxy
from tests.databases import running_postgres
from tests.ports import free_port
from workers.embedded import find_binary

ROOT = Path(__file__).parents[2]
PATIENCE = 90.0
BOT_ID = int(DEFAULT_TOKEN.partition(":")[0])
COMMANDS = {
    "bot": ("cli", "bot"),
    "inference": ("cli", "worker", "inference"),
    "scheduler": ("cli", "worker", "scheduler"),
    "training": ("cli", "worker", "training"),
}
ACTIONS = ("kill", "stop", "hang", "raise", "sleep:3")
FAULTS = [f"{point}={action}" for point in sorted(faultpoints.NAMES) for action in ACTIONS]
"""What can be asked of any process while it runs: each waits for its fuse to be taken away."""
AGAIN_SECONDS = 0.2
"""How soon what died is started again."""


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> None:
    """Wait for a condition; fail with the words when it never comes true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it never happened: {what}"
        time.sleep(0.05)


def pause(seconds: float) -> None:
    """Let a trouble last: its length is what the scenario is about."""
    threading.Event().wait(seconds)


@dataclass
class Process:
    """One process that is started again when it dies, unless it is `held`."""

    name: str
    argv: Sequence[str]
    environment: dict[str, str]
    log: Path
    works: Callable[[Process], bool]
    running: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    held: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    def start(self) -> None:
        with self.lock, self.log.open("ab") as output:
            self.started, self.held = time.time(), False
            self.running = subprocess.Popen(
                self.argv,
                cwd=self.log.parent,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def signal(self, number: signal.Signals) -> None:
        with self.lock:
            if self.running is not None and self.running.poll() is None:
                self.running.send_signal(number)

    def end(self, grace: float = 10.0) -> None:
        """Stop it and leave it stopped: SIGTERM, and SIGKILL when it does not go."""
        with self.lock:
            self.held = True
            process = self.running
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def revive(self) -> None:
        """Start it again if it has died."""
        with self.lock:
            if self.held or self.running is None or self.running.poll() is None:
                return
            self.deaths += 1
            self.running = None
        time.sleep(AGAIN_SECONDS)
        with self.lock:
            if not self.held:
                self.start()

    def ready(self) -> bool:
        with self.lock:
            alive = self.running is not None and self.running.poll() is None
            return alive and self.works(self)

    def said(self, *events: str) -> int:
        """How many lines of its log name one of these events, over all its lives."""
        lines = self.log.read_text(errors="replace").splitlines()
        return sum(any(f'"{event}"' in line for event in events) for line in lines)


@dataclass
class Stack:
    """Everything that runs, and the ways to trouble it."""

    folder: Path
    store: Store
    simulator: Simulator
    redis: redis.Redis
    redis_proxy: Proxy
    database_proxy: Proxy | None
    postgres: Path | None
    """The folder of the PostgreSQL server, if that is the database."""
    fuses: Path
    """The folder with a file for each fault that may not happen now."""
    processes: dict[str, Process] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(5_000_000))
    _over: threading.Event = field(default_factory=threading.Event)
    _keepers: list[threading.Thread] = field(default_factory=list)

    def __getitem__(self, name: str) -> Process:
        return self.processes[name]

    def add(self, process: Process) -> Process:
        """Start a process and keep it alive from now on."""
        self.processes[process.name] = process
        process.start()
        keeper = threading.Thread(target=self._keep, args=(process,), daemon=True)
        keeper.start()
        self._keepers.append(keeper)
        return process

    def _keep(self, process: Process) -> None:
        while not self._over.wait(0.05):
            process.revive()

    def twin(self, name: str, **settings: str) -> Process:
        """Start a second process of the kind, beside the first; `settings` are for it alone."""
        first = self[name]
        data_dir = self.folder / "twin"
        environment = first.environment | {"DATA_DIR": str(data_dir)} | settings
        log = self.folder / f"{name}-twin.log"
        made = Process(f"{name}-twin", first.argv, environment, log, beats(data_dir, name))
        self.add(made)
        self.wait_ready(made.name)
        return made

    def remove(self, process: Process) -> None:
        """End a process for good."""
        process.end()
        del self.processes[process.name]

    def wait_ready(self, *names: str) -> None:
        """Wait until these processes do their work, or with no name all that are not held."""
        for name in names or [n for n, process in self.processes.items() if not process.held]:
            process = self[name]
            try:
                until(process.ready, f"{name} works")
            except AssertionError as error:
                tail = process.log.read_text(errors="replace")[-2000:]
                raise AssertionError(f"{error}\n{tail}") from None

    def customer(self) -> int:
        """A new person in Telegram, who has not written yet."""
        number = next(self._numbers)
        body = {"id": number, "first_name": f"C{number}", "start": False}
        self.simulator.post("/sim/customers", body)
        return number

    def says(self, customer: int, *texts: str) -> None:
        for text in texts:
            self.simulator.post(f"/sim/customers/{customer}/send", {"text": text})

    def sent_to(self, customer: int) -> list[str]:
        """What the chat shows of the bot."""
        found = self.simulator.get(f"/sim/chats/{customer}/messages?from=bot&limit=1000")
        return [str(message.get("text")) for message in found]

    def answered(self, customer: int, replies: int = 1) -> None:
        """Wait until the customer has so many replies."""
        until(lambda: len(self.sent_to(customer)) >= replies, f"{replies} replies to {customer}")

    def fault(self, **body: Any) -> None:
        """A fault of the simulator: see docs/simulator.md."""
        self.simulator.post("/sim/faults", body)

    def arm(self, fault: str) -> None:
        """A fault of desk/faultpoints.py, as in FAULTS, for whatever process comes by next."""
        (self.fuses / fault).unlink()

    def came_to_pass(self, fault: str) -> bool:
        """Whether an armed fault has happened."""
        return (self.fuses / fault).exists()

    def comes_to_pass(self, fault: str) -> None:
        until(lambda: self.came_to_pass(fault), fault)

    def settle(self, customers: Sequence[int], seconds: float = PATIENCE) -> oracle.Verdict:
        """Wait until nothing of these customers is under way, and judge."""
        return oracle.settle(self.store, self.simulator, customers, seconds)

    def good(self, customers: Sequence[int], seconds: float = PATIENCE) -> oracle.Verdict:
        """Settle, and fail with the judge's sentences if there are any."""
        verdict = self.settle(customers, seconds)
        assert not verdict.violations, "\n".join(verdict.violations)
        return verdict

    def calm(self) -> None:
        """After a scenario: whole again, without faults, for the next one."""
        self.redis_proxy.restore()
        if self.database_proxy is not None:
            self.database_proxy.restore()
        self.simulator._call("DELETE", "/sim/faults", None, 10.0)
        for fault in FAULTS:
            (self.fuses / fault).touch()
        for process in self.processes.values():
            process.signal(signal.SIGCONT)
            if process.held:
                process.start()
        self.wait_ready()
        until(self.database_answers, "the database answers")

    def database_answers(self) -> bool:
        try:
            with self.store.reading() as session:
                return bool(session.scalar(select(1)))
        except SQLAlchemyError:
            return False

    def close(self) -> None:
        self._over.set()
        for keeper in self._keepers:
            keeper.join(10)
        ordinary = [p for p in self.processes.values() if p.name not in ("simulator", "redis")]
        for process in [*ordinary, *self.processes.values()]:
            process.end(5.0)


@contextmanager
def running(
    folder: Path,
    settings: dict[str, str],
    *,
    sqlite: Path | None = None,
    names: Sequence[str] = ("bot", "inference", "scheduler"),
) -> Iterator[Stack]:
    """Frontdesk and what it needs, all of it working, for the length of a block.

    On PostgreSQL, unless `sqlite` is a file.
    """
    with ExitStack() as stack:
        redis_port, simulator_port = free_port(), free_port()
        redis_proxy = Proxy(redis_port)
        stack.callback(redis_proxy.close)
        server = database_proxy = None
        if sqlite is None:
            # A crashed backend loses what is in memory: commits must not wait there.
            server = stack.enter_context(running_postgres("synchronous_commit=on"))
            inside = stack.enter_context(server.database())
            database_proxy = Proxy(server.directory / ".s.PGSQL.5432")
            stack.callback(database_proxy.close)
            name = inside.rpartition("/")[0] and inside.partition("@/")[2].partition("?")[0]
            outside = f"postgresql://postgres@127.0.0.1:{database_proxy.port}/{name}"
        else:
            inside = outside = f"sqlite:///{sqlite}"
        store = Store(inside)
        stack.callback(store.dispose)
        store.migrate()
        client = redis.Redis(port=redis_port, retry=Retry(NoBackoff(), 0), socket_timeout=5)
        stack.callback(client.close)
        made = Stack(
            folder,
            store,
            Simulator(f"http://127.0.0.1:{simulator_port}"),
            client,
            redis_proxy,
            database_proxy,
            server.directory if server else None,
            folder / "fuses",
        )
        made.fuses.mkdir()
        for fault in FAULTS:
            (made.fuses / fault).touch()
        stack.callback(made.close)
        _begin(made, redis_port, simulator_port)
        known = {name.upper() for name in Settings.model_fields}
        environment = {k: v for k, v in os.environ.items() if k.upper() not in known} | {
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "DATABASE_URL": outside,
            "REDIS_URL": f"redis://127.0.0.1:{redis_proxy.port}/0",
            "TELEGRAM_API_URL": made.simulator.url,
            "BOT_TOKEN": DEFAULT_TOKEN,
            "OPERATOR_CHAT_ID": str(OPERATORS_CHAT),
            "RETRAIN_AT": "off",
            "DATA_DIR": str(folder / "data"),
            faultpoints.FAULTS: ";".join(FAULTS),
            faultpoints.FUSES: str(made.fuses),
            **settings,
        }
        desk = Desk(store, packs.load(Path(settings["PACK"])), OPERATORS_CHAT)
        register_staff(desk)
        begin_anew(desk, made.simulator, BOT_ID)
        for name in names:
            made.add(
                Process(
                    name,
                    [sys.executable, "-m", *COMMANDS[name]],
                    dict(environment),
                    folder / f"{name}.log",
                    beats(folder / "data", name),
                )
            )
        made.wait_ready()
        yield made


def _begin(made: Stack, redis_port: int, simulator_port: int) -> None:
    """Start what stands around Frontdesk."""
    (made.folder / "redis").mkdir()
    made.add(
        Process(
            "redis",
            [str(find_binary()), "--bind", "127.0.0.1", "--port", str(redis_port), "--dir",
             str(made.folder / "redis"), "--appendonly", "yes", "--save", "",
             "--maxmemory-policy", "noeviction"],
            dict(os.environ),
            made.folder / "redis.log",
            lambda _: _pings(made.redis),
        )
    )  # fmt: skip
    made.add(
        Process(
            "simulator",
            [sys.executable, "-m", "simulator", "--port", str(simulator_port)],
            {**os.environ, "PYTHONPATH": str(ROOT)},
            made.folder / "simulator.log",
            lambda _: made.simulator.answers(),
        )
    )
    made.wait_ready()


def _pings(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.exceptions.RedisError:
        return False


def beats(data_dir: Path, name: str) -> Callable[[Process], bool]:
    """Whether this life of a process has given a sign of life in a data directory."""

    def works(process: Process) -> bool:
        path = heartbeat.path(data_dir, name)
        return path.exists() and path.stat().st_mtime > process.started

    return works

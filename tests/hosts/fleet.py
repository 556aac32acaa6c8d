"""Frontdesk on nine hosts: PostgreSQL, Valkey, Telegram, and two each for the processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import redis
from sqlalchemy import func, select

from cli.simulated import Simulator
from desk import heartbeat
from desk.domain import DeliveryState
from desk.flow.leases import describe
from desk.policy import LATE
from desk.settings import Settings
from desk.store import Store
from desk.tables import DecisionRow, DeliveryRow
from simulator.world import DEFAULT_TOKEN, OPERATORS_CHAT
from tests.chaos import oracle
from tests.chaos.oracle import DISTURBANCE
from tests.databases import die_with_parent, running_postgres
from tests.hosts.balancer import REFUSED
from tests.hosts.network import Host, Network
from workers.embedded import find_binary

ROOT = Path(__file__).parents[2]
PATIENCE = 150.0
SIMULATOR, BALANCER, POSTGRES, REDIS, WEBHOOK = 8081, 8080, 5432, 6379, 8443
PASSWORD = "between-hosts-only"
SERVERS = ("postgres", "valkey", "telegram")
PROCESSES = {
    "worker-a": ["worker", "inference"],
    "worker-b": ["worker", "inference"],
    "sched-a": ["worker", "scheduler"],
    "sched-b": ["worker", "scheduler"],
    "bot-a": ["bot"],
    "bot-b": ["bot"],
}
EACH = 4
"""Messages of one customer."""
IMPATIENT = 15.0
"""How long, in seconds, a customer waits for the reply before writing on without it."""
# Two intents in turn: the same answer again and again would call a person.
TEXTS = ("where is my parcel", "refund the lamp")
FIRST_CUSTOMER = 7_000_000


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> None:
    """Wait for a condition; fail with the words when it never comes true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it never happened: {what}"
        time.sleep(0.1)


@dataclass
class Service:
    """One process on its host; it can be stopped and started again."""

    name: str
    host: Host
    command: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    wanted: bool = False
    """Whether it is to run: what ends by itself is then started again, as Compose does."""
    ends: int = 0
    """How often it has ended by itself."""

    def start(self) -> None:
        self.started = time.time()
        self.process = self.host.call(self._start)
        self.wanted = True  # last: until then nobody else starts it

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", *self.command],
                cwd=self.log.parent,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no lock
            )

    def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM, and how it ended."""
        assert self.process is not None
        self.wanted = False
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def end(self) -> None:
        """Stop it whatever it does."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def said(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log about an event, of all its lives."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if f'"{event}"' in line]

    @property
    def kind(self) -> str | None:
        """Which of Frontdesk's processes it is; None for what only stands around it."""
        return self.command[-1] if self.command[0] == "cli" else None

    def works(self) -> bool:
        """Whether this life of the process has given a sign of life."""
        sign = heartbeat.path(self.log.parent / self.environment["DATA_DIR"], str(self.kind))
        return sign.exists() and sign.stat().st_mtime > self.started

    def keep(self) -> None:
        """Start it again if it has ended by itself."""
        if self.wanted and self.process is not None and self.process.poll() is not None:
            self.ends += 1
            self.start()


@dataclass
class Fleet:
    """All hosts with what runs on them; `store` and `redis` look in through Unix sockets."""

    network: Network
    hosts: dict[str, Host]
    folder: Path
    settings: dict[str, str]
    store: Store
    redis: redis.Redis
    services: dict[str, Service] = field(default_factory=dict)
    traffic: Traffic = field(init=False)
    ending: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.traffic = Traffic(self.hosts["telegram"])

    def service(self, name: str, *command: str, **more: str) -> Service:
        """A process for the host of that name, not started yet."""
        known = {setting.upper() for setting in Settings.model_fields}
        clean = {k: v for k, v in os.environ.items() if k.upper() not in known}
        own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DATA_DIR": name}
        folder = self.folder / name
        folder.mkdir(parents=True)
        made = Service(
            name,
            self.hosts[name.partition("/")[0]],
            list(command),
            {**clean, **self.settings, **own, **more},
            folder / "log",
        )
        self.services[name] = made
        return made

    def ready(self) -> bool:
        """Whether every process has given a sign of life."""
        return all(service.works() for service in self.services.values() if service.kind)

    def keep(self) -> None:
        """Start again what ends by itself, until `end`."""
        while not self.ending.wait(0.5):
            for service in list(self.services.values()):
                service.keep()

    def end(self) -> None:
        """End every process, whatever it does."""
        self.ending.set()
        for service in self.services.values():
            service.wanted = False
            service.end()

    def judge(self) -> oracle.Verdict:
        """Wait until the last traffic is settled; fail unless nothing of it is lost or repeated."""
        telegram = self.hosts["telegram"]
        simulator = Simulator(f"http://{telegram.address}:{SIMULATOR}")
        customers = self.traffic.customers
        verdict = telegram.call(oracle.settle, self.store, simulator, customers, PATIENCE)
        assert not verdict.violations, "\n".join(verdict.violations)
        assert verdict.parked == 0
        assert verdict.updates == verdict.decisions.total() == EACH * len(customers)
        return verdict

    def balanced(self) -> dict[str, int]:
        """How many updates each bot's host has taken."""
        counts = self._counts()
        return {name: counts.get(_webhook(host), 0) for name, host in self.hosts.items()}

    def refused(self) -> int:
        """How often a bot has answered that it can't store an update."""
        return self._counts()[REFUSED]

    def _counts(self) -> dict[str, int]:
        balancer = f"http://127.0.0.1:{BALANCER}/counts"
        counts: dict[str, int] = self.hosts["telegram"].call(asyncio.run, _get(balancer))
        return counts

    def late(self) -> int:
        """How many messages went to a person because their decision was late."""
        with self.store.reading() as session:
            count = select(func.count()).where(DecisionRow.rule == LATE)
            return session.scalar(count) or 0

    def slow_sends(self, count: int) -> None:
        """Telegram takes a second for each of so many messages, and one is on its way."""
        telegram = self.hosts["telegram"]
        simulator = Simulator(f"http://{telegram.address}:{SIMULATOR}")
        fault = {"kind": "slow", "method": "sendMessage", "times": count, "seconds": 1.0}
        telegram.call(simulator.post, "/sim/faults", fault)
        until(self._sending, "a message is on its way")

    def _sending(self) -> bool:
        with self.store.reading() as session:
            under_way = DeliveryRow.state == DeliveryState.SENDING
            return session.scalar(select(DeliveryRow.id).where(under_way).limit(1)) is not None

    def holder(self, lease: str) -> str:
        """The host that holds a lease now; "" if none does."""
        with self.store.engine.connect() as connection:
            row = connection.exec_driver_sql(
                "SELECT holder FROM leases WHERE name LIKE %s AND until > clock_timestamp()",
                (lease,),
            ).first()
        return "" if row is None else describe(row[0]).partition(",")[0]


@contextmanager
def running(network: Network, folder: Path, settings: dict[str, str]) -> Iterator[Fleet]:
    """The whole desk on its hosts for the length of a block, working."""
    hosts = {name: network.add(name) for name in (*SERVERS, *PROCESSES)}
    with ExitStack() as stack:
        database_url, store = _database(stack, hosts["postgres"])
        redis_url, client = _redis(stack, hosts["valkey"], folder)
        telegram = hosts["telegram"]
        given = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "TELEGRAM_API_URL": f"http://{telegram.address}:{SIMULATOR}",
            "OPERATOR_CHAT_ID": str(OPERATORS_CHAT),
            "RETRAIN_AT": "off",
            **settings,
        }
        fleet = Fleet(network, hosts, folder, given, store, client)
        stack.callback(fleet.end)
        fleet.service("telegram", "simulator", "--host", telegram.address).start()
        bots = {
            "BOT_TOKEN": DEFAULT_TOKEN,
            "WEBHOOK_URL": f"http://127.0.0.1:{BALANCER}",
            "WEBHOOK_SECRET": "only-telegram-knows",
            "WEBHOOK_PORT": str(WEBHOOK),
        }
        for name, verb in PROCESSES.items():
            fleet.service(name, "cli", *verb, **(bots if verb == ["bot"] else {})).start()
        balancer = fleet.service("telegram/balancer", "tests.hosts.balancer", str(BALANCER))
        balancer.command += [_webhook(hosts[name]) for name in ("bot-a", "bot-b")]
        balancer.start()
        threading.Thread(target=fleet.keep, name="supervisor", daemon=True).start()
        until(fleet.ready, "every process works")
        yield fleet


def _webhook(host: Host) -> str:
    return f"http://{host.address}:{WEBHOOK}"


def _database(stack: ExitStack, host: Host) -> tuple[str, Store]:
    """PostgreSQL with today's tables: its address between hosts, and a store that looks in."""
    server = host.call(
        stack.enter_context,
        running_postgres(
            f"listen_addresses={host.address}",
            "max_connections=120",
            access="host all all 10.77.0.0/24 scram-sha-256\n",
        ),
    )
    store = Store(stack.enter_context(server.database()))
    stack.callback(store.dispose)
    with server.connect("postgres") as connection:
        connection.execute(f"ALTER ROLE postgres PASSWORD '{PASSWORD}'")
    name = store.engine.url.database
    return f"postgresql://postgres:{PASSWORD}@{host.address}:{POSTGRES}/{name}", store


def _redis(stack: ExitStack, host: Host, folder: Path) -> tuple[str, redis.Redis]:
    """Valkey with a password: its address between hosts, and a client that looks in."""
    place = folder / "redis"
    place.mkdir()
    # A socket's path has at most 107 bytes.
    socket = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="frontdesk-"))) / "redis"
    command = [find_binary(), "--bind", host.address, "--port", REDIS, "--unixsocket", socket,
               "--requirepass", PASSWORD, "--dir", place, "--appendonly", "yes"]  # fmt: skip
    with (place / "log").open("wb") as log:
        process = host.call(
            subprocess.Popen,
            [str(part) for part in command],
            stdout=log,
            preexec_fn=die_with_parent,
        )
    stack.callback(process.wait)
    stack.callback(process.terminate)
    client = redis.Redis.from_url(f"unix://:{PASSWORD}@{socket}")
    stack.callback(client.close)
    until(socket.exists, "Valkey starts")
    until(client.ping, "Valkey answers")
    return f"redis://:{PASSWORD}@{host.address}:{REDIS}/0", client


async def _get(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.ok, await response.text()
        return await response.json()


class Traffic:
    """Customers who write until they are told to stop, each EACH messages, many at once.

    Each writes on when the reply is there, so a slow machine has fewer messages, not later replies.
    """

    def __init__(self, telegram: Host) -> None:
        self._url = f"http://{telegram.address}:{SIMULATOR}"
        # A thread of its own, which is on the host because the host's thread starts it.
        self._pool = ThreadPoolExecutor(1, "traffic")
        telegram.call(self._pool.submit, threading.get_native_id)
        self.customers: list[int] = []
        self.written = 0
        self.disturbed = False
        """Whether a customer was told that the desk has a disturbance."""
        self._next = FIRST_CUSTOMER

    @contextmanager
    def flowing(self, at_once: int = 8) -> Iterator[Traffic]:
        """Traffic for the length of a block; every customer that began finishes after it."""
        self.customers, self.written, self.disturbed = [], 0, False
        stop = threading.Event()
        running = self._pool.submit(asyncio.run, self._flow(at_once, stop))
        try:
            yield self
        finally:
            stop.set()
            running.result(PATIENCE)

    def wait(self, more: int) -> None:
        """Wait until so many more messages are written."""
        goal = self.written + more
        until(lambda: self.written >= goal, f"{more} more messages written")

    async def _flow(self, at_once: int, stop: threading.Event) -> None:
        async with aiohttp.ClientSession() as session:

            async def write() -> None:
                while True:
                    await self._customer(session)
                    if stop.is_set():
                        return

            await asyncio.gather(*(write() for _ in range(at_once)))

    async def _customer(self, session: aiohttp.ClientSession) -> None:
        customer, self._next = self._next, self._next + 1
        self.customers.append(customer)
        body = {"id": customer, "first_name": f"C{customer}", "start": False}
        async with session.post(f"{self._url}/sim/customers", json=body) as response:
            assert response.ok, await response.text()
        chat = f"{self._url}/sim/chats/{customer}/messages?from=bot&limit=1000"
        url = f"{self._url}/sim/customers/{customer}/send"
        for number in range(EACH):
            before = await self._replies(session, chat)
            async with session.post(url, json={"text": TEXTS[number % 2]}) as response:
                assert response.ok, await response.text()
            self.written += 1
            deadline = time.monotonic() + IMPATIENT
            while time.monotonic() < deadline:
                await asyncio.sleep(0.3)
                if await self._replies(session, chat) > before:
                    break

    async def _replies(self, session: aiohttp.ClientSession, chat: str) -> int:
        async with session.get(chat) as response:
            texts = [message["text"] for message in await response.json()]
        told = texts.count(DISTURBANCE)
        self.disturbed |= told > 0
        return len(texts) - told

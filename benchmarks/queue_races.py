"""Starting the contestants of benchmarks/queue.py, giving them work and timing them.

Each has a database of one Redis server to itself and is stopped (SIGSTOP) except in its turn, so
that nobody's idling costs another; its queue is filled while it is stopped.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from benchmarks import queue_contestants
from benchmarks.common import ROOT
from benchmarks.queue_contestants import Setup
from desk import queues
from tests.redis_servers import embedded_redis

STAMPS = 1 << 20
POLL_SECONDS = 0.02
PATIENCE_SECONDS = 180.0
CHUNK = 5000
HTTP_CLIENTS = 128
START = "import sys; from benchmarks.queue_contestants import main; main(*sys.argv[1:])"
PACK = ROOT / "packs/retail"


class Contestant:
    """A running process, stopped except in its turn."""

    def __init__(self, name: str, setup: Setup, process: subprocess.Popen[str]) -> None:
        self.name, self.setup, self.process = name, setup, process
        self.redis = queue_contestants.waiting_client(setup)
        self._numbers = count()
        self._took: dict[int, float] = {}

    def feed(self, jobs: int) -> list[int]:
        """Queue so many jobs; returns their numbers."""
        numbers = self.next_numbers(jobs)
        for start in range(0, jobs, CHUNK):
            self.enqueue(numbers[start : start + CHUNK])
        return numbers

    def next_numbers(self, jobs: int) -> list[int]:
        return [next(self._numbers) for _ in range(jobs)]

    def enqueue(self, numbers: Sequence[int]) -> None:
        queues.enqueue_classify(self.redis, [(number, 1) for number in numbers])

    def left(self) -> int:
        """How many jobs are not finished."""
        queue = self.setup.queue
        with self.redis.pipeline() as pipeline:
            pipeline.llen(f"rq:queue:{queue}")
            pipeline.llen(f"rq:queue:{queue}:intermediate")
            pipeline.zcard(f"rq:wip:{queue}")
            return int(sum(pipeline.execute()))

    def check(self) -> None:
        """Raise if a job failed: what failed fast must not count as done."""
        failed = self.redis.zcard(f"rq:failed:{self.setup.queue}")
        if failed:
            raise SystemExit(f"{self.name}: {failed} jobs failed; the run counts for nothing")

    def go(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    def rest(self) -> None:
        os.killpg(self.process.pid, signal.SIGSTOP)

    def finish(self) -> None:
        """Wait until no job is left."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.left():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{self.name}: did not finish its jobs")
            time.sleep(POLL_SECONDS)

    def race(self, jobs: int) -> float:
        """Jobs/s for so many that wait in the queue when it starts."""
        self.feed(jobs)
        began = time.perf_counter()
        self.go()
        try:
            # To ask whether it is done costs it time: so not at first.
            time.sleep(0.6 * self._took.get(jobs, 0.0))
            self.finish()
            took = time.perf_counter() - began
        finally:
            self.rest()
        self.check()
        self._took[jobs] = took
        return jobs / took

    def memory_mb(self) -> float:
        """Without mapped files: the pages of `stamps` that it has touched are not its own."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


class Asked(Contestant):
    """No queue: it says itself how long it took."""

    def ask(self, jobs: int) -> Any:
        self.redis.rpush(self.setup.queue, jobs)
        self.go()
        try:
            answer = self.redis.blpop([f"{self.setup.queue}:took"], PATIENCE_SECONDS)
        finally:
            self.rest()
        if answer is None:
            raise SystemExit(f"{self.name}: did not answer")
        return json.loads(answer[1])

    def race(self, jobs: int) -> float:
        return jobs / float(self.ask(jobs))


class Desk(Contestant):
    """Its jobs are messages in a database."""

    def feed(self, jobs: int) -> list[int]:
        from benchmarks.queue_desk import add_waiting

        waiting = add_waiting(self.setup, jobs)
        queues.enqueue_classify(self.redis, waiting)
        return [message_id for message_id, _ in waiting]

    def check(self) -> None:
        from benchmarks.queue_desk import undecided

        super().check()
        if waiting := undecided(self.setup):
            raise SystemExit(f"{self.name}: {waiting} messages were not decided")


class Stock(Contestant):
    """Jobs of a stock worker name their function by path."""

    def __init__(self, name: str, setup: Setup, process: subprocess.Popen[str]) -> None:
        super().__init__(name, setup, process)
        noop = name == "stock_noop"
        job = queue_contestants.job_noop if noop else queue_contestants.job_classify
        self._path = f"{job.__module__}.{job.__name__}"
        self._queue = Queue(setup.queue, connection=self.redis, serializer=JSONSerializer)

    def enqueue(self, numbers: Sequence[int]) -> None:
        self._queue.enqueue_many(
            [
                Queue.prepare_data(self._path, args=(number,), result_ttl=queues.RESULT_TTL)
                for number in numbers
            ]
        )


class Celery(Contestant):
    """It counts what it did in Redis, once a batch."""

    def __init__(self, name: str, setup: Setup, process: subprocess.Popen[str]) -> None:
        from benchmarks.queue_rivals import celery_app

        super().__init__(name, setup, process)
        _, self._task = celery_app(setup)
        self._sent = 0

    def enqueue(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._task.apply_async((number,))
        self._sent += len(numbers)

    def left(self) -> int:
        return self._sent - int(self.redis.get(f"{self.setup.queue}:done") or 0)

    def check(self) -> None:
        """It has no registry of failures; a batch that raises is not counted as done."""


class LitServe(Contestant):
    """Asked over HTTP by clients of its own, since it has no queue to fill beforehand."""

    def race(self, jobs: int) -> float:
        self.go()
        try:
            return asyncio.run(self._ask(jobs))
        finally:
            self.rest()

    async def _ask(self, jobs: int) -> float:
        base = f"http://127.0.0.1:{self.setup.port}"
        waiting = iter(range(jobs))
        connector = aiohttp.TCPConnector(limit=HTTP_CLIENTS)
        async with aiohttp.ClientSession(base, connector=connector) as session:
            await _healthy(session)

            async def client() -> None:
                for number in waiting:
                    async with session.post("/predict", json={"number": number}) as answer:
                        answer.raise_for_status()
                        await answer.json()

            began = time.perf_counter()
            await asyncio.gather(*[client() for _ in range(HTTP_CLIENTS)])
            return jobs / (time.perf_counter() - began)


async def _healthy(session: aiohttp.ClientSession) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            async with session.get("/health") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        if time.monotonic() > deadline:
            raise SystemExit("litserve did not become ready")
        await asyncio.sleep(0.1)


KINDS: dict[str, type[Contestant]] = {
    "engine": Asked,
    "inbox": Asked,
    "desk": Desk,
    "stock": Stock,
    "celery": Celery,
    "litserve": LitServe,
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


class Ring:
    """Where contestants are started; all end with it."""

    def __init__(self, folder: Path, model: Path, data: Path, batch: int) -> None:
        self._stack = ExitStack()
        self.folder = folder
        self.stamps: np.memmap[Any, np.dtype[np.float64]] = np.memmap(
            folder / "stamps", dtype=np.float64, mode="w+", shape=(STAMPS,)
        )
        server = self._stack.enter_context(embedded_redis(folder / "redis"))
        self._setup = Setup(
            redis=server.url,
            model=str(model),
            data=str(data),
            stamps=str(folder / "stamps"),
            batch=batch,
            pack=str(PACK),
        )

    def close(self) -> None:
        self._stack.close()

    @contextmanager
    def contestants(
        self, *names: str, databases: Mapping[str, str] | None = None
    ) -> Iterator[list[Contestant]]:
        """Start contestants, each warm and then stopped, on emptied queues.

        `desk:x` works on the SQL database `x`; two of the same name share their queue.
        """
        Redis.from_url(self._setup.redis).flushall()
        with ExitStack() as stack:
            yield [
                stack.enter_context(self._contestant(name, names.index(name), databases or {}))
                for name in names
            ]

    @contextmanager
    def _contestant(
        self, name: str, number: int, databases: Mapping[str, str]
    ) -> Iterator[Contestant]:
        kind, _, database = name.partition(":")
        setup = replace(
            self._setup,
            redis=f"{self._setup.redis}?db={number}",
            port=free_port() if kind == "litserve" else 0,
            database=databases.get(database, ""),
        )
        with (self.folder / f"{name.replace(':', '-')}.log").open("w") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    START,
                    kind,
                    json.dumps(asdict(setup)),
                ],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        try:
            assert process.stdout is not None
            heard, _, _ = select.select([process.stdout], [], [], PATIENCE_SECONDS)
            if not heard or process.stdout.readline().strip() != "ready":
                said = Path(log.name).read_text()[-2000:]
                raise SystemExit(f"{name} did not start:\n{said}")
            contestant = KINDS.get(kind.partition("_")[0], Contestant)(name, setup, process)
            time.sleep(0.2)
            contestant.rest()
            yield contestant
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

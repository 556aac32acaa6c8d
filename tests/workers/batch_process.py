"""A worker in a process of its own, for tests that kill, stop or starve it.

    python tests/workers/batch_process.py URL MODE [MAX_BATCH]

It appends each batch's job ids to the Redis list `test:begun` as the batch begins, and to
`test:done` as it ends. MODE is `plain`, `slow` (a second for each batch) or `hang`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from redis import Redis
from rq.job import Job

ROOT = Path(__file__).parents[2]


def main(url: str, mode: str, max_batch: int) -> None:
    from desk.queues import CLASSIFY, queue
    from workers.batching import BatchWorker

    connection = Redis.from_url(url)

    def run_batch(jobs: Sequence[Job]) -> list[object]:
        connection.rpush("test:begun", *(job.id for job in jobs))
        time.sleep({"plain": 0, "slow": 1, "hang": 60}[mode])
        connection.rpush("test:done", *(job.id for job in jobs))
        return [None] * len(jobs)

    worker = BatchWorker(
        queue(CLASSIFY, connection),
        run_batch=run_batch,
        max_batch=max_batch,
        worker_ttl=2,
        maintenance_interval=1,
    )
    worker.lease_margin = 1
    worker.work(logging_level="WARNING")


def start(url: str, mode: str, max_batch: int = 64) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, __file__, url, mode, str(max_batch)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait()


def until(condition: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

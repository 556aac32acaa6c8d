"""RQ's own command sees and steers a batching worker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from redis import Redis
from rq.job import Job

from desk.queues import CLASSIFY, enqueue_classify, queue
from workers.batching import BatchWorker

RQ = "import sys; from rq.cli import main; sys.exit(main())"


def rq(url: str, *command: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", RQ, *command],
        env={**os.environ, "RQ_REDIS_URL": url},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return ran.stdout


def second_fails(jobs: Sequence[Job]) -> list[object]:
    return [ValueError("no") if job.args[0] == 2 else None for job in jobs]


def worker(connection: Redis) -> BatchWorker:
    return BatchWorker(queue(CLASSIFY, connection), run_batch=second_fails, max_batch=8)


def test_rq_info_counts_what_a_batch_did(redis_url: str, connection: Redis) -> None:
    told: list[str] = []

    def run(jobs: Sequence[Job]) -> list[object]:
        told.append(rq(redis_url, "info"))
        return second_fails(jobs)

    enqueue_classify(connection, [(number, 1) for number in range(4)])
    busy = worker(connection)
    busy.run_batch = run
    busy.work(burst=True, max_jobs=4, logging_level="CRITICAL")
    assert "4 executing" in told[0]
    assert "busy" in told[0]
    assert busy.name in told[0]
    assert "3 finished" in rq(redis_url, "info")


def test_rq_suspend_and_resume_stop_and_start_the_taking(redis_url: str, connection: Redis) -> None:
    enqueue_classify(connection, [(1, 1)])
    rq(redis_url, "suspend")
    worker(connection).work(burst=True, logging_level="CRITICAL")
    assert queue(CLASSIFY, connection).count == 1
    rq(redis_url, "resume")
    worker(connection).work(burst=True, logging_level="CRITICAL")
    assert queue(CLASSIFY, connection).count == 0

"""Jobs for the batching worker, put into its queue and looked at afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import Redis
from rq import Queue
from rq.job import Job

from desk.queues import (
    CLASSIFY,
    CLASSIFY_JOB,
    AllowedJob,
    queue,
)
from workers.batching import BatchWorker, RunBatch


def worker_on(connection: Redis, run_batch: RunBatch, max_batch: int = 64, **more: Any) -> Any:
    return BatchWorker(
        queue(CLASSIFY, connection), run_batch=run_batch, max_batch=max_batch, **more
    )


def burst(worker: Any, **more: Any) -> bool:
    worked: bool = worker.work(burst=True, logging_level="CRITICAL", **more)
    return worked


def nothing(jobs: Sequence[Job]) -> list[object]:
    return [None] * len(jobs)


def message(job: Job) -> int:
    return int(job.args[0])


def enqueue(connection: Redis, *ids: int, **settings: Any) -> None:
    """Jobs with settings of their own, as the contract's function gives none."""
    settings = {"timeout": 20, "result_ttl": 60, "failure_ttl": 600, **settings}
    queue(CLASSIFY, connection).enqueue_many(
        Queue.prepare_data(CLASSIFY_JOB, args=(n, 1), job_id=f"classify-{n}-1", **settings)
        for n in ids
    )


def job(connection: Redis, number: int) -> Job:
    only = queue(CLASSIFY, connection)
    return AllowedJob.fetch(f"classify-{number}-1", connection, serializer=only.serializer)


def ids(*numbers: int) -> list[str]:
    return [f"classify-{number}-1" for number in numbers]


def listed(connection: Redis, name: str) -> list[str]:
    members: Any = connection.lrange(name, 0, -1)
    return [member.decode() for member in members]

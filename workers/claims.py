"""A worker's jobs in Redis: claimed from its queue in one step, and recorded in one.

`workers.batching` says what that rests on, `workers.scripts` how it is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import uuid4

import redis
from rq import Queue
from rq.defaults import DEFAULT_FAILURE_TTL, DEFAULT_WORKER_TTL
from rq.exceptions import NoSuchJobError
from rq.executions import Execution, ExecutionRegistry
from rq.job import Job, JobStatus
from rq.results import Result
from rq.suspension import WORKERS_SUSPENDED
from rq.utils import current_timestamp, now, utcformat
from rq.worker import BaseWorker

from workers import reading
from workers.records import Claim, Records
from workers.scripts import CLAIM, FINISH, LONGEST


class Taken(NamedTuple):
    """What a claim has brought."""

    claims: list[Claim]
    """The jobs to run."""
    claimed: int
    """How many jobs were claimed: those that are unreadable, too."""
    limit: int
    """The time limit of the batch in seconds; none if it is not positive."""
    lease: int
    """Seconds for which the jobs are held."""
    suspended: bool
    """Whether RQ's workers are to take nothing now."""
    moved: bool
    """Whether there was anything on the queue."""


class Claims:
    """Claims jobs of one queue for an RQ worker, and records what became of them."""

    def __init__(self, worker: BaseWorker, queue: Queue) -> None:
        self._worker = worker
        self._queue = queue
        self._connection = worker.connection
        self._registries = {
            "started": queue.started_job_registry.key,
            "finished": queue.finished_job_registry.key,
            "failed": queue.failed_job_registry.key,
            "scheduled": queue.scheduled_job_registry.key,
        }
        self._claim_script = self._connection.register_script(CLAIM)
        self._finish_script = self._connection.register_script(FINISH)

    def take(self, most: int, lease_margin: int) -> Taken:
        """Claim up to so many jobs that wait, in one round trip.

        Their lease is the longest of their time limits and `lease_margin` seconds.
        """
        worker, started = self._worker, now()
        suspended, limit, lease, taken, skipped, scanned = self._claim_script(
            keys=[
                *self._keys(),
                WORKERS_SUSPENDED,
            ],
            args=[
                most,
                worker.name,
                utcformat(started),
                repr(started.timestamp()),
                lease_margin,
                worker.queue_class.DEFAULT_TIMEOUT,
                DEFAULT_WORKER_TTL,
                worker.worker_ttl,
                *self._prefixes(),
                uuid4().hex,
                LONGEST,
            ],
        )
        for job_id in skipped:
            worker.log.info("Worker %s: skipped job %s", worker.name, _text(job_id))
        claims = [
            claim
            for job_id, execution_id, fields in taken
            if (claim := self._restore(_text(job_id), _text(execution_id), fields, started))
        ]
        moved = bool(scanned or taken)
        return Taken(claims, len(taken), limit, lease, bool(suspended), moved)

    def record(
        self,
        batch: Sequence[Claim],
        outcomes: Iterable[object],
        apart: Iterable[bool],
        worked: float,
    ) -> list[str]:
        """Record the outcomes of a batch that took `worked` seconds, in one round trip.

        Says for each claim: done, lost, or apart (it is only looked at, and left to RQ).
        """
        worker = self._worker
        records = Records(
            worker.name,
            self._connection,
            self._registries,
            worker.default_result_ttl,
            keep_failures=not worker.disable_default_exception_handler,
        )
        told: list[Any] = []
        for claim, outcome, left in zip(batch, outcomes, apart, strict=True):
            told += records.look(claim) if left else records.of(claim, outcome)
        verdicts: list[Any] = self._finish_script(
            keys=self._keys(),
            args=[
                utcformat(now()),
                worker.worker_ttl,
                repr(worked),
                *self._prefixes(),
                Result.get_key(""),  # type: ignore[no-untyped-call]
                *told,
            ],
        )
        return [_text(verdict) for verdict in verdicts]

    def park_abandoned(self) -> None:
        """Park what is unreadable among the jobs of dead workers, over which RQ would fail."""
        ended: Any = self._connection.zrangebyscore(
            self._registries["started"], 0, current_timestamp()
        )
        for composite in ended:
            job_id, _, execution_id = _text(composite).rpartition(":")
            job = self._worker.job_class(job_id, connection=self._connection)
            job.serializer = self._worker.serializer
            try:
                job.refresh()  # type: ignore[no-untyped-call]
                reading.check_times(job)
            except NoSuchJobError:
                continue  # RQ takes it off the registry
            except redis.exceptions.RedisError:
                raise
            except Exception as error:  # noqa: BLE001 - any one of RQ's parsers
                self._park(job, Execution(execution_id, job_id, self._connection), error)

    def _restore(
        self, job_id: str, execution_id: str, fields: Any, started: datetime
    ) -> Claim | None:
        """The claimed job from its hash, as the claim script left it; None if it makes no sense."""
        worker = self._worker
        job = worker.job_class(job_id, connection=self._connection)
        job.serializer = worker.serializer  # given to RQ, it would be checked again for every job
        execution = Execution(execution_id, job_id, self._connection, worker_name=worker.name)
        execution.created_at = execution.last_heartbeat = started
        execution._job = job  # as RQ does, so that nobody fetches it again
        try:
            reading.restore(job, fields)
        except Exception as error:  # noqa: BLE001 - any one of RQ's parsers
            self._park(job, execution, error)
            return None
        job.redis_server_version = worker.get_redis_server_version()  # type: ignore[no-untyped-call]
        job.worker_name = worker.name
        job.started_at = job.last_heartbeat = started
        job._status = JobStatus.STARTED  # as the script has set it; set_status would write again
        return Claim(job, execution)

    def _park(self, job: Job, execution: Execution, error: Exception) -> None:
        """Fail a job whose hash makes no sense."""
        worker = self._worker
        worker.log.error("Worker %s: job %s is unreadable: %r", worker.name, job.id, error)
        job.origin = self._queue.name  # what the registries are found by
        with self._connection.pipeline() as pipeline:
            pipeline.hset(job.key, "status", JobStatus.FAILED)
            pipeline.expire(job.key, DEFAULT_FAILURE_TTL)
            pipeline.zadd(
                self._registries["failed"], {job.id: current_timestamp() + DEFAULT_FAILURE_TTL}
            )
            execution.delete(job=job, pipeline=pipeline)
            pipeline.execute()

    def _keys(self) -> list[str]:
        worker = self._worker
        return [self._queue.key, self._registries["started"], worker.key, worker.executions_key]

    def _prefixes(self) -> tuple[str, str, str]:
        """Prefixes of the keys of a job, an execution, and a job's executions."""
        execution = Execution("", "", self._connection).key[: -len(":")]
        return (
            self._worker.job_class.key_for(""),
            execution,
            ExecutionRegistry.key_template.format(""),
        )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

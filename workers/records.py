"""What the finish script is told of each job of a batch: RQ's fields, as RQ would write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from redis import Redis
from rq.defaults import DEFAULT_FAILURE_TTL
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.results import Result
from rq.utils import current_timestamp, now, utcformat


class Claim(NamedTuple):
    """A job that this worker holds, and the execution under which it does."""

    job: Job
    execution: Execution


@dataclass
class Failure:
    """Why a job failed, with its traceback as it goes to the failed registry."""

    error: BaseException
    text: str


@dataclass(frozen=True, slots=True)
class Records:
    """Builds records for one worker; `workers.scripts.FINISH` describes their order.

    `registries` are the keys of the finished, failed and scheduled jobs. `keep_failures` is
    whether a job that failed for good goes to the failed registry.
    """

    worker: str
    connection: Redis
    registries: Mapping[str, str]
    default_result_ttl: int
    keep_failures: bool

    def of(self, claim: Claim, outcome: object) -> list[Any]:
        """One job's record. Changes nothing: it may be built again."""
        job = claim.job
        stamp = utcformat(job.ended_at or now())
        fields: dict[str, Any] = {"ended_at": stamp, "last_heartbeat": stamp}
        if not isinstance(outcome, Failure):
            ttl = job.get_result_ttl(self.default_result_ttl)
            fields["status"] = JobStatus.FINISHED.value
            result = self._result(claim, Result.Type.SUCCESSFUL, return_value=outcome)
            registry = self.registries["finished"]
            score = "+inf" if ttl < 0 else current_timestamp() + ttl
            return _pack("ok", claim, ttl, registry, score, "", fields, ttl, result)
        if job.should_retry:
            interval = job.get_retry_interval()
            fields["retries_left"] = (job.retries_left or 1) - 1
            kind, expiry = "failed", "" if job.ttl is None else job.ttl
            if interval:
                at = now() + timedelta(seconds=interval)
                fields["status"] = JobStatus.SCHEDULED.value
                scheduled = self.registries["scheduled"]
                score = int(at.timestamp())
                return _pack(kind, claim, expiry, scheduled, score, "", fields, "", {})
            fields["status"] = JobStatus.QUEUED.value
            fields["enqueued_at"] = utcformat(now())
            push = "L" if job.enqueue_at_front_on_retry else "R"
            return _pack(kind, claim, expiry, "", "", push, fields, "", {})
        fields["status"] = JobStatus.FAILED.value
        if not self.keep_failures:
            return _pack("failed", claim, "", "", "", "", fields, "", {})
        ttl = DEFAULT_FAILURE_TTL if job.failure_ttl is None else job.failure_ttl
        result = self._result(claim, Result.Type.FAILED, exc_string=outcome.text)
        registry = self.registries["failed"]
        score = ttl if ttl < 0 else current_timestamp() + ttl
        kept = "" if job.failure_ttl is None else job.failure_ttl
        return _pack("failed", claim, ttl, registry, score, "", fields, kept, result)

    @staticmethod
    def look(claim: Claim) -> list[Any]:
        """The record that only asks whether the job is still this worker's."""
        return ["check", claim.job.id, claim.execution.id, "", "", "", "", 0, "", 0]

    def _result(self, claim: Claim, kind: Any, **what: Any) -> dict[str, Any]:
        job, execution = claim
        result = Result(
            job.id,
            kind,
            self.connection,
            worker_name=self.worker,
            execution_id=execution.id,
            execution_started_at=execution.created_at,
            execution_ended_at=job.ended_at,
            **what,
        )
        result.serializer = job.serializer
        return result.serialize()


def _pack(
    kind: str,
    claim: Claim,
    expiry: Any,
    registry: str,
    score: Any,
    push: str,
    fields: dict[str, Any],
    result_expiry: Any,
    result: dict[str, Any],
) -> list[Any]:
    """A record of the finish script; the order is described there."""
    record = [kind, claim.job.id, claim.execution.id, expiry, registry, score, push]
    record.append(2 * len(fields))
    for item in fields.items():
        record += item
    record += [result_expiry, 2 * len(result)]
    for item in result.items():
        record += item
    return record

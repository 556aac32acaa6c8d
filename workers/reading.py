"""A job from its hash in Redis, which anybody who may write there can mangle.

All of it raises for what makes no sense: one mangled hash must not end every worker that meets it,
as it does in RQ.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rq.job import Job

from desk.queues import AllowedJob
from workers.scripts import LONGEST


def restore(job: Job, fields: Any) -> None:
    """Fill a job from the flat fields and values of its hash."""
    flat = iter(fields)
    found = dict(zip(flat, flat, strict=True))
    created, enqueued = found.pop(b"created_at", None), found.pop(b"enqueued_at", None)
    job.restore(found)
    check_times(job)
    # RQ parses with strptime, which takes a tenth of a job's time.
    job.created_at = _moment(created) or job.created_at
    job.enqueued_at = _moment(enqueued)


def check_times(job: Job) -> None:
    """Raise if a time of the job is none that a script, the clock or Redis can do with."""
    times = [job.timeout, job.result_ttl, job.failure_ttl, job.ttl]
    for seconds in (*times, *(job.retry_intervals or ()), *(job.repeat_intervals or ())):
        if seconds is not None and not -LONGEST <= seconds <= LONGEST:
            raise ValueError(f"{seconds} s is no time of a job")


def check_allowed(job: Job) -> None:
    """Raise if the job may not run; for an `AllowedJob` nothing is imported."""
    _ = job.func_name  # reads the payload
    if isinstance(job, AllowedJob):
        job.check_allowed()
        _ = job.success_callback, job.failure_callback, job.stopped_callback


def _moment(stamp: bytes | None) -> datetime | None:
    return None if stamp is None else datetime.fromisoformat(stamp.decode())

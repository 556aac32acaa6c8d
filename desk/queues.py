"""The whole contract with RQ: queue names, dotted job paths, serializer, retries and time limits.

Jobs carry ids only, never a text. RQ imports whatever dotted path a job names, so `AllowedJob`
refuses every path that is not listed here, before anything is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redis import Redis
from redis.exceptions import ReadOnlyError
from rq import Queue, Retry
from rq.command import PUBSUB_CHANNEL_TEMPLATE
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

CLASSIFY = "classify"
TRAIN = "train"

CLASSIFY_JOB = "workers.inference.classify"
TRAIN_JOB = "workers.training.train"
ALLOWED_JOBS = frozenset({CLASSIFY_JOB, TRAIN_JOB})

CLASSIFY_TIMEOUT = 20
CLASSIFY_TTL = 600
"""Seconds in the queue after which a job goes: its message is a person's by then, or is enqueued
again."""
TRAIN_TIMEOUT = 4 * 3600
RESULT_TTL = 60
FAILURE_TTL = 24 * 3600
WORKER_TTL = 30
MAINTENANCE_INTERVAL = 15
CLASSIFY_RETRIES = 3

WAKE_SENDER = "frontdesk:wake:sender"
"""Pub/sub channel on which a process says that deliveries are waiting. A hint: SQL is the truth."""
WAKE_LANES = "frontdesk:wake:lanes"
"""The same for updates that a standby bot has stored, which the active bot handles."""


SHARED_SECONDS = 60
"""After so long without another sign of it another desk is gone."""
SHARED_TIMES = 3
"""So many signs of it make another desk."""
SHARED = "another desk uses this database of Redis, too, and each takes the jobs of the other"
OWN_NUMBER = "Give each desk a number of its own at the end of REDIS_URL (docs/deploy.md)"

_SIGNED = "rq:frontdesk:signed"
_OTHERS = "rq:frontdesk:others"


class JobNotAllowedError(Exception):
    """A job names a function that is not on the allow-list, or carries a callback."""


class AllowedJob(Job):  # type: ignore[misc, unused-ignore]
    """An RQ job that resolves to a function of `ALLOWED_JOBS` or to nothing, and calls nobody."""

    def restore(self, raw_data: Any) -> None:
        super().restore(raw_data)
        # RQ would call any address with any headers, and wait as long as the hash says.
        self.webhooks = []

    @property
    def func(self) -> Callable[..., Any]:
        self.check_allowed()
        resolved: Callable[..., Any] = super().func
        return resolved

    def check_allowed(self) -> None:
        """Raise `JobNotAllowedError` unless the job's function may run."""
        if self.instance is not None or self.func_name not in ALLOWED_JOBS:
            raise JobNotAllowedError(
                f"job {self.id} names {self.func_name!r}, which is not one of "
                f"{', '.join(sorted(ALLOWED_JOBS))}; it was refused"
            )

    @property
    def success_callback(self) -> Any:
        return self._no_callback("_success_callback_name")

    @property
    def failure_callback(self) -> Any:
        return self._no_callback("_failure_callback_name")

    @property
    def stopped_callback(self) -> Any:
        return self._no_callback("_stopped_callback_name")

    def _no_callback(self, attribute: str) -> None:
        # A callback is a dotted path too, and RQ would import it.
        if getattr(self, attribute, None) is not None:
            raise JobNotAllowedError(f"job {self.id} carries a callback; none is allowed")


def queue(name: str, connection: Redis) -> Queue:
    """The queue of that name, with the contract's serializer and job class."""
    return Queue(name, connection=connection, serializer=JSONSerializer, job_class=AllowedJob)


def classify_job_id(message_id: int, attempt: int) -> str:
    """One id an attempt: a retried Redis command then cannot enqueue an attempt twice."""
    return f"classify-{message_id}-{attempt}"


def train_job_id(run_id: int, attempt: int) -> str:
    """The same for a training run."""
    return f"train-{run_id}-{attempt}"


def job_key(job_id: str) -> str:
    """The key of the hash in which RQ keeps a job."""
    return str(AllowedJob.key_for(job_id))


def workers_key(name: str) -> str:
    """The key of the set of workers that RQ has registered on a queue."""
    return str(WORKERS_BY_QUEUE_KEY % name)


def worker_channel(name: str) -> str:
    """The channel on which the RQ worker of that name listens for commands."""
    return str(PUBSUB_CHANNEL_TEMPLATE % name)


def enqueue_classify(connection: Redis, messages: Iterable[tuple[int, int]]) -> int:
    """Enqueue (message id, attempt) pairs in one round trip; returns how many."""
    classify = queue(CLASSIFY, connection)
    jobs = [
        Queue.prepare_data(
            CLASSIFY_JOB,
            args=(message_id, attempt),
            job_id=classify_job_id(message_id, attempt),
            description=f"classify message {message_id}",
            timeout=CLASSIFY_TIMEOUT,
            ttl=CLASSIFY_TTL,
            result_ttl=RESULT_TTL,
            failure_ttl=FAILURE_TTL,
            retry=Retry(max=CLASSIFY_RETRIES),
        )
        for message_id, attempt in messages
    ]
    if jobs:
        with leaving_replicas(connection):
            classify.enqueue_many(jobs)
    return len(jobs)


def decided(connection: Redis, following: Iterable[tuple[int, int]]) -> None:
    """Pass on what decisions have committed: replies to send, and the messages that come next.

    `following` are the (message id, attempt) pairs that a use case of deciding returned.
    """
    connection.publish(WAKE_SENDER, "")
    enqueue_classify(connection, following)


def waits_for_database(connection: Redis, job_id: str, *, waits: bool) -> None:
    """Note that the worker of a trial does nothing now but wait for the database, or no more so:
    that is no fault of the message's. It lasts as long as the worker's hold on the job."""
    key = _waits_key(job_id)
    with leaving_replicas(connection):
        if waits:
            connection.set(key, 1, ex=WORKER_TTL)
        else:
            connection.delete(key)


def waiting_for_database(connection: Redis, job_ids: Sequence[str]) -> set[str]:
    """Of which of these jobs that is noted."""
    if not job_ids:
        return set()
    found: Any = connection.mget([_waits_key(job_id) for job_id in job_ids])
    return {job_id for job_id, noted in zip(job_ids, found, strict=True) if noted}


def _waits_key(job_id: str) -> str:
    return f"rq:frontdesk:waits:{job_id}"


def enqueue_train(connection: Redis, run_id: int, attempt: int) -> None:
    """Enqueue a training run by its id."""
    with leaving_replicas(connection):
        queue(TRAIN, connection).enqueue_call(
            TRAIN_JOB,
            args=(run_id, attempt),
            job_id=train_job_id(run_id, attempt),
            description=f"training run {run_id}",
            timeout=TRAIN_TIMEOUT,
            result_ttl=RESULT_TTL,
            failure_ttl=FAILURE_TTL,
        )


def sign(connection: Redis, name: str, *, again: bool) -> bool:
    """Note that the scheduler of that name works here; says whether another desk's does as well.

    One desk has one at a time. So where it signs `again` and the last one to sign was another, that
    is another desk's, or once this desk's own that was frozen: a few such times in a row count.
    """
    with leaving_replicas(connection):
        last = connection.set(_SIGNED, name, ex=SHARED_SECONDS, get=True)
        if again and last not in (None, name.encode()):
            with connection.pipeline() as pipeline:
                pipeline.incr(_OTHERS)
                pipeline.expire(_OTHERS, SHARED_SECONDS)
                pipeline.execute()
    return is_shared(connection)


def is_shared(connection: Redis) -> bool:
    """Whether another desk has used this database of Redis in the last minute, too, as far as the
    schedulers of both have seen."""
    return int(connection.get(_OTHERS) or 0) >= SHARED_TIMES


def check_writes(connection: Redis) -> None:
    """Write something of no use, as one transaction over two keys: an answer to PING says little.

    A full server, a replica and one whose disk is full refuse it, each by an error of redis-py's;
    so does one in cluster mode, where the keys are of different slots.
    """
    with leaving_replicas(connection), connection.pipeline() as pipeline:
        for number in range(2):
            pipeline.set(f"rq:frontdesk:check:{number}", 1, ex=60)
        pipeline.execute()


@contextmanager
def leaving_replicas(connection: Redis) -> Iterator[None]:
    """A write of the block that is refused by a replica fails; the next one connects anew.

    After a failover the address leads elsewhere, but connections to the old primary may live on
    and would fail each write for good.
    """
    try:
        yield
    except ReadOnlyError:
        connection.connection_pool.disconnect(inuse_connections=False)
        raise

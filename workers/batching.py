"""An RQ worker that takes whatever waits on one queue and hands it over as one batch.

Stock RQ moves one job in some 20 round trips. Here a batch of any size costs two: one script takes
and claims its jobs, one records all outcomes. The keys written are RQ's own, so `rq info`, the
registries, retries and rq-dashboard see what they always see.

What that rests on:

- **Nothing is taken that is not claimed.** Waiting is a BLMOVE of the queue's head onto itself: it
  wakes at once and takes nothing. The claim script then moves jobs from the queue to the
  StartedJobRegistry in one step, so RQ's intermediate queue stays empty and a kill -9 at any line
  leaves a job either queued or leased.
- **A claim is a lease** of the batch's time limit plus `lease_margin` seconds. When it runs out,
  any worker's maintenance queues the job again (if it has retries left).
- **An outcome counts only while the lease is held.** The finish script skips a job whose lease was
  lost, so it may be sent again after a lost reply, and a worker that was paused past its lease
  cannot finish or requeue a job that another one has by now.

When Redis cannot be reached the worker waits and reconnects, in the middle of a batch too: its
outcomes are recorded once Redis is back. Only a start without Redis, or a stop requested meanwhile
with outcomes in hand, ends it with an exception. Any other error in the loop does so as well,
where stock RQ would log it and return normally.

Private names of RQ are used where there is no public one; each says why. RQ is pinned to 3.0.0.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from uuid import uuid4

import redis
from redis import Redis
from rq import Queue, Retry, SimpleWorker, worker_registration
from rq.callbacks import execute_failure_callback
from rq.defaults import (
    DEFAULT_LOGGING_DATE_FORMAT,
    DEFAULT_LOGGING_FORMAT,
    DEFAULT_WORKER_TTL,
)
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.job_lifecycle import format_exc_info
from rq.timeouts import JobTimeoutException
from rq.utils import ensure_job_list, now
from rq.worker import BaseWorker, DequeueStrategy, WorkerStatus

from desk import faultpoints
from desk.queues import MAINTENANCE_INTERVAL, RESULT_TTL, WORKER_TTL, leaving_replicas, queue
from workers import reading
from workers.claims import Claims
from workers.records import Claim, Failure
from workers.watchdog import Watchdog

RunBatch = Callable[[Sequence[Job]], Sequence[object]]
"""Jobs in, one outcome for each in the same order; an exception instance fails its job alone."""

T = TypeVar("T")

# Redis may come back from each of these.
_AWAY = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.ReadOnlyError,  # a failover
    redis.exceptions.MasterDownError,
    redis.exceptions.OutOfMemoryError,
)
# And from these answers, which have no class: what waits is sent home when a primary becomes a
# replica; a disk is full; a primary has too few replicas. In a pipeline words stand before them.
_AWAY_WORDS = re.compile(r"(^|caused error: )(UNBLOCKED|MISCONF|NOREPLICAS)\b")


class WorkLoopError(Exception):
    """The work loop ended by an error, which RQ has logged; the process must not exit with 0."""


class BatchWorker(SimpleWorker):
    """Works on one queue, a batch at a time.

    `run_batch` gets up to `max_batch` jobs and returns one outcome for each, in order. An exception
    instance as outcome fails that job alone (retry honoured). If it raises instead, or runs into
    the time limit (the longest `job.timeout` in the batch), the batch is halved and run again
    until the culprit stands alone; so what it does must be safe to repeat. It runs in the main
    thread; callbacks and dotted paths of an `AllowedJob` are checked before it sees the job.

    `between_batches` is called before each take, and again and again while the worker waits: for
    jobs (every `idle_tick` seconds), to be resumed, or for a Redis that is away. It may change
    `max_batch`.
    `watchdog` ends the process when a batch goes on beyond its time limit's signal.
    """

    idle_tick = 1.0
    lease_margin = 10
    """Seconds a lease outlives the time limit: CLASSIFY_TIMEOUT + 10 is WORKER_TTL."""
    split_budget = 3.0
    """Halving goes on for so many time limits. After that what is left fails (and is retried), so
    that a broken device or database does not keep a batch for 2n - 1 time limits."""
    watchdog_margin = 5.0
    """Seconds after the time limit's signal at which the watchdog ends what did not hear it. The
    lease lasts longer, so that nobody else has the batch by then."""
    longest_wait = 5.0
    """Seconds between attempts to reconnect, at most."""

    def __init__(
        self,
        queues: Any,
        *,
        run_batch: RunBatch,
        max_batch: int,
        between_batches: Callable[[], None] | None = None,
        watchdog: Watchdog | None = None,
        name: str | None = None,
        connection: Redis | None = None,
        job_class: type[Job] | None = None,
        serializer: Any = None,
        worker_ttl: int = WORKER_TTL,
        maintenance_interval: int = MAINTENANCE_INTERVAL,
        default_result_ttl: int = RESULT_TTL,
        **options: Any,
    ) -> None:
        """`queues` is one queue, or its name together with a connection; `options` are RQ's own."""
        names: list[Any] = ensure_job_list(queues)
        if len(names) != 1:
            raise ValueError(
                f"a BatchWorker works on exactly one queue, not on {len(names)}: "
                "RQ can lose a job between several; start one worker for each"
            )
        if max_batch < 1:
            raise ValueError(f"max_batch must be at least 1, not {max_batch}")
        only = names[0]
        if not isinstance(only, Queue):
            if connection is None:
                raise ValueError("a queue given by name needs a connection")
            if job_class is None and serializer is None:
                only = queue(only, connection)
        if isinstance(only, Queue):
            connection = connection or only.connection
            if job_class is None and type(self).job_class is Job:  # else a subclass has its own
                job_class = only.job_class
            serializer = serializer or only.serializer
            label = only.name
        else:
            label = str(only)
        # A fixed name would block a restart after kill -9 until the old one's key has expired.
        unique = f"{label}-{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        super().__init__(
            [only],
            name=name or unique,
            connection=connection,
            job_class=job_class,
            serializer=serializer,
            worker_ttl=worker_ttl,
            maintenance_interval=maintenance_interval,
            default_result_ttl=default_result_ttl,
            **options,
        )
        self.run_batch = run_batch
        self.max_batch = max_batch
        self.between_batches = between_batches
        self.watchdog = watchdog
        self._queue: Queue = self.queues[0]
        self._claims = Claims(self, self._queue)
        self._batch: list[Claim] = []
        self._limit = 0  # of the batch in hand, in seconds; none if it is not positive
        self._lease = 0
        self._split_until = 0.0
        self._jobs_left: int | None = None
        self._suspended = False
        self._ended = False
        self._beat = 0.0
        self._shown = time.monotonic()  # its birth, soon after, writes the same

    @classmethod
    def find_by_key(cls, *args: Any, **kwargs: Any) -> BaseWorker | None:
        # RQ rebuilds a worker for looking at; ours cannot be built without its function.
        found: BaseWorker | None = SimpleWorker.find_by_key(*args, **kwargs)
        return found

    # The loop: RQ's own, with these parts of it replaced.

    def work(
        self,
        burst: bool = False,
        logging_level: str | None = None,
        date_format: str = DEFAULT_LOGGING_DATE_FORMAT,
        log_format: str = DEFAULT_LOGGING_FORMAT,
        max_jobs: int | None = None,
        max_idle_time: int | None = None,
        with_scheduler: bool = False,
        dequeue_strategy: DequeueStrategy = DequeueStrategy.DEFAULT,
    ) -> bool:
        """As in RQ; raises `WorkLoopError` where RQ would log an error and return normally."""
        # RQ would count a batch as one job, so the count is kept here.
        self._jobs_left = max_jobs
        self._ended = False
        worked: bool = super().work(
            burst,
            logging_level,
            date_format,
            log_format,
            max_idle_time=max_idle_time,
            with_scheduler=with_scheduler,
            dequeue_strategy=dequeue_strategy,
        )
        if not (self._ended or self._shutdown_requested_date):
            raise WorkLoopError(f"worker {self.name} ended by an error; the log above has it")
        return worked

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """Take and claim a batch; wait for one unless `timeout` is None (burst)."""
        idle_since = time.monotonic()
        while True:
            if self._jobs_left == 0:
                self._ended = True
                return None
            if self.should_run_maintenance_tasks:
                self.run_maintenance_tasks()
            self._call_hook()
            # The hook may have taken seconds, and who stops takes no more.
            moved = not self._stop_requested and self._patiently(self._take)
            if self._batch:
                faultpoints.point("worker.after_take")
                return self._batch[0].job, self._queue
            if self._stop_requested:
                raise StopRequested
            if self._suspended and timeout is not None:
                self._patiently(self._rest)
            elif self._suspended or not moved:
                idle = time.monotonic() - idle_since
                if timeout is None or (max_idle_time is not None and idle >= max_idle_time):
                    self._ended = True
                    return None
                self._patiently(self._wait)

    def _take(self) -> bool:
        """Claim what waits into `_batch`; returns whether the queue has moved."""
        self._show()
        size = self.max_batch
        if self._jobs_left is not None:
            size = min(size, self._jobs_left)
        # So SIGTERM only sets a flag (`_through`): a claim that is cut off leaves its jobs waiting
        # for the end of their lease.
        self._state = WorkerStatus.BUSY
        try:
            taken = self._claims.take(size, self.lease_margin)
            self._suspended, self._limit, self._lease = taken.suspended, taken.limit, taken.lease
            self._batch = taken.claims
            self.executions |= {claim.execution.id: claim.execution for claim in taken.claims}
            if self._jobs_left is not None:
                self._jobs_left -= taken.claimed
        finally:
            if not self._batch:
                self._state = WorkerStatus.IDLE
        return taken.moved

    def _wait(self) -> None:
        """Return when a job waits or a tick has passed, without taking anything."""
        key = self._queue.key
        self.connection.blmove(key, key, self.idle_tick, "LEFT", "LEFT")  # type: ignore[arg-type]

    def _show(self) -> None:
        """Tell Redis every few seconds that the worker is there, and what it waits for.

        Under load, too: a batch's end says only that who is in RQ's lists is still there.
        """
        if time.monotonic() - self._shown > min(self.dequeue_timeout, 5):
            state = WorkerStatus.SUSPENDED if self._suspended else WorkerStatus.IDLE
            with self.connection.pipeline() as pipeline:
                # All of it, as at birth: Redis may have been emptied since, or be another one.
                pipeline.hset(self.key, mapping=self.serialize())
                worker_registration.register(self, pipeline)
                self.set_state(state, pipeline=pipeline)
                self.heartbeat(pipeline=pipeline)
                pipeline.execute()
            self._shown = self._beat = time.monotonic()

    def check_for_suspension(self, burst: bool) -> None:
        """Nothing. RQ asks before each take; the claim script has its own look, in that step."""

    def _rest(self) -> None:
        """Let a tick of the suspension pass; RQ would wait for its end without a sign of life."""
        time.sleep(self.idle_tick)

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        # RQ beats after each job, in three round trips; the finish script has just done it.
        if pipeline is not None or time.monotonic() - self._beat > 1:
            super().heartbeat(timeout, pipeline=pipeline)

    def run_maintenance_tasks(self) -> None:
        with self._through():
            try:
                self._patiently(super().run_maintenance_tasks)
            except redis.exceptions.RedisError as error:
                # Nothing is in hand: to end without these is a normal end.
                if self._stop_requested and _is_away(error):
                    raise StopRequested from None
                raise

    def _call_hook(self) -> None:
        if self.between_batches is not None:
            with self._through():
                self.between_batches()

    @contextmanager
    def _through(self) -> Iterator[None]:
        """SIGTERM only sets a flag meanwhile, as it does in a batch.

        RQ's handler raises an ordinary exception unless the state is busy. In the hook, or where
        odd jobs are looked for, that would pass for a failure of what is under way, and be lost.
        """
        before, self._state = self._state, WorkerStatus.BUSY
        try:
            yield
        finally:
            self._state = before

    def clean_registries(self) -> None:
        # RQ's lock lasts 15 minutes, and nobody recovers anything while a killed worker holds it.
        lock, lasts = self._queue.registry_cleaning_key, max(30, 2 * self.maintenance_interval)
        if self.connection.ttl(lock) > lasts:
            self.connection.expire(lock, lasts)
        self._claims.park_abandoned()
        super().clean_registries()  # type: ignore[no-untyped-call]

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        """Seconds for which a job is leased."""
        if job.timeout is None or job.timeout > 0:
            return int(job.timeout or self.queue_class.DEFAULT_TIMEOUT) + self.lease_margin
        return DEFAULT_WORKER_TTL

    def _pubsub_exception_handler(self, exc: Exception, pubsub: Any, pubsub_thread: Any) -> None:
        # RQ's listens again after a lost connection alone. A Redis that accepts and does not answer
        # would leave a worker deaf for good, and the scheduler takes such a one for dead sooner.
        if not isinstance(exc, (redis.exceptions.RedisError, OSError)):
            super()._pubsub_exception_handler(exc, pubsub, pubsub_thread)
        self.log.error("Worker %s: no commands from Redis (%s); again in 2 s", self.name, exc)
        time.sleep(2.0)

    def set_shutdown_requested_date(self) -> None:
        # Called in a signal handler: with Redis away it must not raise into a batch.
        with suppress(redis.exceptions.RedisError):
            super().set_shutdown_requested_date()  # type: ignore[no-untyped-call]

    def teardown(self) -> None:
        try:
            super().teardown()  # type: ignore[no-untyped-call]
        except redis.exceptions.RedisError as error:
            self.log.warning("Worker %s: could not say goodbye to Redis: %s", self.name, error)
            listener: Any = self.pubsub_thread
            if listener is not None:
                listener.stop()

    def _patiently(self, action: Callable[[], T]) -> T:
        """The action's value, however long Redis is away. Raises if asked to stop meanwhile.

        The hook goes on: a process that waits for Redis is alive, and killing it mends nothing.
        """
        wait = 0.1
        while True:
            try:
                with leaving_replicas(self.connection):
                    return action()
            except redis.exceptions.RedisError as error:
                if self._stop_requested or not _is_away(error):
                    raise
                self.log.error(
                    "Worker %s: Redis is away (%s); again in %.1f s", self.name, error, wait
                )
                self._call_hook()
                time.sleep(wait)
                wait = min(wait * self.exponential_backoff_factor, self.longest_wait)

    # A batch.

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run the batch that was taken; `job` is its first, and all of it if it came otherwise."""
        batch, self._batch = self._batch or [self._claim_one(job)], []
        begun = time.monotonic()
        try:
            outcomes = self._outcomes(batch)
            faultpoints.point("worker.before_finish")
            self._finish(batch, outcomes, time.monotonic() - begun)
        finally:
            self._state = WorkerStatus.IDLE
        failed = sum(isinstance(outcome, Failure) for outcome in outcomes)
        self.log.info(
            "Worker %s: %s: batch of %d done in %.3f s, %d failed",
            *(self.name, queue.name, len(batch), time.monotonic() - begun, failed),
        )

    def _claim_one(self, job: Job) -> Claim:
        """A job that somebody else dequeued, claimed as in stock RQ."""
        execution = self.prepare_execution(job)
        self.prepare_job_execution(job, remove_from_intermediate_queue=True)
        self._limit, self._lease = int(job.timeout or 0), self.get_heartbeat_ttl(job)
        return Claim(job, execution)

    def _outcomes(self, batch: list[Claim]) -> list[object]:
        """One outcome for each claim; a failure is a `Failure`."""
        refused: dict[str, BaseException] = {}
        for job, execution in batch:
            try:
                reading.check_allowed(job)
            except Exception as reason:  # noqa: BLE001 - JobNotAllowed, DeserializationError, ...
                refused[execution.id] = reason
        admitted = [claim for claim in batch if claim.execution.id not in refused]
        self._split_until = time.monotonic() + self.split_budget * (
            self._limit if self._limit > 0 else DEFAULT_WORKER_TTL
        )
        results = iter(self._run(admitted, batch) if admitted else ())
        outcomes: list[object] = []
        ended = now()
        for job, execution in batch:
            outcome = refused[execution.id] if execution.id in refused else next(results)
            job.ended_at = job.last_heartbeat = ended
            # `_status` is what RQ's callbacks and handlers look at; the finish script stores it.
            if isinstance(outcome, BaseException):
                job._status = JobStatus.FAILED
                outcome = self._failure(job, outcome)
            outcomes.append(outcome)
        return outcomes

    def _run(self, claims: list[Claim], batch: list[Claim]) -> list[object]:
        """Outcomes of `claims`, halving them as long as they raise."""
        jobs = [claim.job for claim in claims]
        limit = self._limit if self._limit > 0 else -1
        try:
            with (
                self._watched(limit),
                self.death_penalty_class(limit, JobTimeoutException, job_id=jobs[0].id),
            ):
                outcomes = list(self.run_batch(jobs))
            if len(outcomes) != len(jobs):
                raise ValueError(
                    f"run_batch returned {len(outcomes)} outcomes for {len(jobs)} jobs"
                )
        except BaseException as error:
            if isinstance(error, (SystemExit, KeyboardInterrupt)) and self._shutdown_requested_date:
                # A cold shutdown: put the batch back rather than let it wait for its lease.
                with suppress(redis.exceptions.RedisError):
                    failures = [self._failure(job, error) for job, _ in batch]
                    self._record(batch, failures, 0.0)
                raise
            if len(jobs) == 1 or time.monotonic() > self._split_until:
                return [error] * len(jobs)
            middle = len(jobs) // 2
            self.log.warning(
                "Worker %s: a batch of %d raised %s; trying its halves",
                *(self.name, len(jobs), type(error).__name__),
            )
        else:
            return outcomes
        self._renew(batch)
        first = self._run(claims[:middle], batch)
        self._renew(batch)
        return first + self._run(claims[middle:], batch)

    @contextmanager
    def _watched(self, limit: int) -> Iterator[None]:
        """The watchdog bites if this takes longer than the limit allows."""
        if self.watchdog is None or limit <= 0:
            yield
            return
        self.watchdog.expect_within(limit + self.watchdog_margin)
        try:
            yield
        finally:
            self.watchdog.expect_within(0)

    def _renew(self, batch: list[Claim]) -> None:
        """Extend the leases for another run."""

        def renew() -> None:
            registry = self._queue.started_job_registry
            with self.connection.pipeline() as pipeline:
                self.heartbeat(self._lease + 60, pipeline=pipeline)
                for _, execution in batch:
                    execution.heartbeat(registry, self._lease, pipeline=pipeline)
                pipeline.execute()

        self._patiently(renew)

    def _failure(self, job: Job, error: BaseException) -> Failure:
        """Tell the job's failure callback and the worker's exception handlers, as RQ does."""
        faultpoints.point("worker.in_retry")
        exc_info: Any = (type(error), error, error.__traceback__)
        try:
            execute_failure_callback(job, self.death_penalty_class, *exc_info)
        except Exception:  # noqa: BLE001 - a failing callback replaces the failure, as in RQ
            exc_info = sys.exc_info()
        self.handle_exception(job, *exc_info)
        return Failure(error, format_exc_info(exc_info))

    # Its outcomes.

    def _finish(self, batch: list[Claim], outcomes: list[object], worked: float) -> None:
        verdicts = self._patiently(lambda: self._record(batch, outcomes, worked))
        for (job, execution), outcome, verdict in zip(batch, outcomes, verdicts, strict=True):
            if verdict == "apart":
                self._finish_apart(job, execution, outcome)
                continue
            self.executions.pop(execution.id, None)
            if verdict == "lost":
                self.log.warning(
                    "Worker %s: job %s was no longer ours when it ended; left alone",
                    *(self.name, job.id),
                )

    def _record(self, batch: list[Claim], outcomes: Sequence[object], worked: float) -> list[str]:
        """Record what the script can; says for each claim: done, lost, or apart (left to RQ)."""
        pairs = zip(batch, outcomes, strict=True)
        apart = [self._needs_rq(claim.job, outcome) for claim, outcome in pairs]
        verdicts = self._claims.record(batch, outcomes, apart, worked)
        self._beat = time.monotonic()
        return verdicts

    def _needs_rq(self, job: Job, outcome: object) -> bool:
        """Whether RQ itself must finish this job, in its own round trips (we enqueue none such)."""
        if job._dependency_ids or job.has_rate_limit or job.webhooks:
            return True
        if isinstance(outcome, Failure):
            # A stop requested by `rq` is told from a failure by this mark, and has no retry.
            return self._stopped_job_id == job.id
        return bool(
            isinstance(outcome, Retry)
            or job._success_callback_name
            or job.repeats_left
            or job.get_result_ttl(self.default_result_ttl) == 0
        )

    def _finish_apart(self, job: Job, execution: Execution, outcome: object) -> None:
        """What RQ's `perform_job` does after the job's function has returned or raised."""
        only = self._queue
        if isinstance(outcome, Failure):
            self.handle_job_failure(job, only, exc_string=outcome.text, execution=execution)
            return
        try:
            self._finalize_success(job, only, execution, outcome)
        except Exception:  # noqa: BLE001 - a failing success callback fails the job, as in RQ
            self._finalize_failure(job, only, execution, sys.exc_info())


def _is_away(error: redis.exceptions.RedisError) -> bool:
    """Whether Redis may be itself again later, without anybody changing what was asked of it."""
    return isinstance(error, _AWAY) or _AWAY_WORDS.search(str(error)) is not None

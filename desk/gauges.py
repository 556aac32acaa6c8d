"""What SQL and Redis know, read by the scheduler every few seconds and shown at the next scrape.

A scrape never waits for either: it shows the last reading, and one that is too old not at all, so
that a chart has a gap rather than a number that is no longer true.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from redis import Redis
from rq.utils import str_to_date

from desk import metrics, queues
from desk.domain import RunState
from desk.flow.backlog import backlog
from desk.flow.desk import Desk
from desk.metrics import Read

log = structlog.get_logger(__name__)

READ_SECONDS = 5.0
STALE_SECONDS = 60.0
LAST_STATES = (RunState.PROMOTED, RunState.REJECTED, RunState.FAILED)

Samples = list[tuple[Read, tuple[str, ...], float]]


class Gauges(Collector):
    """The newest reading of each source, as a collector for a registry."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._readings: dict[str, tuple[float, float, Samples]] = {}
        self._failing: dict[str, str] = {}
        """The last error of each source that can't be read."""

    def read(self, source: str, reading: Callable[[], Samples]) -> None:
        """Take a reading; one that fails leaves the last one, which grows old."""
        started = time.perf_counter()
        try:
            samples = reading()
        except Exception as error:
            said = type(error).__name__
            if self._failing.get(source) != said:
                # Once: it would come every few seconds.
                self._failing[source] = said
                log.warning("gauges.not_read", source=source, exc_info=error)
            return
        self._failing.pop(source, None)
        self._readings[source] = (self._clock(), time.perf_counter() - started, samples)

    def forget(self, source: str) -> None:
        """Show nothing of a source: another process does."""
        self._readings.pop(source, None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families = {
            read: GaugeMetricFamily(read.name, read.text, labels=read.labels)
            for read in metrics.READ
        }
        for source, (at, seconds, samples) in sorted(self._readings.items()):
            families[metrics.READ_AT].add_metric([source], at)
            families[metrics.READ_SECONDS].add_metric([source], seconds)
            if self._clock() - at > STALE_SECONDS:
                continue
            for read, labels, value in samples:
                families[read].add_metric(labels, value)
        yield from families.values()

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())


def follow(gauges: Gauges, desk: Desk, connection: Redis, active: Callable[[], bool]) -> None:
    """Read both sources from now on, in a thread each: one that hangs must not hold up the other.

    While `active` is false another scheduler reads, and this one shows nothing.
    """

    def loop(source: str, reading: Callable[[], Samples]) -> None:
        while True:
            if active():
                gauges.read(source, reading)
            else:
                gauges.forget(source)
            time.sleep(READ_SECONDS)

    for source, reading in (
        ("database", lambda: of_database(desk)),
        ("redis", lambda: of_redis(connection)),
    ):
        threading.Thread(
            target=loop, args=(source, reading), name=f"read {source}", daemon=True
        ).start()


def of_database(desk: Desk) -> Samples:
    """What is not done yet, from SQL."""
    found = backlog(desk)
    samples: Samples = [
        (metrics.INBOX_OLDEST, (), found.inbox_oldest),
        (metrics.PENDING, (), found.pending),
        (metrics.PENDING_OLDEST, (), found.pending_oldest),
        (metrics.BACKLOG_OLDEST, (), found.deliveries_oldest),
        (metrics.WAITING, (), found.waiting),
        (metrics.LONGEST_WAITING, (), found.longest_waiting),
    ]
    samples += [(metrics.INBOX, (str(state),), n) for state, n in found.inbox.items()]
    samples += [(metrics.BACKLOG, (str(state),), n) for state, n in found.deliveries.items()]
    samples += [
        (metrics.LAST_RUN, (str(state),), float(state is found.last_run)) for state in LAST_STATES
    ]
    return samples


def of_redis(connection: Redis) -> Samples:
    """The queues as RQ keeps them, in two round trips."""
    names = (queues.CLASSIFY, queues.TRAIN)
    pipeline = connection.pipeline(transaction=False)
    for name in names:
        queue = queues.queue(name, connection)
        pipeline.llen(queue.key)
        pipeline.zcard(queue.started_job_registry.key)
        pipeline.zcard(queue.failed_job_registry.key)
        pipeline.scard(queues.workers_key(name))
        pipeline.lindex(queue.key, 0)
    answers = iter(pipeline.execute())
    samples: Samples = []
    heads: list[str] = []
    for name in names:
        for state in ("queued", "started", "failed"):
            samples.append((metrics.QUEUE_JOBS, (name, state), float(next(answers))))
        samples.append((metrics.QUEUE_WORKERS, (name,), float(next(answers))))
        heads.append((next(answers) or b"").decode(errors="replace"))
    for head in heads:
        pipeline.hget(queues.job_key(head), "enqueued_at")
    for name, head, enqueued in zip(names, heads, pipeline.execute(), strict=True):
        if enqueued:
            age = time.time() - str_to_date(enqueued).timestamp()
        else:
            # The id of a job that has expired stays until a worker passes over it.
            age = float(queues.CLASSIFY_TTL) if head else 0.0
        samples.append((metrics.QUEUE_OLDEST, (name,), max(0.0, age)))
    return samples

"""The scheduler: what SQL says is unfinished is dispatched again; nights are for retraining.

It reads the truth from SQL and only hints from Redis, so an emptied Redis, a killed worker or a
lost enqueue costs seconds, not messages.
"""

from __future__ import annotations

import math
import secrets
import signal
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, time, timedelta
from enum import Enum, auto
from pathlib import Path
from types import FrameType

import structlog
from redis import Redis
from redis.exceptions import RedisError, ResponseError
from rq.utils import str_to_date
from sqlalchemy.exc import SQLAlchemyError

from desk import faultpoints, health, metrics, queues
from desk.boottime import boottime
from desk.domain import DeskError, RunState
from desk.erased import Erasures
from desk.flow import (
    clocks,
    deciding,
    leases,
    quiet,
    reminding,
    runs,
    watching,
)
from desk.flow.desk import Desk
from desk.heartbeat import Heartbeat
from desk.policy import UNPROCESSABLE
from desk.store import DATABASE_AWAY, cause
from workers.connection import client
from workers.retention import Retention

log = structlog.get_logger(__name__)

TICK_SECONDS = 1.0
STUCK_SECONDS = 4.0
"""A message that waited so long is looked up in Redis. A batch takes half of that, and one that
tries whether more fit less than all of it, as far as `workers.pace` foresees."""
HESITATE_SECONDS = 20.0
"""After an outage or a pause of its own the scheduler takes no run for dead for so long: whoever
trains could not give a sign of life either, and gives the next within ten seconds."""
REDIS_SECONDS = 5.0
"""A Redis that does not answer for so long is away: calling people must not wait for it."""
QUIET_SECONDS = 60.0
"""How often conversations are looked for that are over for being quiet."""
SIGN_SECONDS = 5.0
"""How often another desk is looked for in Redis: each look fails where Redis is away."""
CLOSE_AT_ONCE = 20
"""What calls people must not wait for these."""
ALONE_SECONDS = 8.0
"""A message tried alone that is not done by then has killed its worker, or has frozen it; but where
the worker says that it waits for the database (which counts for half a minute) it has not."""


class Fate(Enum):
    """What has become of a job."""

    UNDER_WAY = auto()
    GONE = auto()
    """There is no such job, or no queue has it: Redis lost it, or it was never enqueued."""
    DIED = auto()
    """A worker began it and has not ended it: dead, most likely."""
    SLOW = auto()
    """The same, but the worker is still connected: it hangs, or is frozen."""
    ENDED = auto()
    """Failed or finished, without what it stands for. Whoever ended it was alive; but who began
    it may be dead, where another worker's RQ has queued it again after the lease."""


class Scheduler:
    """The chores, each safe to repeat and to miss."""

    def __init__(
        self,
        desk: Desk,
        connection: Redis,
        reply_deadline: float,
        retrain_at: time | None,
        retention_days: int | None = None,
        erasures: Erasures | None = None,
    ) -> None:
        self._desk = desk
        self._connection = connection
        self._reply_deadline = reply_deadline
        self._retrain_at = retrain_at
        days = None if retention_days is None else timedelta(days=retention_days)
        self._retention = Retention(desk, days, erasures, self._wake_sender)
        self._close_from = self._sign_from = 0.0
        self._redis_away = False
        """Whether Redis failed in this tick. One that is silent costs `REDIS_SECONDS` a command,
        and a tick must not outlast the lease."""
        self._ticked: float | None = None
        self._sure_from = 0.0
        self._clock_differs = False
        self._numsub_refused = False
        self._name, self._signed = secrets.token_hex(8), False
        self._failing: dict[str, str] = {}
        """The last error of each chore that fails over its data."""

    def tick(self) -> None:
        """Do all chores once. A chore that fails ends alone: the others don't depend on it."""
        faultpoints.point("scheduler.tick")
        # A sleep of the host is a pause, too: who trains is silent by the clock on the wall then.
        now = boottime()
        if self._ticked is not None and now - self._ticked > HESITATE_SECONDS / 2:
            self.hesitate()
        self._ticked = now
        self._redis_away = False
        by_age = (
            *(self.give_up_late, self.enqueue_stuck, self.enqueue_runs, self.remind),
            *(self.close_quiet, self._retention.erase_old),
        )
        by_redis = (self.enqueue_stuck, self.enqueue_runs, self.retrain, self.share_no_redis)
        others = (
            *(self.retrain, self._retention.note_erased, self._retention.keep_ids),
            self.share_no_redis,
        )
        for chore in (self.compare_clocks, *by_age, *others):
            if self._clock_differs and chore in by_age:
                continue
            if self._redis_away and chore in by_redis:
                continue
            try:
                chore()
            except RedisError as error:
                self._redis_away = True
                log.warning("redis_away", chore=chore.__name__, reason=str(error))
            except DATABASE_AWAY as error:
                log.warning("database_away", chore=chore.__name__, reason=cause(error))
                self.hesitate()
            except Exception as error:  # noqa: BLE001 - one that nobody foresaw
                # Dying of odd data again and again would end all chores.
                self._failed(chore.__name__, error)
            else:
                self._failing.pop(chore.__name__, None)

    def _failed(self, chore: str, error: Exception) -> None:
        """Count each failure, and log the same one once: it would come every second."""
        metrics.CHORES_FAILED.labels(chore).inc()
        said = f"{type(error).__name__}: {error}"
        if self._failing.get(chore) != said:
            self._failing[chore] = said
            log.error("chore.failed", chore=chore, exc_info=error)

    def hesitate(self) -> None:
        """Somebody else was in charge, or the database away: what is silent need not be dead."""
        self._sure_from = boottime() + HESITATE_SECONDS
        self._signed = False

    def compare_clocks(self) -> None:
        """By a clock that differs every age is wrong, and each message would be late at once.

        Then nothing is done by age; the bot, by its own clock, calls people for what is late.
        """
        found = clocks.offset(self._desk)
        differs = abs(found) > clocks.MOST_SECONDS
        if differs != self._clock_differs:
            self._clock_differs = differs
            if differs:
                log.error("chores.refused", seconds=round(found, 1), advice=clocks.ADVICE)
            else:
                log.info("chores.resumed")

    def give_up_late(self) -> None:
        """Nobody is met with silence: overdue messages go to a person."""
        late = watching.overdue(self._desk, self._reply_deadline)
        if not late:
            return
        following = deciding.give_up(self._desk, late)
        log.warning("messages.late", messages=late)
        queues.decided(self._connection, following)

    def enqueue_stuck(self) -> None:
        """Messages whose job is gone, has failed or hangs get another attempt."""
        waiting = watching.waiting_longer(self._desk, STUCK_SECONDS)
        if not waiting:
            return
        alone = watching.tried_alone(self._desk, [message_id for message_id, _ in waiting])
        if alone:
            # Their time is that of the trial: the job's began with the whole batch.
            longer = {id_ for id_, _ in watching.waiting_longer(self._desk, ALONE_SECONDS)}
            waiting = [pair for pair in waiting if pair[0] not in alone or pair[0] in longer]
            alone &= longer
        ids = [message_id for message_id, _ in waiting]
        # A trial's job, too: it may just have been claimed again, after one that ended by an error.
        jobs = [(queues.classify_job_id(*pair), STUCK_SECONDS) for pair in waiting]
        fates = dict(zip(ids, self._fates(queues.CLASSIFY, jobs), strict=True))
        for id_ in self._only_wait(pair for pair in waiting if pair[0] in alone):
            if fates[id_] is Fate.SLOW:
                fates[id_] = Fate.UNDER_WAY
        dead = {id_ for id_ in ids if fates[id_] in (Fate.DIED, Fate.SLOW)}
        deadly = [id_ for id_ in alone if id_ in dead]
        stuck = [id_ for id_ in ids if fates[id_] is not Fate.UNDER_WAY and id_ not in deadly]
        if stuck:
            suspected = [id_ for id_ in stuck if id_ in dead]
            begun = watching.next_attempts(self._desk, stuck, suspected)
            queues.enqueue_classify(self._connection, begun)
            metrics.AGAIN.inc(len(begun))
            log.warning("messages.enqueued_again", messages=stuck, suspected=suspected)
        # Last: one of them that can't be given up either holds up none of those above.
        if deadly:
            following = deciding.give_up(self._desk, deadly, UNPROCESSABLE)
            log.error("messages.unprocessable", messages=deadly)
            queues.decided(self._connection, following)

    def enqueue_runs(self) -> None:
        """Queued training runs without a job get one; dead jobs and processes, the next attempt."""
        for run_id, attempt, state in watching.unfinished_runs(self._desk):
            if state is RunState.QUEUED:
                job_id = queues.train_job_id(run_id, attempt)
                (fate,) = self._fates(queues.TRAIN, [(job_id, runs.LIFE_SECONDS)])
                if fate is Fate.GONE:
                    queues.enqueue_train(self._connection, run_id, attempt)
                    log.info("run.enqueued", run=run_id, attempt=attempt)
                if fate in (Fate.GONE, Fate.UNDER_WAY):
                    continue
            if state is RunState.RUNNING and boottime() < self._sure_from:
                continue
            again = runs.restart_run(self._desk, run_id, silent=runs.LIFE_SECONDS)
            if again is not None:
                queues.enqueue_train(self._connection, *again)
                log.warning("run.restarted", run=run_id, attempt=again[1])

    def retrain(self) -> None:
        """Once a night, if people have taught something since the last run, or taken it back, or a
        model serves that no run has left there.

        Whether that is anything new only the training worker finds out: it takes seconds and memory
        where there is much feedback, and calling people must not wait.
        """
        if self._retrain_at is None:
            return
        now = self._desk.clock()
        due = datetime.combine(now.date(), self._retrain_at, tzinfo=now.tzinfo)
        if due > now:
            due -= timedelta(days=1)
        if not (
            runs.taught_since_last_run(self._desk, before=due)
            or runs.another_serves(self._desk, before=due)
        ):
            return
        try:
            run_id, attempt = runs.order_run(self._desk, runs.NIGHTLY)
        except DeskError:
            return  # a run is under way; the next tick looks again
        queues.enqueue_train(self._connection, run_id, attempt)
        log.info("run.ordered", run=run_id, by=runs.NIGHTLY)

    def remind(self) -> None:
        """Operators hear of customers who wait for a person: too long, still, since before opening,
        or shortly before closing."""
        opening = reminding.announce(self._desk)
        reminded = reminding.remind(self._desk)
        again = reminding.repeat(self._desk)
        closing = reminding.announce_closing(self._desk)
        if opening or reminded or again or closing:
            log.info(
                "operators.reminded",
                conversations=reminded,
                opening=opening,
                again=again,
                closing=closing,
            )
            self._wake_sender()

    def close_quiet(self) -> None:
        """Once a minute conversations are over that a person answered and nobody resolved."""
        if boottime() < self._close_from:
            return
        closed = quiet.close_quiet(self._desk, CLOSE_AT_ONCE)
        self._close_from = boottime() + QUIET_SECONDS  # not before: what failed is due at once
        if closed:
            log.info("conversations.closed", conversations=closed, quiet=True)

    def share_no_redis(self) -> None:
        """Fail, and so be told of, while another desk uses the same database of Redis."""
        if boottime() < self._sign_from:
            return
        self._sign_from = boottime() + SIGN_SECONDS
        again, self._signed = self._signed, True
        if queues.sign(self._connection, self._name, again=again):
            self._sign_from = 0.0  # at once, or it would pass for mended in between
            raise DeskError(f"{queues.SHARED}. {queues.OWN_NUMBER}")

    def _wake_sender(self) -> None:
        """Without it the sender finds what waits at its next look."""
        if not self._redis_away:
            self._connection.publish(queues.WAKE_SENDER, "")

    def _fates(self, name: str, jobs: Sequence[tuple[str, float]]) -> list[Fate]:
        """What has become of each job of that queue, given its id and how many seconds it may take.

        One that a worker began longer ago counts as dead: doing it twice is harmless, since the
        older attempt no longer decides anything. A worker that still listens to Redis is slow, or
        frozen, and has twice as long.
        """
        # A transaction: a job goes from the queue to a worker, and back, in one step.
        pipeline = self._connection.pipeline()
        pipeline.lrange(queues.queue(name, self._connection).key, 0, watching.MOST)
        for job_id, _ in jobs:
            pipeline.hmget(queues.job_key(job_id), "status", "started_at", "worker_name")
        queued, *found = pipeline.execute()
        # Of a longer queue some of it says nothing of who is missing.
        all_queued = None if len(queued) > watching.MOST else set(queued)
        now = self._desk.clock()
        spent = [_age(started_at, now) for _, started_at, _ in found]
        listening = self._listening(
            {
                worker
                for (_, seconds), (status, _, worker), age in zip(jobs, found, spent, strict=True)
                if status == b"started" and worker and age > seconds
            }
        )
        fates = []
        for (job_id, seconds), (status, _, worker), age in zip(jobs, found, spent, strict=True):
            if status is None:
                fates.append(Fate.GONE)
            elif status == b"queued":
                missing = all_queued is not None and job_id.encode() not in all_queued
                fates.append(Fate.GONE if missing else Fate.UNDER_WAY)
            elif status == b"started":
                late = Fate.SLOW if worker in listening else Fate.DIED
                patience = 2 * seconds if late is Fate.SLOW else seconds
                fates.append(Fate.UNDER_WAY if age <= patience else late)
            else:
                fates.append(Fate.ENDED)
        return fates

    def _only_wait(self, attempts: Iterable[tuple[int, int]]) -> list[int]:
        """Of which of these trials, by (message id, attempt), the worker says that it is waiting
        for the database: the message, which it has not begun to read or has read, harms nobody."""
        jobs = {queues.classify_job_id(*attempt): attempt[0] for attempt in attempts}
        noted = queues.waiting_for_database(self._connection, list(jobs))
        return [jobs[job_id] for job_id in noted]

    def _listening(self, workers: Collection[bytes]) -> set[bytes]:
        """Which of these workers are connected: RQ's listen for commands while they live."""
        if not workers:
            return set()
        asked = list(workers)
        channels = [queues.worker_channel("").encode() + worker for worker in asked]
        try:
            found = self._connection.pubsub_numsub(*channels)  # in the order asked
        except ResponseError as error:
            # Some managed Redis refuses the command: whoever is late counts as dead then.
            if not self._numsub_refused:
                log.warning("numsub.refused", reason=str(error), patience=STUCK_SECONDS)
            self._numsub_refused = True
            return set()
        return {worker for worker, (_, ears) in zip(asked, found, strict=True) if ears}


def run(
    desk: Desk,
    redis_url: str,
    *,
    data_dir: Path,
    reply_deadline: float,
    retrain_at: str | None,
    retention_days: int | None,
) -> None:
    """Do the chores every second until SIGTERM or SIGINT, one scheduler at a time.

    It starts without Redis, too: calling a person for late messages needs SQL only.
    """
    heartbeat = Heartbeat(data_dir, "scheduler")
    stop = _stop_on_signals()
    at = time.fromisoformat(retrain_at) if retrain_at else None
    redis = client(redis_url, answer_within=REDIS_SECONDS)
    scheduler = Scheduler(desk, redis, reply_deadline, at, retention_days, Erasures(data_dir))
    turn = Turn(desk)
    log.info("scheduler.started", retrain_at=retrain_at, retention_days=retention_days)
    while not stop():
        if turn.is_mine():
            scheduler.tick()
        else:
            scheduler.hesitate()
        heartbeat.beat()
    turn.give_back()


class Turn:
    """Of several schedulers, the holder of the lease does the chores; the others wait."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lease = leases.Holding(leases.SCHEDULER, leases.new_holder())
        self._was_mine = False

    def is_mine(self) -> bool:
        """Take or renew the lease. Without the database nothing could be done anyway."""
        try:
            mine = leases.hold(self._desk, self._lease)
        except SQLAlchemyError as error:
            log.warning("database_away", chore="lease", reason=type(error).__name__)
            health.PROCESS.leads(leases.SCHEDULER, mine=False)
            return False
        health.PROCESS.leads(leases.SCHEDULER, mine=mine)
        if mine != self._was_mine:
            log.info("scheduler.active" if mine else "scheduler.standby")
            self._was_mine = mine
        return mine

    def give_back(self) -> None:
        try:
            leases.release(self._desk, self._lease)
        except SQLAlchemyError as error:
            log.warning("lease_not_released", reason=type(error).__name__)


def _age(started_at: bytes | None, now: datetime) -> float:
    """Seconds since a job began; no end of them if nobody who works wrote that."""
    try:
        return (now - str_to_date(started_at)).total_seconds() if started_at else math.inf
    except ValueError:
        return math.inf


def _stop_on_signals() -> Callable[[], bool]:
    """A function that waits one tick and says whether to stop."""
    stopped = threading.Event()

    def handle(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return lambda: stopped.wait(TICK_SECONDS)

"""The inference worker: takes a batch of jobs, predicts, and commits the decisions.

Redis is told last and may forget: what a job stands for is a message row in one attempt, and the
decision of that attempt commits in SQL before the job counts as done.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq.job import Job
from structlog.contextvars import bound_contextvars

from classifier import Classifier, Prediction, registry
from classifier.artifact import ModelError
from classifier.devices import free_memory, out_of_memory
from desk import faultpoints, health, metrics, queues
from desk.domain import PendingMessage, Trial
from desk.flow import deciding
from desk.flow.desk import Desk
from desk.heartbeat import Heartbeat
from desk.policy import UNPROCESSABLE
from desk.store import DATABASE_AWAY, cause
from workers import counting
from workers.batching import BatchWorker
from workers.connection import connect
from workers.device import end_if_broken
from workers.pace import Pace
from workers.watchdog import Watchdog

log = structlog.get_logger(__name__)

CHECK_CHAMPION_SECONDS = 1.0
REFUSED_SECONDS = 30.0
"""After so long a champion that was refused is tried again: a file may be there late, or memory."""
LEAST_TOKENS = 128
"""Tokens of a batch below which memory is not the batch's fault: one text may have as many."""


class Champion:
    """The model that serves. It follows the champion pointer between batches.

    A champion that can't be loaded or can't predict, or a pointer that is none, is refused, once
    and with its reason in the log, and the model that served before goes on.
    """

    check_seconds = CHECK_CHAMPION_SECONDS

    def __init__(self, models_dir: Path, device: str) -> None:
        self._models_dir = models_dir
        self._device = device
        self._refused: str | None = None
        self._refused_at = 0.0
        self._checked = 0.0
        self.classifier: Classifier | None = None
        self.pace = Pace(0.0)
        self.problem: str | None = None
        """Why the champion is refused."""

    def follow(self) -> bool:
        """Load the champion if it has changed; returns whether a model is there to serve."""
        now = time.monotonic()
        if self.classifier is not None and now - self._checked < self.check_seconds:
            return True
        self._checked = now
        version: str | None = None
        try:
            version = registry.champion(self._models_dir)
            again = now - self._refused_at >= REFUSED_SECONDS
            if version is not None:
                if version == self._refused and not again:
                    return self.classifier is not None
                if self.classifier is None or self.classifier.version != version:
                    self._load(version)
            self._refused = self.problem = None
            metrics.MODEL_REFUSED.set(0)
        except Exception as error:  # whatever parts raise that don't fit each other
            if isinstance(error, ModuleNotFoundError) and self.classifier is None:
                raise  # no other model would do: the command says what to install
            # Or a device without room: one model must not end all workers.
            end_if_broken(error)
            free_memory()
            refused = version or str(error)
            self._refused_at = now
            # Of an error that nobody foresaw the text alone may say little.
            kind = "" if isinstance(error, ModelError) else f"{type(error).__name__}: "
            self.problem = f"{kind}{error}"
            if refused != self._refused:
                serving = self.classifier.version if self.classifier else None
                log.error(
                    "model.refused", version=version, reason=self.problem, still_serving=serving
                )
            self._refused = refused
            metrics.MODEL_REFUSED.set(1)
        return self.classifier is not None

    def _load(self, version: str) -> None:
        started = time.perf_counter()
        loaded = Classifier.load(self._models_dir / version, self._device)
        begun = time.perf_counter()
        loaded(["warm up"])
        self.classifier = loaded
        # The first call is slower than any later one: a careful guess.
        self.pace = Pace(time.perf_counter() - begun)
        metrics.MODEL.clear()
        metrics.MODEL.labels(version, loaded.device, loaded.dtype).set(1)
        metrics.MODEL_LOADED.set_to_current_time()
        _spare_what_stays()
        health.PROCESS.have("model")
        log.info("model.loaded", version=version, seconds=round(time.perf_counter() - started, 3))


def _spare_what_stays() -> None:
    """Have Python's collector of cycles pass over all that there is now: libraries, pack, model.
    Else it goes through all of it again every eight batches, which takes 0.1 s."""
    gc.unfreeze()  # or what is left of the model before would stay for good
    gc.collect()
    gc.freeze()


class Inference:
    """What the worker does with a batch."""

    def __init__(self, desk: Desk, connection: Redis, champion: Champion) -> None:
        self._desk = desk
        self._connection = connection
        self._champion = champion
        self._trying: tuple[int, int] | None = None

    def run_batch(self, jobs: Sequence[Job]) -> list[object]:
        """Decide the messages of a batch; one outcome a job: decided, stale or why it failed.

        Safe to repeat: a message that is decided, or in another attempt, is left alone.
        """
        outcomes: list[object] = []
        wanted: dict[int, int] = {}
        for job in jobs:
            try:
                message_id, attempt = (int(argument) for argument in job.args)
            except (TypeError, ValueError) as error:
                outcomes.append(ValueError(f"job {job.id} has wrong arguments: {error}"))
                continue
            wanted[message_id] = max(attempt, wanted.get(message_id, 0))
            outcomes.append((message_id, attempt))
        pending: dict[int, PendingMessage] = {}
        try:
            pending = deciding.pending(self._desk, list(wanted.items()))
            self._decide([message for message in pending.values() if not message.trial])
            for message in [message for message in pending.values() if message.trial]:
                if not self._try_alone(message):
                    del pending[message.id]
        except DATABASE_AWAY as error:
            # No job is to blame, and halving the batch would not help.
            log.warning("database_away", reason=cause(error))
            outcomes = [error if isinstance(pair, tuple) else pair for pair in outcomes]
            counting.ended(outcomes)
            return outcomes
        except ModelError:
            raise  # no message is to blame
        except Exception as error:
            end_if_broken(error)
            if len(jobs) == 1:  # others are tried again in halves
                counting.ended([error])
            if len(jobs) == 1 and not jobs[0].should_retry:
                self._give_up(list(pending))
            raise
        told = [
            ("decided" if pair[0] in pending and pending[pair[0]].attempt == pair[1] else "stale")
            if isinstance(pair, tuple)
            else pair
            for pair in outcomes
        ]
        counting.ended(told)
        return told

    def _try_alone(self, message: PendingMessage) -> bool:
        """Decide a message over which a worker may have died, alone; False if it was left alone.

        One whose trial somebody else began is left alone: who did may be dead of it. The scheduler
        says so; where it did not look before the lease was over, the message is tried once more.
        """
        attempt = (message.id, message.attempt)
        if message.trial == Trial.ALONE and attempt != self._trying:
            return False
        # Before the commit, whose answer may be lost: the retry is ours all the same.
        self._trying = attempt
        self._note_trial(message, waits=True)
        if not deciding.begin_trial(self._desk, message):
            self._trying = None
            self._note_trial(message, waits=False)
            return False
        log.warning("message.tried_alone", message=message.id)
        self._note_trial(message, waits=False)
        self._decide([message])
        return True

    def _note_trial(self, message: PendingMessage, *, waits: bool) -> None:
        """Have the scheduler know whether the trial waits for the database or for the model."""
        job_id = queues.classify_job_id(message.id, message.attempt)
        try:
            queues.waits_for_database(self._connection, job_id, waits=waits)
        except RedisError as error:
            log.warning("redis_away", reason=str(error))

    def _decide(self, messages: list[PendingMessage]) -> None:
        if not messages:
            return
        counting.taken(messages, self._desk.clock())
        log.info("batch.taken", messages=[message.id for message in messages])
        started = time.perf_counter()
        faultpoints.point("worker.before_forward")
        # What may have killed a worker is tried by itself.
        goes_on = [message for message in messages if message.before and not message.trial]
        sentences = [message.sentences for message in messages]
        texts = [
            *(message.text for message in messages),
            *(message.whole for message in goes_on),
            *chain.from_iterable(sentences),
        ]
        predictions = self._predict(texts)
        others = iter(predictions[len(messages) :])
        together = {
            (message.id, message.attempt): prediction
            for message, prediction in zip(goes_on, islice(others, len(goes_on)), strict=True)
        }
        apart = {
            (message.id, message.attempt): list(islice(others, len(parts)))
            for message, parts in zip(messages, sentences, strict=True)
        }
        for message in messages:
            if message.trial:
                self._note_trial(message, waits=True)
        predicted = time.perf_counter()
        with bound_contextvars(model=predictions[0].model):
            following = deciding.decide_batch(
                self._desk,
                list(zip(messages, predictions[: len(messages)], strict=True)),
                together,
                apart,
            )
        committed = time.perf_counter()
        self._champion.pace.learn(len(messages), committed - started)
        metrics.COMMIT_SECONDS.observe(committed - predicted)
        faultpoints.point("worker.after_commit")
        log.info(
            "batch.decided",
            messages=[message.id for message in messages],
            model=predictions[0].model,
            predict_ms=round((predicted - started) * 1000, 2),
            commit_ms=round((committed - predicted) * 1000, 2),
        )
        self._tell(following)

    def _give_up(self, message_ids: list[int]) -> None:
        """Another try would fail as all before it did: a person is called, and not only when
        the reply is late."""
        following = deciding.give_up(self._desk, message_ids, UNPROCESSABLE)
        log.error("messages.unprocessable", messages=message_ids)
        self._tell(following)

    def _tell(self, following: list[tuple[int, int]]) -> None:
        try:
            queues.decided(self._connection, following)
        except RedisError as error:
            # The decisions are committed: the sender polls, the scheduler enqueues what is left.
            log.warning("redis_away", reason=str(error))

    def _predict(self, texts: list[str]) -> list[Prediction]:
        classifier = self._champion.classifier
        if classifier is None:
            raise ModelError("no model is loaded yet")
        predictions = _within_memory(classifier, texts)
        counting.predicted(classifier.timings)
        return predictions


def _within_memory(classifier: Classifier, texts: list[str]) -> list[Prediction]:
    """Predictions, with smaller batches where the device has no room for such large ones.

    The size that worked is kept while this model serves, so that only the first batch pays.
    """
    while True:
        try:
            return classifier(texts)
        except Exception as error:
            if not out_of_memory(error) or classifier.token_budget <= LEAST_TOKENS:
                raise
        # Outside the handler: the exception holds on to what the failed batch allocated.
        free_memory()
        classifier.token_budget //= 2
        log.warning("model.out_of_memory", token_budget=classifier.token_budget)


def classify(message_id: int, attempt: int) -> None:
    """The dotted path that `classify` jobs name. Only the batching worker runs them."""
    raise RuntimeError(
        f"message {message_id} (attempt {attempt}) was taken by a stock RQ worker; "
        "run: frontdesk worker inference"
    )


def run(
    desk: Desk,
    redis_url: str,
    *,
    models_dir: Path,
    data_dir: Path,
    device: str,
    max_batch: int,
) -> None:
    """Serve until SIGTERM. Waits for a first champion; raises `DeskError` without Redis."""
    heartbeat = Heartbeat(data_dir, "inference")
    champion = Champion(models_dir, device)
    connection = connect(redis_url)
    if not champion.follow() and champion.problem is None:
        log.warning("model.missing", models=str(models_dir), hint="run: frontdesk train")
    while not champion.follow():
        lacking = "there is no champion: run frontdesk train"
        health.PROCESS.lack("model", champion.problem or lacking)
        heartbeat.wait()
        time.sleep(CHECK_CHAMPION_SECONDS)
    inference = Inference(desk, connection, champion)

    def between_batches() -> None:
        champion.follow()
        fits = champion.pace.fits(max_batch)
        if (fits < max_batch) != (worker.max_batch < max_batch):
            log.info("batch.limited" if fits < max_batch else "batch.unlimited", most=fits)
        worker.max_batch = fits
        heartbeat.beat()

    with Watchdog() as watchdog:
        worker = BatchWorker(
            queues.CLASSIFY,
            connection=connection,
            run_batch=inference.run_batch,
            max_batch=max_batch,
            between_batches=between_batches,
            watchdog=watchdog,
        )
        worker.work(logging_level="WARNING")

"""The training worker: one run at a time, from feedback to the gate's verdict.

A run's attempt is fenced: it begins once, gives a sign of life while it lasts, and promotes its
model only while it is still the attempt that counts. A run whose process died falls silent, and
the scheduler queues its next attempt.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import structlog
from rq.job import Job
from sqlalchemy.exc import SQLAlchemyError

from classifier import Classifier, Prediction, artifact, registry
from classifier.arrays import Bools
from classifier.artifact import ModelError
from classifier.data import Example, content_hash, read_examples
from classifier.devices import free_memory
from classifier.evaluate import intent_outcomes, sentiment_outcomes
from classifier.likeness import seen_first
from classifier.training import Progress, train_version
from classifier.vocabulary import one_label
from desk import faultpoints, metrics, queues
from desk.domain import DeskError, RunState
from desk.flow import lessons, runs
from desk.flow.desk import Desk
from desk.heartbeat import Heartbeat
from desk.pack import Pack
from desk.store import DATABASE_AWAY, cause
from workers.batching import BatchWorker
from workers.connection import connect
from workers.device import end_if_broken
from workers.gate import Earlier, Measured, Verdict, judge
from workers.gold import set_aside
from workers.pack_check import check_pack
from workers.recipe import recipe_of
from workers.training_data import examples_hash, training_examples

log = structlog.get_logger(__name__)

SIGN_SECONDS = 10.0
"""Between two signs of life of a run; it counts as dead after `runs.LIFE_SECONDS` of none."""
LONGEST_WAIT = 10.0
"""Seconds between attempts to write a verdict while the database is away, at most."""
HUNG_SECONDS = 3600.0
"""A run in which nothing moves for so long hangs: in a device, or on a disk that does not answer.
What takes longest without a step are the download of a base model and, on two cores, what is
computed of 100,000 examples between two fits: minutes each."""
CHUNK = 256
"""Texts that are predicted between two looks at whether the attempt still counts."""


class StaleRunError(DeskError):
    """Another attempt at the run has begun: this one has no say any more and ends."""


class Life:
    """An attempt's sign of life while it lasts, and `beat` with it.

    A thread gives it: between the steps are phases, such as the download of a base model, that
    may take minutes. It would go on giving it for one that hangs, where RQ's time limit is not
    heard either (it is a signal, which Python sees when the call it is in returns). So where
    nothing moves for `HUNG_SECONDS`, it ends the process: whoever started that starts it again,
    and the scheduler the run.
    """

    def __init__(
        self, desk: Desk, run_id: int, attempt: int, beat: Callable[[], None] | None
    ) -> None:
        self._desk, self._run_id, self._attempt = desk, run_id, attempt
        self._beat = beat
        self._over, self._stale = threading.Event(), threading.Event()
        self._still = 0.0
        self._thread = threading.Thread(target=self._live, daemon=True)

    def __enter__(self) -> Life:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def check(self) -> None:
        """Say that the run moves; raise `StaleRunError` once another attempt has begun."""
        self.moves()
        if self._stale.is_set():
            raise self.stale()

    def moves(self) -> None:
        """Say that the run moves."""
        self._still = 0.0

    def stale(self) -> StaleRunError:
        return StaleRunError(
            f"Training run {self._run_id} was ended or begun anew elsewhere: "
            f"attempt {self._attempt} ends here and promotes nothing."
        )

    def _live(self) -> None:
        pause = SIGN_SECONDS
        while not self._over.wait(pause):
            # By its own waits, not by a clock: a process that was frozen does not hang.
            self._still += pause
            if self._still >= HUNG_SECONDS:
                log.error("run.hung", run=self._run_id, seconds=round(self._still))
                end_process()
                return
            try:
                if self._beat is not None:
                    self._beat()
                if not runs.still_running(self._desk, self._run_id, self._attempt):
                    self._stale.set()
                pause = SIGN_SECONDS
            except SQLAlchemyError as error:
                log.warning("run.no_sign", run=self._run_id, reason=type(error).__name__)
                pause = min(1.0, SIGN_SECONDS)


def handed(pack: Pack, truth: Sequence[str], first: Sequence[str]) -> Bools:
    """(rows,) whether a text of that true intent always gets a person, and would by that first
    intent of a model: one such intent taken for another does no harm, unless it then waits."""
    always, urgent = set(pack.never_answered()), pack.priorities()
    return np.array(
        [
            {true, told} <= always and (told in urgent or true not in urgent)
            for true, told in zip(truth, first, strict=True)
        ],
        dtype=bool,
    )


def end_process() -> None:
    """As the kernel ends one that took too much memory: a call that hangs hears nothing less."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Trainer:
    """What a run needs beside the desk. `beat` is called every few seconds of a run.

    Without `auto_promote` it promotes no model while another one serves.
    """

    desk: Desk
    models_dir: Path
    pack_dir: Path
    base_model: str
    device: str
    auto_promote: bool
    beat: Callable[[], None] | None = None

    def run(self, run_id: int, attempt: int) -> RunState | None:
        """Begin a queued run and carry it out; None if that attempt has begun before."""
        if not runs.start_run(self.desk, run_id, attempt):
            return None
        return self.carry_out(run_id, attempt)

    def carry_out(self, run_id: int, attempt: int, progress: Progress | None = None) -> RunState:
        """Train, compare, promote or reject, and write the verdict of a run that has begun.

        Raises `StaleRunError` if another attempt has begun meanwhile, and whatever training
        raised, after the run was marked failed.
        """
        log.info("run.started", run=run_id, attempt=attempt)
        begun = time.perf_counter()
        with Life(self.desk, run_id, attempt, self.beat) as life:
            try:
                version, state, outcome = self._work(run_id, attempt, life, progress)
            except StaleRunError:
                log.warning("run.stale", run=run_id, attempt=attempt)
                raise
            except Exception as error:
                self._finish(life, run_id, attempt, RunState.FAILED, error=str(error)[:500])
                metrics.RUNS.labels(RunState.FAILED).inc()
                raise
        metrics.RUNS.labels(outcome).inc()
        metrics.RUN_SECONDS.observe(time.perf_counter() - begun)
        log.info("run.finished", run=run_id, state=str(state), version=version)
        return state

    def _work(
        self, run_id: int, attempt: int, life: Life, progress: Progress | None
    ) -> tuple[str | None, RunState, str]:
        """The version (None where there is nothing new to train on), the state its run ended in,
        and as what it is counted."""
        faultpoints.point("training.begun")
        promoted = self._promoted_before(run_id, attempt, life)
        if promoted is not None:
            return promoted, RunState.PROMOTED, RunState.PROMOTED
        # Read again when it counts; what can't be read is told before the minutes of a training.
        registry.last_act(self.models_dir)
        registry.set_candidate(self.models_dir, None)  # a run that was killed may have left one
        registry.sweep(self.models_dir)
        check_pack(self.desk.pack, self.pack_dir)
        if left_out := lessons.left_out(self.desk):
            log.warning("labels.left_out", intents=left_out)
        # Sorted, so that a row's number means the same in each report of the same content hash.
        test = sorted(read_examples(self.pack_dir / "test.jsonl"), key=repr)
        pack = read_examples(self.pack_dir / "examples.jsonl")
        to_train_on, gold = set_aside(lessons.learned(self.desk), [*pack, *test])
        examples = training_examples(pack, to_train_on, test)
        data: dict[str, str | None] = {
            "test": content_hash(test),
            "examples": examples_hash(examples),
        }
        serving = registry.champion(self.models_dir)
        if self._is_unchanged(run_id, data, serving):
            log.info("run.left_out", run=run_id, reason="there is nothing new to train on")
            report = data | {"reason": runs.UNCHANGED}
            if not self._finish(life, run_id, attempt, RunState.REJECTED, report=report):
                raise life.stale()
            return None, RunState.REJECTED, runs.UNCHANGED
        notes = {"learned": len(to_train_on), "set_aside": len(gold), "pack": self.desk.pack.name}
        version = self._train(examples, test, notes, life, progress)
        registry.set_candidate(self.models_dir, version)
        try:
            serving = registry.champion(self.models_dir)
            data["serving"] = serving
            labels = [Example(item.text, item.intent) for item in gold]
            verdict = self._judge(version, serving, test, labels, life)
            faultpoints.point("training.before_promote")
            state = RunState.PROMOTED if verdict.promoted else RunState.REJECTED
            if verdict.promoted:
                # Before the verdict's transaction, which others wait for.
                artifact.verify(self.models_dir / version)
            if not self._finish(
                life,
                run_id,
                attempt,
                state,
                version=version,
                report=verdict.as_dict() | data,
                promote=partial(self._promote, version, serving) if verdict.promoted else None,
            ):
                raise life.stale()
            faultpoints.point("training.after_verdict")
        finally:
            if registry.candidate(self.models_dir) == version:
                registry.set_candidate(self.models_dir, None)
        held = verdict.reason in (runs.HELD, runs.BY_HAND)
        return version, state, runs.HELD if held else state

    def _is_unchanged(self, run_id: int, data: dict[str, str | None], serving: str | None) -> bool:
        """Whether it is a night's run, and the last one that trained had the same data and left the
        champion that serves: one that came otherwise may know nothing of what was taught."""
        if runs.get_run(self.desk, run_id).requested_by != runs.NIGHTLY:
            return False
        last = runs.last_trained(self.desk)
        return (
            last is not None
            and serving in runs.left_by(last)
            and all(last.report.get(name) == value for name, value in data.items())
        )

    def _promote(self, version: str, serving: str | None) -> None:
        # An operator may have promoted another one, or rolled back, while the gate looked.
        registry.set_champion(self.models_dir, version, instead_of=serving)
        faultpoints.point("training.after_promote")

    def _promoted_before(self, run_id: int, attempt: int, life: Life) -> str | None:
        """Write the verdict that an earlier attempt died over, if its model is the champion."""
        run = runs.get_run(self.desk, run_id)
        # Asked in any case: what is no pointer is told before the minutes of a training.
        serving = registry.champion(self.models_dir)
        if run.version is None or run.version != serving:
            return None
        told = {"version": run.version, "report": run.report}
        if not self._finish(life, run_id, attempt, RunState.PROMOTED, **told):
            raise life.stale()
        return run.version

    def _train(
        self,
        examples: Sequence[Example],
        test: Sequence[Example],
        notes: dict[str, Any],
        life: Life,
        progress: Progress | None,
    ) -> str:
        def step(where: str, done: int, of: int, loss: float) -> None:
            life.check()
            if progress is not None:
                progress(where, done, of, loss)

        version, _ = train_version(
            examples,
            self.models_dir,
            base=self.base_model,
            recipe=recipe_of(self.desk.pack),
            progress=step,
            test=test,
            device=self.device,
            notes=notes,
        )
        return version

    def _judge(
        self,
        version: str,
        serving: str | None,
        test: Sequence[Example],
        gold: Sequence[Example],
        life: Life,
    ) -> Verdict:
        candidate = self._measure(version, test, gold, life)
        champion: Measured | None = None
        if serving is not None:
            try:
                champion = self._measure(serving, test, gold, life)
            except ModelError as error:
                # A damaged champion can't defend its place.
                log.error("model.refused", version=serving, reason=str(error))
        act = registry.last_act(self.models_dir)
        since = act.at if act is not None else None
        measured = runs.measured_before(self.desk, content_hash(test), since)
        verdict = judge(candidate, champion, [Earlier(**model) for model in measured])
        if not verdict.promoted or champion is None:  # what does not load serves nobody
            return verdict
        if not self.auto_promote:
            return replace(verdict, promoted=False, reason=runs.BY_HAND)
        # What somebody rolled back to is not to be replaced.
        if act is not None and act.kind == registry.ROLLBACK:
            return replace(verdict, promoted=False, reason=runs.HELD)
        return verdict

    def _measure(
        self, version: str, test: Sequence[Example], gold: Sequence[Example], life: Life
    ) -> Measured:
        classifier = Classifier.load(self.models_dir / version, self.device)
        notes = classifier.manifest.get("notes") or {}
        if notes.get("learned") and not notes.get("set_aside"):
            gold = []  # it may have trained on them
        rows = [*test, *gold]
        predictions: list[Prediction] = []
        for start in range(0, len(rows), CHUNK):
            life.check()
            predictions += classifier([row.text for row in rows[start : start + CHUNK]])
        on_test, on_gold = predictions[: len(test)], predictions[len(test) :]
        found, labels = intent_outcomes(on_test, test), intent_outcomes(on_gold, gold)
        intents = [(row.text, one_label(row.intent)) for row in test if row.intent is not None]
        nothing = np.zeros(len(intents), dtype=bool)
        asked = classifier.calibration
        first = found.first if found else [""] * len(nothing)
        truth = [intent for _, intent in intents]
        return Measured(
            right=found.correct if found else nothing,
            answered=found.answered if found else nothing,
            allowed=np.array([asked.target_errors.get(i, asked.target_error) for i in first]),
            once=np.array(seen_first(intents), dtype=bool),
            truth=truth,
            urgent=np.isin(truth, sorted(self.desk.pack.priorities())),
            handed=handed(self.desk.pack, truth, first),
            calibration=asked,
            sentiments=sentiment_outcomes(on_test, test),
            gold=labels.correct if labels else np.zeros(len(gold), dtype=bool),
        )

    def _finish(
        self, life: Life, run_id: int, attempt: int, state: RunState, **verdict: Any
    ) -> bool:
        """Write the verdict, however long the database is away; the sign of life goes on."""
        wait = 0.5
        while True:
            try:
                return runs.finish_run(self.desk, run_id, attempt, state, **verdict)
            except DATABASE_AWAY as error:
                log.warning("database_away", run=run_id, reason=cause(error))
            life.moves()
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)


def train(run_id: int, attempt: int) -> None:
    """The dotted path that `train` jobs name. Only the training worker runs them."""
    raise RuntimeError(
        f"run {run_id} (attempt {attempt}) was taken by a stock RQ worker; "
        "run: frontdesk worker training"
    )


def run(
    desk: Desk,
    redis_url: str,
    *,
    models_dir: Path,
    data_dir: Path,
    pack_dir: Path,
    base_model: str,
    device: str,
    auto_promote: bool,
) -> None:
    """Work on the `train` queue until SIGTERM; raises `DeskError` without Redis."""
    heartbeat = Heartbeat(data_dir, "training")
    connection = connect(redis_url)
    trainer = Trainer(desk, models_dir, pack_dir, base_model, device, auto_promote, heartbeat.beat)

    def run_batch(jobs: Sequence[Job]) -> list[object]:
        outcomes: list[object] = []
        for job in jobs:
            run_id, attempt = (int(argument) for argument in job.args)
            started = time.monotonic()
            try:
                state = trainer.run(run_id, attempt)
            except StaleRunError:
                outcomes.append("stale")
                continue
            except Exception as error:  # a run that had begun is marked failed; another begins anew
                log.exception("run.failed", run=run_id)
                end_if_broken(error)
                outcomes.append(error)
                continue
            finally:
                free_memory()  # for the inference worker that shares the device
            outcomes.append(str(state) if state else "stale")
            log.info("run.done", run=run_id, seconds=round(time.monotonic() - started, 1))
        return outcomes

    worker = BatchWorker(
        queues.TRAIN,
        connection=connection,
        run_batch=run_batch,
        max_batch=1,
        between_batches=heartbeat.beat,
    )
    worker.work(logging_level="WARNING")

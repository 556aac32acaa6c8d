"""Training runs: ordered, begun, restarted, and told with their verdicts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from desk.domain import DeskError, RunState
from desk.flow.composing import operators_text
from desk.flow.desk import Desk
from desk.flow.wording import intent_title
from desk.inert import inert
from desk.tables import Feedback, Message, PredictionRow, RunRow
from desk.texts import say

LIFE_SECONDS = 60.0
"""A run under way that gave no sign of life for so long has lost its process."""
MOST_ATTEMPTS = 5
"""A run is given up when its process dies in this attempt, or its job ends before it begins."""
NIGHTLY = "nightly"
"""Who has ordered a run that trains only where there is something new to train on."""
UNCHANGED = "unchanged"
"""The reason of one that had nothing new: rejected, without a version, and told to nobody."""
HELD = "held"
"""The reason of one whose model passed the gate and is not promoted, since the last act by hand was
a rollback."""
BY_HAND = "by_hand"
"""That of one that the desk leaves to people to promote, as it does with each."""
LOOK_BACK = 1000
"""So many predictions, the latest, are looked through for what served before a moment."""
ORDER_LOCK = 470_112_234  # any number but `desk.store.MIGRATION_LOCK`


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a run's model, why, and when."""

    state: RunState
    reason: str | None
    at: datetime

    @property
    def waits(self) -> bool:
        """Whether it passed the gate and was left to people."""
        return self.reason in (HELD, BY_HAND)


# Why the gate rejected, as its report says it: the text, and the figures in it.
REJECTIONS = {
    "accuracy": ("retrain-rejected", "candidate_accuracy", "champion_accuracy"),
    "best": ("retrain-rejected-best", "candidate_accuracy", "best_accuracy"),
    "person": ("retrain-rejected-person", "candidate_accuracy", "champion_accuracy"),
    "wrong": ("retrain-rejected-wrong", "candidate_wrong", "champion_wrong"),
    "coverage": ("retrain-rejected-coverage", "candidate_accuracy", "champion_accuracy"),
    "best_coverage": ("retrain-rejected-best-coverage", "candidate_coverage", "best_coverage"),
    "gold": ("retrain-rejected-gold", "candidate_accuracy", "champion_accuracy"),
    "sentiment": ("retrain-rejected-sentiment", "candidate_sentiment", "champion_sentiment"),
    HELD: ("retrain-held", "candidate_accuracy", "champion_accuracy"),
    BY_HAND: ("retrain-by-hand", "candidate_accuracy", "champion_accuracy"),
}


def order_run(desk: Desk, requested_by: str, *, begin: bool = False) -> tuple[int, int]:
    """A queued training run; returns (run id, attempt). Raises `DeskError` if there is one already.

    With `begin` the caller carries it out: it is never queued, so that no worker takes it, and a
    run that is still queued, or whose process is dead, goes on as the caller's, under its next
    attempt: a job of the one before then finds nothing to do.
    """
    with desk.store.writing() as session:
        run = running_training(session, desk)
        if run is None:
            run = new_run(session, requested_by, desk.clock())
        else:
            session.refresh(run, with_for_update=True)
            queued = run.state is RunState.QUEUED
            dead = run.state is RunState.RUNNING and _silent(desk, run, LIFE_SECONDS)
            if not (begin and (queued or dead)):
                raise DeskError(_busy(run.id, queued=queued))
            run.attempt += 1
            want(run, requested_by)
        if begin:
            run.state, run.started_at = RunState.RUNNING, desk.clock()
        return run.id, run.attempt


def _busy(run_id: int, *, queued: bool) -> str:
    """That a run is there already, and what to do about it."""
    if queued:
        return (
            f"Training run {run_id} is already queued and waits for a training worker. Start one "
            "(frontdesk worker training), or carry it out here: frontdesk train --from-feedback"
        )
    return (
        f"Training run {run_id} is already running: wait for its verdict. If its process has died, "
        "frontdesk train --from-feedback takes it over after a minute without a sign of life."
    )


def new_run(session: Session, requested_by: str, now: datetime) -> RunRow:
    """A queued training run in its first attempt."""
    run = RunRow(attempt=1, requested_by=requested_by[:64], created_at=now)
    session.add(run)
    session.flush()
    return run


def want(run: RunRow, requested_by: str) -> None:
    """Somebody asks for a run that is there already: the night's own then trains in any case."""
    if run.requested_by == NIGHTLY:
        run.requested_by = requested_by[:64]


def running_training(session: Session, desk: Desk) -> RunRow | None:
    """The run that is queued or under way, if any.

    Whoever orders one asks here first: nobody else can before the transaction ends.
    """
    if not desk.store.sqlite:  # SQLite has one writer at a time anyway
        session.execute(select(func.pg_advisory_xact_lock(ORDER_LOCK)))
    return session.scalar(
        select(RunRow).where(RunRow.state.in_([RunState.QUEUED, RunState.RUNNING])).limit(1)
    )


def queued_before(desk: Desk, moment: datetime) -> tuple[int, datetime] | None:
    """The run that has waited for a training worker since before that moment: (id, since when)."""
    with desk.store.reading() as session:
        run = session.scalar(select(RunRow).where(RunRow.state == RunState.QUEUED).limit(1))
        if run is None:
            return None
        # One that is begun anew has waited since its last sign of life.
        since = run.started_at or run.created_at
        return (run.id, since) if since < moment else None


def taught_since_last_run(desk: Desk, before: datetime) -> bool:
    """Whether there is feedback from before that moment that no run has seen yet.

    Likewise where some was withdrawn since the last run, which may have learned from it.
    A run that failed has seen none; but where one has failed since that moment, the answer is no.
    """
    with desk.store.reading() as session:
        if _has_failed_since(session, before):
            return False
        last = _last_run(session)
        query = (
            select(Feedback.id)
            .join(Message, Message.id == Feedback.message_id)
            .where(Message.attempt > 0, Feedback.created_at < before)
            .limit(1)
        )
        if last is None:
            return session.scalar(query) is not None
        # Two looks: each has an index, and one `or` over both has none.
        since = (
            Feedback.created_at >= last,
            (Feedback.withdrawn_at >= last) & (Feedback.withdrawn_at < before),
        )
        return any(session.scalar(query.where(each)) is not None for each in since)


def another_serves(desk: Desk, before: datetime) -> bool:
    """Whether the model that read the last message before that moment came by no run, as one does
    that was trained on the pack alone: it may know nothing of what people taught.

    Told by the predictions, since a scheduler has no models. A run since then has seen it; after
    one that failed since that moment, the answer is no.
    """
    last = last_trained(desk)
    if last is None:
        return False
    newest = select(func.max(PredictionRow.message_id)).scalar_subquery()
    with desk.store.reading() as session:
        if _has_failed_since(session, before):
            return False
        model = session.scalar(
            select(PredictionRow.model)
            .join(Message, Message.id == PredictionRow.message_id)
            .where(
                PredictionRow.message_id > newest - LOOK_BACK,
                Message.created_at >= _last_run(session),
                Message.created_at < before,
            )
            .order_by(PredictionRow.message_id.desc())
            .limit(1)
        )
    return model is not None and model not in left_by(last)


def _has_failed_since(session: Session, moment: datetime) -> bool:
    newest = select(func.max(RunRow.created_at)).where(RunRow.state == RunState.FAILED)
    failed = session.scalar(newest)
    return failed is not None and failed >= moment


def _last_run(session: Session) -> datetime | None:
    """When the last run that did not fail was ordered."""
    return session.scalar(
        select(func.max(RunRow.created_at)).where(RunRow.state != RunState.FAILED)
    )


def last_trained(desk: Desk) -> RunRow | None:
    """The last run that made a model and had its verdict."""
    query = (
        select(RunRow)
        .where(
            RunRow.state.in_([RunState.PROMOTED, RunState.REJECTED]),
            RunRow.version.is_not(None),
        )
        .order_by(RunRow.created_at.desc(), RunRow.id.desc())
        .limit(1)
    )
    with desk.store.reading() as session:
        return session.scalar(query)


def left_by(run: RunRow) -> set[str]:
    """The versions of which one serves after a run unless somebody changed it: the one that served
    before it (older reports lack it), and its own, whoever promoted that."""
    return {version for version in (run.report.get("serving"), run.version) if version}


def start_run(desk: Desk, run_id: int, attempt: int) -> bool:
    """Begin a queued attempt; False if it has begun before, or another one has (fencing)."""
    begun = {"state": RunState.RUNNING, "started_at": desk.clock()}
    return _change(desk, run_id, attempt, RunState.QUEUED, begun)


def still_running(desk: Desk, run_id: int, attempt: int) -> bool:
    """Give a running attempt's sign of life; False if it is no longer the one that counts.

    `started_at` holds it: when the attempt began, or last said that it goes on.
    """
    return _change(desk, run_id, attempt, RunState.RUNNING, {"started_at": desk.clock()})


def restart_run(desk: Desk, run_id: int, *, silent: float = 0.0) -> tuple[int, int] | None:
    """The next attempt at a run whose job or process is gone; None if it has its verdict.

    A run under way is left alone (None) if it gave a sign of life in the last `silent` seconds.
    One whose process has died too often would die again, and so it is with one whose job ends
    before it begins: it has failed, and the operators hear it.
    """
    with desk.store.writing() as session:
        run = session.get(RunRow, run_id, with_for_update=True)
        if run is None or run.state not in (RunState.QUEUED, RunState.RUNNING):
            return None
        if run.state is RunState.RUNNING and not _silent(desk, run, silent):
            return None
        if run.attempt >= MOST_ATTEMPTS:
            end = "process died in" if run.state is RunState.RUNNING else "job ended before"
            run.error = (
                f"its {end} attempt {run.attempt}, the last one; the log of training says why"
            )
            run.state, run.finished_at = RunState.FAILED, desk.clock()
            operators_text(session, desk, f"run:{run.id}", inert(_verdict(desk, run)))
            return None
        run.attempt += 1
        run.state = RunState.QUEUED
        return run.id, run.attempt


def finish_run(
    desk: Desk,
    run_id: int,
    attempt: int,
    state: RunState,
    *,
    version: str | None = None,
    report: dict[str, Any] | None = None,
    error: str | None = None,
    promote: Callable[[], None] | None = None,
) -> bool:
    """Write a run's verdict and tell the operators; False if another attempt has begun.

    Of one that is `UNCHANGED` they hear nothing: nobody has asked for it.

    `promote` is called while the run is locked, so only for the attempt that counts; if it
    raises, no verdict is written. It must be quick, since whoever writes to a SQLite file waits for
    it. It may be called again where the commit fails. Version and report are committed before it:
    the next attempt of one that dies in between finds what was promoted.
    """
    found = {"version": version, "report": report or {}}
    if promote is not None and not _change(desk, run_id, attempt, RunState.RUNNING, found):
        return False
    with desk.store.writing() as session:
        run = _held(session, run_id, attempt, RunState.RUNNING)
        if run is None:
            return False
        if promote is not None:
            promote()
        run.state, run.version, run.error = state, version, error
        run.report, run.finished_at = report or {}, desk.clock()
        if run.report.get("reason") != UNCHANGED:
            operators_text(session, desk, f"run:{run.id}", inert(_verdict(desk, run)))
        return True


def measured_before(desk: Desk, test: str, since: datetime | None) -> list[dict[str, Any]]:
    """What promoted models, and those they replaced, made of the test set `test`.

    Each has `missed` and `answered`, the numbers of the rows that it had wrong and of those that it
    would answer, and `promise`, what was asked of its answers; each comes once. `test` is a content
    hash: figures of other test sets say nothing about this one. Runs that finished before `since`
    don't count, nor do those of older versions, which did not keep all of that.
    """
    query = select(RunRow.report).where(RunRow.state == RunState.PROMOTED)
    if since is not None:
        query = query.where(RunRow.finished_at >= since)
    with desk.store.reading() as session:
        reports = [report for report in session.scalars(query) if report.get("test") == test]
    found: list[dict[str, Any]] = []
    for report in reports:
        for whose in ("candidate", "champion"):
            kept = ("missed", "answered", "promise")
            model = {name: report.get(f"{whose}_{name}") for name in kept}
            if None not in model.values() and model not in found:
                found.append(model)
    return found


def get_run(desk: Desk, run_id: int) -> RunRow:
    """One training run; raises `DeskError` if there is none."""
    with desk.store.reading() as session:
        run = session.get(RunRow, run_id)
    if run is None:
        raise DeskError(f"There is no training run {run_id}.")
    return run


def verdicts(desk: Desk, versions: Collection[str]) -> dict[str, Verdict]:
    """What the gate said of each of these versions; without those that no run made."""
    columns = (RunRow.version, RunRow.state, RunRow.report, RunRow.finished_at)
    query = (
        select(*columns)
        .where(RunRow.version.in_(versions), RunRow.finished_at.is_not(None))
        .order_by(RunRow.id)
    )
    with desk.store.reading() as session:
        return {
            version: Verdict(state, (report or {}).get("reason"), at)
            for version, state, report, at in session.execute(query)
        }


def _change(desk: Desk, run_id: int, attempt: int, state: RunState, values: dict[str, Any]) -> bool:
    """Change a run that is in that state, if this attempt at it counts; says whether it does."""
    held = (RunRow.id == run_id, RunRow.attempt == attempt, RunRow.state == state)
    with desk.store.writing() as session:
        changed = session.execute(update(RunRow).where(*held).values(values).returning(RunRow.id))
        return changed.first() is not None


def _held(session: Session, run_id: int, attempt: int, state: RunState) -> RunRow | None:
    """The run, locked, if it is in that state and this attempt at it is the one that counts."""
    run = session.get(RunRow, run_id, with_for_update=True)
    if run is None or run.attempt != attempt or run.state is not state:
        return None
    return run


def _silent(desk: Desk, run: RunRow, seconds: float) -> bool:
    since = desk.clock() - timedelta(seconds=seconds)
    return run.started_at is None or run.started_at <= since


def _verdict(desk: Desk, run: RunRow) -> str:
    report = run.report or {}
    key, new, old = "retrain-promoted", "candidate_accuracy", "champion_accuracy"
    if run.state is RunState.FAILED:
        key = "retrain-failed"
    elif run.state is RunState.REJECTED:
        key, new, old = REJECTIONS[report.get("reason") or "accuracy"]
    elif report.get(old) is None:
        key = "retrain-first"
    said = [
        say(
            key,
            desk.language,
            run=str(run.id),
            version=run.version or "–",
            error=run.error or "–",
            new=_figure(report.get(new)),
            old=_figure(report.get(old)),
        )
    ]
    if run.state is not RunState.FAILED and report.get("champion_coverage") is not None:
        new, old = _figure(report["candidate_coverage"]), _figure(report["champion_coverage"])
        said.append(say("retrain-coverage", desk.language, new=new, old=old))
    if run.state is not RunState.FAILED and report.get("gold"):
        new, old = _figure(report["candidate_gold"]), _figure(report["champion_gold"])
        rows = str(report["gold"])
        said.append(say("retrain-gold", desk.language, rows=rows, new=new, old=old))
    if fell := report.get("fell"):
        each = [
            say(
                "retrain-fell-intent",
                desk.language,
                title=intent_title(desk, intent["intent"], desk.language),
                new=str(intent["candidate"]),
                old=str(intent["champion"]),
                rows=str(intent["rows"]),
            )
            for intent in fell
        ]
        said.append(say("retrain-fell", desk.language, intents=", ".join(each)))
    return " ".join(said)


def _figure(value: float | None) -> str:
    """A share in percent, a count as it is."""
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.1%}"

"""The nightly training: ordered where people have taught something new, and else left out."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest
from redis import Redis
from structlog.testing import capture_logs

from desk import queues
from desk.domain import FeedbackKind, RunState
from desk.flow import runs, watching
from desk.tables import Feedback
from tests.conftest import FLORIST, Clock
from tests.desk.acting import ANA, OLGA, Stage
from tests.workers.models import tiny_base
from workers.scheduler import Scheduler
from workers.training import Trainer


@pytest.fixture
def scheduler(stage: Stage, connection: Redis) -> Scheduler:
    return Scheduler(
        stage.desk, connection, reply_deadline=20, retrain_at=time(3, 0), pack_dir=FLORIST
    )


@pytest.fixture
def trainer(stage: Stage, tmp_path: Path) -> Trainer:
    models = tmp_path / "models"
    models.mkdir()
    return Trainer(stage.desk, models, FLORIST, str(tiny_base(tmp_path)), "cpu")


def teach(
    stage: Stage,
    text: str,
    intent: str | None,
    kind: FeedbackKind = FeedbackKind.RELABEL,
    by: int = OLGA,
) -> None:
    message_id = stage.ask(text)
    with stage.desk.store.writing() as session:
        row = Feedback(message_id=message_id, kind=kind, intent=intent, by=by)
        row.created_at = stage.desk.clock()
        session.add(row)


def ordered(stage: Stage) -> list[str]:
    """Who ordered the runs that wait or are under way."""
    found = watching.unfinished_runs(stage.desk)
    return [runs.get_run(stage.desk, run_id).requested_by for run_id, _, _ in found]


def learn(stage: Stage, trainer: Trainer) -> None:
    """Carry out the run that waits."""
    ((run_id, attempt, _),) = watching.unfinished_runs(stage.desk)
    assert trainer.run(run_id, attempt) is RunState.PROMOTED


def test_the_night_retrains_only_when_people_have_taught_something(
    stage: Stage, scheduler: Scheduler, connection: Redis, clock: Clock
) -> None:
    clock.move(days=1)
    scheduler.tick()
    assert queues.queue(queues.TRAIN, connection).job_ids == []

    teach(stage, "when do you open", "opening_hours")
    clock.move(days=1)
    scheduler.tick()
    ((run_id, _, state),) = watching.unfinished_runs(stage.desk)
    assert state is RunState.QUEUED
    assert runs.get_run(stage.desk, run_id).requested_by == "nightly"
    scheduler.tick()
    assert len(watching.unfinished_runs(stage.desk)) == 1


def test_a_night_is_left_out_where_what_people_said_since_the_last_run_changes_no_lesson(
    stage: Stage, scheduler: Scheduler, trainer: Trainer, clock: Clock
) -> None:
    teach(stage, "when do you open", "opening_hours")
    clock.move(days=1)
    scheduler.tick()
    learn(stage, trainer)

    clock.move(minutes=1)
    teach(stage, "that did not help", None, FeedbackKind.THUMB_DOWN, ANA.chat_id)
    teach(stage, "wrap it up", "gift")
    teach(stage, "has my order left yet?", "refund")  # a text of the frozen test
    teach(stage, "When do you open!", "opening_hours")
    clock.move(days=1)
    with capture_logs() as logs:
        for _ in range(3):
            scheduler.tick()
    assert ordered(stage) == []
    assert [entry["event"] for entry in logs].count("run.left_out") == 1, "told once a night"

    teach(stage, "are you open on sundays", "opening_hours")
    scheduler.tick()
    assert ordered(stage) == [], "not before the night"
    clock.move(days=1)
    scheduler.tick()
    assert ordered(stage) == ["nightly"]


def test_all_that_was_taught_is_read_once_a_night(
    stage: Stage,
    scheduler: Scheduler,
    trainer: Trainer,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs.order_run(stage.desk, "Olga")
    learn(stage, trainer)
    reads = []

    def read(desk: object) -> list[object]:
        reads.append(desk)
        return []

    monkeypatch.setattr("workers.scheduler.lessons.learned", read)
    teach(stage, "that did not help", None, FeedbackKind.THUMB_DOWN, ANA.chat_id)
    for night in (1, 2):
        clock.move(days=1)
        for _ in range(3):
            scheduler.tick()
        assert len(reads) == night


def test_after_a_run_of_a_version_that_did_not_keep_what_it_learned_any_feedback_counts(
    stage: Stage, scheduler: Scheduler, clock: Clock
) -> None:
    run = runs.order_run(stage.desk, "Olga", begin=True)
    runs.finish_run(stage.desk, *run, RunState.REJECTED, report={"reason": "accuracy"})
    teach(stage, "that did not help", None, FeedbackKind.THUMB_DOWN, ANA.chat_id)
    clock.move(days=1)
    scheduler.tick()
    assert ordered(stage) == ["nightly"]


def test_a_pack_that_can_not_be_read_leaves_no_night_out(
    stage: Stage, connection: Redis, trainer: Trainer, clock: Clock, tmp_path: Path
) -> None:
    runs.order_run(stage.desk, "Olga")
    learn(stage, trainer)
    teach(stage, "that did not help", None, FeedbackKind.THUMB_DOWN, ANA.chat_id)
    clock.move(days=1)
    Scheduler(stage.desk, connection, 20, time(3, 0), pack_dir=tmp_path).tick()
    assert ordered(stage) == ["nightly"], "the run fails and the operators hear why"


def test_a_run_that_begins_says_which_labels_it_leaves_out(stage: Stage, trainer: Trainer) -> None:
    teach(stage, "wrap it up", "gift")
    teach(stage, "with a card", "gift")
    runs.order_run(stage.desk, "Olga")
    with capture_logs() as logs:
        learn(stage, trainer)
    told = [entry["intents"] for entry in logs if entry["event"] == "labels.left_out"]
    assert told == [{"gift": 2}]

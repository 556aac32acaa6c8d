"""The nightly training: ordered where people have said something, left out where it is not new."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, time
from pathlib import Path

import pytest
import structlog
from redis import Redis
from structlog.testing import capture_logs

from classifier import artifact, registry
from desk import metrics, queues
from desk.domain import FeedbackKind, RunState
from desk.flow import runs, watching
from desk.tables import Feedback, RunRow
from tests.conftest import FLORIST, Clock
from tests.desk.acting import ANA, OLGA, Stage
from tests.workers.models import make_version
from workers import training
from workers.scheduler import Scheduler
from workers.training import Trainer


@pytest.fixture
def scheduler(stage: Stage, connection: Redis) -> Scheduler:
    return Scheduler(stage.desk, connection, reply_deadline=20, retrain_at=time(3, 0))


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


def teach_mood(stage: Stage, text: str, sentiment: str) -> None:
    stage.ask(text, sentiment="negative", intent="complaint")
    stage.press(stage.token("relabel"), by=OLGA)
    stage.press(stage.token("mood", sentiment), by=OLGA)


def ordered(stage: Stage) -> list[str]:
    """Who ordered the runs that wait or are under way."""
    found = watching.unfinished_runs(stage.desk)
    return [runs.get_run(stage.desk, run_id).requested_by for run_id, _, _ in found]


def learn(stage: Stage, trainer: Trainer) -> RunRow:
    """Carry out the run that waits."""
    ((run_id, attempt, _),) = watching.unfinished_runs(stage.desk)
    trainer.run(run_id, attempt)
    return runs.get_run(stage.desk, run_id)


def is_left_out(run: RunRow) -> bool:
    """Whether the run found nothing new to train on."""
    return (run.state, run.version, run.report.get("reason")) == (
        *(RunState.REJECTED, None),
        "unchanged",
    )


def counted(state: str) -> float:
    name = "frontdesk_training_runs_total"
    return metrics.registry("training").get_sample_value(name, {"state": state}) or 0


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


def test_what_is_taught_after_midnight_waits_for_the_hour_of_that_night(
    stage: Stage, scheduler: Scheduler, clock: Clock
) -> None:
    clock.set(datetime(2026, 3, 3, 0, 30, tzinfo=UTC))
    teach(stage, "when do you open", "opening_hours")
    clock.move(minutes=30)
    scheduler.tick()
    assert ordered(stage) == []
    clock.set(datetime(2026, 3, 3, 2, 59, 59, tzinfo=UTC))
    scheduler.tick()
    assert ordered(stage) == []
    clock.set(datetime(2026, 3, 3, 3, 0, tzinfo=UTC))
    scheduler.tick()
    assert ordered(stage) == ["nightly"]


def test_a_night_whose_hour_comes_while_a_run_is_under_way_trains_after_that(
    stage: Stage, scheduler: Scheduler, clock: Clock
) -> None:
    run_id, attempt = runs.order_run(stage.desk, "Olga", begin=True)
    teach(stage, "when do you open", "opening_hours")
    clock.set(datetime(2026, 3, 3, 3, 0, tzinfo=UTC))
    assert runs.still_running(stage.desk, run_id, attempt)
    with capture_logs() as logs:
        scheduler.tick()
    assert [entry for entry in logs if entry["log_level"] == "error"] == []
    assert ordered(stage) == ["Olga"]
    assert runs.finish_run(stage.desk, run_id, attempt, RunState.REJECTED)
    scheduler.tick()
    assert ordered(stage) == ["nightly"]


def test_a_nights_run_is_left_out_where_what_people_said_gives_nothing_new_to_train_on(
    stage: Stage, scheduler: Scheduler, trainer: Trainer, clock: Clock
) -> None:
    teach(stage, "when do you open", "opening_hours")
    clock.move(days=1)
    scheduler.tick()
    assert learn(stage, trainer).state is RunState.PROMOTED

    for night in (1, 2):
        clock.move(minutes=1)
        teach(stage, "that did not help", None, FeedbackKind.THUMB_DOWN, ANA.chat_id)
        teach(stage, "wrap it up", "gift")
        teach(stage, "has my order left yet?", "refund")  # a text of the frozen test
        teach(stage, "When do you open!", "opening_hours")
        clock.move(days=1)
        scheduler.tick()
        assert ordered(stage) == ["nightly"]
        told, rejected, unchanged = stage.told(), counted("rejected"), counted("unchanged")
        assert is_left_out(learn(stage, trainer)), night
        assert (counted("rejected"), counted("unchanged")) == (rejected, unchanged + 1)
        assert stage.told() == told, "nobody asked for it"
        scheduler.tick()
        assert ordered(stage) == [], "it has seen what was said"
    assert len(registry.versions(trainer.models_dir)) == 1

    teach(stage, "are you open on sundays", "opening_hours")
    scheduler.tick()
    assert ordered(stage) == [], "not before the night"
    clock.move(days=1)
    scheduler.tick()
    assert learn(stage, trainer).version is not None


def test_a_night_trains_on_a_mood_and_on_the_same_one_again_it_does_not(
    stage: Stage, scheduler: Scheduler, trainer: Trainer, clock: Clock
) -> None:
    runs.order_run(stage.desk, "Olga")
    before = learn(stage, trainer).report
    for text, left_out in (("well, well", False), ("Well, well!", True)):
        clock.move(minutes=1)
        teach_mood(stage, text, "neutral")
        clock.move(days=1)
        scheduler.tick()
        assert ordered(stage) == ["nightly"]
        run = learn(stage, trainer)
        assert is_left_out(run) is left_out
        assert run.report["examples"] != before["examples"]


def test_a_champion_that_was_made_of_the_pack_alone_gets_the_lessons_back_in_the_next_night(
    stage: Stage, scheduler: Scheduler, trainer: Trainer, clock: Clock
) -> None:
    teach(stage, "when do you open", "opening_hours")
    clock.move(days=1)
    scheduler.tick()
    assert learn(stage, trainer).state is RunState.PROMOTED
    version = make_version(trainer.models_dir)
    registry.promote(trainer.models_dir, version)
    stage.ask("are my roses under way")
    clock.move(days=1)
    scheduler.tick()
    assert ordered(stage) == ["nightly"], "nobody has taught anything"
    run = learn(stage, trainer)
    assert run.version is not None
    assert run.report["serving"] == version
    manifest = artifact.read_manifest(trainer.models_dir / run.version)
    assert manifest["notes"]["learned"] == 1
    # Whatever became of it: no night trains the same for the same champion again.
    for _ in range(2):
        teach(stage, "no", None, FeedbackKind.THUMB_DOWN, ANA.chat_id)
        clock.move(days=1)
        scheduler.tick()
        assert is_left_out(learn(stage, trainer))


@pytest.mark.parametrize("by_hand", [False, True])
def test_neither_a_rollback_nor_a_promotion_of_the_last_runs_model_is_a_reason_to_train(
    stage: Stage, trainer: Trainer, by_hand: bool
) -> None:
    trainer = replace(trainer, auto_promote=not by_hand)
    for _ in range(2):
        runs.order_run(stage.desk, "Olga")
        made = learn(stage, trainer).version
        assert made is not None
    if by_hand:
        registry.promote(trainer.models_dir, made)
    else:
        registry.rollback(trainer.models_dir)
    for _ in range(2):
        runs.order_run(stage.desk, runs.NIGHTLY)
        assert is_left_out(learn(stage, trainer))


def test_where_no_model_serves_a_nights_run_trains(stage: Stage, trainer: Trainer) -> None:
    runs.order_run(stage.desk, "Olga")
    learn(stage, trainer)
    (trainer.models_dir / registry.CHAMPION).unlink()
    runs.order_run(stage.desk, runs.NIGHTLY)
    assert learn(stage, trainer).state is RunState.PROMOTED


def test_a_run_that_somebody_asked_for_trains_though_nothing_is_new(
    stage: Stage, trainer: Trainer
) -> None:
    for by in ("Olga", "Olga"):
        runs.order_run(stage.desk, by)
        assert learn(stage, trainer).version is not None
    runs.order_run(stage.desk, runs.NIGHTLY)
    assert is_left_out(learn(stage, trainer))


@pytest.mark.parametrize("name", ["examples.jsonl", "test.jsonl"])
def test_a_nights_run_trains_where_the_pack_has_changed(
    stage: Stage, trainer: Trainer, tmp_path: Path, name: str
) -> None:
    pack = tmp_path / "pack"
    shutil.copytree(FLORIST, pack)
    trainer = replace(trainer, pack_dir=pack)
    runs.order_run(stage.desk, "Olga")
    learn(stage, trainer)
    with (pack / name).open("a") as file:
        file.write('{"text": "is it open on sundays", "intent": "opening_hours"}\n')
    runs.order_run(stage.desk, runs.NIGHTLY)
    assert learn(stage, trainer).version is not None
    runs.order_run(stage.desk, runs.NIGHTLY)
    assert is_left_out(learn(stage, trainer))


def test_after_a_run_of_a_version_that_did_not_keep_what_it_learned_a_nights_run_trains(
    stage: Stage, trainer: Trainer
) -> None:
    run = runs.order_run(stage.desk, "Olga", begin=True)
    runs.finish_run(stage.desk, *run, RunState.REJECTED, report={"reason": "accuracy"})
    runs.order_run(stage.desk, runs.NIGHTLY)
    assert learn(stage, trainer).version is not None


def test_a_run_that_begins_says_which_labels_it_leaves_out(
    stage: Stage, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A test that has set up the log in this process has fixed where the module's goes.
    monkeypatch.setattr(training, "log", structlog.get_logger())
    teach(stage, "wrap it up", "gift")
    teach(stage, "with a card", "gift")
    runs.order_run(stage.desk, "Olga")
    with capture_logs() as logs:
        learn(stage, trainer)
    told = [entry["intents"] for entry in logs if entry["event"] == "labels.left_out"]
    assert told == [{"gift": 2}]

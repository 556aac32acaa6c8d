"""Training runs: from feedback through training and the gate to a verdict."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from classifier import registry
from classifier.data import Example, content_hash, read_examples
from classifier.registry import ModelError, promote
from desk.domain import FeedbackKind, RunState
from desk.flow import lessons, runs
from desk.flow.lessons import Learned, resolve_conflicts
from tests.conftest import FLORIST, Clock
from tests.desk.acting import Stage
from tests.workers.models import make_version, tiny_base
from workers import training
from workers.gate import Verdict, judge
from workers.gold import set_aside
from workers.training import StaleRunError, Trainer
from workers.training_data import training_examples


@pytest.fixture
def trainer(stage: Stage, tmp_path: Path) -> Trainer:
    models = tmp_path / "models"
    models.mkdir()
    return Trainer(stage.desk, models, FLORIST, str(tiny_base(tmp_path)), "cpu")


def learned(
    text: str, intent: str, clock: Clock, kind: FeedbackKind = FeedbackKind.RELABEL
) -> Learned:
    return Learned(text, intent, kind, clock())


def test_an_operators_word_replaces_the_packs_label_and_new_texts_join(clock: Clock) -> None:
    pack = [Example("Where is it", "order_status", "negative"), Example("hi", "greeting", None)]
    taught = [learned("where  is it", "refund", clock), learned("open today?", "hours", clock)]
    assert training_examples(pack, taught, []) == [
        Example("Where is it", "refund", "negative"),
        Example("hi", "greeting", None),
        Example("open today?", "hours", private=True),
    ]


def test_texts_that_differ_by_what_means_something_are_taught_apart(clock: Clock) -> None:
    pack = [Example("thanks :)", "thanks", "positive"), Example("thanks :(", "thanks")]
    said = (("thanks :(", "complaint"), ("c#", "hours"), ("c", "thanks"))
    taught = resolve_conflicts(learned(*each, clock) for each in said)
    assert training_examples(pack, taught, []) == [
        Example("thanks :)", "thanks", "positive"),
        Example("thanks :(", "complaint"),
        Example("c#", "hours", private=True),
        Example("c", "thanks", private=True),
    ]


@pytest.mark.parametrize("kind", [FeedbackKind.THUMB_UP, FeedbackKind.CLARIFIED])
def test_a_customers_word_does_not_replace_the_packs_label(
    clock: Clock, kind: FeedbackKind
) -> None:
    pack = [Example("Where is it", "order_status", "negative")]
    taught = [learned("where is it", "refund", clock, kind), learned("hm?", "hours", clock, kind)]
    assert training_examples(pack, taught, []) == [
        *pack,
        Example("hm?", "hours", private=True),
    ]


def test_texts_of_the_frozen_test_set_are_never_trained_on(clock: Clock) -> None:
    test = [Example("Open today?", "hours", None)]
    taught = [learned("open today", "hours", clock), learned("OPEN today??", "refund", clock)]
    pack = [Example("open today!", "hours"), Example("and tomorrow", "hours")]
    assert training_examples(pack, taught, test) == [Example("and tomorrow", "hours")]


def test_an_operators_word_replaces_the_label_of_each_of_the_packs_rows_of_that_text(
    clock: Clock,
) -> None:
    pack = [Example("Hi", "order_status"), Example("hi!", "order_status")]
    found = training_examples(pack, [learned("hi", "greeting", clock)], [])
    assert [example.intent for example in found] == ["greeting", "greeting"]


def test_the_first_run_promotes_its_model_and_the_operators_are_told(
    trainer: Trainer, stage: Stage
) -> None:
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    assert trainer.run(run_id, attempt) is RunState.PROMOTED
    run = runs.get_run(stage.desk, run_id)
    assert registry.champion(trainer.models_dir) == run.version
    assert run.report["candidate_accuracy"] is not None
    assert run.report["test"] == content_hash(read_examples(FLORIST / "test.jsonl"))
    assert any(run.version in text for text in stage.told() if run.version)


def test_a_runs_model_is_measured_on_the_packs_test_as_the_starter_is(
    trainer: Trainer, stage: Stage
) -> None:
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    trainer.run(run_id, attempt)
    (version,) = registry.versions(trainer.models_dir)
    report = runs.get_run(stage.desk, run_id).report
    assert version.metrics["test"]["accuracy"] == report["candidate_accuracy"]


def test_a_candidate_does_not_replace_a_champion_that_it_was_not_compared_with(
    trainer: Trainer, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_version(trainer.models_dir)
    trainer.run(*runs.order_run(stage.desk, "Olga"))

    def judged(*_: object) -> Verdict:
        registry.promote(trainer.models_dir, other)
        return Verdict(True, 0.9, 0.9)

    monkeypatch.setattr(training, "judge", judged)
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    with pytest.raises(ModelError, match=f"meanwhile {other} serves"):
        trainer.run(run_id, attempt)
    assert registry.champion(trainer.models_dir) == other
    assert registry.candidate(trainer.models_dir) is None
    assert runs.get_run(stage.desk, run_id).state is RunState.FAILED
    assert any(f"meanwhile {other} serves" in text for text in stage.told())


def test_a_model_is_verified_before_the_transaction_that_others_wait_for(
    trainer: Trainer, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    verify = registry.verify
    engine = stage.desk.store.engine

    def alone(directory: Path) -> dict[str, Any]:
        assert writing == 0, "a transaction is open"
        verified.append(directory.name)
        return verify(directory)

    writing = 0

    def begun(*_: object) -> None:
        nonlocal writing
        writing += 1

    def ended(*_: object) -> None:
        nonlocal writing
        writing -= 1

    def judged(*_: object) -> Verdict:
        verified.clear()  # as a candidate it was verified, minutes ago
        return Verdict(True, 0.9, None)

    event.listen(engine, "begin", begun)
    event.listen(engine, "commit", ended)
    event.listen(engine, "rollback", ended)
    monkeypatch.setattr(registry, "verify", alone)
    monkeypatch.setattr(training, "judge", judged)
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    assert trainer.run(run_id, attempt) is RunState.PROMOTED
    assert verified == [registry.champion(trainer.models_dir)]


def test_a_models_files_hold_no_word_of_a_customer(trainer: Trainer, stage: Stage) -> None:
    for number in range(6):
        stage.ask(f"Quill wants roses {number}", intent="order_status")
        stage.press(stage.token("up"))
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    trainer.run(run_id, attempt)
    version = trainer.models_dir / str(runs.get_run(stage.desk, run_id).version)
    assert json.loads((version / "manifest.json").read_text())["notes"]["learned"] == 6
    for path in version.iterdir():
        assert b"Quill" not in path.read_bytes(), path.name


def test_the_errors_that_the_packs_answers_may_have_steer_the_training(
    trainer: Trainer, stage: Stage
) -> None:
    pack = stage.desk.pack
    refund = pack.intents["refund"].model_copy(update={"target_error": 0.05})
    strict = pack.model_copy(
        update={
            "intents": {**pack.intents, "refund": refund},
            "policy": pack.policy.model_copy(update={"target_error": 0.2}),
        }
    )
    trainer = replace(trainer, desk=replace(stage.desk, pack=strict))
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    trainer.run(run_id, attempt)
    version = runs.get_run(stage.desk, run_id).version
    recipe = registry.verify(trainer.models_dir / str(version))["recipe"]
    assert (recipe["target_error"], recipe["target_errors"]) == (0.2, {"refund": 0.05})
    assert recipe["never_answered"] == ["complaint", "talk_to_person"]


def test_a_candidate_that_the_gate_rejects_leaves_the_champion(
    trainer: Trainer, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = runs.order_run(stage.desk, "Olga")
    trainer.run(*first)
    champion = registry.champion(trainer.models_dir)
    verdict = Verdict(False, 0.5, 0.9, 0, 40, 0.0, reason="accuracy")
    monkeypatch.setattr(training, "judge", lambda *_: verdict)
    second = runs.order_run(stage.desk, "Olga")
    assert trainer.run(*second) is RunState.REJECTED
    assert registry.champion(trainer.models_dir) == champion
    assert registry.candidate(trainer.models_dir) is None
    rejected = runs.get_run(stage.desk, second[0])
    assert rejected.version is not None
    assert rejected.version != champion


class Killed(BaseException):
    """In place of SIGKILL."""


def kill(*_: object, **__: object) -> None:
    raise Killed


def test_a_run_killed_between_its_promotion_and_its_verdict_is_found_promoted(
    trainer: Trainer, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer.run(*runs.order_run(stage.desk, "Olga"))
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    with monkeypatch.context() as patch:
        patch.setattr(training, "judge", lambda *_: Verdict(True, 0.95, 0.9))
        patch.setattr(
            training.faultpoints,
            "point",
            lambda at: kill() if at == "training.after_promote" else None,
        )
        with pytest.raises(Killed):
            trainer.run(run_id, attempt)
    champion = registry.champion(trainer.models_dir)
    again = runs.restart_run(stage.desk, run_id)
    assert again is not None
    monkeypatch.setattr(training, "judge", lambda *_: Verdict(False, 0.5, 0.95, reason="accuracy"))
    assert trainer.run(*again) is RunState.PROMOTED
    run = runs.get_run(stage.desk, run_id)
    assert (run.state, run.version) == (RunState.PROMOTED, champion)
    assert run.report["candidate_accuracy"] == 0.95
    assert registry.champion(trainer.models_dir) == champion


def test_a_run_killed_before_its_promotion_is_trained_anew(
    trainer: Trainer, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    with monkeypatch.context() as patch:
        patch.setattr(registry, "set_champion", kill)
        with pytest.raises(Killed):
            trainer.run(run_id, attempt)
    intended = runs.get_run(stage.desk, run_id).version
    again = runs.restart_run(stage.desk, run_id)
    assert again is not None
    assert trainer.run(*again) is RunState.PROMOTED
    assert registry.champion(trainer.models_dir) not in (None, intended)


def test_a_run_of_an_older_attempt_does_nothing(trainer: Trainer, stage: Stage) -> None:
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    assert runs.restart_run(stage.desk, run_id) == (run_id, attempt + 1)
    assert trainer.run(run_id, attempt) is None
    assert registry.versions(trainer.models_dir) == []


def test_a_gpu_that_breaks_in_a_run_ends_the_worker_after_the_run_is_marked_failed(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ended(BaseException):
        """In place of the end of this process."""

    class Once:
        """In place of the worker: it takes the one run there is."""

        def __init__(self, *_: object, run_batch: Callable[[list[Any]], Any], **__: object) -> None:
            self.run_batch = run_batch

        def work(self, **_: object) -> None:
            self.run_batch([SimpleNamespace(args=ordered)])

    def breaks(*_: object, **__: object) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    def end(_status: int) -> None:
        raise Ended

    models = tmp_path / "models"
    models.mkdir()
    ordered = runs.order_run(stage.desk, "Olga")
    monkeypatch.setattr(training, "train_version", breaks)
    monkeypatch.setattr(training, "connect", lambda _: None)
    monkeypatch.setattr(training, "BatchWorker", Once)
    monkeypatch.setattr("workers.device.os._exit", end)
    base = str(tiny_base(tmp_path))
    with pytest.raises(Ended):
        training.run(
            stage.desk,
            "redis://",
            models_dir=models,
            data_dir=tmp_path / "data",
            pack_dir=FLORIST,
            base_model=base,
            device="cpu",
        )
    assert runs.get_run(stage.desk, ordered[0]).state is RunState.FAILED


def test_a_run_that_fails_says_why_and_leaves_no_model(
    trainer: Trainer, stage: Stage, tmp_path: Path
) -> None:
    broken = Trainer(stage.desk, trainer.models_dir, tmp_path / "nowhere", "minilm", "cpu")
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    with pytest.raises(ValueError, match=r"test\.jsonl"):
        broken.run(run_id, attempt)
    run = runs.get_run(stage.desk, run_id)
    assert run.state is RunState.FAILED
    assert run.error is not None
    assert "test.jsonl" in run.error
    assert registry.versions(trainer.models_dir) == []


def test_a_champion_that_is_a_directory_fails_a_run_before_it_trains(
    trainer: Trainer, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trainer.models_dir / "champion").mkdir()
    monkeypatch.setattr(training, "train_version", kill)
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    with pytest.raises(registry.ModelError, match="is not a pointer"):
        trainer.run(run_id, attempt)
    assert "is not a pointer" in str(runs.get_run(stage.desk, run_id).error)


def test_a_run_that_fails_while_it_is_judged_leaves_no_candidate(
    trainer: Trainer, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> Verdict:
        assert registry.candidate(trainer.models_dir) is not None
        raise ValueError("no verdict")

    monkeypatch.setattr(training, "judge", fails)
    run = runs.order_run(stage.desk, "Olga")
    with pytest.raises(ValueError, match="no verdict"):
        trainer.run(*run)
    assert registry.candidate(trainer.models_dir) is None


def test_a_run_that_was_begun_anew_elsewhere_promotes_nothing(
    trainer: Trainer, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, attempt = runs.order_run(stage.desk, "Olga")

    def judged(*_: object) -> Verdict:
        runs.restart_run(stage.desk, run_id)
        return Verdict(True, 0.9, None)

    monkeypatch.setattr(training, "judge", judged)
    with pytest.raises(StaleRunError, match="promotes nothing"):
        trainer.run(run_id, attempt)
    assert registry.champion(trainer.models_dir) is None
    assert registry.candidate(trainer.models_dir) is None
    assert runs.get_run(stage.desk, run_id).state is RunState.QUEUED
    assert stage.told() == []


def test_a_training_ends_at_a_step_when_its_attempt_no_longer_counts(
    trainer: Trainer, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, attempt = runs.order_run(stage.desk, "Olga", begin=True)
    asked, still_running = threading.Event(), runs.still_running

    def ask(*arguments: Any) -> bool:
        alive = still_running(*arguments)
        if not alive:
            asked.set()
        return alive

    def step(*_: object) -> None:
        runs.restart_run(stage.desk, run_id)
        assert asked.wait(20)

    monkeypatch.setattr(runs, "still_running", ask)
    monkeypatch.setattr(training, "SIGN_SECONDS", 0.02)
    with pytest.raises(StaleRunError):
        trainer.carry_out(run_id, attempt, step)
    assert registry.versions(trainer.models_dir) == []


def test_a_phase_without_steps_gives_signs_of_life(
    trainer: Trainer, stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    beaten, signs, moved = threading.Event(), runs.LIFE_SECONDS, threading.Event()
    still_running = runs.still_running

    def sign(*arguments: Any) -> bool:
        late = moved.is_set()
        alive = still_running(*arguments)
        if late:
            beaten.set()
        return alive

    def judged(*_: object) -> Verdict:
        clock.move(seconds=signs + 1)
        moved.set()
        assert beaten.wait(20)
        assert runs.restart_run(stage.desk, run_id, silent=signs) is None
        return Verdict(True, 0.9, None)

    beats: list[int] = []
    monkeypatch.setattr(runs, "still_running", sign)
    monkeypatch.setattr(training, "SIGN_SECONDS", 0.02)
    monkeypatch.setattr(training, "judge", judged)
    lively = replace(trainer, beat=lambda: beats.append(1))
    assert lively.run(run_id, attempt) is RunState.PROMOTED
    assert beats


def test_a_verdict_waits_for_a_database_that_is_away(
    trainer: Trainer, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish_run, failures = runs.finish_run, [1, 1]

    def finish(*arguments: Any, **more: Any) -> bool:
        if failures:
            failures.pop()
            raise OperationalError("COMMIT", {}, Exception("server closed the connection"))
        return finish_run(*arguments, **more)

    monkeypatch.setattr(runs, "finish_run", finish)
    monkeypatch.setattr(training, "LONGEST_WAIT", 0.01)
    run = runs.order_run(stage.desk, "Olga")
    assert trainer.run(*run) is RunState.PROMOTED
    assert registry.champion(trainer.models_dir) == runs.get_run(stage.desk, run[0]).version


def test_a_candidate_is_compared_with_the_champion_and_with_the_models_before_it(
    trainer: Trainer, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = runs.order_run(stage.desk, "Olga")
    trainer.run(*first)
    report = runs.get_run(stage.desk, first[0]).report
    seen: list[Any] = []

    def judged(*arguments: Any) -> Verdict:
        seen.extend(arguments)
        return Verdict(True, 0.9, 0.9)

    monkeypatch.setattr(training, "judge", judged)
    trainer.run(*runs.order_run(stage.desk, "Olga"))
    _, champion, earlier = seen
    assert earlier == [report["candidate_missed"]]
    assert list(champion.missed) == report["candidate_missed"]
    assert champion.sentiment == report["candidate_sentiment"] is not None
    assert champion.answered.mean() == report["candidate_coverage"]


def test_a_rows_number_means_the_same_whatever_the_order_of_the_test(
    trainer: Trainer, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = tmp_path / "pack"
    shutil.copytree(FLORIST, pack)
    trained: list[list[Example]] = []

    def judged(_version: str, _serving: str | None, test: list[Example], *_: object) -> Verdict:
        trained.append(test)
        return Verdict(True, 0.9, None)

    monkeypatch.setattr(Trainer, "_judge", lambda _, *arguments: judged(*arguments))
    for _ in range(2):
        Trainer(stage.desk, trainer.models_dir, pack, trainer.base_model, "cpu").run(
            *runs.order_run(stage.desk, "Olga")
        )
        lines = (pack / "test.jsonl").read_text().splitlines(keepends=True)
        (pack / "test.jsonl").write_text("".join(reversed(lines)))
    assert trained[0] == trained[1]


def test_models_before_an_act_by_hand_are_no_measure_any_more(
    trainer: Trainer, stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def judged(*arguments: Any) -> Verdict:
        seen.append(arguments[2])
        return judge(*arguments)

    monkeypatch.setattr(training, "judge", judged)
    clock.set(datetime.now(UTC) - timedelta(hours=1))
    trainer.run(*runs.order_run(stage.desk, "Olga"))
    trainer.run(*runs.order_run(stage.desk, "Olga"))
    promote(trainer.models_dir, str(registry.champion(trainer.models_dir)))
    trainer.run(*runs.order_run(stage.desk, "Olga"))
    assert [len(earlier) for earlier in seen] == [0, 1, 0]


def test_after_a_rollback_a_run_promotes_nothing_until_somebody_promotes_by_hand(
    trainer: Trainer, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "judge", lambda *_: Verdict(True, 0.95, 0.9))
    for _ in range(2):
        trainer.run(*runs.order_run(stage.desk, "Olga"))
    serving = registry.rollback(trainer.models_dir)
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    assert trainer.run(run_id, attempt) is RunState.REJECTED
    assert registry.champion(trainer.models_dir) == serving
    held = runs.get_run(stage.desk, run_id)
    assert held.report["reason"] == "held"
    assert f"frontdesk models promote {held.version}" in stage.told()[-1]
    promote(trainer.models_dir, str(held.version))
    assert trainer.run(*runs.order_run(stage.desk, "Olga")) is RunState.PROMOTED


def test_what_the_gate_rejects_after_a_rollback_says_why(
    trainer: Trainer, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        trainer.run(*runs.order_run(stage.desk, "Olga"))
    registry.rollback(trainer.models_dir)
    monkeypatch.setattr(training, "judge", lambda *_: Verdict(False, 0.5, 0.9, reason="accuracy"))
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    trainer.run(run_id, attempt)
    assert runs.get_run(stage.desk, run_id).report["reason"] == "accuracy"


def test_labels_set_aside_are_not_trained_on_and_measure_both_models(
    trainer: Trainer, stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = [learned(f"have you {number} roses", "hours", clock) for number in range(200)]
    _, gold = set_aside(taught, [])
    monkeypatch.setattr(lessons, "learned", lambda _: taught)
    trained: list[set[str]] = []
    train_version = training.train_version

    def train(examples: list[Example], *arguments: Any, **more: Any) -> Any:
        trained.append({example.text for example in examples})
        return train_version(examples, *arguments, **more)

    monkeypatch.setattr(training, "train_version", train)
    for _ in range(2):
        run_id, attempt = runs.order_run(stage.desk, "Olga")
        trainer.run(run_id, attempt)
    assert all(not texts & {item.text for item in gold} for texts in trained)
    assert all(len(texts & {item.text for item in taught}) == 200 - len(gold) for texts in trained)
    report = runs.get_run(stage.desk, run_id).report
    assert report["gold"] == len(gold)
    # All of them are of an intent that fills the training.
    assert report["candidate_gold"] == report["champion_gold"] == len(gold)


def test_a_champion_that_may_have_trained_on_labels_is_not_measured_by_them(
    trainer: Trainer, stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = [learned(f"have you {number} roses", "hours", clock) for number in range(200)]
    few = taught[:20]
    assert set_aside(few, [])[1] == []
    monkeypatch.setattr(lessons, "learned", lambda _: few)
    trainer.run(*runs.order_run(stage.desk, "Olga"))
    monkeypatch.setattr(lessons, "learned", lambda _: taught)
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    trainer.run(run_id, attempt)
    assert runs.get_run(stage.desk, run_id).report["gold"] is None

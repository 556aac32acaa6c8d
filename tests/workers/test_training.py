"""Training runs: from feedback through training and the gate to a verdict."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from classifier import artifact, registry
from classifier.artifact import ModelError
from classifier.data import content_hash, dump_jsonl, read_examples
from desk.domain import DeskError, RunState
from desk.flow import runs
from tests.conftest import FLORIST, Clock
from tests.desk.acting import OLGA, Stage
from tests.workers.models import make_version, tiny_base
from workers import training
from workers.gate import Measured, Verdict
from workers.training import StaleRunError, Trainer


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


def test_the_gate_is_told_which_rows_of_the_test_repeat_a_text(
    trainer: Trainer, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = shutil.copytree(FLORIST, tmp_path / "florist")
    rows = read_examples(FLORIST / "test.jsonl")
    shouted = [replace(row, text=f"{row.text.upper()}?!") for row in rows[:2]]
    (pack / "test.jsonl").write_text(dump_jsonl([*rows, *shouted]))

    def judged(candidate: Measured, *_: object) -> Verdict:
        assert len(candidate.once) == len(candidate.right) == len(rows) + 2
        assert candidate.once.sum() == len(rows)
        return Verdict(True, 0.9, None)

    monkeypatch.setattr(training, "judge", judged)
    run = runs.order_run(stage.desk, "Olga")
    assert replace(trainer, pack_dir=pack).run(*run) is RunState.PROMOTED


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
    verify = artifact.verify
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
    monkeypatch.setattr(artifact, "verify", alone)
    monkeypatch.setattr(training, "judge", judged)
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    assert trainer.run(run_id, attempt) is RunState.PROMOTED
    assert verified == [registry.champion(trainer.models_dir)]


def test_a_models_files_hold_no_word_of_a_customer(trainer: Trainer, stage: Stage) -> None:
    for number in range(6):
        stage.ask(f"Quill wants roses {number}", intent="order_status")
        stage.press(stage.token("up"))
    stage.ask("Quill is calm", intent="complaint", sentiment="negative")
    stage.press(stage.token("relabel"), by=OLGA)
    stage.press(stage.token("mood", "neutral"), by=OLGA)
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    trainer.run(run_id, attempt)
    version = trainer.models_dir / str(runs.get_run(stage.desk, run_id).version)
    assert json.loads((version / "manifest.json").read_text())["notes"]["learned"] == 7
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
    recipe = artifact.verify(trainer.models_dir / str(version))["recipe"]
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


def test_a_workers_job_for_a_run_that_was_taken_over_finds_nothing_to_do(
    trainer: Trainer, stage: Stage
) -> None:
    queued = runs.order_run(stage.desk, "Olga")
    run_id, attempt = runs.order_run(stage.desk, "cli", begin=True)
    assert trainer.run(*queued) is None
    assert registry.versions(trainer.models_dir) == []
    assert trainer.carry_out(run_id, attempt) is RunState.PROMOTED


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
            auto_promote=True,
        )
    assert runs.get_run(stage.desk, ordered[0]).state is RunState.FAILED


@pytest.mark.parametrize("auto_promote", [True, False])
def test_the_worker_leaves_it_to_people_what_serves_where_it_is_told_so(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auto_promote: bool
) -> None:
    class Once:
        """In place of the worker: it takes one run."""

        def __init__(self, *_: object, run_batch: Callable[[list[Any]], Any], **__: object) -> None:
            self.run_batch = run_batch

        def work(self, **_: object) -> None:
            self.run_batch([SimpleNamespace(args=(1, 1))])

    told: list[bool] = []

    def note(trainer: Trainer, *_: object) -> None:
        told.append(trainer.auto_promote)

    monkeypatch.setattr(Trainer, "run", note)
    monkeypatch.setattr(training, "connect", lambda _: None)
    monkeypatch.setattr(training, "BatchWorker", Once)
    training.run(
        stage.desk,
        "redis://",
        models_dir=tmp_path,
        data_dir=tmp_path / "data",
        pack_dir=FLORIST,
        base_model="any",
        device="cpu",
        auto_promote=auto_promote,
    )
    assert told == [auto_promote]


def test_a_run_on_a_pack_that_was_edited_since_the_start_fails_before_any_training(
    trainer: Trainer, stage: Stage, pack_folder: Path
) -> None:
    file = pack_folder / "pack.yml"
    file.write_text(file.read_text("utf-8").replace("opening_hours", "hours"), "utf-8")
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    with pytest.raises(DeskError):
        replace(trainer, pack_dir=pack_folder).run(run_id, attempt)
    assert registry.versions(trainer.models_dir) == []
    run = runs.get_run(stage.desk, run_id)
    assert run.state is RunState.FAILED
    assert str(run.error).startswith("Restart Frontdesk, then train again (/retrain)")
    assert any("added: hours; gone: opening_hours" in text for text in stage.told())


def test_a_run_that_fails_says_why_and_leaves_no_model(
    trainer: Trainer, stage: Stage, tmp_path: Path
) -> None:
    lacking = tmp_path / "lacking"
    shutil.copytree(FLORIST, lacking, ignore=shutil.ignore_patterns("test.jsonl"))
    broken = Trainer(stage.desk, trainer.models_dir, lacking, "minilm", "cpu", True)
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
    with pytest.raises(artifact.ModelError, match="is not a pointer"):
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


def test_a_run_in_which_nothing_moves_is_ended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung, signs, beats = threading.Event(), [], []
    monkeypatch.setattr(runs, "still_running", lambda *_: signs.append(1) or True)
    monkeypatch.setattr(training, "end_process", hung.set)
    monkeypatch.setattr(training, "SIGN_SECONDS", 0.01)
    monkeypatch.setattr(training, "HUNG_SECONDS", 0.055)
    with training.Life(stage.desk, 1, 1, lambda: beats.append(1)) as life:
        assert hung.wait(20)
        life._thread.join(20)
    assert len(signs) == len(beats) == 5, "no sign of life after that"


@pytest.mark.parametrize("step", [training.Life.check, training.Life.moves])
def test_a_run_that_steps_or_waits_for_its_database_is_not_ended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, step: Callable[[training.Life], None]
) -> None:
    signs, enough = [], threading.Event()

    def sign(*_: object) -> bool:
        step(life)
        signs.append(1)
        if len(signs) == 20:
            enough.set()
        return True

    monkeypatch.setattr(runs, "still_running", sign)
    monkeypatch.setattr(training, "end_process", enough.set)
    monkeypatch.setattr(training, "SIGN_SECONDS", 0.01)
    monkeypatch.setattr(training, "HUNG_SECONDS", 0.055)
    with training.Life(stage.desk, 1, 1, None) as life:
        assert enough.wait(20)
    assert len(signs) >= 20


def test_an_attempt_gives_signs_of_life_again_after_a_database_that_was_away(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    def sign(*_: object) -> bool:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise OperationalError("select", {}, Exception("away"))
        return False

    monkeypatch.setattr(runs, "still_running", sign)
    monkeypatch.setattr(training, "SIGN_SECONDS", 0.02)
    with training.Life(stage.desk, 1, 1, None) as life:
        assert life._stale.wait(20)
        with pytest.raises(StaleRunError):
            life.check()
    assert asked >= 2


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
    moves: list[int] = []
    monkeypatch.setattr(training.Life, "moves", lambda _: moves.append(len(failures)))
    run = runs.order_run(stage.desk, "Olga")
    assert trainer.run(*run) is RunState.PROMOTED
    assert {0, 1} <= set(moves), "to wait is not to hang"
    assert registry.champion(trainer.models_dir) == runs.get_run(stage.desk, run[0]).version

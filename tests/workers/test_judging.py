"""How a run's model is judged: beside the champion, earlier models and labels set aside, and held
after a rollback."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from classifier import artifact, registry
from classifier.arrays import Bools
from classifier.data import Example
from classifier.registry import promote
from desk import metrics
from desk.domain import FeedbackKind, RunState
from desk.flow import lessons, runs
from desk.flow.lessons import Learned
from desk.pack import Pack
from tests.conftest import FLORIST, Clock
from tests.desk.acting import OLGA, Stage
from workers import training
from workers.gate import Earlier, Verdict, judge
from workers.gold import set_aside
from workers.training import Trainer, handed


def learned(text: str, intent: str, clock: Clock) -> Learned:
    return Learned(text, intent, FeedbackKind.RELABEL, clock(), OLGA, 1)


def counted(state: str) -> float:
    """How many runs were counted as this."""
    samples = [s for s in metrics.RUNS.collect()[0].samples if s.labels["state"] == state]
    return samples[0].value


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
    kept = [report[f"candidate_{name}"] for name in ("missed", "answered", "promise")]
    assert earlier == [Earlier(*kept)]
    assert (~champion.right).nonzero()[0].tolist() == report["candidate_missed"]
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
        Trainer(stage.desk, trainer.models_dir, pack, trainer.base_model, "cpu", True).run(
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
    serving = registry.rollback(trainer.models_dir).version
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    before = {state: counted(state) for state in ("held", "rejected")}
    assert trainer.run(run_id, attempt) is RunState.REJECTED
    # The alert about what the gate rejects does not count it.
    assert counted("held") == before["held"] + 1
    assert counted("rejected") == before["rejected"]
    assert registry.champion(trainer.models_dir) == serving
    held = runs.get_run(stage.desk, run_id)
    assert held.report["reason"] == "held"
    assert f"frontdesk models promote {held.version}" in stage.told()[-1]
    promote(trainer.models_dir, str(held.version))
    assert trainer.run(*runs.order_run(stage.desk, "Olga")) is RunState.PROMOTED


def test_where_people_promote_a_run_promotes_nothing_while_a_model_serves(
    trainer: Trainer, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "judge", lambda *_: Verdict(True, 0.95, 0.9))
    trainer = replace(trainer, auto_promote=False)
    assert trainer.run(*runs.order_run(stage.desk, "Olga")) is RunState.PROMOTED, "else nobody did"
    serving = registry.champion(trainer.models_dir)
    before = counted("held")
    for _ in range(2):
        run_id, attempt = runs.order_run(stage.desk, "Olga")
        assert trainer.run(run_id, attempt) is RunState.REJECTED
        waits = runs.get_run(stage.desk, run_id)
        assert registry.champion(trainer.models_dir) == serving
        assert waits.report["reason"] == "by_hand"
        assert f"frontdesk models promote {waits.version}" in stage.told()[-1]
        promote(trainer.models_dir, str(waits.version))
        serving = waits.version
    assert counted("held") == before + 2
    registry.rollback(trainer.models_dir)
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    trainer.run(run_id, attempt)
    assert runs.get_run(stage.desk, run_id).report["reason"] == "by_hand", "nothing lifts that"


@pytest.mark.parametrize("missing", [False, True])
def test_a_champion_that_does_not_load_is_replaced_even_after_a_rollback(
    trainer: Trainer, stage: Stage, missing: bool
) -> None:
    for _ in range(2):
        trainer.run(*runs.order_run(stage.desk, "Olga"))
    serving = registry.rollback(trainer.models_dir).version
    if missing:
        (trainer.models_dir / "champion").unlink()
    else:
        (trainer.models_dir / serving / "labels.json").write_text("{")
    assert trainer.run(*runs.order_run(stage.desk, "Olga")) is RunState.PROMOTED


def test_an_act_that_cannot_be_read_costs_no_training(
    trainer: Trainer, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trainer.models_dir / registry.LAST_ACT).write_text("{")
    monkeypatch.setattr(Trainer, "_train", lambda *_: pytest.fail("it trains"))
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    with pytest.raises(artifact.ModelError, match="frontdesk models promote"):
        trainer.run(run_id, attempt)
    assert runs.get_run(stage.desk, run_id).state is RunState.FAILED


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


def test_a_text_gets_its_person_under_another_intent_that_always_gets_one_as_soon(
    stage: Stage,
) -> None:
    first = stage.desk.pack.intents["complaint"].model_copy(update={"priority": True})
    intents = {**stage.desk.pack.intents, "danger": first, "crisis": first}
    pack = stage.desk.pack.model_copy(update={"intents": intents})
    told = {
        "crisis": ("crisis", "danger"),
        "complaint": ("complaint", "talk_to_person", "crisis", "danger"),
        "refund": (),
        "oos": (),
    }
    names = [*pack.intents, "oos", ""]
    for true, gets in told.items():
        found = handed(pack, [true] * len(names), names)
        assert {name for name, one in zip(names, found, strict=True) if one} == set(gets), true


def test_the_gate_is_told_what_always_gets_a_person(
    trainer: Trainer, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def judged(*arguments: Any) -> Verdict:
        seen.append(arguments[0])
        return judge(*arguments)

    def told(_pack: Pack, truth: Sequence[str], first: Sequence[str]) -> Bools:
        asked.append((list(truth), list(first)))
        return handed(_pack, truth, truth)

    asked: list[tuple[list[str], list[str]]] = []
    monkeypatch.setattr(training, "judge", judged)
    monkeypatch.setattr(training, "handed", told)
    trainer.run(*runs.order_run(stage.desk, "Olga"))
    [candidate], [(truth, first)] = seen, asked
    assert candidate.truth == truth
    assert candidate.right.tolist() == [a == b for a, b in zip(truth, first, strict=True)]
    always = [intent in ("complaint", "talk_to_person") for intent in truth]
    assert candidate.handed.tolist() == always
    assert sum(always) == 2
    assert candidate.urgent.tolist() == [False] * len(always)


def test_each_answer_may_be_wrong_as_often_as_its_own_intent_allows(
    trainer: Trainer, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def judged(*arguments: Any) -> Verdict:
        seen.append(arguments[0])
        return judge(*arguments)

    monkeypatch.setattr(training, "judge", judged)
    own = dict.fromkeys(stage.desk.pack.intents, 0.3)
    recipe = replace(training.recipe_of(stage.desk.pack), target_errors=own)
    monkeypatch.setattr(training, "recipe_of", lambda _: recipe)
    trainer.run(*runs.order_run(stage.desk, "Olga"))
    [candidate] = seen
    assert len(candidate.allowed) == len(candidate.right)
    assert 0.3 in candidate.allowed

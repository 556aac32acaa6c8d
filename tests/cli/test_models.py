"""models: listed, promoted, rolled back and removed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from classifier import registry
from desk.domain import RunState
from desk.flow.desk import Desk
from desk.tables import RunRow
from tests.classifier.tiny import misfit
from tests.cli.conftest import Place, Result, make_examples, write_jsonl

Command = Callable[..., Result]


def test_models_are_listed_promoted_and_rolled_back(own_models: Path, frontdesk: Command) -> None:
    first = registry.champion(own_models)
    assert frontdesk("train", "--epochs", "1").code == 0
    rows = frontdesk("models", "list", "--json").json()
    assert [row["champion"] for row in rows] == [True, False]
    second = rows[1]["version"]
    assert frontdesk("models", "promote", second).code == 0
    assert registry.champion(own_models) == second
    assert [row["measured_on"] for row in rows] == ["validation", "test"]
    listed = frontdesk("models", "list").out.splitlines()[1:3]
    assert second in listed[1]
    assert ["(validation)" in line for line in listed] == [True, False]
    assert [row["another_test"] for row in rows] == [False, False]
    back = frontdesk("models", "rollback")
    assert back.code == 0
    assert "runs promote nothing until: frontdesk models promote VERSION" in back.out
    assert registry.champion(own_models) == first
    assert frontdesk("models", "rollback").code == 1


def test_models_and_doctor_tell_how_one_serves_what_the_gate_said_and_what_waits(
    own_models: Path, desk: Desk, frontdesk: Command
) -> None:
    first = registry.champion(own_models)
    assert first is not None
    now = datetime.now(UTC)
    worse, held = (registry.new_version_name(now + timedelta(minutes=n)) for n in (1, 2))
    for version in (worse, held):
        shutil.copytree(own_models / first, own_models / version)

    def judged(version: str, reason: str, after: timedelta) -> None:
        report = {"reason": reason}
        with desk.store.writing() as session:
            run = RunRow(requested_by="nightly", state=RunState.REJECTED, version=version)
            run.report, run.finished_at = report, datetime.now(UTC) + after
            session.add(run)

    def rows() -> dict[str, dict[str, object]]:
        return {row["version"]: row for row in frontdesk("models", "list", "--json").json()}

    def warned() -> list[str]:
        found = frontdesk("doctor", "--json").json()["checks"]
        return [each["detail"] for each in found if each["check"] == "promotion"]

    said = frontdesk("models", "list").out
    assert f"serves since {now:%Y-%m-%d}" in said
    assert "by hand" in said
    assert (rows()[first]["serves_by"], rows()[worse]["verdict"]) == ("hand", None)
    assert warned() == []
    judged(worse, "wrong", timedelta(seconds=1))
    judged(held, "by_hand", timedelta(seconds=1))
    assert "rejected (wrong)" in frontdesk("models", "list").out
    assert (rows()[worse]["verdict"], rows()[held]["verdict"]) == ("rejected", "passed")
    waits = f"{held} passed the gate and waits for you"
    assert f"{waits}: frontdesk compare champion {held}, then" in frontdesk("models", "list").out
    assert warned() == [waits]
    registry.set_champion(own_models, worse)
    assert rows()[worse]["serves_by"] == "run"
    registry.rollback(own_models)
    assert rows()[first]["serves_by"] == "rollback"
    assert "(rollback) runs promote nothing: " in frontdesk("models", "list").out
    assert any("(rollback) runs promote nothing" in each for each in warned())
    judged(held, "held", timedelta(seconds=5))
    assert waits in warned()
    registry.promote(own_models, held)
    assert warned() == [], "nothing waits, and nothing is held"
    assert rows()[held]["serves_by"] == "hand"
    registry.rollback(own_models)
    before = rows()[first]["serves_since"]
    act = own_models / registry.LAST_ACT
    registry.promote(own_models, first)
    act.write_text(json.dumps({"act": "promote", "at": f"{now + timedelta(hours=1):%FT%TZ}"}))
    assert warned() == [], "what was rolled back is not recommended"
    assert str(rows()[first]["serves_since"]) > str(before)


def test_versions_are_listed_and_told_where_it_is_not_known_what_the_gate_said(
    own_models: Path, desk: Desk, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = str(registry.champion(own_models))
    assert frontdesk("models", "list").err == ""

    def told(why: str) -> None:
        result = frontdesk("models", "list")
        assert (result.code, version in result.out) == (0, True), result.err
        assert result.err.startswith("What the gate said is not known: ")
        assert why in result.err
        assert "serves since" in result.out

    with monkeypatch.context() as wrong:
        wrong.setenv("METRICS_PORT", "foo")
        told("METRICS_PORT")
    with desk.store.writing() as session:
        session.execute(text("DROP TABLE runs"))
    told("no such table: runs")


@pytest.mark.parametrize("promoted", [{}, {"promoted": 5}, {"promoted": "yesterday"}])
def test_a_history_that_does_not_say_when_is_told(
    own_models: Path, frontdesk: Command, promoted: dict[str, object]
) -> None:
    version = registry.champion(own_models)
    history = own_models / registry.HISTORY
    history.write_text(json.dumps([{"version": version} | promoted]))
    result = frontdesk("models", "list")
    assert (result.code, str(version) in result.out) == (0, True), result.err
    assert f"{history}: does not say when {version} was promoted" in result.err


def test_versions_are_listed_where_what_was_done_last_can_not_be_read(
    own_models: Path, frontdesk: Command
) -> None:
    (own_models / registry.LAST_ACT).write_text("{")
    result = frontdesk("models", "list")
    assert result.code == 0
    assert str(registry.champion(own_models)) in result.out
    assert "cannot be read" in result.err


def test_a_version_measured_on_another_test_than_the_champion_is_marked(
    place: Place, own_models: Path, frontdesk: Command
) -> None:
    def trained(each: int) -> str:
        test = write_jsonl(place.folder / "test.jsonl", make_examples(seed=7, each=each))
        result = frontdesk("train", "--epochs", "1", "--test", str(test), "--json")
        return str(result.json()["version"])

    def marked() -> list[bool]:
        _, *listed, legend = frontdesk("models", "list").out.splitlines()
        rows = frontdesk("models", "list", "--json").json()
        marks = [bool(row["another_test"]) for row in rows]
        assert ["(another test)" in line for line in listed] == marks
        assert ("(another test)" in legend) == any(marks)
        of = {row["version"]: mark for row, mark in zip(rows, marks, strict=True)}
        # Not as they are listed: two may have been made in one second, which the names tell apart.
        return [of[version] for version in versions]

    versions = [trained(each) for each in (6, 3, 6)]
    assert marked() == [False, False, False], "the champion has no test"
    registry.promote(own_models, versions[0])
    listed = frontdesk("models", "list", "--json").json()
    (row,) = [each for each in listed if each["version"] == versions[1]]
    assert row["rows"] == len(make_examples(each=3))
    assert len(row["test_hash"]) == 64
    assert marked() == [False, True, False]
    registry.promote(own_models, versions[1])
    assert marked() == [True, False, True]
    # Versions of before know the number of its rows alone.
    for version in versions:
        path = own_models / version / "metrics.json"
        metrics = json.loads(path.read_text())
        del metrics["test_hash"]
        path.write_text(json.dumps(metrics))
    assert marked() == [True, False, True]


def test_a_version_that_can_not_predict_is_not_promoted(
    own_models: Path, frontdesk: Command
) -> None:
    serving = registry.champion(own_models)
    assert serving is not None
    unfit = registry.new_version_name()
    shutil.copytree(own_models / serving, own_models / unfit)
    misfit(own_models / unfit)
    result = frontdesk("models", "promote", unfit)
    assert result.code == 2
    assert f"{unfit} can't predict (ValueError: " in result.err
    assert registry.champion(own_models) == serving


def test_versions_are_removed_by_name_or_because_nobody_needs_them(
    own_models: Path, frontdesk: Command
) -> None:
    serving = registry.champion(own_models)
    assert serving is not None
    yesterday = datetime.now(UTC) - timedelta(days=1)
    old, older, oldest = (
        registry.new_version_name(yesterday - timedelta(days=n)) for n in range(3)
    )
    for name in (old, older, oldest):
        shutil.copytree(own_models / serving, own_models / name)
        os.utime(own_models / name, (0, 0))
    assert frontdesk("models", "remove", oldest, oldest).code == 0
    refused = frontdesk("models", "remove", old, serving)
    assert refused.code == 1
    assert (own_models / old).is_dir(), "all of them, or none"
    assert "promote another one first" in refused.err
    mistyped = frontdesk("models", "remove", old, f"{old[:-6]}000000")
    assert mistyped.code == 2
    assert "there is no such version" in mistyped.err
    assert (own_models / old).is_dir(), "here too"
    asked = frontdesk("models", "prune", "--dry-run").out
    assert asked == f"{older} would be removed.\n{old} would be removed.\n"
    assert frontdesk("models", "prune").out == asked.replace("would be", "is")
    assert [version.name for version in registry.versions(own_models)] == [serving]
    assert "nothing to remove" in frontdesk("models", "prune").err
    assert frontdesk("models", "prune", "--keep", "0").code == 2


def test_where_people_promote_what_waits_for_them_is_not_removed(
    own_models: Path, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = registry.champion(own_models)
    assert serving is not None
    waits = registry.new_version_name(datetime.now(UTC) - timedelta(days=2))
    shutil.copytree(own_models / serving, own_models / waits)
    moment = datetime.now(UTC) - timedelta(days=2)
    os.utime(own_models / waits, (moment.timestamp(),) * 2)
    promoted = (moment - timedelta(days=1)).isoformat()
    history = [{"version": serving, "promoted": promoted}]
    (own_models / registry.HISTORY).write_text(json.dumps(history))
    monkeypatch.setenv("AUTO_PROMOTE", "false")
    assert "nothing to remove" in frontdesk("models", "prune").err
    monkeypatch.delenv("AUTO_PROMOTE")
    assert frontdesk("models", "prune").out == f"{waits} is removed.\n"


def test_promoting_what_is_not_there_says_where_to_look(frontdesk: Command) -> None:
    result = frontdesk("models", "promote", "latest")
    assert result.code == 2
    assert "frontdesk models list" in result.err


def test_a_models_directory_that_is_none_is_told(no_models: Path, frontdesk: Command) -> None:
    missing = frontdesk("models", "rollback")
    assert missing.code == 1
    assert f"{no_models}: there is no such directory of models (MODELS_DIR)" in missing.err
    no_models.write_text("")
    for verb in (("models", "rollback"), ("models", "list"), ("train", "--epochs", "1")):
        result = frontdesk(*verb)
        assert result.code == 1
        assert f"{no_models}: is not a directory of models; set MODELS_DIR to one" in result.err


@pytest.mark.parametrize(
    "metrics",
    [
        {"test": [1]},
        {"test": "good", "validation": {"accuracy": "x", "examples": []}},
        {"test": {"accuracy": 10**400, "sentiment_macro_f1": True, "examples": {}}},
        [1],
    ],
    ids=["list", "text", "number", "no mapping"],
)
def test_a_version_whose_metrics_have_the_wrong_shape_hides_no_other(
    own_models: Path, frontdesk: Command, metrics: object
) -> None:
    serving = registry.champion(own_models)
    assert serving is not None
    other = registry.new_version_name()
    shutil.copytree(own_models / serving, own_models / other)
    (own_models / other / "metrics.json").write_text(json.dumps(metrics))
    listed = frontdesk("models", "list")
    assert listed.code == 0, listed.err
    assert serving in listed.out
    assert other in listed.out
    assert len(frontdesk("models", "list", "--json").json()) == 2


def test_a_model_is_no_models_directory(
    models_dir: Path, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELS_DIR", str(models_dir / "champion"))
    for verb in (("models", "list"), ("classify", "hello"), ("train", "--epochs", "1")):
        result = frontdesk(*verb)
        assert result.code == 1
        assert f"{models_dir / 'champion'}: is itself a model; set MODELS_DIR to" in result.err

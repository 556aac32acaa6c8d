"""train and evaluate: what a model is made of, and what it is worth."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from classifier import artifact, registry
from classifier.recipe import Recipe
from cli.screen import training_progress
from cli.train import REASONS, _print_result, _rarely_answered
from desk.domain import RunState
from desk.flow import runs, watching
from desk.flow.desk import Desk
from desk.flow.runs import REJECTIONS
from tests.cli.conftest import Place, Result, make_examples, write_jsonl

Command = Callable[..., Result]
EVALUATE_KEYS = {
    "accuracy",
    "in_scope_accuracy",
    "macro_f1",
    "ece",
    "sentiment_accuracy",
    "sentiment_macro_f1",
}


@pytest.mark.parametrize("kind", ["csv with label", "jsonl with intent", "sentiment alone"])
def test_train_takes_every_documented_form(place: Place, frontdesk: Command, kind: str) -> None:
    examples, file = make_examples(each=12), place.folder / "data.jsonl"
    if kind == "csv with label":
        file = place.folder / "data.csv"
        with file.open("w", newline="") as out:
            rows = csv.writer(out)
            rows.writerow(["text", "label"])
            rows.writerows([e.text, e.intent] for e in examples)
    elif kind == "sentiment alone":
        lines = [json.dumps({"text": e.text, "sentiment": e.sentiment}) for e in examples]
        file.write_text("\n".join(lines))
    else:
        write_jsonl(file, examples)
    out_dir = place.folder / "model"
    result = frontdesk("train", "--data", str(file), "--out", str(out_dir), "--epochs", "1")
    assert result.code == 0, result.err
    assert artifact.verify(out_dir)
    heads = json.loads((out_dir / "labels.json").read_text())
    assert bool(heads["intents"]) == (kind != "sentiment alone")
    assert bool(heads["sentiments"]) == (kind != "csv with label")


def test_square_brackets_in_paths_are_printed_as_they_are(
    place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.folder / "a[/b]").mkdir(parents=True)
    data = write_jsonl(place.folder / "a[/b]" / "[bold]data[v1].jsonl", make_examples(each=6))
    out = place.folder / "a[/b]" / "[red]m"
    result = frontdesk("train", "--data", str(data), "--out", str(out), "--epochs", "1")
    assert result.code == 0, result.err
    assert f"examples from {data}, base model" in result.err
    assert f"Model {out} trained in" in result.out
    monkeypatch.setenv("MODELS_DIR", str(place.folder / "a[/b]" / "none"))
    assert "a[/b]/none yet" in frontdesk("models", "list").err


def test_train_json_is_pure_and_progress_goes_to_stderr(place: Place) -> None:
    data = write_jsonl(place.folder / "data.jsonl", make_examples(each=12))
    unseen = make_examples(seed=7, each=6)
    test = write_jsonl(place.folder / "test.jsonl", unseen)
    result = place.run(
        "train", "--data", str(data), "--out", "m", "--test", str(test), "--epochs", "1", "--json"
    )
    assert result.code == 0, result.err
    found = result.json()
    assert found["model"] == "m"
    assert found["promoted"] is False
    assert found["test"]["rows"] == len(unseen)
    assert "epoch 1" in result.err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"text": "a", "intent": "x"}\n{"text": }\n', "data.jsonl:2: is not JSON"),
        ('{"text": "a"}\n', "data.jsonl:1: has neither an intent nor a sentiment"),
        ('{"text": "a", "mood": "x"}\n', "data.jsonl:1: unknown column `mood`"),
        ('{"text": "a", "sentiment": "angry"}\n', "data.jsonl:1: unknown sentiment 'angry'"),
        ('{"text": "a", "intent": "x"}\n', "nothing to tell apart"),
        ("", "holds no examples"),
    ],
)
def test_bad_data_gets_a_sentence_with_its_line(
    place: Place, frontdesk: Command, content: str, sentence: str
) -> None:
    file = place.folder / "data.jsonl"
    file.write_text(content)
    result = frontdesk("train", "--data", str(file), "--out", str(place.folder / "m"))
    assert result.code == 2
    assert sentence in result.err
    assert not (place.folder / "m").exists()


def test_train_does_not_overwrite(place: Place, frontdesk: Command) -> None:
    (place.folder / "m").mkdir()
    (place.folder / "m" / "precious").touch()
    data = write_jsonl(place.folder / "data.jsonl", make_examples(each=6))
    result = frontdesk("train", "--data", str(data), "--out", str(place.folder / "m"))
    assert result.code == 2
    assert "is not empty; choose a new directory" in result.err


@pytest.mark.parametrize("where", ["champion", "candidate", "."])
def test_train_puts_no_model_where_models_dir_keeps_its_pointers(
    place: Place, no_models: Path, frontdesk: Command, where: str
) -> None:
    data = write_jsonl(place.folder / "data.jsonl", make_examples(each=6))
    out = ("--out", f"none/{where}", "--epochs", "1")
    result = frontdesk("train", "--data", str(data), *out)
    assert result.code == 2
    assert "is where MODELS_DIR keeps its versions, or points to one" in result.err
    assert not no_models.exists()


def test_a_device_that_is_not_there_is_a_wrong_setting(place: Place, frontdesk: Command) -> None:
    result = frontdesk("classify", "hello", "--device", "cuda:99")
    assert result.code == 2
    assert "use auto or cpu" in result.err


def test_train_alone_makes_the_first_champion_and_leaves_later_ones_to_be_promoted(
    no_models: Path, frontdesk: Command
) -> None:
    first = frontdesk("train", "--epochs", "1")
    assert first.code == 0, first.err
    champion = registry.champion(no_models)
    assert champion is not None
    assert "It is the champion now" in first.out
    refused = frontdesk("train", "--from-feedback", "--seed", "2")
    assert refused.code == 2
    assert "leave out --data, --out, --test, --epochs and --seed" in refused.err
    second = frontdesk("train", "--epochs", "1", "--seed", "2")
    assert "frontdesk models promote" in second.out
    assert registry.champion(no_models) == champion
    assert len(registry.versions(no_models)) == 2


def test_a_first_model_takes_the_place_of_no_champion_that_was_promoted_at_the_same_moment(
    no_models: Path, models_dir: Path, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = registry.champion(models_dir)
    assert other is not None
    verify = artifact.verify

    def meanwhile(directory: Path) -> dict[str, Any]:
        monkeypatch.setattr(artifact, "verify", verify)
        shutil.copytree(models_dir / other, no_models / other)
        registry.promote(no_models, other)
        return verify(directory)

    monkeypatch.setattr(artifact, "verify", meanwhile)
    result = frontdesk("train", "--epochs", "1", "--quiet", "--json")
    assert result.code == 0, result.err
    assert result.json()["promoted"] is False
    assert f"was not promoted: meanwhile {other} has become the champion" in result.err
    assert registry.champion(no_models) == other


def test_train_aims_at_the_errors_that_the_pack_allows_and_with_a_file_at_the_usual_ones(
    place: Place,
    pack_dir: Path,
    no_models: Path,
    frontdesk: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strict = Path(shutil.copytree(pack_dir, place.folder / "strict"))
    text = (strict / "pack.yml").read_text()
    text = text.replace("threshold: 0.5", "target_error: 0.2, negative_confidence: 0.7")
    (strict / "pack.yml").write_text(
        text.replace("{title: {en: Refund}", "{target_error: 0.05, title: {en: Refund}")
    )
    monkeypatch.setenv("PACK", str(strict))
    trained = frontdesk("train", "--epochs", "1", "--json").json()
    model, test = trained["model"], trained["test"]
    assert test["upset"]["confidence"] == trained["validation"]["upset"]["confidence"] == 0.7
    recipe = artifact.verify(Path(model))["recipe"]
    assert (recipe["target_error"], recipe["target_errors"]) == (0.2, {"refund": 0.05})
    assert recipe["never_answered"] == ["person"]
    assert recipe["negative_confidence"] == 0.7
    data, out = strict / "examples.jsonl", place.folder / "m"
    assert frontdesk("train", "--epochs", "1", "--data", str(data), "--out", str(out)).code == 0
    recipe = artifact.verify(out)["recipe"]
    assert (recipe["target_error"], recipe["target_errors"]) == (0.05, {})
    assert recipe["never_answered"] == []


def test_train_on_a_pack_with_mistakes_names_them(
    place: Place, pack_dir: Path, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Path(shutil.copytree(pack_dir, place.folder / "broken"))
    text = (broken / "pack.yml").read_text()
    (broken / "pack.yml").write_text(text.replace("threshold: 0.5", "target_error: 3"))
    monkeypatch.setenv("PACK", str(broken))
    result = frontdesk("train", "--epochs", "1")
    assert result.code == 2
    assert "policy.target_error: Input should be less than 0.5; for 3 % write 0.03 (line 12)" in (
        result.err
    )


def test_train_takes_no_other_name_of_out_of_scope_than_the_packs(
    place: Place,
    no_models: Path,
    pack_dir: Path,
    frontdesk: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    edited = Path(shutil.copytree(pack_dir, place.folder / "edited"))
    file = edited / "examples.jsonl"
    file.write_text(file.read_text().replace("out_of_scope", "oos"))
    monkeypatch.setenv("PACK", str(edited))
    result = frontdesk("train", "--epochs", "1")
    assert result.code == 2
    assert "label them out_of_scope" in result.err
    assert not no_models.exists()


def test_a_training_that_is_killed_leaves_nothing(place: Place, no_models: Path) -> None:
    process = place.start("train", "--epochs", "100000")
    assert process.stderr is not None
    while "epoch 1" not in process.stderr.readline():
        assert process.poll() is None
    process.kill()
    process.wait()
    assert not no_models.exists()


def test_the_remains_of_a_save_that_was_killed_are_swept(
    no_models: Path, frontdesk: Command
) -> None:
    old, fresh = no_models / ".a.1.partial", no_models / ".b.2.partial"
    for folder in (old, fresh):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    assert frontdesk("train", "--epochs", "1").code == 0
    assert not old.exists()
    assert fresh.exists()


def test_from_feedback_trains_judges_and_promotes(
    place: Place, own_models: Path, frontdesk: Command
) -> None:
    assert frontdesk("migrate").code == 0
    before = registry.champion(own_models)
    result = place.run("train", "--from-feedback", "--json", MODELS_DIR=str(own_models))
    assert result.code == 0, result.err
    found = result.json()
    assert found["state"] in ("promoted", "rejected")
    assert found["report"]["champion_accuracy"] is not None
    serves = found["version"] if found["state"] == "promoted" else before
    assert registry.champion(own_models) == serves


def test_the_verdict_of_a_run_says_what_would_be_answered_and_why_it_was_rejected(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = {
        "candidate_accuracy": 0.9,
        "champion_accuracy": 0.91,
        "candidate_coverage": 0.41,
        "champion_coverage": 0.526,
        "gold": 37,
        "candidate_gold": 34,
        "champion_gold": 31,
        "reason": "held",
    }
    run = {"run": 3, "state": "rejected", "version": "v2", "report": report}
    _print_result(run, of_pack=True)
    said = " ".join(capsys.readouterr().out.split())
    assert "accuracy: new model 90.0%, champion so far 91.0%" in said
    assert "answered automatically: new model 41.0%, champion so far 52.6%" in said
    assert "(texts hard for the champion), right: new model 34, champion so far 31" in said
    assert "If it may serve: frontdesk models promote v2." in said


def test_the_verdict_of_a_first_model_names_no_champion(capsys: pytest.CaptureFixture[str]) -> None:
    report = {"candidate_accuracy": 0.9, "champion_accuracy": None, "candidate_coverage": 0.41}
    run = {"run": 3, "state": "promoted", "version": "v2", "report": report}
    _print_result(run, of_pack=True)
    said = capsys.readouterr().out
    assert "accuracy: new model 90.0%" in said
    assert "champion" not in said


def test_each_reason_of_the_gate_has_its_words_here_as_in_the_operators_chat() -> None:
    assert set(REASONS) == set(REJECTIONS)


def test_from_feedback_without_waiting_leaves_a_queued_run(
    own_models: Path, frontdesk: Command
) -> None:
    assert frontdesk("migrate").code == 0
    result = frontdesk("train", "--from-feedback", "--no-wait", "--json")
    assert json.loads(result.out) == {"run": 1, "state": "queued", "worker": False}
    again = frontdesk("train", "--from-feedback", "--no-wait")
    assert again.code == 1
    assert "already queued" in again.err


def test_from_feedback_refuses_a_file(frontdesk: Command) -> None:
    assert frontdesk("train", "--from-feedback", "--data", "x.csv").code == 2


def test_a_training_that_no_worker_does_can_not_be_left_to_one(
    place: Place, no_models: Path, frontdesk: Command
) -> None:
    result = frontdesk("train", "--no-wait")
    assert result.code == 2
    assert "add --from-feedback" in result.err
    assert not no_models.exists()


def test_evaluate_measures_the_champion_on_the_packs_test(frontdesk: Command) -> None:
    result = frontdesk("evaluate", "--json")
    assert result.code == 0, result.err
    measures = result.json()
    assert measures.keys() >= EVALUATE_KEYS
    assert measures["accuracy"] > 0.8
    assert "accuracy" in frontdesk("evaluate").out


def test_evaluate_takes_another_model_and_other_data(
    place: Place, models_dir: Path, frontdesk: Command
) -> None:
    wrong = [e for e in make_examples(each=6) if e.intent == "where"]
    rows = [{"text": e.text, "label": "refund"} for e in wrong]
    file = place.folder / "wrong.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    champion = str(models_dir / "champion")
    result = frontdesk("evaluate", "--model", champion, "--data", str(file), "--json")
    assert result.json()["accuracy"] < 0.2
    assert "sentiment_accuracy" not in result.json()


def test_a_champion_that_is_a_directory_is_told_before_anything_is_trained(
    own_models: Path, frontdesk: Command
) -> None:
    champion = own_models / "champion"
    version = champion.resolve()
    champion.unlink()
    shutil.copytree(version, champion)
    for verb in (("classify", "hello"), ("train", "--epochs", "1")):
        result = frontdesk(*verb)
        assert result.code == 1
        assert f"{champion}: is not a pointer; move it away" in result.err
        assert "epoch" not in result.err
    assert list(own_models.glob("2*")) == [version]


def test_a_training_without_a_terminal_says_at_once_and_at_each_tenth_how_far_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with training_progress("Training") as step:
        for done in range(1, 41):  # two rounds of two epochs
            step(f"epoch {1 + (done - 1) // 10 % 2}", done, 40, 0.5)
    said = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in said] == [
        "Training: 2%",
        *(f"Training: {share}0%" for share in range(1, 11)),
    ]
    assert said[0].endswith("epoch 1, loss 0.50")


def test_a_training_that_fails_leaves_no_folders(place: Place, frontdesk: Command) -> None:
    out = place.folder / "a" / "b" / "c"
    assert frontdesk("train", "--out", str(out), "--base", "./nowhere").code == 2
    assert not (place.folder / "a").exists()


@pytest.mark.parametrize(
    ("seed", "says"),
    [("99999999999999999999999", "9223372036854775807"), ("-1", "greater than or equal to 0")],
)
def test_a_seed_out_of_range_is_refused_with_the_range(
    frontdesk: Command, seed: str, says: str
) -> None:
    result = frontdesk("train", "--seed", seed)
    assert result.code == 2
    assert says in result.err


def test_train_says_what_would_prove_more(
    place: Place, no_models: Path, frontdesk: Command
) -> None:
    said = frontdesk("train", "--epochs", "1").out
    assert "More examples, or a higher target_error in pack.yml, may change that" in said
    assert "an intent's own threshold there answers at your own risk" in said
    (version,) = registry.versions(no_models)
    answers = version.metrics["evidence"]["answers"]
    # So many without an error prove 5 % (docs/classifier.md).
    assert f"{answers} held-out answers could prove it; 63 without an error are needed" in said
    data = write_jsonl(place.folder / "data.jsonl", make_examples(each=6))
    said = frontdesk("train", "--epochs", "1", "--data", str(data)).out
    assert "More examples may change that" in said
    assert "pack.yml" not in said


def test_train_says_how_much_would_be_answered_and_which_intents_hardly(
    capsys: pytest.CaptureFixture[str],
) -> None:
    upset = {"texts": 12, "others": 69, "confidence": 0.8, "seen": 3, "mistaken": 0, "at": []}
    measures = {
        "accuracy": 0.9,
        "sentiment_macro_f1": 0.8,
        "coverage": 0.293,
        "upset": upset,
        "intents": {
            "refund": {"support": 9, "answered": 0.11},
            "where": {"support": 9, "answered": 0.5},
            "person": {"support": 9, "answered": 0.0},
            "oos": {"support": 9, "answered": 0.0},
        },
    }
    metrics = {"promise": "So much is proven.", "validation": measures, "test": measures}
    recipe = Recipe(never_answered=("person",))
    assert _rarely_answered(metrics, recipe) == ["refund"]
    assert _rarely_answered(metrics | {"promise": None}, recipe) == []
    trained = {"model": "models/v", "version": "v", "promoted": True, "seconds": 1, "intents": 4}
    _print_result(trained | metrics | {"rarely_answered": ["refund"]}, of_pack=True)
    said = capsys.readouterr().out
    assert said.count("would answer 29.3% of these texts") == 2
    assert said.count("of 12 upset texts 3 would be seen as such (negative_confidence 0.8)") == 2
    assert "Of the held-out texts answered in under a fifth: refund\n" in said
    assert said.count("Few of the upset are seen") == 1


@pytest.mark.usefixtures("no_models")
def test_train_into_a_folder_says_how_to_measure_it_and_how_one_comes_to_serve(
    place: Place, frontdesk: Command
) -> None:
    data = write_jsonl(place.folder / "data.jsonl", make_examples(each=6))
    trained = ("train", "--epochs", "1", "--out")
    said = frontdesk(*trained, "mine").out
    assert "Measure it: frontdesk evaluate --model mine\n" in said
    assert "To get a model that can serve, train without --out\n" in said
    assert frontdesk("evaluate", "--model", "mine").code == 0
    said = frontdesk(*trained, "other", "--data", str(data)).out
    assert "Measure it: frontdesk evaluate --model other --data FILE (" in said
    assert "without --out (and without --data, for the pack's intents and rules)\n" in said
    assert "Measure it" not in frontdesk("train", "--epochs", "1").out, "it can be promoted"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])  # Ctrl-C, and `timeout`
def test_a_training_from_feedback_that_is_stopped_closes_its_run(
    place: Place, own_models: Path, pack_dir: Path, number: signal.Signals
) -> None:
    slow = place.folder / "slow"
    shutil.copytree(pack_dir, slow)
    write_jsonl(slow / "examples.jsonl", make_examples(each=4000))
    assert place.run("migrate").code == 0
    process = place.start("train", "--from-feedback", PACK=str(slow))
    assert process.stderr is not None
    while "epoch 1" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(0.2)
    process.send_signal(number)
    assert process.wait(20) == 128 + number
    # A run that stayed open would keep every later one from starting.
    again = place.run("train", "--from-feedback", "--no-wait", "--json")
    assert again.json()["run"] == 2


def test_a_run_that_is_trained_here_is_under_way_from_its_first_moment(
    place: Place, own_models: Path, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert frontdesk("migrate").code == 0
    seen: list[object] = []
    order_run = runs.order_run

    def ordered(desk: Desk, *arguments: Any, **more: Any) -> tuple[int, int]:
        run = order_run(desk, *arguments, **more)
        seen.extend(watching.unfinished_runs(desk))
        seen.append(runs.start_run(desk, *run))
        return run

    monkeypatch.setattr(runs, "order_run", ordered)
    result = frontdesk("train", "--from-feedback", "--quiet", "--json")
    assert result.code == 0, result.err
    assert seen == [(1, 1, RunState.RUNNING), False]


def test_a_training_that_is_terminated_while_it_saves_leaves_nothing(place: Place) -> None:
    data = write_jsonl(place.folder / "data.jsonl", make_examples(each=6))
    script = (
        "import os, signal, sys\nfrom classifier import artifact\nfrom cli.main import main\n"
        "artifact.sync = lambda _: os.kill(os.getpid(), signal.SIGTERM)\n"
        f"sys.exit(main(['train', '--data', {str(data)!r}, '--out', 'new/m', '--epochs', '1']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=place.folder, env=place.environment(), timeout=60
    )
    assert done.returncode == 143
    assert not (place.folder / "new").exists()

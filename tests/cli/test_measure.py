"""evaluate, compare, thresholds and classify --explain: what models are worth, and why."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from classifier import folds, registry
from classifier.data import Example, dump_jsonl
from classifier.engine import Classifier
from classifier.evaluate import evaluate
from classifier.report.write import FILES
from classifier.thresholds import fewest
from classifier.training import train_version
from classifier.vocabulary import Neighbour, Prediction, Scored
from cli.screen import percent_at_most
from tests.classifier import tiny
from tests.cli.conftest import Place, Result, make_examples, write_jsonl

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def worse(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has hardly been trained; not to be changed by a test."""
    models = tmp_path_factory.mktemp("worse")
    recipe = replace(tiny.TINY, epochs=1)
    version, _ = train_version(
        make_examples(each=6), models, base=str(tiny_base), recipe=recipe, device="cpu"
    )
    return models / version


def test_evaluate_writes_a_report_and_says_where(place: Place, frontdesk: Command) -> None:
    result = frontdesk("evaluate", "--out", "report")
    assert result.code == 0, result.err
    assert "Report: report/report.html" in result.out
    folder = place.folder / "report"
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    again = frontdesk("evaluate", "--out", "report", "--json")
    assert again.json()["report"] == "report"
    report = json.loads((folder / "intent_report.json").read_text())
    assert report["accuracy"] == pytest.approx(again.json()["accuracy"])


def test_a_report_does_not_replace_what_is_none(place: Place, frontdesk: Command) -> None:
    (place.folder / "report").mkdir()
    (place.folder / "report" / "precious").touch()
    result = frontdesk("evaluate", "--cross-validate", "2", "--out", "report")
    assert result.code == 2
    assert "choose a new folder" in result.err
    # It is told before the training, not after.
    assert "Fold" not in result.err


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_the_figures_are_told_though_the_report_cannot_be_written(
    place: Place,
    frontdesk: Command,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
) -> None:
    def full(path: Path, _content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    result = frontdesk("evaluate", "--out", "report", *options)
    assert result.code == 1
    assert "report: the report could not be written (No space left" in result.err
    if options:
        measures = result.json()
        assert measures["accuracy"] > 0
        assert "report" not in measures
    else:
        assert "  accuracy" in result.out
        assert "Report:" not in result.out


def test_evaluate_tells_all_that_the_library_measures(
    frontdesk: Command, models_dir: Path, pack_dir: Path
) -> None:
    found = frontdesk("evaluate", "--json").json()
    classifier = Classifier.load(models_dir / "champion", "cpu")
    test = make_examples(seed=7, each=6)
    measures = evaluate(classifier([example.text for example in test]), test)
    assert found.pop("model") == classifier.version
    assert found.pop("data") == str(pack_dir / "test.jsonl")
    assert found.pop("repeats") == len(test) - len({e.text for e in test})
    assert found.keys() == measures.keys()
    assert {"ood_auroc", "ood_fpr95", "aurc", "coverage", "weighted_f1"} <= found.keys()
    assert found["intents"] == measures["intents"]
    said = frontdesk("evaluate").out
    assert "area under the risk-coverage curve" in said


def test_cross_validation_trains_and_measures_each_fold(place: Place, frontdesk: Command) -> None:
    data = write_jsonl(place.folder / "few.jsonl", make_examples(each=6))
    result = frontdesk(
        *("evaluate", "--cross-validate", "2", "--data", str(data), "--json", "--out", "report")
    )
    assert result.code == 0, result.err
    found = result.json()
    assert found["model"] is None
    assert found["examples"] == 24
    assert found["cross_validation"]["folds"] == 2
    for fold in (1, 2):
        assert re.search(rf"Fold {fold} of 2: \d+%, (model 1 of \d, )?epoch 1", result.err)
    assert "Cross-validation" in (place.folder / "report" / "report.html").read_text()


def test_cross_validation_says_mean_and_spread_on_the_packs_examples(
    place: Place,
    pack_dir: Path,
    frontdesk: Command,
    models_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[dict[str, Any]] = []

    def without_training(examples: list[Example], count: int, **how: Any) -> tuple[Any, Any]:
        asked.append(how)
        predictions = Classifier.load(models_dir / "champion", "cpu")([e.text for e in examples])
        summary = {"folds": count, "mean": {"accuracy": 0.91}, "sd": {"accuracy": 0.02}, "each": []}
        return predictions, evaluate(predictions, examples) | {"cross_validation": summary}

    monkeypatch.setattr(folds, "cross_validate", without_training)
    strict = Path(shutil.copytree(pack_dir, place.folder / "strict"))
    text = (strict / "pack.yml").read_text().replace("threshold: 0.5", "target_error: 0.2")
    (strict / "pack.yml").write_text(text)
    monkeypatch.setenv("PACK", str(strict))
    result = frontdesk("evaluate", "--cross-validate", "5")
    # A pack says what its answers may get wrong, in the folds' models as in its own.
    assert asked[0]["recipe"].target_error == 0.2
    assert asked[0]["recipe"].never_answered == ("person",)
    assert result.code == 0, result.err
    assert "Cross-validation, 5 folds on 48 examples" in result.out
    assert "examples.jsonl" in result.out
    accuracy = next(line for line in result.out.splitlines() if line.startswith("  accuracy"))
    assert "91.0% ± 2.0%" in accuracy


def test_cross_validation_takes_no_model(frontdesk: Command) -> None:
    result = frontdesk("evaluate", "--cross-validate", "2", "--model", "m")
    assert result.code == 2
    assert "leave out --model" in result.err


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_cross_validation_that_is_stopped_leaves_no_files(
    place: Place, how: signal.Signals, code: int
) -> None:
    data = write_jsonl(place.folder / "data.jsonl", make_examples(each=4000))
    temporary = place.folder / "tmp"
    temporary.mkdir()
    arguments = ["evaluate", "--cross-validate", "2", "--data", str(data), "--out", "report"]
    process = place.start(*arguments, TMPDIR=str(temporary))
    assert process.stderr is not None
    while "epoch 1" not in process.stderr.readline():
        assert process.poll() is None
    assert len(list(temporary.glob("frontdesk-*"))) == 1
    process.send_signal(how)
    assert process.wait(30) == code
    assert list(temporary.glob("frontdesk-*")) == []
    assert not (place.folder / "report").exists()


@pytest.mark.parametrize("verb", ["evaluate", "thresholds"])
def test_figures_on_training_data_come_with_a_warning(
    place: Place, frontdesk: Command, verb: str
) -> None:
    seen = write_jsonl(place.folder / "seen.jsonl", make_examples())
    assert (
        f"was trained on {seen}: these figures flatter it"
        in frontdesk(verb, "--data", str(seen)).err
    )
    unseen = [replace(e, text=f"{e.text}, number {n}") for n, e in enumerate(make_examples(each=6))]
    data = write_jsonl(place.folder / "some.jsonl", unseen)
    assert "flatter" not in frontdesk(verb, "--data", str(data)).err
    write_jsonl(
        data, [*unseen, *(replace(e, text=f"{e.text.upper()}!") for e in make_examples()[:3])]
    )
    said = frontdesk(verb, "--data", str(data)).err
    assert f"3 of the 27 texts of {data} are among the training examples of model" in said
    assert "(of 96 that it keeps): these figures flatter it" in said


def test_compare_warns_of_each_model_that_was_trained_on_the_data(
    place: Place, frontdesk: Command, worse: Path
) -> None:
    for data in (make_examples(), make_examples(each=6)):
        seen = write_jsonl(place.folder / "seen.jsonl", data)
        warnings = [
            frontdesk("compare", *models, "--data", str(seen)).err
            for models in (("champion", str(worse)), (str(worse), "champion"))
        ]
        assert [f"was trained on {seen}" in each for each in warnings] == [True, True]
    unseen = [replace(e, text=f"{e.text}, number {n}") for n, e in enumerate(make_examples(each=6))]
    data = write_jsonl(place.folder / "unseen.jsonl", unseen)
    result = frontdesk("compare", "champion", str(worse), "--data", str(data))
    assert "flatter" not in result.err


def test_compare_tells_the_better_model_and_what_changed(
    place: Place, frontdesk: Command, models_dir: Path, worse: Path
) -> None:
    data = write_jsonl(place.folder / "many.jsonl", make_examples(seed=3, each=30))
    arguments = ("compare", "champion", str(worse), "--data", str(data))
    found = frontdesk(*arguments, "--json").json()
    assert (found["a"], found["b"]) == (registry.champion(models_dir), worse.name)
    intents = found["intents"]
    assert intents["lost"] > intents["gained"]
    assert intents["p"] < 0.05
    assert intents["accuracy"]["interval"][1] < 0
    said = frontdesk(*arguments).out
    assert "more than chance" in said
    assert f"lost ({intents['lost']}): only A is right" in said


def test_a_model_compared_with_itself_differs_in_nothing(
    frontdesk: Command, models_dir: Path
) -> None:
    version = registry.champion(models_dir)
    assert version is not None
    found = frontdesk("compare", version, "champion", "--json").json()
    assert (found["intents"]["p"], found["intents"]["changed"]) == (1.0, [])
    said = frontdesk("compare", version, "champion")
    assert said.code == 0
    assert "chance may explain it" in said.out


def test_a_model_to_compare_that_is_not_there_is_named(frontdesk: Command) -> None:
    result = frontdesk("compare", "champion", "runner-up")
    assert result.code == 2
    assert "runner-up: there is no such model" in result.err


@pytest.mark.parametrize("verb", [("evaluate",), ("thresholds",), ("classify", "refund the cup")])
def test_a_model_is_named_by_its_version_as_models_list_shows_it(
    own_models: Path, worse: Path, frontdesk: Command, verb: tuple[str, ...]
) -> None:
    shutil.copytree(worse, own_models / worse.name)
    result = frontdesk(*verb, "--model", worse.name, "--json")
    assert result.code == 0, result.err
    found = result.json()
    assert found["model"] == worse.name
    by_pointer = frontdesk(*verb, "--model", "champion", "--json").json()
    assert by_pointer["model"] == registry.champion(own_models)
    assert frontdesk(*verb, "--model", str(worse), "--json").json() == found


def test_a_text_that_looks_like_markup_is_printed_as_it_is(
    place: Place, frontdesk: Command, worse: Path
) -> None:
    marked = [replace(e, text=f"[bold]{e.text}[/] [/x]") for e in make_examples(each=6)]
    data = write_jsonl(place.folder / "data.jsonl", marked)
    result = frontdesk("compare", "champion", str(worse), "--data", str(data))
    assert result.code == 0, result.err
    assert re.search(r": \[bold\].*\[/\] \[/x\]", result.out)


def test_thresholds_says_what_each_would_mean(frontdesk: Command) -> None:
    result = frontdesk("thresholds", "--target", "0.4")
    assert result.code == 0, result.err
    found = frontdesk("thresholds", "--target", "0.4", "--json").json()
    row = next(row for row in found["thresholds"] if row["threshold"] == 0.5)
    assert (
        f"at 0.5: {row['coverage']:.1%} automated, {row['error']:.1%} wrong "
        f"(95 % bound {percent_at_most(row['bound'])}; {row['wrong']} of {row['answered']})"
    ) in result.out
    chosen = found["chosen"]
    assert chosen["bound"] <= 0.4
    said = result.out.split("For at most 40.0% wrong")[1]
    assert f"({chosen['wrong']} of {chosen['answered']})".removeprefix("(") in said
    assert "at 0.815: " in frontdesk("thresholds", "--at", "0.815").out
    assert "at 0.9999: nothing automated\n" in frontdesk("thresholds", "--at", "0.9999").out


def test_labels_that_the_model_does_not_know_are_told(place: Place, frontdesk: Command) -> None:
    rows = make_examples(each=6)
    some = [replace(e, intent="money") if e.intent == "refund" else e for e in rows]
    data = write_jsonl(place.folder / "some.jsonl", some)
    for verb in (("evaluate",), ("thresholds",), ("compare", "champion", "champion")):
        result = frontdesk(*verb, "--data", str(data))
        assert result.code == 0, result.err
        assert "does not know 1 of the 3 intents" in result.err
    found = frontdesk("evaluate", "--data", str(data), "--json").json()
    assert found["unknown_labels"] == {"money": 6}
    none = write_jsonl(
        place.folder / "none.jsonl", [replace(e, intent=f"{e.intent}s") for e in rows]
    )
    result = frontdesk("evaluate", "--data", str(none))
    assert result.code == 2
    assert "knows none of the intents" in result.err
    assert "Rename the labels, or take another model." in result.err
    assert result.out == ""


def test_labels_from_before_an_import_are_told_with_the_names_that_it_gave(
    place: Place, frontdesk: Command
) -> None:
    rows = make_examples(each=6)
    before = {"where": "Where?", "refund": "re-fund", "person": "Person"}
    some = [replace(e, intent=before.get(e.intent or "", e.intent)) for e in rows]
    data = write_jsonl(place.folder / "before.jsonl", some)
    result = frontdesk("evaluate", "--data", str(data))
    assert result.code == 2
    knows = (
        "It knows 2 of them by the names that `frontdesk import` gives (Where? is where, "
        f"Person is person): rename them in {data}, too, or import it as the pack's test (--test)."
    )
    assert result.err.endswith(f"are out_of_scope, person, refund, where. {knows}\n"), result.err
    one = write_jsonl(
        place.folder / "one.jsonl",
        [replace(e, intent="Where?") if e.intent == "where" else e for e in rows],
    )
    result = frontdesk("evaluate", "--data", str(one), "--json")
    assert result.code == 0
    assert "(Where?): their 6 rows all count as wrong. It knows 1 of them" in result.err
    assert result.json()["unknown_labels"] == {"Where?": 6}


def test_texts_that_stand_there_more_than_once_are_told(place: Place, frontdesk: Command) -> None:
    rows = list({e.text: e for e in make_examples(each=6)}.values())
    again = [replace(e, text=f"{e.text.upper()}!") for e in rows[:5]]
    data = write_jsonl(place.folder / "again.jsonl", [*rows, *again])
    once = write_jsonl(place.folder / "once.jsonl", rows)
    for verb in (("evaluate",), ("thresholds",), ("compare", "champion", "champion")):
        result = frontdesk(*verb, "--data", str(data), "--json")
        assert (
            f"5 of the {len(rows) + 5} rows of {data} repeat a text (case, spaces and" in result.err
        )
        assert result.json()["repeats"] == 5
        result = frontdesk(*verb, "--data", str(once), "--json")
        assert "repeat" not in result.err
        assert "repeats" not in result.json()
    assert frontdesk("evaluate", "--data", str(data), "--out", "report").code == 0
    page = (place.folder / "report" / "report.html").read_text()
    assert "5 of them repeat a text: bounds count it once." in page


@pytest.mark.parametrize("verb", [("evaluate",), ("thresholds",), ("compare", *["champion"] * 2)])
def test_what_customers_liked_measures_no_model_outside_training_either(
    place: Place, frontdesk: Command, verb: tuple[str, ...]
) -> None:
    rows = list({e.text: e for e in make_examples(each=6)}.values())
    labelled = write_jsonl(place.folder / "labelled.jsonl", rows)
    liked = [Example(f"{rows[0].text} {n % 3}", rows[0].intent, measures=False) for n in range(9)]
    data = place.folder / "taught.jsonl"
    data.write_text(dump_jsonl([*rows, *liked]))
    result = frontdesk(*verb, "--data", str(data), "--json")
    assert f"9 of the {len(rows) + 9} rows of {data} measure no model" in result.err
    assert "repeat" not in result.err
    expected = frontdesk(*verb, "--data", str(labelled), "--json").json()
    assert result.json() | {"data": ""} == expected | {"data": ""}
    data.write_text(dump_jsonl(liked))
    result = frontdesk(*verb, "--data", str(data), "--json")
    assert (result.code, result.out) == (2, "")
    assert f"None of the 9 rows of {data} may measure a model" in result.err


def test_repeats_are_counted_among_the_rows_that_measure(place: Place, frontdesk: Command) -> None:
    rows = list({e.text: e for e in make_examples(each=6)}.values())
    liked = [Example("i like it", rows[0].intent, measures=False)] * 9
    data = place.folder / "taught.jsonl"
    data.write_text(dump_jsonl([*rows, rows[0], *liked]))
    told = f"1 of the {len(rows) + 1} rows of {data}"
    result = frontdesk("evaluate", "--cross-validate", "2", "--data", str(data), "--json")
    assert f"{told} repeat a text" in result.err
    assert result.json()["repeats"] == 1
    source = ("--data", str(data), "--test", str(data))
    result = frontdesk("train", *source, "--out", "taught", "--quiet", "--json")
    assert f"{told} that measure repeat a text" in result.err
    assert result.json()["test"]["examples"] == len(rows) + 1


def test_an_intent_that_no_model_of_a_fold_can_know_is_told(
    place: Place, frontdesk: Command
) -> None:
    lone = [Example("Hold on", "wait"), Example("hold on!", "wait"), Example("zxcv", "oos")]
    some = [e for e in make_examples(each=6) if e.intent in ("where", "refund")]
    data = write_jsonl(place.folder / "data.jsonl", [*some, *lone])
    result = frontdesk("evaluate", "--cross-validate", "2", "--data", str(data), "--json")
    assert result.code == 0, result.err
    assert result.json()["unknown_labels"] == {"wait": 2}
    assert (
        f"1 of the intents of {data} (wait) are in one fold only, so that no model there knows "
        "them: their 2 rows all count as wrong."
    ) in result.err


def test_thresholds_aims_at_what_the_model_was_trained_for(frontdesk: Command) -> None:
    found = frontdesk("thresholds", "--json").json()
    assert found["target"] == 0.4  # of the fixture
    assert found["chosen"]["bound"] <= 0.4
    # Twenty texts can't promise three in a hundred.
    strict = frontdesk("thresholds", "--target", "0.03", "--json").json()
    assert strict["chosen"] is None
    answers, needed = strict["evidence"]["answers"], strict["evidence"]["needed"]
    assert 0 < answers < needed == fewest(0.03)
    said = frontdesk("thresholds", "--target", "0.03").out
    assert f"{answers} answers to these texts could prove it; {needed} without an error" in said
    assert "The training proved" not in said, "it proved another target"


def test_a_test_too_small_to_prove_what_training_proved_is_told_apart_from_a_failure(
    place: Place, frontdesk: Command, models_dir: Path
) -> None:
    few = write_jsonl(place.folder / "few.jsonl", make_examples(seed=7, each=1))
    said = frontdesk("thresholds", "--data", str(few)).out
    held_out = Classifier.load(models_dir / "champion", "cpu").calibration.held_out
    assert (
        f"The training proved it for the model's own thresholds, on {held_out} held-out examples; "
        "these texts alone are too few to prove it again."
    ) in said
    assert "The training proved" not in frontdesk("thresholds").out, "so do these"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--target", "5"), "for 5 % write 0.05"),
        (("--at", "70"), "for 70 % write 0.7"),
        (("--at", "much"), "'much' is not between 0 and 1."),
        (("--target", "0"), "'0' is not between 0.0001 and 0.9999."),
    ],
)
def test_a_share_in_percent_is_refused_with_the_number_to_write(
    frontdesk: Command, arguments: tuple[str, str], says: str
) -> None:
    result = frontdesk("thresholds", *arguments)
    assert result.code == 2
    assert says in " ".join(result.err.replace("│", " ").split())


def test_thresholds_of_one_intent(frontdesk: Command) -> None:
    found = frontdesk("thresholds", "--intent", "refund", "--json").json()
    assert (found["intent"], found["rows"]) == ("refund", found["intents"][0]["answered"])
    assert "that are taken for refund" in frontdesk("thresholds", "--intent", "refund").out
    result = frontdesk("thresholds", "--intent", "person")
    assert result.code == 2
    assert "always goes to a person" in result.err
    result = frontdesk("thresholds", "--intent", "refunds")
    assert result.code == 2
    assert "those it does: refund, where" in result.err


def test_evaluate_needs_labels_that_the_model_knows(place: Place, frontdesk: Command) -> None:
    rows = make_examples(each=6)
    intents = write_jsonl(place.folder / "i.jsonl", [replace(e, sentiment=None) for e in rows])
    moods = write_jsonl(place.folder / "moods.jsonl", [replace(e, intent=None) for e in rows])
    assert frontdesk("train", "--data", str(intents), "--out", "m", "--epochs", "1").code == 0
    result = frontdesk("evaluate", "--model", "m", "--data", str(moods), "--out", "report")
    assert result.code == 2
    assert "neither intents nor sentiments in common" in result.err
    assert result.out == ""
    assert not (place.folder / "report").exists()


def test_thresholds_need_intents(place: Place, frontdesk: Command) -> None:
    data = place.folder / "moods.jsonl"
    data.write_text('{"text": "fine", "sentiment": "positive"}')
    result = frontdesk("thresholds", "--data", str(data))
    assert result.code == 2
    assert "no intents in common" in result.err


def test_texts_from_a_file_of_windows_are_read_as_they_are(
    place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = place.folder / "texts.txt"
    file.write_bytes("\ufeffrefund the cup\r\n日本語\r\n".encode())
    with file.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        lines = frontdesk("classify", "-", "--json").out.splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["refund the cup", "日本語"]


@pytest.mark.parametrize(("options", "said"), [((), "?"), (("--json",), "\\u65e5")])
def test_a_result_is_printed_where_the_output_can_not_take_all_of_it(
    place: Place, options: tuple[str, ...], said: str
) -> None:
    result = place.run("classify", "日", *options, PYTHONIOENCODING="ascii")
    assert result.code == 0, result.err
    assert said in result.out


def test_classify_explains_itself(frontdesk: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Classifier.__call__

    def explained(self: Classifier, texts: list[str], *more: object) -> list[Prediction]:
        return [
            replace(
                prediction,
                intent=Scored("refund", 0.99571),
                threshold=0.99622,
                scope=0.4219,
                scope_threshold=0.42201,
                language="fr",
                neighbours=(Neighbour("refund the lamp", "refund", 0.876),),
            )
            for prediction in call(self, texts)
        ]

    monkeypatch.setattr(Classifier, "__call__", explained)
    said = frontdesk("classify", "refund the cup", "--explain").out
    for part in (
        "confidence 99.57% (answered from 99.62% on)",
        "scope 42.19% (from 42.20% on)",
        "language fr",
        "0.88 like\trefund\trefund the lamp",
    ):
        assert part in said
    assert "out of scope: not to be answered" in said
    found = frontdesk("classify", "refund the cup", "--explain", "--json").json()
    assert (found["scope"], found["scope_threshold"]) == (0.4219, 0.42201)
    assert len(frontdesk("classify", "refund the cup").out.splitlines()) == 1


def test_classify_says_what_is_never_answered_however_sure_the_model_is(
    frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Classifier.__call__

    def unproven(self: Classifier, texts: list[str], *more: object) -> list[Prediction]:
        return [replace(prediction, threshold=1.0) for prediction in call(self, texts)]

    monkeypatch.setattr(Classifier, "__call__", unproven)
    said = frontdesk("classify", "refund the cup", "--explain").out
    assert "(never answered unasked)" in said
    assert "answered from" not in said
    assert "left to people" not in said, "the model was trained to answer it"
    said = frontdesk("classify", "let me talk to a human about the cup", "--explain").out
    assert "left to people: what to do until one is there is said from 60% on, or from" in said


def test_where_nothing_is_answered_no_share_of_it_is_wrong(
    place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Classifier.__call__

    def unsure(self: Classifier, texts: list[str], *more: object) -> list[Prediction]:
        return [replace(prediction, threshold=2.0) for prediction in call(self, texts)]

    monkeypatch.setattr(Classifier, "__call__", unsure)
    found = frontdesk("evaluate", "--json").json()
    assert (found["coverage"], found["coverage_error"]) == (0.0, None)
    result = frontdesk("evaluate", "--out", "report")
    assert result.code == 0, result.err
    assert "answered without a person" in result.out
    assert "of these, wrong" not in result.out
    page = (place.folder / "report" / "report.html").read_text()
    assert "Wrong among these" not in page
    assert "0.0% answered<" in page


def test_evaluate_says_how_many_upset_texts_the_packs_confidence_would_notice(
    place: Place, pack_dir: Path, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Classifier.__call__

    def moody(self: Classifier, texts: list[str], *more: object) -> list[Prediction]:
        said = Scored("negative", 0.75)
        return [
            replace(prediction, sentiment=said if "angry" in prediction.text else None)
            if number % 2
            else replace(prediction, sentiment=Scored("neutral", 0.9))
            for number, prediction in enumerate(call(self, texts, *more))
        ]

    monkeypatch.setattr(Classifier, "__call__", moody)
    angry = "you make me angry"
    rows = [Example(f"{angry} {n}", "refund", "negative") for n in range(10)]
    rows += [Example("where is it", "where", "neutral")]
    data = write_jsonl(place.folder / "moods.jsonl", rows)
    seen = "Of 10 upset texts {} would be seen as such (negative_confidence {}), of 1 others 0"
    asked = ("evaluate", "--data", str(data), "--out", "report")
    result = frontdesk(*asked)
    assert result.code == 0, result.err
    assert seen.format(0, 0.8) in result.out
    assert "With another negative_confidence: 0.5: 5 and 0, 0.6: 5 and 0, 0.7: 5" in result.out
    assert seen.format(0, 0.8) in (place.folder / "report" / "report.html").read_text()
    mine = Path(shutil.copytree(pack_dir, place.folder / "mine"))
    text = (mine / "pack.yml").read_text()
    changed = text.replace("threshold: 0.5", "threshold: 0.5, negative_confidence: 0.65")
    (mine / "pack.yml").write_text(changed)
    monkeypatch.setenv("PACK", str(mine))
    assert seen.format(5, 0.65) in frontdesk(*asked).out
    assert frontdesk(*asked, "--json").json()["upset"]["seen"] == 5
    monkeypatch.setenv("PACK", str(place.folder / "none"))
    assert seen.format(0, 0.8) in frontdesk(*asked).out, "without a pack"


def test_figures_of_sentiments_alone_are_printed(place: Place, frontdesk: Command) -> None:
    rows = [replace(e, intent=None) for e in make_examples(seed=7, each=6)]
    data = write_jsonl(place.folder / "moods.jsonl", rows)
    result = frontdesk("evaluate", "--data", str(data))
    assert result.code == 0, result.err
    assert "sentiment_accuracy" in result.out
    assert "coverage" not in result.out

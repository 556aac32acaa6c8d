from __future__ import annotations

import io
import json
import math
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifier.data import DataError, Example
from classifier.evaluate import evaluate, intent_outcomes
from classifier.report import check_report_target, html_report, rasa, write_report
from classifier.report import write as writing
from classifier.vocabulary import Prediction, Scored

HOSTILE = (
    "<script>document.title = 'hacked'</script><img src=x onerror=\"document.title='hacked'\">"
)
VOID = {"meta", "img", "br", "wbr"}


def make(
    classes: int = 5, rows: int = 60, text: str = "text {}", name: str = "intent_{:02}"
) -> tuple[list[Any], list[Any]]:
    """Made-up predictions, about four of five right, of intents and sentiments."""
    rng = np.random.default_rng(classes)
    names = [*(name.format(n) for n in range(classes - 1)), "out_of_scope"]
    predictions, examples = [], []
    for row in range(rows):
        true = int(rng.integers(classes))
        first = true if rng.random() < 0.8 else int(rng.integers(classes))
        rest = [name for n, name in enumerate(names) if n != first]
        confidence = float(rng.uniform(0.4, 1))
        others = tuple(Scored(name, (1 - confidence) / len(rest)) for name in rest)
        scored = Scored(names[first], confidence)
        mood = ("negative", "neutral", "positive")[int(rng.integers(3))]
        said = text.format(row)
        predictions.append(Prediction(said, scored, (scored, *others), Scored(mood, 0.7), 0.6, "m"))
        examples.append(Example(said, names[true], "neutral"))
    return predictions, examples


class Elements(HTMLParser):
    """The tags of a page, checked to be closed in order, and its text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [f"{k}={v}" for k, v in attrs if k in {"src", "href", "srcset", "xlink:href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_asks_for_nothing() -> None:
    page = html_report(*make(), "Model m", remarks=["On a test."])
    found = Elements(page)
    assert found.tags.count("svg") == 7
    assert found.links == []
    assert not re.search(rb"https?:|@import|url\(", page)
    for said in ("Model m", "On a test.", "Risk", "intent_03", "Worst confusions", "neutral"):
        assert said.lower() in found.text.lower()


def test_the_same_input_gives_the_same_bytes() -> None:
    predictions, examples = make()
    assert html_report(predictions, examples, "m") == html_report(predictions, examples, "m")
    outcomes = intent_outcomes(predictions, examples)
    assert outcomes is not None
    assert rasa.rasa_files(outcomes) == rasa.rasa_files(outcomes)


def test_text_that_is_markup_stays_text() -> None:
    predictions, examples = make(text=HOSTILE + " {}")
    hostile = [Example(e.text, e.intent and e.intent + "<img>\"'&", e.sentiment) for e in examples]
    page = html_report(predictions, hostile, HOSTILE, remarks=[HOSTILE])
    found = Elements(page)
    assert found.tags.count("script") == 1
    assert "img" not in found.tags
    assert HOSTILE in found.text


def test_the_matrix_names_all_of_77_intents_on_both_sides() -> None:
    page = html_report(*make(77, 1500), "m").decode()
    matrix = page[page.index("Confusion matrix: true labels") :]
    matrix = matrix[: matrix.index("</svg>")]
    for number in range(76):
        label = f'font-size="10">intent_{number:02}<title>'
        assert matrix.count(label) == 2
    assert len(page) < 400_000


def test_a_cell_counts_its_pair_and_names_it() -> None:
    scored = Scored("a", 0.9)
    predictions = [Prediction("t", scored, (scored,), None, 0.5, "m")] * 5
    examples = [Example("t", "a")] * 2 + [Example("t", "b")] * 3
    page = html_report(predictions, examples, "m").decode()
    assert "<title>b, taken for a: 3 of 3</title>" in page
    assert "<title>a, recognised: 2 of 2</title>" in page


@pytest.mark.parametrize(
    "kind", ["sentiments alone", "all right", "all wrong", "one row", "no row"]
)
def test_a_page_can_be_made_of_anything_that_can_be_measured(kind: str) -> None:
    predictions, examples = make()
    if kind == "sentiments alone":
        examples = [Example(e.text, None, e.sentiment) for e in examples]
    elif kind == "all right":
        examples = [Example(p.text, p.intent.name) for p in predictions]
    elif kind == "all wrong":
        examples = [Example(p.text, "unheard of") for p in predictions]
    else:
        rows = int(kind == "one row")
        predictions, examples = predictions[:rows], examples[:rows]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Elements(html_report(predictions, examples, "m"))
    assert ("Confusion matrix" in found.text) == (kind != "no row")
    assert not re.search(r"\bnan\b", found.text)


def test_long_texts_are_cut_and_half_characters_do_no_harm() -> None:
    predictions, examples = make(text="x" * 5000 + "\ud800{}")
    page = html_report(predictions, examples, "m")
    assert b"x" * 301 not in page
    assert b"x" * 300 + "…".encode() in page


def test_a_threshold_close_to_one_and_a_bound_are_rounded_up() -> None:
    predictions, examples = make()
    sure = [replace(each, threshold=0.99622) for each in predictions]
    assert ">0.9963</td>" in html_report(sure, examples, "A model").decode()
    bound = evaluate(predictions, examples)["coverage_error_bound"]
    shown = f"at most {math.ceil(1000 * bound) / 10:.1f}\N{NO-BREAK SPACE}%"
    assert round(bound, 3) < bound, "or nothing is tried"
    assert shown in html_report(predictions, examples, "A model").decode()


def drawn(page: str) -> tuple[tuple[str, str], list[tuple[str, str]]]:
    """Where the dot of the thresholds in force is, and where the curve goes."""
    dot = re.search(r'"dot now" cx="([\d.]+)" cy="([\d.]+)"', page)
    curve = re.search(r'<polyline class="curve" points="([^"]+)"', page)
    assert dot is not None
    assert curve is not None
    points = [(x, y) for x, _, y in (point.partition(",") for point in curve[1].split())]
    return (dot[1], dot[2]), points


def test_the_dot_lies_on_the_curve_which_leaves_out_what_always_goes_to_people() -> None:
    predictions, examples = make(rows=400)
    for_people = [
        replace(said, threshold=1.0) if said.intent and said.intent.name == "intent_00" else said
        for said in predictions
    ]
    page = html_report(for_people, examples, "m").decode()
    dot, points = drawn(page)
    assert dot in points
    assert "go to people however sure" in page
    # Where no intent is left out, nothing is said of it.
    page = html_report(predictions, examples, "m").decode()
    dot, all_points = drawn(page)
    assert dot in all_points
    assert float(all_points[-1][0]) > float(points[-1][0])
    assert "go to people however sure" not in page


def test_a_model_that_answers_nothing_has_a_curve_all_the_same() -> None:
    predictions, examples = make()
    page = html_report([replace(each, threshold=1.0) for each in predictions], examples, "m")
    assert len(drawn(page.decode())[1]) > 10


def test_the_folds_of_a_cross_validation_are_shown() -> None:
    folds = {
        "folds": 2,
        "mean": {"accuracy": 0.75},
        "sd": {"accuracy": 0.0707},
        "each": [{"accuracy": 0.7}, {"accuracy": 0.8}],
    }
    text = Elements(html_report(*make(), "m", cross_validation=folds)).text
    assert "75.0\N{NO-BREAK SPACE}% ± 7.1\N{NO-BREAK SPACE}%" in text


def test_a_training_that_makes_a_page_loads_no_plotting_library() -> None:
    script = (
        "import sys\nfrom classifier.report import html_report\nhtml_report([], [], 'm')\n"
        "sys.exit(', '.join({'matplotlib', 'torch'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def outcomes_of(truth: Sequence[str], first: Sequence[str]) -> Any:
    predictions = [
        Prediction(f"t{row}", Scored(name, 0.75), (Scored(name, 0.75),), None, 0.5, "m")
        for row, name in enumerate(first)
    ]
    return intent_outcomes(predictions, [Example(f"t{n}", t) for n, t in enumerate(truth)])


@pytest.mark.parametrize("predicted", ["abcd", "abcde"])
def test_the_intent_report_is_rasas_with_scikit_learns_figures_for_the_true_intents(
    predicted: str,
) -> None:
    from sklearn.metrics import classification_report

    rng = np.random.default_rng(1)
    truth = rng.choice(list("abcd"), 200).tolist()
    first = [t if rng.random() < 0.7 else str(rng.choice(list(predicted))) for t in truth]
    report = rasa.intent_report(outcomes_of(truth, first))
    # As Rasa asks for it; scikit-learn then has either the accuracy or `micro avg`, Rasa both.
    expected = classification_report(truth, first, labels=list("abcd"), output_dict=True)
    right = float(np.mean([t == f for t, f in zip(truth, first, strict=True)]))
    same = dict.fromkeys(("precision", "recall", "f1-score"), right)
    expected = {"accuracy": right, "micro avg": {**same, "support": 200}} | expected
    assert set(report) == set(expected)
    assert report["accuracy"] == pytest.approx(expected["accuracy"])
    for name in ("a", "b", "c", "d", "micro avg", "macro avg", "weighted avg"):
        confused = report[name].pop("confused_with", None)
        assert report[name] == pytest.approx(expected[name])
        assert (confused is None) == (" " in name)


def test_an_intent_is_confused_with_its_most_frequent_wrong_predictions() -> None:
    first = ["a"] * 9 + ["b"] * 3 + ["c"] * 2 + ["d"]
    report = rasa.intent_report(outcomes_of(["a"] * 15, first))
    assert report["a"]["confused_with"] == {"b": 3, "c": 2}
    # The rare case in which its own is not among the three most frequent.
    report = rasa.intent_report(outcomes_of(["a"] * 7, ["b", "b", "c", "c", "d", "d", "a"]))
    assert report["a"]["confused_with"] == {"b": 2, "c": 2, "d": 2}


def test_the_errors_have_rasas_form_and_order() -> None:
    assert rasa.intent_errors(outcomes_of(["a", "b", "c"], ["a", "c", "b"])) == [
        {"text": "t1", "intent": "b", "intent_prediction": {"name": "c", "confidence": 0.75}},
        {"text": "t2", "intent": "c", "intent_prediction": {"name": "b", "confidence": 0.75}},
    ]


def test_the_pictures_are_pictures_whatever_the_intents_are_called() -> None:
    from PIL import Image

    names = ["pay_$5_or_$10", "ответ", "退款", "a" * 90]
    files = rasa.rasa_files(outcomes_of(names, names))
    for name in ("intent_confusion_matrix.png", "intent_histogram.png"):
        with Image.open(io.BytesIO(files[name])) as picture:
            assert min(picture.size) > 300


@pytest.mark.parametrize("count", [160, 161, 1_000])
def test_the_matrix_of_many_intents_is_a_picture_of_bounded_size(count: int) -> None:
    from PIL import Image

    names = [f"intent_{number:04}" for number in range(count)]
    wrong = names[1:] + names[:1]
    files = rasa.rasa_files(outcomes_of(names * 2, names + wrong))
    with Image.open(io.BytesIO(files["intent_confusion_matrix.png"])) as picture:
        assert max(picture.size) <= 5_000
        # Each wrong prediction can be seen: about its share of the picture is coloured.
        seen = np.asarray(picture.convert("L")) < 245
    assert seen.mean() > 1 / count


def test_a_report_is_a_folder_of_known_files(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "report"
    paths = write_report(out, *make(), "m")
    assert sorted(paths) == sorted(out.iterdir()) == sorted(out / name for name in writing.FILES)
    assert json.loads((out / "intent_report.json").read_text())["accuracy"] > 0.5
    assert list(out.parent.iterdir()) == [out]


def test_a_second_report_replaces_the_first_as_a_whole(tmp_path: Path) -> None:
    predictions, examples = make()
    write_report(tmp_path / "r", predictions, examples, "first")
    sentiments = [Example(e.text, None, e.sentiment) for e in examples]
    write_report(tmp_path / "r", predictions, sentiments, "second")
    assert [path.name for path in (tmp_path / "r").iterdir()] == ["report.html"]
    assert "second" in (tmp_path / "r" / "report.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_a_folder_behind_a_link_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write_report(tmp_path / "link", *make(), "m")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "report.html").is_file()


def test_what_is_no_report_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name, sentence in (
        ("file", "is not a folder"),
        ("full", "holds 'thesis.txt'"),
        ("here", "is the folder you are in"),
    ):
        with pytest.raises(DataError, match=sentence):
            check_report_target(tmp_path / name)
    assert (tmp_path / "full" / "thesis.txt").exists()


def test_a_place_that_cannot_be_written_is_told_before_there_is_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="/file is not a directory"):
        check_report_target(tmp_path / "file" / "a" / "b")
    closed = tmp_path / "closed"
    write_report(closed / "r", *make(), "m")
    check_report_target(closed / "r")
    check_report_target(closed / "new" / "r")
    # The tests may run as root, whom no mode keeps out.
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != closed)
    with pytest.raises(DataError, match="which is no part of a report"):
        check_report_target("/")
    for out in (closed / "r", closed / "new" / "r"):
        with pytest.raises(DataError, match="may not write"):
            check_report_target(out)

    def refused(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(DataError, match="Permission denied"):
        check_report_target(closed / "r")


def test_a_full_disk_leaves_the_earlier_report_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "r"
    write_report(out, *make(), "first")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name.endswith(".png"):
            write(path, content[:10])
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match=r"r: the report could not be written \(No space"):
        write_report(out, *make(6), "second")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_a_report_that_cannot_take_its_place_gives_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "r"
    write_report(out, *make(), "first")
    rename = Path.rename

    def refused(path: Path, target: Path) -> Path:
        if path.name.endswith(".partial"):
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(DataError, match="Input/output"):
        write_report(out, *make(6), "second")
    assert "first" in (out / "report.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_ctrl_c_while_a_report_takes_its_place_gives_the_earlier_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "r"
    write_report(out, *make(), "first")
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        renamed = rename(path, target)
        if target.name.endswith(".old"):
            raise KeyboardInterrupt
        return renamed

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_report(out, *make(6), "second")
    assert "first" in (out / "report.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_no_report_goes_into_a_link_to_itself(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    for place in (loop, loop / "r"):
        with pytest.raises(DataError, match=r"no report can be written there .*symbolic links"):
            check_report_target(place)

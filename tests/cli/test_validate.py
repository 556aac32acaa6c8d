"""`frontdesk validate`: packs and bare files, with and without a model, told and mended."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.validate import _doubt
from desk.validation import Kind, check_files
from tests.classifier.tiny import THINGS
from tests.cli.conftest import Place, Result

Command = Callable[..., Result]
FORMS = {
    "where": ("where is my {} now", "has the {} shipped", "track the {} for me"),
    "refund": ("i want my money back for the {}", "refund the {}", "pay me back the {}"),
    "thanks": ("thank you for the {}", "great {} cheers", "many thanks for that {}"),
}


@pytest.fixture
def bad_pack(place: Place, pack_dir: Path) -> Path:
    return Path(shutil.copytree(pack_dir, place.folder / "bad"))


@pytest.fixture
def data(place: Place) -> Path:
    """A file without a fault."""
    rows = [
        {"text": form.format(thing), "intent": intent}
        for intent, forms in FORMS.items()
        for form in forms
        for thing in THINGS
    ]
    return write(place.folder / "data.jsonl", rows)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def add(path: Path, text: str, intent: str) -> int:
    """Add a row; returns its line."""
    with path.open("a") as file:
        file.write(json.dumps({"text": text, "intent": intent}) + "\n")
    return path.read_text().count("\n")


def kinds(result: Result) -> list[tuple[str, int | None]]:
    return [(found["kind"], found["line"]) for found in result.json()["findings"]]


def test_it_reports_what_is_wrong_and_exits_with_1(bad_pack: Path, frontdesk: Command) -> None:
    add(bad_pack / "examples.jsonl", "hello", "nonsense")
    result = frontdesk("validate", str(bad_pack), "--quick", "--json")
    found = result.json()
    assert result.code == 1
    assert found["ok"] is False
    assert found["pack"] == str(bad_pack)
    [about] = [finding for finding in found["findings"] if "nonsense" in finding["message"]]
    assert set(about) == {"severity", "kind", "file", "line", "message"}
    assert (about["severity"], about["kind"]) == ("error", "row")
    assert isinstance(about["line"], int)
    assert "nonsense" in frontdesk("validate", str(bad_pack), "--quick").out


def test_a_folder_that_is_not_there_is_named(place: Place, frontdesk: Command) -> None:
    result = frontdesk("validate", str(place.folder / "nowhere"))
    assert result.code == 2
    assert result.out == ""
    assert "nowhere: there is no such folder; name a pack's" in result.err
    assert "PACK" not in result.err


def test_a_pack_is_named_as_the_setting_names_it_or_by_its_file(
    place: Place, pack_dir: Path, frontdesk: Command
) -> None:
    shutil.copytree(pack_dir, place.folder / "packs" / "mine")
    for named in ("mine", "packs/mine", "packs/mine/pack.yml"):
        result = frontdesk("validate", named, "--quick", "--json")
        assert result.json()["pack"] == "packs/mine", result.err


def test_of_a_folder_of_packs_the_packs_are_named(
    place: Place, pack_dir: Path, frontdesk: Command
) -> None:
    for name in ("one", "other"):
        shutil.copytree(pack_dir, place.folder / "packs" / name)
    result = frontdesk("validate", "packs", "--quick")
    assert result.code == 2
    assert "packs is no pack, but holds some: name packs/one or packs/other." in result.err
    shutil.copy(pack_dir / "pack.yml", place.folder / "packs")
    assert "holds some" not in frontdesk("validate", "packs", "--quick").err


def test_a_file_without_a_fault_is_clean_with_a_model_too(data: Path, frontdesk: Command) -> None:
    result = frontdesk("validate", str(data), "--json")
    assert result.code == 0
    assert result.json() == {
        "ok": True, "data": str(data), "findings": [], "fixable": [], "skipped": None,
    }  # fmt: skip


def test_what_the_base_model_cannot_read_is_told(data: Path, frontdesk: Command) -> None:
    texts = ("我想退款", "我要退货", "我想订购", "我要购买")
    for number, text in enumerate(texts * 10):
        add(data, f"{text} {number}", "refund" if number % 4 < 2 else "where")
    result = frontdesk("validate", str(data), "--json")
    assert result.code == 0
    [told] = [each for each in result.json()["findings"] if each["kind"] == "unread"]
    assert told["line"] is None
    assert re.search(r"can't read \d\d % of the words of the examples", told["message"])
    assert "--base" in told["message"]


def test_warnings_alone_leave_the_exit_code_at_0(data: Path, frontdesk: Command) -> None:
    add(data, "cafÃ©", "where")
    result = frontdesk("validate", str(data), "--quick")
    assert result.code == 0
    assert "0 errors, 1 warnings" in result.out
    assert "--fix would make 1 change" in result.out


def test_a_wrong_label_is_suspected_with_its_line_and_quick_leaves_it_out(
    data: Path, frontdesk: Command
) -> None:
    line = add(data, "i want my money back", "thanks")
    result = frontdesk("validate", str(data), "--json")
    assert result.code == 0
    assert kinds(result) == [("label_error", line)]
    assert "is labelled thanks, but looks like refund" in result.json()["findings"][0]["message"]
    quick = frontdesk("validate", str(data), "--quick", "--json")
    assert kinds(quick) == []
    assert quick.json()["skipped"] == "--quick was given"


def test_a_wrong_label_in_the_test_is_suspected_too(
    place: Place, data: Path, frontdesk: Command
) -> None:
    text = "i want my money back"
    test = write(place.folder / "test.jsonl", [{"text": text, "intent": "thanks"}])
    result = frontdesk("validate", str(data), "--test", str(test), "--json")
    suspects = [f for f in result.json()["findings"] if f["kind"] == "label_error"]
    assert [(f["file"], f["line"]) for f in suspects] == [(str(test), 1)]


MOODS = {"where": "neutral", "refund": "negative", "thanks": "positive"}


def test_a_wrong_sentiment_is_suspected_where_there_are_no_intents(
    place: Place, frontdesk: Command
) -> None:
    rows = [
        {"text": form.format(thing), "sentiment": MOODS[intent]}
        for intent, forms in FORMS.items()
        for form in forms
        for thing in THINGS
    ]
    rows.append({"text": "i want my money back", "sentiment": "positive"})
    data = write(place.folder / "data.jsonl", rows)
    result = frontdesk("validate", str(data), "--json")
    assert ("label_error", len(rows)) in kinds(result)
    assert "is labelled positive, but looks like negative" in result.out
    assert result.json()["skipped"] is None


@pytest.mark.parametrize(("kind", "doubted"), [("intent", 8), ("sentiment", 5)])
def test_of_sentiments_only_the_likeliest_few_are_doubted(
    place: Place, kind: str, doubted: int
) -> None:
    moods = ["negative", "positive"] * 40
    data = write(
        place.folder / "data.jsonl",
        [{"text": f"text {number}", kind: mood} for number, mood in enumerate(moods)],
    )
    checked = check_files(data)
    rows = [(checked.train, row, mood) for row, mood in zip(checked.train.rows, moods, strict=True)]
    negative = np.tile([0.95, 0.05], 40)
    negative[:8] = [0.02, 0.98, 0.03, 0.97, 0.04, 0.96, 0.05, 0.95]
    probabilities = np.stack([negative, 1 - negative], axis=1)
    assert _doubt(checked, kind, rows, ("negative", "positive"), probabilities) is None
    found = [f.line for f in checked.train.findings if f.kind is Kind.LABEL_ERROR]
    assert found == [1, 2, 3, 4, 5, 6, 7, 8][:doubted]


def test_what_cannot_be_asked_of_one_kind_of_label_does_not_keep_the_other_from_it(
    data: Path, frontdesk: Command
) -> None:
    with data.open("a") as file:
        file.write(json.dumps({"text": "awful", "sentiment": "negative"}) + "\n")
        file.write(json.dumps({"text": "lovely", "sentiment": "positive"}) + "\n")
    line = add(data, "i want my money back", "thanks")
    result = frontdesk("validate", str(data), "--json")
    assert ("label_error", line) in kinds(result)
    reason = "that takes two sentiments with 5 examples each"
    assert f"Not looked for: sentiments that look wrong ({reason})." in result.err
    assert result.json()["skipped"] == reason


def test_intents_that_say_the_same_are_too_alike(place: Place, frontdesk: Command) -> None:
    forms = ("refund the {}", "pay me back the {}", "my money back for the {}")
    texts = [f"{form.format(t)} {more}" for form in forms for t in THINGS for more in ("", "now")]
    # Which of the two a text has says nothing of the text.
    rows = [
        {"text": text, "intent": ("refund", "moneyback")[number * 7 % 5 % 2]}
        for number, text in enumerate(texts)
    ]
    rows += [
        {"text": form.format(thing), "intent": "thanks"}
        for form in FORMS["thanks"]
        for thing in THINGS
    ]
    data = write(place.folder / "data.jsonl", rows)
    found = frontdesk("validate", str(data), "--json").json()["findings"]
    [pair] = [each for each in found if each["kind"] == "alike"]
    assert pair["message"].startswith("intents moneyback and refund are hard to tell apart: ")
    assert f"{data}:" in pair["message"]


def test_without_torch_the_rest_is_checked_and_a_notice_says_what_was_not(
    data: Path, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = add(data, "great LAMP cheers!", "thanks")
    monkeypatch.setitem(sys.modules, "torch", None)
    result = frontdesk("validate", str(data), "--json")
    assert result.code == 1
    assert kinds(result) == [("duplicate", line)]
    assert "torch is not installed" in result.err
    assert "torch is not installed" in result.json()["skipped"]


def test_without_a_base_model_a_notice_says_so(
    data: Path, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASE_MODEL", "./nowhere")
    result = frontdesk("validate", str(data))
    assert result.code == 0
    assert "there is no such directory" in result.err
    assert "clean" in result.out


def test_without_a_base_model_a_notice_says_so_where_no_label_is_asked_about_either(
    data: Path, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASE_MODEL", "./nowhere")
    data.write_text('{"text": "where is it", "intent": "where"}\n')
    result = frontdesk("validate", str(data))
    assert "there is no such directory" in result.err


def test_a_device_that_is_not_there_is_the_settings_fault(
    data: Path, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEVICE", "cuda:99")
    result = frontdesk("validate", str(data))
    assert result.code == 2
    assert "cuda:99" in result.err


def test_fix_mends_tells_each_change_and_checks_again(
    place: Place, data: Path, frontdesk: Command
) -> None:
    sound = data.read_bytes()
    repeat = add(data, "great LAMP cheers!", "thanks")
    leak = add(data, "where's my sofa", "where")
    test = write(place.folder / "test.jsonl", [{"text": "wheres my sofa", "intent": "where"}] * 2)
    arguments = ("validate", str(data), "--test", str(test), "--quick", "--fix")
    test.write_text(test.read_text().replace("wheres", "where's"))
    result = frontdesk(*arguments, "--json")
    assert result.code == 0, result.out
    assert [(change["file"], change["line"]) for change in result.json()["fixed"]] == [
        (str(data), repeat),
        (str(data), leak),
        (str(test), 2),
    ]
    assert data.read_bytes() == sound
    again = frontdesk(*arguments)
    assert again.code == 0
    assert "fixed" not in again.out


def test_fix_prints_what_it_did_and_leaves_labels_alone(data: Path, frontdesk: Command) -> None:
    first = data.read_text().count("\n") + 1
    add(data, "hi Ã©mile", "thanks")
    add(data, "refund the lamp to me", "thanks")
    add(data, "refund the LAMP to me", "refund")
    result = frontdesk("validate", str(data), "--fix", "--quick")
    assert f"fixed {data}:{first}: 'hi Ã©mile' is now 'hi émile'" in result.out
    assert "1 errors, 0 warnings, 1 changes made" in result.out
    assert result.code == 1


def test_a_file_that_cannot_be_written_is_told_and_stays(
    data: Path, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    add(data, "great LAMP cheers!", "thanks")
    before = data.read_bytes()
    monkeypatch.setattr("os.fsync", full)
    result = frontdesk("validate", str(data), "--fix", "--quick")
    assert result.code == 1
    assert "can't be mended" in result.err
    assert "No space left" in result.err
    assert data.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nlu.yml", "--fix"], "frontdesk export NAME.jsonl --from FILE.yml"),
        (["data.jsonl", "--test", "data.jsonl"], "the same file"),
        ([".", "--test", "data.jsonl"], "leave out --test"),
    ],
)
def test_arguments_that_make_no_sense_are_told(
    data: Path, frontdesk: Command, arguments: list[str], said: str
) -> None:
    (data.parent / "nlu.yml").write_text("nlu:\n- intent: a\n  examples: |\n    - x\n")
    result = frontdesk("validate", *arguments)
    assert result.code == 2
    assert said in result.err


@pytest.mark.parametrize(
    "arguments", [["none.csv"], ["none.tsv"], ["data.jsonl", "--test", "none.csv"]]
)
def test_a_file_that_is_not_there_is_told(
    data: Path, frontdesk: Command, arguments: list[str]
) -> None:
    result = frontdesk("validate", *arguments)
    assert result.code == 2
    assert f"{arguments[-1]}: there is no such file" in result.err
    assert result.out == ""


def test_what_comes_from_a_pipe_is_a_file_of_examples(data: Path, frontdesk: Command) -> None:
    with subprocess.Popen(["cat", str(data)], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        pipe = f"/dev/fd/{cat.stdout.fileno()}"
        result = frontdesk("validate", pipe, "--quick")
    assert result.code == 0
    assert f"{pipe}: clean" in result.out


def test_what_comes_from_a_pipe_or_a_device_can_not_be_mended(
    place: Place, data: Path, frontdesk: Command
) -> None:
    os.mkfifo(place.folder / "fifo.jsonl")  # whoever opened it would wait for ever
    for arguments in (("fifo.jsonl",), (str(data), "--test", "fifo.jsonl"), ("/dev/null",)):
        result = frontdesk("validate", *arguments, "--fix", "--quick")
        assert result.code == 2
        assert f"{arguments[-1]} is a pipe or a device, which can't be mended" in result.err
        assert "leave out --fix, or save it as a file" in result.err

"""`frontdesk import` and `frontdesk export`, from the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from classifier.data import read_examples
from cli.main import main
from desk import pack as packs
from desk.pack import Pack
from tests.classifier.disks import fill_disk
from tests.cli.conftest import ROOT, Place, Result
from tests.desk.test_locking import is_held

RETAIL = ROOT / "packs" / "retail"
FLORIST = ROOT / "tests" / "packs" / "florist"
Command = Callable[..., Result]

NLU = """\
nlu:
- intent: greet
  examples: |
    - hey [Sara](name)
    - hallo
"""


@pytest.fixture
def frontdesk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """The command in a folder of its own; neither a model nor a database is needed here."""
    monkeypatch.delenv("PACK", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Result(code, said.out, said.err)

    return call


def write(name: str, content: str | bytes) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def everything(folder: Path = Path()) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def answers(pack: Pack) -> dict[str, Any]:
    return {name: i.answer["en"] for name, i in pack.intents.items() if i.answer}


def test_a_pack_goes_to_rasa_and_comes_back(frontdesk: Command) -> None:
    assert frontdesk("export", "bot/data", "--format", "rasa", "--from", RETAIL).code == 0
    assert {path.name for path in Path("bot/data").iterdir()} == {
        *("nlu.yml", "domain.yml", "config.yml")
    }
    first = frontdesk("import", "bot", "--into", "mine", "--json").json()
    theirs = read_examples(RETAIL / "examples.jsonl")
    assert Counter(read_examples("mine/examples.jsonl")) == Counter(theirs)
    mine, retail = packs.load(Path("mine")), packs.load(RETAIL)
    assert answers(mine) == answers(retail)
    assert mine.intents.keys() == retail.intents.keys()
    assert first["examples"]["added"] == len(theirs)
    assert first["notices"] == []
    before = everything()
    second = frontdesk("import", "bot", "--into", "mine", "--json").json()
    assert second["examples"] | {"added": 0, "present": len(theirs)} == second["examples"]
    assert second["answers"]["present"] == len(answers(retail))
    assert everything() == before


def test_a_packs_language_goes_to_rasa_and_comes_back(frontdesk: Command) -> None:
    write("texts.csv", "text,label\n我要退款,退款\n几点开门,opening-hours\n")
    write("canned.csv", "short_code,content\n退款,三天内退款\n")
    assert (
        frontdesk("import", "texts.csv", "canned.csv", "--into", "a", "--language", "zh").code == 0
    )
    assert frontdesk("export", "bot", "--from", "a", "--format", "rasa").code == 0
    assert frontdesk("import", "bot", "--into", "b").code == 0
    pack = packs.load(Path("b"))
    assert pack.languages == ("zh",)
    assert pack.intents["intent_f1c91e1d"].answer == {"zh": "三天内退款"}
    titles = {name: intent.title["zh"] for name, intent in pack.intents.items()}
    assert titles == {
        "intent_f1c91e1d": "退款",
        "opening_hours": "Opening hours",
        "out_of_scope": "Out of scope",
    }
    assert "utter_退款" in Path("bot/domain.yml").read_text()


def test_an_export_leaves_a_projects_config_as_it_is(frontdesk: Command) -> None:
    write("bot/config.yml", "language: en\npipeline: [mine]\n")
    result = frontdesk("export", "bot", "--from", FLORIST, "--format", "rasa", "--force")
    assert result.code == 0
    assert "config.yml stays as it is" in result.err
    assert Path("bot/config.yml").read_text() == "language: en\npipeline: [mine]\n"


def test_examples_go_to_csv_and_jsonl_and_come_back(frontdesk: Command) -> None:
    rows = [
        {"text": 'she said "no",\nthen left 🙂', "intent": "a", "sentiment": "negative"},
        {"text": "=1+1", "intent": "oos"},
    ]
    write("data.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert frontdesk("export", "a.csv", "--from", "data.jsonl", "--format", "csv").code == 0
    assert frontdesk("export", "b.jsonl", "--from", "a.csv", "--format", "jsonl").code == 0
    assert frontdesk("export", "c", "--from", "b.jsonl", "--format", "rasa").code == 0
    assert read_examples("b.jsonl") == read_examples("data.jsonl") == read_examples("c/nlu.yml")
    assert not Path("c/domain.yml").exists()


def test_that_a_text_is_a_customers_goes_along_as_jsonl_and_its_loss_is_told_otherwise(
    frontdesk: Command,
) -> None:
    row = '{"text": "my words", "intent": "a", "private": true, "measures": false}\n'
    write("data.jsonl", row)
    told = {}
    for format_, out in (("jsonl", "b.jsonl"), ("csv", "b.csv"), ("rasa", "b")):
        told[format_] = frontdesk("export", out, "--from", "data.jsonl", "--format", format_).err
    assert read_examples("b.jsonl") == read_examples("data.jsonl")
    assert told["jsonl"] == ""
    assert "1 are customers' own words, which csv can't say" in told["csv"]
    assert "1 are customers' own words, which rasa can't say" in told["rasa"]
    assert "1 are to measure no model, which csv can't say" in told["csv"]


@pytest.mark.parametrize("system", ["chatwoot", "zammad"])
def test_canned_answers_come_into_a_new_pack(frontdesk: Command, system: str) -> None:
    result = frontdesk("export", "canned.csv", "--from", FLORIST, "--format", system)
    assert "left out: zh" in result.err
    assert "Buttons are left out (" in result.err
    assert "canned.csv: 4 answers, 0 replies" in result.out
    assert frontdesk("import", "canned.csv", "--into", "mine").code == 0
    assert (
        answers(packs.load(Path("mine")))["order_status"]
        == "Bouquets take <b>2</b> days, {customer}."
    )


def test_replies_go_out_as_canned_answers_and_come_back_and_rasa_has_none(
    frontdesk: Command,
) -> None:
    result = frontdesk("export", "canned.csv", "--from", RETAIL, "--format", "chatwoot")
    assert result.out.rstrip().endswith("8 replies")
    assert frontdesk("export", "rows.jsonl", "--from", RETAIL, "--format", "jsonl").code == 0
    result = frontdesk("import", "rows.jsonl", "canned.csv", "--into", "mine")
    assert "new replies, sent by /answer alone: ask_order_number, ask_photo, " in result.out
    mine, retail = packs.load(Path("mine")), packs.load(RETAIL)
    assert list(mine.replies) == list(retail.replies)
    assert mine.intents.keys() == retail.intents.keys()
    assert mine.replies["ask_photo"].text == retail.replies["ask_photo"].text
    result = frontdesk("import", "canned.csv", "--into", "mine", "--json")
    assert (result.json()["replies"], result.json()["answers"]["added"]) == ([], 0)
    result = frontdesk("export", "bot", "--from", RETAIL, "--format", "rasa")
    assert "Replies are left out (8)" in result.err
    assert "ask_photo" not in Path("bot/domain.yml").read_text()


def test_all_kinds_of_sources_make_one_pack(frontdesk: Command) -> None:
    write("bot/data/nlu/greet.yml", NLU)
    write("bot/data/nlu/words.yml", "nlu:\n- synonym: a\n  examples: '- b'\n")
    write("bot/data/stories.yml", "stories:\n- story: a\n")
    write("bot/domain/a.yml", 'responses:\n  utter_greet: [{text: "Hi!"}]\n')
    write("bot/config.yml", "language: zh\npipeline: []\n")
    write("bot/endpoints.yml", "action_endpoint: {url: x}\n")
    write("bot/tests/data.yml", "nlu:\n- intent: hidden\n  examples: '- x'\n")
    write("texts.csv", "text,label\nopen?,hours\n")
    write("canned.csv", "short_code,content\nhours,Nine to six\n")
    result = frontdesk("import", "bot", "texts.csv", "canned.csv", "--into", "mine", "--json")
    found = result.json()
    assert found["new"] is True
    assert found["language"] == "zh"
    assert found["intents"] == ["greet", "hours", "out_of_scope"]
    assert found["unanswered"] == []
    assert [(Path(s["file"]).name, s["examples"], s["answers"]) for s in found["sources"]] == [
        ("config.yml", 0, 0),
        ("greet.yml", 2, 0),
        ("words.yml", 0, 0),
        ("stories.yml", 0, 0),
        ("a.yml", 0, 1),
        ("texts.csv", 1, 0),
        ("canned.csv", 0, 1),
    ]
    assert [notice["where"] for notice in found["notices"]] == [
        "bot/data/nlu/words.yml",
        "bot/data/stories.yml:1",
    ]
    assert [e.text for e in read_examples("mine/examples.jsonl")] == ["hey Sara", "hallo", "open?"]


def test_an_import_adds_to_a_pack_and_says_what_it_left_out(frontdesk: Command) -> None:
    shutil.copytree(FLORIST, "mine")
    known = read_examples("mine/examples.jsonl")[0]
    held_out = read_examples("mine/test.jsonl")[0]
    rows = [(known.text, known.intent), (known.text, "other"), (held_out.text, held_out.intent)]
    lines = [json.dumps({"text": text, "intent": intent}) for text, intent in rows]
    write("more.jsonl", "\n".join((*lines, '{"text": "do you wrap gifts", "intent": "gift"}')))
    before = Path("mine/examples.jsonl").read_text()
    result = frontdesk("import", "more.jsonl", "--into", "mine")
    assert result.code == 0
    assert "more.jsonl:2: " in result.err
    assert f"is other here and {known.intent} in mine/examples.jsonl:1" in result.err
    assert "1 new, 1 there already, 1 with another label, 1 in test.jsonl" in result.out
    assert "new intents: gift" in result.out
    after = Path("mine/examples.jsonl").read_text()
    assert after == before + '{"text": "do you wrap gifts", "intent": "gift"}\n'
    assert "gift" in packs.load(Path("mine")).intents
    assert "# A made-up shop" in Path("mine/pack.yml").read_text()


def test_a_test_comes_into_a_pack_with_its_examples_or_after_them(frontdesk: Command) -> None:
    write("a.csv", "text,label\nopen on sunday,Opening hours\nmoney back,re-fund\n")
    write("t.csv", "text,label\nwhen do you close,Opening hours\nOpen on Sunday,Opening hours\n")
    for steps in ([("a.csv", "--test", "t.csv")], [("a.csv",), ("--test", "t.csv")]):
        shutil.rmtree("mine", ignore_errors=True)
        for step in steps:
            result = frontdesk("import", *step, "--into", "mine")
            assert result.code == 0
        assert "test: 1 new, 0 there already, 0 with another label, 1 in examples" in result.out
        rows = [(e.text, e.intent) for e in read_examples("mine/test.jsonl")]
        assert rows == [("when do you close", "opening_hours")]
    said = frontdesk("validate", "mine", "--quick")
    assert "test.jsonl" in said.out
    assert "is not in pack.yml" not in said.out
    before = everything()
    again = frontdesk("import", "a.csv", "--test", "t.csv", "--into", "mine", "--json").json()
    assert again["test"] | {"read": 2, "added": 0, "present": 1, "in_examples": 1} == again["test"]
    assert everything() == before


def test_what_is_no_test_and_nothing_at_all_are_refused(frontdesk: Command) -> None:
    write("canned.csv", "short_code,content\nhours,nine to five\n")
    shutil.copytree(FLORIST, "mine")
    result = frontdesk("import", "--test", "canned.csv", "--into", "mine")
    assert (result.code, "canned.csv: holds no examples" in result.err) == (2, True)
    result = frontdesk("import", "--into", "mine")
    assert (result.code, "Name a source" in result.err) == (2, True)
    result = frontdesk("import", "--test", FLORIST, "--into", "mine")
    assert (result.code, f"a pack: name its {FLORIST}/test.jsonl" in result.err) == (2, True)


def test_a_csv_with_semicolons_is_imported(frontdesk: Command) -> None:
    write("texts.csv", "sep=;\r\ntext;label\r\nopen, today?;hours\r\nmoney back;refund\r\n")
    assert frontdesk("import", "texts.csv", "--into", "mine").code == 0
    rows = [(e.text, e.intent) for e in read_examples("mine/examples.jsonl")]
    assert rows == [("open, today?", "hours"), ("money back", "refund")]


def test_texts_that_the_base_model_cannot_read_are_counted_with_their_places(
    frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BASE_MODEL", raising=False)
    foreign = ["我想退款", "请退款给我", "我要退货退款", "退款什么时候到账"]
    texts = [("refund", "money back"), ("refund", "caffè freddo per me"), ("oos", "今天天气真好")]
    rows = [*texts, *(("refund", text) for text in foreign)]
    write("a.csv", "text,label\n" + "".join(f"{text},{label}\n" for label, text in rows))
    result = frontdesk("import", "a.csv", "--into", "mine")
    assert result.code == 0
    said = result.err.splitlines()[0]
    assert said.startswith(
        "the base model minilm can't read 4 of the 7 examples (a.csv:5, a.csv:6, a.csv:7, …); "
    )
    assert "set BASE_MODEL" in said
    again = frontdesk("import", "a.csv", "--into", "mine", "--json").json()
    assert again["notices"] == []
    monkeypatch.setenv("BASE_MODEL", "google-bert/bert-base-chinese")  # would be downloaded
    assert frontdesk("import", "a.csv", "--into", "other", "--json").json()["notices"] == []


def test_a_dry_run_writes_nothing(frontdesk: Command) -> None:
    write("nlu.yml", NLU)
    before = everything()
    result = frontdesk("import", "nlu.yml", "--into", "mine", "--dry-run")
    assert "examples: 2 new" in result.out
    assert "Nothing was written" in result.out
    assert everything() == before
    found = frontdesk("import", "nlu.yml", "--into", "mine", "--dry-run", "--json").json()
    assert found["dry_run"] is True
    assert everything() == before


def test_what_every_desk_needs_is_offered_and_comes_from_a_packaged_pack(
    frontdesk: Command,
) -> None:
    # One row that only looks like it lets nobody ask for a person.
    texts = write(
        "texts.csv",
        "text,intent\nno internet,down\nbill?,bill\nits due date,bill\nbill wrong,bill\n"
        "switch my bill to another person,bill\n",
    )
    said = frontdesk("import", texts, "--into", "mine")
    assert "frontdesk import packs/retail --only talk_to_person,complaint,danger," in said.out
    refused = frontdesk("import", RETAIL, "--into", "mine")
    assert (refused.code, "say with --only" in refused.err) == (2, True)
    wanted = ("import", RETAIL, "--only", "talk_to_person, danger", "--into", "mine")
    assert frontdesk(*wanted).code == 0
    counts = Counter(row.intent for row in read_examples("mine/examples.jsonl"))
    theirs = Counter(row.intent for row in read_examples(RETAIL / "examples.jsonl"))
    assert counts == {"down": 1, "bill": 4} | {n: theirs[n] for n in ("talk_to_person", "danger")}
    tested = {row.intent for row in read_examples("mine/test.jsonl")}
    assert tested == {"talk_to_person", "danger"}
    assert frontdesk(*wanted).out.splitlines()[-1].startswith("There was nothing to add")
    more = write("more.csv", "text,intent\nno line,down\n")
    assert "--only" not in frontdesk("import", more, "--into", "mine").out
    assert frontdesk("import", texts, "--only", "danger", "--into", "mine").code == 2


def test_of_the_small_talk_that_every_desk_needs_only_what_is_there_is_left_out(
    frontdesk: Command,
) -> None:
    write("texts.csv", "text,intent\nhi,hello\nbill?,bill\n")
    said = frontdesk("import", "texts.csv", "--into", "mine").out
    assert "are_you_a_bot,thanks,goodbye --into mine" in said


def test_many_remarks_are_cut_on_the_screen_and_whole_in_json(frontdesk: Command) -> None:
    lines = "".join(f"text {n},{label}\n" for n in range(30) for label in "ab")
    write("texts.csv", "text,label\n" + lines)
    result = frontdesk("import", "texts.csv", "--into", "mine", "--dry-run")
    assert "… and 10 more; --json has them all" in result.err
    assert len(result.err.splitlines()) == 21
    found = frontdesk("import", "texts.csv", "--into", "mine", "--dry-run", "--json").json()
    assert len(found["notices"]) == 30


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.csv", None, "none.csv: there is no such file"),
        ("none.yml", None, "none.yml: there is no such file"),
        ("a.csv", "", "a.csv: the file holds no examples"),
        ("a.csv", "text,labels\nx,y\n", "a.csv:1: unknown column `labels`"),
        ("a.csv", "text|label\nx|y\n", "a.csv:1: separate the columns with commas"),
        ("a.csv", "text,label\nx,y\ncafé,y\n".encode("latin-1"), "a.csv:3: is not UTF-8"),
        ("a.jsonl", '{"text": "x", "intent": "y"}\n'.encode("utf-16"), "a.jsonl:1: holds a NUL"),
        ("a.jsonl", b'{"text": "x"}\n', "a.jsonl:1: has neither an intent nor a sentiment"),
        ("a.yml", "", "a.yml: holds none of Rasa's"),
        ("a.yml", "stories: []\n", "a.yml: holds none of Rasa's"),
        ("a.yml", "nlu:\n- intent: [x\n", "a.yml:3: is not YAML"),
        ("a.yml", "nlu:\n- intent: x\n  examples: |\n    y\n", "a.yml:4: 'y' does not begin"),
        ("bot/a.yml", "services: {}\n", "no .yml file in this folder has examples or a domain"),
    ],
)
def test_a_bad_source_is_told_and_nothing_is_written(
    frontdesk: Command, name: str, content: str | bytes | None, says: str
) -> None:
    shutil.copytree(FLORIST, "mine")
    write("good.yml", NLU)
    if content is not None:
        write(name, content)
    before = everything()
    for pack in ("mine", "new"):
        result = frontdesk("import", "good.yml", name.partition("/")[0], "--into", pack)
        assert result.code == 2
        assert says in result.err
        assert result.err.startswith("Error: ")
        assert everything() == before


def test_files_of_several_documents_in_a_projects_folder_are_passed_over(
    frontdesk: Command,
) -> None:
    write("bot/nlu.yml", NLU)
    write("bot/deploy/k8s.yml", "kind: Service\n---\nkind: Deployment\n")
    assert frontdesk("import", "bot", "--into", "mine").code == 0
    assert Path("mine/examples.jsonl").read_text().count("\n") >= 1


def test_the_language_of_a_new_pack_is_checked_before_anything_is_read(
    frontdesk: Command,
) -> None:
    result = frontdesk("import", "none.jsonl", "--into", "new", "--language", "EN")
    assert result.code == 2
    assert "--language EN: write two or three small letters, such as en." in result.err


def test_csv_from_a_pipe_is_to_be_saved_as_a_file(frontdesk: Command) -> None:
    source = write("texts.csv", "text,label\nopen?,hours\n")
    with subprocess.Popen(["cat", source], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        result = frontdesk("import", f"/dev/fd/{cat.stdout.fileno()}", "--into", "mine")
    assert result.code == 2
    assert "is read as JSONL: save anything else as a file" in result.err
    source.rename("texts.jsonl")
    assert "pipe" not in frontdesk("import", "texts.jsonl", "--into", "mine").err
    assert "pipe" not in frontdesk("import", "none.jsonl", "--into", "mine").err


def test_a_pack_is_imported_into_by_its_file_too(frontdesk: Command) -> None:
    write("nlu.yml", NLU)
    assert frontdesk("import", "nlu.yml", "--into", "mine/pack.yml").code == 0
    assert Path("mine/pack.yml").is_file()


def test_a_pack_is_named_as_the_settings_name_it_and_a_new_one_is_said_to_be_new(
    place: Place, frontdesk: Command
) -> None:
    shutil.copytree(place.settings["PACK"], "packs/corner")
    write("more.csv", "text,label\nwhere on earth is it,where\n")
    result = frontdesk("import", "more.csv", "--into", "corner")
    assert result.code == 0, result.err
    assert "a new pack" not in result.out
    assert "the pack: packs/corner\n" in result.out
    assert not Path("corner").exists()
    assert "where on earth is it" in Path("packs/corner/examples.jsonl").read_text()
    assert frontdesk("export", "out.csv", "--from", "corner", "--format", "csv").code == 0
    assert "where on earth is it" in Path("out.csv").read_text()

    new = frontdesk("import", "more.csv", "--into", "mine")
    assert f"a new pack: {place.folder / 'mine'}" in new.out
    again = frontdesk("import", "more.csv", "--into", "mine")
    assert "a new pack" not in again.out

    path = frontdesk("import", "more.csv", "--into", "./corner")
    assert f"a new pack: {place.folder / 'corner'}" in path.out
    assert Path("corner/pack.yml").is_file()
    shutil.rmtree("corner")
    for arguments in (("export", "n.csv", "--format", "csv", "--from"), ("validate",)):
        refused = frontdesk(*arguments, "./corner")
        assert (refused.code, "corner: there is no such" in refused.err) == (2, True), refused.err


def test_a_folder_without_a_pack_is_refused(frontdesk: Command) -> None:
    write("nlu.yml", NLU)
    result = frontdesk("import", "nlu.yml", "--into", ".")
    assert result.code == 2
    assert "no pack.yml, so it is no pack" in result.err


def test_an_export_replaces_no_file_unless_told_so(frontdesk: Command) -> None:
    write("out.csv", "precious")
    result = frontdesk("export", "out.csv", "--from", FLORIST, "--format", "csv")
    assert result.code == 2
    assert "out.csv is there already. Write elsewhere, or say --force" in result.err
    assert Path("out.csv").read_text() == "precious"
    assert frontdesk("export", "out.csv", "--from", FLORIST, "--format", "csv", "--force").code == 0
    assert len(read_examples("out.csv")) == len(read_examples(FLORIST / "examples.jsonl"))


def test_an_export_is_not_written_to_a_file_called_like_standard_output(
    frontdesk: Command,
) -> None:
    result = frontdesk("export", "-", "--from", FLORIST, "--format", "csv")
    assert result.code == 2
    assert "writes files, not standard output" in result.err
    assert not everything()


def test_an_export_replaces_nothing_but_a_file(frontdesk: Command) -> None:
    os.mkfifo("pipe")
    Path("device").symlink_to("/dev/null")
    Path("folder").mkdir()
    for out in ("pipe", "device", "folder"):
        result = frontdesk("export", out, "--from", FLORIST, "--format", "csv", "--force")
        assert result.code == 2
        assert f"{out} is no ordinary file" in result.err
    assert Path("pipe").is_fifo()
    assert Path("device").is_symlink()


def test_an_import_holds_the_pack_from_reading_it_to_writing_it(frontdesk: Command) -> None:
    shutil.copytree(FLORIST, "mine")
    write("nlu.yml", NLU)
    tests = Path("mine/test.jsonl")
    tests.unlink(missing_ok=True)
    os.mkfifo(tests)
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "import", "nlu.yml", "--into", "mine"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    try:
        with tests.open("wb"):  # opens once the import has begun to read the pack
            assert is_held(Path("mine"))
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
    assert not is_held(Path("mine"))
    assert "hallo" in Path("mine/examples.jsonl").read_text()


def test_the_pack_of_the_settings_is_exported_where_none_is_named(
    frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACK", str(FLORIST))
    found = frontdesk("export", "out.jsonl", "--format", "jsonl", "--json").json()
    assert found == {
        "from": str(FLORIST),
        "files": ["out.jsonl"],
        "examples": len(read_examples(FLORIST / "examples.jsonl")),
        "notices": [],
    }


def test_a_file_of_examples_has_no_answers_to_export(frontdesk: Command) -> None:
    write("nlu.yml", NLU)
    result = frontdesk("export", "out.csv", "--from", "nlu.yml", "--format", "zammad")
    assert result.code == 2
    assert "name a pack's folder" in result.err
    assert not Path("out.csv").exists()


def test_examples_that_rasa_has_no_place_for_are_counted(frontdesk: Command) -> None:
    write("a.jsonl", '{"text": "x", "sentiment": "neutral"}\n{"text": "y", "intent": "z"}\n')
    result = frontdesk("export", "out", "--from", "a.jsonl", "--format", "rasa")
    assert "Examples without an intent are left out (1)" in result.err
    assert "out/nlu.yml: 1 examples" in result.out


def test_neither_verb_loads_torch(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom cli.main import main\n"
        f"main(['export', 'a', '--from', {str(FLORIST)!r}, '--format', 'rasa'])\n"
        "main(['import', 'a', '--into', 'b'])\n"
        "print(sorted({'torch', 'sqlalchemy', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
    assert (tmp_path / "b" / "pack.yml").is_file()


def test_canned_answers_alone_go_to_rasa_and_come_back(frontdesk: Command) -> None:
    write("canned.csv", "short_code,content\nhours,Nine to six\nrefund,Soon\n")
    assert frontdesk("import", "canned.csv", "--into", "mine").code == 0
    result = frontdesk("export", "bot", "--from", "mine", "--format", "rasa")
    assert result.code == 0, result.err
    assert "no nlu.yml" in result.err
    assert {path.name for path in Path("bot").iterdir()} == {"domain.yml", "config.yml"}
    assert frontdesk("import", "bot", "--into", "again").code == 0
    assert answers(packs.load(Path("again"))) == {"hours": "Nine to six", "refund": "Soon"}
    # For a file of examples, none are a mistake.
    assert frontdesk("export", "x.csv", "--from", "mine", "--format", "csv").code == 2


def test_intents_that_only_a_domain_declares_come_along(frontdesk: Command) -> None:
    write("bot/domain.yml", "intents: [gift, hours: {use_entities: []}, nlu_fallback]\n")
    write("bot/responses.yml", 'responses:\n  utter_hours: [{text: "Nine to six"}]\n')
    found = frontdesk("import", "bot", "--into", "mine", "--json").json()
    assert found["intents"] == ["gift", "hours", "out_of_scope"]
    assert found["unanswered"] == ["gift"]
    assert answers(packs.load(Path("mine"))) == {"hours": "Nine to six"}
    before = everything()
    assert frontdesk("import", "bot/domain.yml", "--into", "mine", "--json").json()["intents"] == []
    assert everything() == before


def test_an_ordinary_project_with_retrieval_intents_and_metadata_comes_in(
    frontdesk: Command,
) -> None:
    write(
        "bot/domain.yml",
        "intents: [faq, plain, chat]\nresponses:\n  utter_faq/ask_hours: [{text: Nine to six}]\n",
    )
    write(
        "bot/nlu.yml",
        "nlu:\n- intent: faq/ask_hours\n  examples: |\n    - open?\n"
        "- intent: chat\n  examples:\n  - {text: hi, metadata: {sentiment: happy}}\n"
        "- intent: chat/weather\n  examples: |\n    - rain?\n",
    )
    found = frontdesk("import", "bot", "--into", "mine", "--json").json()
    assert found["intents"] == ["faq_ask_hours", "chat", "chat_weather", "plain", "out_of_scope"]
    assert [notice["where"] for notice in found["notices"]] == ["bot/nlu.yml:7"]
    assert [e.sentiment for e in read_examples("mine/examples.jsonl")] == [None, None, None]
    assert answers(packs.load(Path("mine"))) == {"faq_ask_hours": "Nine to six"}


def test_two_declared_intents_that_would_share_a_name_are_told(frontdesk: Command) -> None:
    write("domain.yml", "intents:\n- a-b\n- a/b\n")
    result = frontdesk("import", "domain.yml", "--into", "mine")
    assert result.code == 2
    assert "domain.yml:3: the intents 'a-b' and 'a/b' would both be called a_b" in result.err


def test_an_export_of_what_is_not_there_says_so(frontdesk: Command) -> None:
    result = frontdesk("export", "out.csv", "--from", "none.jsonl", "--format", "csv")
    assert result.code == 2
    assert "none.jsonl: there is no such file" in result.err
    assert "PACK" not in result.err


def test_an_export_to_rasa_says_that_it_does_not_write_what_always_goes_to_people(
    frontdesk: Command,
) -> None:
    result = frontdesk("export", "project", "--from", FLORIST, "--format", "rasa")
    people = len(packs.load(FLORIST).never_answered())
    assert people
    assert f"always goes to a person is not written ({people})" in result.err
    canned = frontdesk("export", "out.csv", "--from", FLORIST, "--format", "chatwoot")
    assert "always goes to a person" not in canned.err


def test_an_export_to_rasa_wants_a_folder(frontdesk: Command) -> None:
    write("bot", "precious")
    result = frontdesk("export", "bot", "--from", FLORIST, "--format", "rasa", "--force")
    assert result.code == 2
    assert "bot is a file; name a folder" in result.err
    assert Path("bot").read_text() == "precious"


def test_a_file_that_does_not_fit_is_named(
    frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("nlu.yml", NLU)
    fill_disk(monkeypatch, 1)
    result = frontdesk("export", "out.csv", "--from", FLORIST, "--format", "csv")
    assert result.code == 1
    assert "out.csv: could not be written (No space left on device)" in result.err
    assert "see that there is room" in result.err
    result = frontdesk("import", "nlu.yml", "--into", "mine")
    assert "pack.yml: could not be written (No space left on device)" in result.err
    assert {path.name for path in Path().iterdir()} == {"nlu.yml"}

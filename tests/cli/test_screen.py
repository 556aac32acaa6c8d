"""What stands in files, models and databases is shown by the command, and acted on by nobody."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.table import Table

from cli.screen import as_json, complain, escape, notices, percent, results, shown
from desk.flow.desk import Desk
from desk.tables import Customer
from tests.cli.conftest import Place, Result, make_examples, write_jsonl

Command = Callable[..., Result]
EVIL = "[/bar]\x1b[31m\x9b2J\x7f\u202ered"
"""What would be markup, a colour, a cleared screen, a deleted sign and a turned line."""
SHOWN = "[/bar]�[31m�2J��red"
ACTS = ("\x1b", "\x9b", "\x7f", "\u202e")


def assert_harmless(result: Result) -> None:
    assert not [sign for sign in ACTS if sign in result.out + result.err]
    assert "unforeseen" not in result.err


@pytest.fixture
def evil(place: Place) -> Path:
    """Examples of two labels that the model knows and of one, with its texts, that is evil."""
    path = write_jsonl(place.folder / "evil.jsonl", make_examples(each=6))
    with path.open("a") as file:
        for number in range(3):
            file.write(json.dumps({"text": f"{EVIL} {number}", "intent": EVIL}) + "\n")
        file.write(json.dumps({"text": f"{EVIL} 0", "intent": f"not {EVIL}\nok"}) + "\n")
    return path


def test_a_label_of_a_file_is_shown_by_validate_within_its_line(
    evil: Path, frontdesk: Command
) -> None:
    result = frontdesk("validate", str(evil), "--quick")
    assert_harmless(result)
    assert SHOWN in result.out
    assert f"not {SHOWN}�ok" in result.out
    told = frontdesk("validate", str(evil), "--quick", "--json")
    assert_harmless(told)
    assert any(EVIL in finding["message"] for finding in told.json()["findings"])


@pytest.mark.parametrize("verb", ["evaluate", "thresholds"])
def test_labels_and_texts_of_a_file_are_shown_where_a_model_is_measured(
    evil: Path, frontdesk: Command, verb: str
) -> None:
    result = frontdesk(verb, "--data", str(evil))
    assert result.code == 0, result.err
    assert_harmless(result)
    assert SHOWN in result.out + result.err


def test_texts_and_labels_of_a_file_are_shown_where_models_are_compared(
    place: Place, own_models: Path, evil: Path, frontdesk: Command
) -> None:
    assert frontdesk("train", "--data", str(evil), "--epochs", "1", "--out", "other").code == 0
    result = frontdesk("compare", "champion", "other", "--data", str(evil))
    assert result.code == 0, result.err
    assert_harmless(result)
    assert SHOWN in result.out


def test_a_text_is_shown_by_classify(frontdesk: Command) -> None:
    assert_harmless(frontdesk("classify", EVIL, "--explain"))
    told = frontdesk("classify", EVIL, "--json")
    assert_harmless(told)
    assert told.json()["text"] == EVIL


def test_an_import_shows_what_a_file_is_called_and_holds(place: Place, frontdesk: Command) -> None:
    canned = place.folder / f"{EVIL.replace('/', '')}.csv"
    canned.write_text(f'short_code,content\nhours,"open {{{{{EVIL}}}}}"\n')
    result = frontdesk("import", str(canned), "--into", "pack")
    assert_harmless(result)
    assert SHOWN in result.err
    canned.write_text("short_code,content\nhours,\n")
    result = frontdesk("import", str(canned), "--into", "other")
    assert result.code == 2
    assert_harmless(result)


def test_a_customers_username_and_an_operators_name_are_shown(
    desk: Desk, frontdesk: Command
) -> None:
    with desk.store.writing() as session:
        session.add(Customer(chat_id=501, name=f"Ada\n{EVIL}", username=EVIL, language="en"))
    assert frontdesk("operators", "add", "9003", "--name", f"{EVIL}\nBo").code == 0
    for verb in ("customers", "operators"):
        result = frontdesk(verb, "list")
        assert_harmless(result)
        assert SHOWN in result.out
        assert result.out.count("\n") == 1
        assert_harmless(frontdesk(verb, "list", "--json"))


def test_a_champion_before_with_a_wrong_name_is_shown(own_models: Path, frontdesk: Command) -> None:
    (champion,) = (path.name for path in own_models.iterdir() if path.name[0] == "2")
    (own_models / "champion").unlink()
    (own_models / "champion").symlink_to(EVIL.replace("/", ""))
    result = frontdesk("models", "promote", champion)
    assert result.code == 0, result.err
    assert_harmless(result)


def test_whatever_a_console_prints_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name")
    table.add_row(escape(EVIL))
    for console in (results(), notices()):
        console.print(EVIL, markup=False)
        console.print(f"[bold]{escape(EVIL)}[/]")
        console.print(table)
    complain(EVIL)
    said = capsys.readouterr()
    for text in said:
        assert not [sign for sign in ACTS if sign in text]
    assert said.out.count(SHOWN) == 2
    assert said.err.count(SHOWN) == 3


def test_what_no_terminal_acts_on_is_shown_as_it_is() -> None:
    text = "فارسی\u200cها 👩\u200d🚀 naïve 你好 \u200f"
    assert shown(text) == text
    assert json.loads(as_json([text, EVIL])) == [text, EVIL]


def test_only_a_share_is_shown_as_a_percentage() -> None:
    values = [0.5, 1, float("nan"), float("inf"), 10**400, None, "0.5", [1]]
    assert [percent(value) for value in values] == ["50.0%", "100.0%", *"––––––"]

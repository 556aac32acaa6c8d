"""`frontdesk customers`, from the command line."""

from __future__ import annotations

import errno
import json
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from classifier import registry
from desk.domain import ConversationState, FeedbackKind, Incoming, MessageState, Person
from desk.flow import customers, intake, runs, topics
from desk.flow.desk import Desk
from desk.pack import load
from desk.store import Store
from desk.tables import Conversation, Customer, Feedback, Inbox, Message
from tests.cli.conftest import Place, Result

Command = Callable[..., Result]

ADA = Person(chat_id=501, name="Ada [/b] [red]", username="ada")
BEN = Person(chat_id=502, name="Ben", username="ben")


@pytest.fixture
def desk(place: Place, frontdesk: Command) -> Iterator[Desk]:
    """A desk with two customers, of whom Ada has written."""
    assert frontdesk("migrate").code == 0
    store = Store(f"sqlite:///{place.data_dir / 'simulator.db'}")
    desk = Desk(store, load(Path(place.settings["PACK"])), operator_chat_id=-1001)
    for number, person in enumerate((ADA, BEN), start=1):
        text = f"where is parcel {number}"
        update = {"update_id": number, "message": {"text": text}}
        intake.store_updates(desk, [Incoming(1, number, person.chat_id, update)])
        assert customers.wrote(desk, number, person, 40, text)
    with store.writing() as session:
        for message in session.query(Message):
            message.state = MessageState.DECIDED
    yield desk
    store.dispose()


def names(desk: Desk) -> list[str]:
    with desk.store.reading() as session:
        return [row.name for row in session.query(Customer).order_by(Customer.id)]


def test_customers_are_listed_and_found_with_their_topics(desk: Desk, frontdesk: Command) -> None:
    topics.topic_made(desk, 1, 77)
    assert [row["topic"] for row in frontdesk("customers", "list", "--json").json()] == [77, None]
    assert [row["telegram_id"] for row in frontdesk("customers", "list", "--json").json()] == [
        501,
        502,
    ]
    shown = frontdesk("customers", "list", "ADA").out
    assert "Ada [/b] [red] (@ada)  topic 77" in shown
    assert "topic" not in frontdesk("customers", "list", "ben").out
    assert "Ben" not in shown
    nobody = frontdesk("customers", "list", "zoe")
    assert (nobody.code, nobody.out) == (0, "")
    assert "Nobody by that name" in nobody.err


def test_what_is_kept_of_one_goes_to_the_screen_or_to_a_file_for_oneself(
    desk: Desk, frontdesk: Command, tmp_path: Path
) -> None:
    kept = frontdesk("customers", "export", "@ada").json()
    assert kept["conversations"][0]["messages"][0]["text"] == "where is parcel 1"
    out = tmp_path / "ada.json"
    assert frontdesk("customers", "export", "501", "--out", str(out)).code == 0
    assert json.loads(out.read_text(encoding="utf-8")) == kept
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert frontdesk("customers", "export", "@ada", "--out", "-").json() == kept
    assert not Path("-").exists()


def test_an_export_overwrites_nothing_and_says_where_it_can_not_be(
    desk: Desk, frontdesk: Command, tmp_path: Path
) -> None:
    there = tmp_path / "ada.json"
    there.write_text("mine", encoding="utf-8")
    refused = frontdesk("customers", "export", "@ada", "--out", str(there))
    assert (refused.code, there.read_text(encoding="utf-8")) == (2, "mine")
    assert "exists already" in refused.err
    nowhere = frontdesk("customers", "export", "@ada", "--out", str(tmp_path / "no" / "ada.json"))
    assert nowhere.code == 2
    assert "can't be made" in nowhere.err


def test_one_is_erased_and_the_other_is_not(desk: Desk, frontdesk: Command) -> None:
    done = frontdesk("customers", "erase", "@ada", "--yes")
    assert done.code == 0
    assert done.out == "501 is erased (conversations: 1, messages: 1).\n"
    assert "backups" in done.err
    assert names(desk) == ["", "Ben"]
    again = frontdesk("customers", "erase", "@ada", "--yes")
    assert again.code == 2
    assert frontdesk("customers", "export", "@ada").code == 2
    assert "customers list" in again.err


def test_one_who_waits_for_a_person_is_erased_by_force_alone(
    desk: Desk, frontdesk: Command
) -> None:
    with desk.store.writing() as session:
        session.query(Conversation).filter_by(id=1).one().state = ConversationState.WAITING
    refused = frontdesk("customers", "erase", "@ada", "--yes")
    assert refused.code == 1
    assert "--force" in refused.err
    assert names(desk)[0] == ADA.name
    assert frontdesk("customers", "erase", "@ada", "--yes", "--force").code == 0
    assert names(desk)[0] == ""


def test_what_was_erased_is_not_in_the_files_of_the_database(
    desk: Desk, place: Place, frontdesk: Command
) -> None:
    files = [place.data_dir / name for name in ("simulator.db", "simulator.db-wal")]

    def found() -> bool:
        return any(b"where is parcel 1" in path.read_bytes() for path in files if path.exists())

    assert found()
    assert frontdesk("customers", "erase", "@ada", "--yes").code == 0
    assert not found(), "nor in free pages, nor in the log, though the desk is open still"


def test_a_name_that_would_write_over_the_question_does_not(
    desk: Desk, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk.store.writing() as session:
        session.query(Customer).filter_by(chat_id=501).one().name = "Ada\x1b[2K\rErase Ben?"
    asked = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda question, **_: asked.append(question))
    assert frontdesk("customers", "erase", "@ada").code == 1
    (question,) = asked
    assert question.isprintable()
    assert question.startswith("Erase 501, Ada")
    assert "\x1b" not in frontdesk("customers", "list").out


def test_half_a_surrogate_of_an_update_is_exported_and_a_full_disk_leaves_no_file(
    desk: Desk, frontdesk: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk.store.writing() as session:
        session.query(Inbox).filter_by(id=1).one().payload = {"text": "\ud83d and Größe"}
    out = tmp_path / "ada.json"

    def fill_disk(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("cli.private_file.os.fsync", fill_disk)
        assert frontdesk("customers", "export", "@ada", "--out", str(out)).code == 1
    assert list(tmp_path.glob("*.json*")) + list(tmp_path.glob(".*.partial")) == []
    assert frontdesk("customers", "export", "@ada", "--out", str(out)).code == 0
    kept = json.loads(out.read_text(encoding="utf-8"))
    assert kept["updates"] == [{"text": "\ud83d and Größe"}]


@pytest.mark.parametrize("closed", [False, True])
def test_without_anybody_to_ask_nothing_is_erased(
    desk: Desk, frontdesk: Command, monkeypatch: pytest.MonkeyPatch, closed: bool
) -> None:
    if closed:  # as Python has it after <&-
        monkeypatch.setattr("sys.stdin", None)
    refused = frontdesk("customers", "erase", "@ada")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert names(desk) == [ADA.name, "Ben"]


@pytest.mark.parametrize("answer", [True, False])
def test_who_is_there_is_asked_and_told_of_a_ban(
    desk: Desk, frontdesk: Command, monkeypatch: pytest.MonkeyPatch, answer: bool
) -> None:
    with desk.store.writing() as session:
        session.query(Customer).filter_by(chat_id=501).one().banned_at = desk.clock()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda question, **_: answer and "501" in question)
    result = frontdesk("customers", "erase", "@ada")
    assert "the ban goes, too" in result.err
    assert result.code == (0 if answer else 1)
    assert names(desk)[0] == ("" if answer else ADA.name)


def test_models_that_may_have_learned_from_them_are_named(
    desk: Desk, place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    models = tmp_path / "own-models"
    shutil.copytree(place.settings["MODELS_DIR"], models, symlinks=True)
    monkeypatch.setenv("MODELS_DIR", str(models))
    (before,) = registry.versions(models)
    with desk.store.writing() as session:
        session.add(Feedback(message_id=1, kind=FeedbackKind.RELABEL, intent="where", by=9001))
    after = registry.new_version_name()
    shutil.copytree(before.path, models / after)
    untaught = frontdesk("customers", "erase", "@ben", "--yes", "--json").json()
    assert (untaught["models"], untaught["taught_since"]) == ([], None)
    erased = frontdesk("customers", "erase", "@ada", "--yes", "--json").json()
    assert erased.pop("taught_since")
    assert erased == {
        "telegram_id": 501,
        "conversations": 1,
        "messages": 1,
        "topic": False,
        "models": [after],
        "runs": [],
        "examples": [],
    }


def test_lines_of_the_pack_with_what_they_taught_are_named(
    desk: Desk, place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pack = tmp_path / "corner"
    shutil.copytree(place.settings["PACK"], pack)
    monkeypatch.setenv("PACK", str(pack))
    lines = len((pack / "examples.jsonl").read_text("utf-8").splitlines())
    with (pack / "examples.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "Where is parcel 1!", "intent": "where"}\n')
    (pack / "test.jsonl").write_text("{", encoding="utf-8")
    with desk.store.writing() as session:
        session.add(Feedback(message_id=1, kind=FeedbackKind.RELABEL, intent="where", by=9001))
        session.query(Message).filter_by(id=1).one().attempt = 1
    erased = frontdesk("customers", "erase", "@ada", "--yes", "--json")
    assert erased.json()["examples"] == [f"{pack / 'examples.jsonl'}:{lines + 1}"]
    assert "The pack has what they taught" in erased.err
    assert "parcel" not in erased.err
    assert "Whether the pack has what they taught is not known" in erased.err, "of the test"
    assert frontdesk("customers", "erase", "@ben", "--yes", "--json").json()["examples"] == []


def test_a_training_run_under_way_may_have_read_them(desk: Desk, frontdesk: Command) -> None:
    with desk.store.writing() as session:
        session.add(Feedback(message_id=1, kind=FeedbackKind.RELABEL, intent="where", by=9001))
    run, _ = runs.order_run(desk, "nightly")
    erased = frontdesk("customers", "erase", "@ada", "--yes", "--json")
    assert erased.json()["runs"] == [run]
    assert f"Training run {run} is under way" in erased.err


def test_while_somebody_reads_the_database_it_is_said_that_the_log_has_old_pages(
    desk: Desk, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("desk.store.BUSY_SECONDS", 0)
    with desk.store.reading() as session:
        session.query(Customer).count()
        erased = frontdesk("customers", "erase", "@ada", "--yes")
    assert erased.code == 0
    assert "log could not be emptied" in erased.err


def test_where_no_models_are_to_be_seen_it_is_said_what_may_have_learned(
    desk: Desk, frontdesk: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with desk.store.writing() as session:
        session.add(Feedback(message_id=1, kind=FeedbackKind.RELABEL, intent="where", by=9001))
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "nowhere"))
    erased = frontdesk("customers", "erase", "@ada", "--yes", "--json")
    assert erased.json()["models"] == []
    assert "MODELS_DIR here has none that was made since then" in erased.err


@pytest.mark.parametrize("arguments", [(), ("@ada", "--again")])
def test_an_erasure_names_one_or_means_those_of_before(
    frontdesk: Command, arguments: tuple[str, ...]
) -> None:
    result = frontdesk("customers", "erase", *arguments)
    assert result.code == 2
    assert "--again alone" in result.err


def test_where_an_erasure_can_not_be_noted_it_is_done_and_said(
    desk: Desk, place: Place, frontdesk: Command
) -> None:
    (place.data_dir / "erased").write_text("a file in the folder's place")
    erased = frontdesk("customers", "erase", "@ada", "--yes")
    assert erased.code == 0
    assert "can't be noted" in erased.err
    assert names(desk) == ["", "Ben"]


def test_before_the_first_migration_it_says_what_to_run(frontdesk: Command) -> None:
    for verb in (("list",), ("export", "@ada"), ("erase", "@ada", "--yes")):
        result = frontdesk("customers", *verb)
        assert result.code == 1
        assert "frontdesk migrate" in result.err


def test_who_is_erased_again_is_not_asked_for_by_force(frontdesk: Command) -> None:
    result = frontdesk("customers", "erase", "--again", "--force")
    assert result.code == 2
    assert "leave out --force" in result.err

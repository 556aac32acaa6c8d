"""`frontdesk feedback`, from the command line."""

from __future__ import annotations

import errno
import json
import shutil
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from classifier.data import read_examples
from desk.domain import DeliveryState, FeedbackKind, Incoming, PendingMessage, Person, Role
from desk.flow import customers, deciding, erasing, intake, lessons, reporting, roster
from desk.flow.desk import Desk
from desk.flow.lessons import Learned
from desk.pack import load
from desk.store import Store
from desk.tables import Customer, DeliveryRow, Feedback
from tests.cli.conftest import Place, Result
from tests.desk.acting import predict
from workers.gold import LEAST, set_aside

Command = Callable[..., Result]

OLGA, GONE = 9001, 9002
NOON = datetime(2025, 3, 2, 12, tzinfo=UTC)


class Teaching:
    """A desk at which customers write, one a message, and people say what they meant."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._number = 0

    def said(
        self, text: str, kind: FeedbackKind, intent: str | None, by: int = OLGA, hours: int = 0
    ) -> int:
        """A word on a new message, so many hours after noon; returns its id."""
        self._number += 1
        person = Person(chat_id=500 + self._number, name="Ada")
        intake.store_updates(self.desk, [Incoming(1, self._number, person.chat_id, {})])
        job = customers.wrote(self.desk, self._number, person, 40, text)
        assert job is not None
        pending = PendingMessage(*job, text)
        deciding.decide_batch(self.desk, [(pending, predict(text, "where", 0.9))])
        speaker = by if kind in lessons.OPERATORS_WORD else person.chat_id
        return self.also(job[0], kind, intent, speaker, hours)

    def also(
        self, message_id: int, kind: FeedbackKind, intent: str | None, by: int, hours: int
    ) -> int:
        """A word on a message that is there already; returns its id."""
        row = Feedback(message_id=message_id, kind=kind, intent=intent, by=by)
        row.created_at = NOON + timedelta(hours=hours)
        with self.desk.store.writing() as session:
            session.add(row)
            session.flush()
            return row.id

    def mood(self, text: str, sentiment: str, hours: int = 0) -> int:
        """Olga's word on the mood of a new message; returns its id."""
        feedback_id = self.said(text, FeedbackKind.MOOD, None, hours=hours)
        with self.desk.store.writing() as session:
            session.get_one(Feedback, feedback_id).sentiment = sentiment
        return feedback_id

    def thought_over(self, thumb_up: int, hours: int) -> int:
        """The same customer's thumb down on the same answer; returns its id."""
        with self.desk.store.reading() as session:
            row = session.get_one(Feedback, thumb_up)
        return self.also(row.message_id, DOWN, row.intent, row.by, hours)

    def taught(self) -> dict[str, str | None]:
        return {each.text: each.intent for each in lessons.learned(self.desk)}


@pytest.fixture
def teaching(place: Place, frontdesk: Command) -> Iterator[Teaching]:
    assert frontdesk("migrate").code == 0
    store = Store(f"sqlite:///{place.data_dir / 'simulator.db'}")
    desk = Desk(store, load(Path(place.settings["PACK"])), operator_chat_id=-1001)
    roster.add_operator(desk, OLGA, Role.ADMIN, "Olga [/b] [red]")
    yield Teaching(desk)
    store.dispose()


def outcomes(frontdesk: Command, *arguments: str) -> dict[int, str]:
    rows = frontdesk("feedback", "list", "--json", *arguments).json()
    return {row["id"]: row["outcome"] for row in rows}


def row_of(pack_dir: Path, name: str) -> dict[str, Any]:
    """The first row of a file of the pack."""
    row: dict[str, Any] = json.loads((pack_dir / name).read_text("utf-8").splitlines()[0])
    return row


RELABEL, UP, DOWN = FeedbackKind.RELABEL, FeedbackKind.THUMB_UP, FeedbackKind.THUMB_DOWN


def test_each_word_is_listed_with_what_becomes_of_it_the_newest_first(
    teaching: Teaching, frontdesk: Command, pack_dir: Path
) -> None:
    held, known = row_of(pack_dir, "test.jsonl"), row_of(pack_dir, "examples.jsonl")
    other = "refund" if known["intent"] != "refund" else "where"
    said = teaching.said
    expected = {
        said("is it there yet", RELABEL, "refund"): "overruled",
        said("Is it there yet!", RELABEL, "where", GONE, hours=1): "teaches",
        said("is it there yet", UP, "where", hours=2): "teaches",
        said("it is not there", UP, "refund", hours=3): "teaches",
        said("nothing came", DOWN, "where", hours=4): "thumb down",
        said("do you sell gifts", RELABEL, "gifts", hours=5): "intent unknown",
        said(held["text"], RELABEL, held["intent"], hours=6): "in the test",
        said(known["text"], UP, other, hours=7): "overruled",
        (up := said("a thumb that was thought over", UP, "where", hours=8)): "overruled",
        teaching.thought_over(up, hours=9): "thumb down",
        (withdrawn := said("a slip of the finger", RELABEL, "person", hours=10)): "withdrawn",
    }
    assert frontdesk("feedback", "withdraw", str(withdrawn)).code == 0
    assert outcomes(frontdesk) == expected
    order = [row["at"] for row in frontdesk("feedback", "list", "--json").json()]
    assert order == sorted(order, reverse=True)


def test_a_thumb_that_adds_nothing_to_the_pack_or_is_of_a_banned_customer_does_not_teach(
    teaching: Teaching, frontdesk: Command, pack_dir: Path
) -> None:
    known = row_of(pack_dir, "examples.jsonl")
    thumbs = [teaching.said(known["text"], UP, known["intent"]) for _ in range(2)]
    thumbs.append(teaching.said("is it there yet", UP, "where"))
    assert outcomes(frontdesk)[thumbs[2]] == "teaches"
    with teaching.desk.store.writing() as session:
        for thumb in (thumbs[0], thumbs[2]):
            banned = session.get_one(Feedback, thumb).by
            session.query(Customer).filter_by(chat_id=banned).update({"banned_at": NOON})
    # An operator's word on the banned customer's text makes it no lesson of theirs.
    with teaching.desk.store.reading() as session:
        message_id = session.get_one(Feedback, thumbs[2]).message_id
    label = teaching.also(message_id, RELABEL, "where", OLGA, hours=1)
    assert outcomes(frontdesk) == {**dict.fromkeys(thumbs, "overruled"), label: "teaches"}
    assert frontdesk("feedback", "withdraw", str(label)).code == 0
    assert frontdesk("feedback", "export", "-").code == 1, "nothing of that teaches"


def test_labels_that_measure_models_are_listed_as_set_aside_and_not_exported(
    teaching: Teaching, frontdesk: Command
) -> None:
    texts = [f"do you have {number} roses" for number in range(300)]
    _, gold = set_aside([Learned(text, "where", RELABEL, NOON, OLGA, 1) for text in texts], [])
    measuring = [teaching.said(item.text, RELABEL, "where") for item in gold[:LEAST]]
    measuring.append(teaching.said(gold[LEAST].text, UP, "where"))
    taught = teaching.said("bring me back my coins", RELABEL, "refund")
    assert outcomes(frontdesk) == {**dict.fromkeys(measuring, "set aside"), taught: "teaches"}
    exported = frontdesk("feedback", "export", "-")
    assert json.loads(exported.out)["text"] == "bring me back my coins"
    # Fewer would measure nothing: they teach.
    assert frontdesk("feedback", "withdraw", str(measuring[0])).code == 0
    assert set(outcomes(frontdesk, "--intent", "where").values()) == {"withdrawn", "teaches"}


def test_a_list_for_people_shows_names_and_masked_texts_as_they_are(
    teaching: Teaching, frontdesk: Command
) -> None:
    teaching.said("[red] my :cat: is at\nana@example.org\x1b[2K " + "so " * 30, RELABEL, "where")
    teaching.said("mine, too", RELABEL, "refund", GONE)
    teaching.said("thanks", UP, "where")
    result = frontdesk("feedback", "list")
    assert result.code == 0
    header, *lines = result.out.splitlines()
    assert header.split()[:2] == ["id", "when"]
    assert len(lines) == 3
    first = next(line for line in lines if "[red] my" in line)
    assert "2025-03-02 12:00  Olga [/b] [red]       relabel" in first
    assert "[red] my :cat: is at [email]�[2K so so" in first
    assert first.endswith("…  where → teaches")
    assert "  9002  " in next(line for line in lines if "mine, too" in line)
    assert "  customer 503  " in next(line for line in lines if "thanks" in line)


def test_a_list_keeps_to_whose_which_since_when_and_how_many(
    teaching: Teaching, frontdesk: Command
) -> None:
    first = teaching.said("one", RELABEL, "where")
    gone = teaching.said("two", RELABEL, "refund", GONE, hours=24)
    thumb = teaching.said("three", UP, "where", hours=48)
    assert set(outcomes(frontdesk, "--by", "olga [/b] [RED]")) == {first}
    assert set(outcomes(frontdesk, "--by", str(GONE))) == {gone}
    assert set(outcomes(frontdesk, "--intent", "where")) == {first, thumb}
    assert set(outcomes(frontdesk, "--since", "2025-03-03")) == {gone, thumb}
    cut = frontdesk("feedback", "list", "--limit", "1", "--json")
    assert [row["id"] for row in cut.json()] == [thumb]
    assert "the newest 1; --limit shows more" in cut.err
    hours = (datetime.now(UTC) - NOON) // timedelta(hours=1)
    recent = teaching.said("four", RELABEL, "where", hours=hours)
    assert set(outcomes(frontdesk, "--since", "1")) == {recent}
    nothing = frontdesk("feedback", "list", "--intent", "person")
    assert (nothing.code, nothing.out) == (0, "")
    assert "None of those." in nothing.err
    unknown = frontdesk("feedback", "list", "--intent", "wher")
    assert (unknown.code, unknown.out) == (2, "")
    assert "The pack has no intent wher; did you mean where?" in unknown.err
    taught = teaching.said("five", RELABEL, "where")
    with teaching.desk.store.writing() as session:
        session.query(Feedback).filter_by(id=taught).one().intent = "gone"
    assert set(outcomes(frontdesk, "--intent", "gone")) == {taught}


def test_a_list_may_be_as_long_as_one_likes(teaching: Teaching, frontdesk: Command) -> None:
    teaching.said("one", RELABEL, "where")
    for limit in (2**63 - 1, 10**20):
        assert len(frontdesk("feedback", "list", "--limit", str(limit), "--json").json()) == 1


def test_a_desk_to_which_nobody_has_taught_anything_says_so(
    teaching: Teaching, frontdesk: Command
) -> None:
    result = frontdesk("feedback", "list")
    assert (result.code, result.out) == (0, "")
    assert "Nobody has taught anything yet." in result.err


@pytest.mark.parametrize("since", ["yesterday", "0", "3651", "2026-13-01", "-3"])
def test_a_time_that_is_none_is_a_wrong_argument(frontdesk: Command, since: str) -> None:
    assert frontdesk("feedback", "list", f"--since={since}").code == 2


@pytest.mark.parametrize("who", ["nobody", "77", "9" * 30, "9" * 5000, "-1"])
def test_an_operator_that_nobody_is_is_a_wrong_argument(
    teaching: Teaching, frontdesk: Command, who: str
) -> None:
    for verb in (("list",), ("export", "-"), ("withdraw", "--yes")):
        refused = frontdesk("feedback", *verb, f"--by={who}")
        assert refused.code == 2
        assert f"No operator is “{who}”" in refused.err


def test_of_two_operators_of_one_name_each_is_named_by_id(
    teaching: Teaching, frontdesk: Command
) -> None:
    for user_id in (9003, 9004):
        roster.add_operator(teaching.desk, user_id, Role.AGENT, "Ada")
    refused = frontdesk("feedback", "list", "--by", "ada")
    assert refused.code == 2
    assert "of 9003, 9004" in refused.err


def test_what_teaches_is_exported_and_an_import_reads_it(
    teaching: Teaching, frontdesk: Command, tmp_path: Path, pack_dir: Path
) -> None:
    teaching.said("wo ist es, ana@example.org?", RELABEL, "where")
    teaching.said("Wo ist es, ana@example.org?", UP, "where", hours=1)
    teaching.said("bring me back my coins", RELABEL, "refund", GONE)
    teaching.said("do you sell gifts", RELABEL, "gifts")
    teaching.said("coins back", UP, "refund", hours=2)
    # Nor does it say much that somebody took the model's first suggestion.
    teaching.said("where on earth", FeedbackKind.ONE_TAP_ANSWER, "where", hours=3)
    teaching.said("my coins at last", FeedbackKind.ONE_TAP_ANSWER, "refund", hours=4)
    out = tmp_path / "taught.jsonl"
    done = frontdesk("feedback", "export", str(out))
    assert (done.code, done.out) == (0, "")
    assert f"{out}: 5 examples" in done.err
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert [json.loads(line) for line in out.read_text("utf-8").splitlines()] == [
        {"text": "my coins at last", "intent": "refund", "private": True},
        {"text": "where on earth", "intent": "where", "private": True, "measures": False},
        {"text": "coins back", "intent": "refund", "private": True, "measures": False},
        {"text": "Wo ist es, [email]?", "intent": "where", "private": True},
        {"text": "bring me back my coins", "intent": "refund", "private": True},
    ]
    assert frontdesk("feedback", "export", "-").out == out.read_text("utf-8")
    theirs = frontdesk("feedback", "export", "-", "--by", str(GONE))
    assert json.loads(theirs.out)["intent"] == "refund"
    mine = tmp_path / "mine"
    mine.mkdir()
    for file in pack_dir.iterdir():
        (mine / file.name).write_bytes(file.read_bytes())
    read = frontdesk("import", str(out), "--into", str(mine), "--json")
    assert read.code == 0, read.err
    assert (read.json()["examples"]["added"], read.json()["examples"]["conflicts"]) == (5, 0)
    assert read.json()["intents"] == []
    # In the pack, too, they are learned from and quoted nowhere.
    rows = read_examples(mine / "examples.jsonl")
    own = {row.text for row in rows if row.private}
    liked = {"coins back", "where on earth"}
    assert own == {*liked, "my coins at last", "Wo ist es, [email]?", "bring me back my coins"}
    # What customers liked measures no model there either.
    assert [row.text for row in rows if not row.measures] == ["where on earth", "coins back"]
    said = frontdesk("validate", str(mine), "--json").json()["findings"]
    assert [m for each in said if "private" in (m := each["message"]) or "measures" in m] == []


def test_a_label_under_a_former_name_is_one_of_the_intent_of_today(
    teaching: Teaching,
    frontdesk: Command,
    pack_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for file in pack_dir.iterdir():
        (renamed / file.name).write_bytes(file.read_bytes())
    pack = (pack_dir / "pack.yml").read_text("utf-8")
    (renamed / "pack.yml").write_text(
        pack.replace("  refund: {", "  refund: {formerly: [gifts], ", 1), "utf-8"
    )
    label = teaching.said("my present back please", RELABEL, "gifts")
    assert outcomes(frontdesk) == {label: "intent unknown"}
    assert frontdesk("feedback", "export", "-").code == 1
    monkeypatch.setenv("PACK", str(renamed))
    found = frontdesk("feedback", "list", "--intent", "refund", "--json").json()
    assert [(row["intent"], row["outcome"]) for row in found] == [("refund", "teaches")]
    exported = frontdesk("feedback", "export", "-")
    said = {"text": "my present back please", "intent": "refund", "private": True}
    assert json.loads(exported.out) == said


def test_an_export_overwrites_nothing_and_leaves_no_half_of_a_file(
    teaching: Teaching, frontdesk: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "folder" / "taught.jsonl"
    assert frontdesk("feedback", "export", str(out)).code == 2, "there is no such folder"
    out.parent.mkdir()
    nothing = frontdesk("feedback", "export", str(out))
    assert (nothing.code, out.exists()) == (1, False)
    assert "Nothing of that teaches" in nothing.err
    teaching.said("where is it then", RELABEL, "where")

    def fill_disk(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("cli.private_file.os.fsync", fill_disk)
        failed = frontdesk("feedback", "export", str(out))
    assert failed.code == 1
    assert "No space left on device" in failed.err
    assert list(out.parent.iterdir()) == []
    out.write_text("mine", "utf-8")
    refused = frontdesk("feedback", "export", str(out))
    assert (refused.code, out.read_text("utf-8")) == (2, "mine")
    assert "exists already" in refused.err


def test_what_is_withdrawn_teaches_no_more_and_judges_no_model(
    teaching: Teaching, frontdesk: Command
) -> None:
    wrong = teaching.said("where is it then", RELABEL, "refund")
    thumb = teaching.said("is it there", UP, "where")
    assert teaching.taught() == {"where is it then": "refund", "is it there": "where"}
    done = frontdesk("feedback", "withdraw", str(wrong), str(thumb))
    assert (done.code, done.out) == (0, "2 withdrawn: they teach no more.\n")
    assert "frontdesk train --from-feedback" in done.err
    assert teaching.taught() == {}
    again = frontdesk("feedback", "withdraw", str(wrong))
    assert (again.code, again.err) == (0, "")
    assert "Nothing changed" in again.out
    assert frontdesk("feedback", "withdraw", str(wrong), "--json").json() == {"withdrawn": 0}
    found = reporting.report(teaching.desk, NOON - timedelta(days=9000))
    assert (found.labelled, found.wrong) == (0, [])
    with teaching.desk.store.reading() as session:
        assert session.query(Feedback).count() == 2, "they stay as a record"


def test_a_thumb_down_that_is_withdrawn_silences_no_thumb_up(
    teaching: Teaching, frontdesk: Command
) -> None:
    up = teaching.said("is it there", UP, "where")
    down = teaching.thought_over(up, hours=1)
    assert teaching.taught() == {}
    assert frontdesk("feedback", "withdraw", str(down)).code == 0
    assert teaching.taught() == {"is it there": "where"}


def test_an_id_that_is_none_withdraws_nothing_at_all(
    teaching: Teaching, frontdesk: Command
) -> None:
    right = teaching.said("where is it then", RELABEL, "where")
    for wrong in ("99", "0", str(10**30)):
        refused = frontdesk("feedback", "withdraw", str(right), wrong)
        assert refused.code == 2
        assert teaching.taught() == {"where is it then": "where"}
    assert "There is no feedback 99" in frontdesk("feedback", "withdraw", "99").err


def test_a_customers_words_are_found_and_withdrawn_by_the_id_that_stands_beside_them(
    teaching: Teaching, frontdesk: Command
) -> None:
    poison = teaching.said("one", UP, "where")
    other = teaching.said("two", UP, "where", hours=1)
    label = teaching.said("three", RELABEL, "where", hours=2)
    rows = frontdesk("feedback", "list", "--json").json()
    assert [row["customer"] for row in rows] == [None, 502, 501]
    assert "customer 501  " in frontdesk("feedback", "list").out
    assert set(outcomes(frontdesk, "--by", "501")) == {poison}
    # Whoever is an operator, too, is meant as such.
    teaching.also(other, RELABEL, "where", 502, 3)
    assert other not in outcomes(frontdesk, "--by", "502")
    result = frontdesk("feedback", "withdraw", "--by", "501", "--yes")
    assert result.out.startswith("1 withdrawn")
    assert outcomes(frontdesk)[poison] == "withdrawn"
    assert "withdrawn" not in (outcomes(frontdesk)[other], outcomes(frontdesk)[label])


def test_what_was_said_of_an_intent_before_it_meant_something_else_is_withdrawn(
    teaching: Teaching, frontdesk: Command
) -> None:
    old = teaching.said("one", RELABEL, "where")
    new = teaching.said("two", RELABEL, "where", hours=24)
    another = teaching.said("three", RELABEL, "refund")
    meant = ("feedback", "withdraw", "--intent", "where", "--before", "2025-03-03")
    assert "Add --yes" in frontdesk(*meant).err
    assert frontdesk(*meant, "--yes").out.startswith("1 withdrawn")
    found = outcomes(frontdesk)
    assert found[old] == "withdrawn"
    assert "withdrawn" not in (found[new], found[another])
    unknown = frontdesk("feedback", "withdraw", "--intent", "wher", "--yes")
    assert (unknown.code, "did you mean where?" in unknown.err) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [(), ("1", "--by", "9001"), ("1", "--since", "3"), ("--before", "3"), ("1", "--before", "3")],
)
def test_a_withdrawal_names_ids_or_an_operator(
    teaching: Teaching, frontdesk: Command, arguments: tuple[str, ...]
) -> None:
    teaching.said("where is it then", RELABEL, "where")
    assert frontdesk("feedback", "withdraw", *arguments, "--yes").code == 2
    assert teaching.taught() != {}


def test_a_colleagues_labels_are_withdrawn_after_a_question_and_nobody_elses(
    teaching: Teaching, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    teaching.said("one", RELABEL, "where", GONE)
    teaching.said("two", FeedbackKind.ONE_TAP_ANSWER, "where", GONE, hours=24)
    teaching.said("three", RELABEL, "where", hours=24)
    refused = frontdesk("feedback", "withdraw", "--by", str(GONE))
    assert refused.code == 2
    assert "--yes" in refused.err
    asked, answer = [], False

    def confirm(question: str, **_: object) -> bool:
        asked.append(question)
        return answer

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", confirm)
    assert frontdesk("feedback", "withdraw", "--by", str(GONE)).code == 1
    assert asked == ["Withdraw 2 labels and moods of 9002?"]
    assert set(teaching.taught()) == {"one", "two", "three"}
    answer = True
    since = ("--since", "2025-03-03")
    assert frontdesk("feedback", "withdraw", "--by", str(GONE), *since).out.startswith("1 withdr")
    assert set(teaching.taught()) == {"one", "three"}
    assert frontdesk("feedback", "withdraw", "--by", str(GONE), "--yes").code == 0
    assert set(teaching.taught()) == {"three"}
    again = frontdesk("feedback", "withdraw", "--by", str(GONE))
    assert (again.code, len(asked)) == (0, 2)
    assert "Nothing changed" in again.out


def test_many_ids_are_withdrawn_after_a_question(teaching: Teaching, frontdesk: Command) -> None:
    ids = [str(teaching.said(f"text {n}", RELABEL, "where")) for n in range(11)]
    refused = frontdesk("feedback", "withdraw", *ids)
    assert refused.code == 2
    assert len(teaching.taught()) == 11
    assert frontdesk("feedback", "withdraw", *ids, "--yes").code == 0
    assert teaching.taught() == {}


def test_what_a_customer_taught_who_is_erased_by_retention_is_listed_and_withdrawn(
    teaching: Teaching, frontdesk: Command
) -> None:
    kept = teaching.said("where is it then", RELABEL, "where")
    thumb = teaching.said("is it there", UP, "where")
    gone = teaching.said("what i meant", RELABEL, "where")
    assert frontdesk("feedback", "withdraw", str(gone)).code == 0
    with teaching.desk.store.writing() as session:
        session.query(DeliveryRow).update({"state": DeliveryState.SENT})
    assert erasing.erase_silent(teaching.desk, datetime.now(UTC) + timedelta(days=1), 10) == 3
    rows = {row["id"]: row for row in frontdesk("feedback", "list", "--json").json()}
    assert (rows[kept]["text"], rows[kept]["outcome"]) == ("where is it then", "teaches")
    assert (rows[thumb]["who"], rows[thumb]["outcome"]) == ("customer", "teaches")
    assert rows[thumb]["customer"] is None
    assert rows[gone]["text"] == "", "it taught nothing any more"
    assert frontdesk("feedback", "withdraw", str(kept), str(thumb)).code == 0
    assert teaching.taught() == {}


def test_before_the_first_migration_it_says_what_to_run(frontdesk: Command) -> None:
    for verb in (("list",), ("export", "-"), ("withdraw", "1")):
        result = frontdesk("feedback", *verb)
        assert result.code == 1
        assert "frontdesk migrate" in result.err


def test_a_mood_is_listed_exported_with_its_text_imported_and_withdrawn(
    teaching: Teaching, frontdesk: Command, tmp_path: Path, pack_dir: Path
) -> None:
    mood = teaching.mood("wo ist es, ana@example.org?", "negative")
    teaching.said("Wo ist es, ana@example.org?", UP, "where", hours=1)
    alone = teaching.mood("well, well", "neutral", hours=2)
    (first, _, last) = frontdesk("feedback", "list", "--json").json()
    assert (first["id"], last["id"]) == (alone, mood)
    assert (first["kind"], first["intent"], first["sentiment"]) == ("mood", None, "neutral")
    assert (first["by"], first["outcome"], last["outcome"]) == (OLGA, "teaches", "teaches")
    assert "neutral → teaches" in frontdesk("feedback", "list").out
    out = tmp_path / "taught.jsonl"
    assert frontdesk("feedback", "export", str(out)).code == 0
    assert [json.loads(line) for line in out.read_text("utf-8").splitlines()] == [
        {"text": "well, well", "sentiment": "neutral", "private": True},
        {
            "text": "Wo ist es, [email]?",
            "intent": "where",
            "sentiment": "negative",
            "private": True,
            "measures": False,
        },
    ]
    assert frontdesk("feedback", "export", "-").out == out.read_text("utf-8")
    mine = Path(shutil.copytree(pack_dir, tmp_path / "mine"))
    read = frontdesk("import", str(out), "--into", str(mine), "--json").json()["examples"]
    assert (read["added"], read["conflicts"]) == (2, 0)
    moods = {row.text: row.sentiment for row in read_examples(mine / "examples.jsonl")}
    assert (moods["well, well"], moods["Wo ist es, [email]?"]) == ("neutral", "negative")
    withdrawn = frontdesk("feedback", "withdraw", "--by", str(OLGA), "--yes", "--json").json()
    assert withdrawn == {"withdrawn": 2}
    assert (outcomes(frontdesk)[mood], outcomes(frontdesk)[alone]) == ("withdrawn", "withdrawn")
    assert teaching.taught() == {"Wo ist es, [email]?": "where"}


def test_what_becomes_of_a_mood_is_told_beside_that_of_a_label_on_the_same_text(
    teaching: Teaching,
    frontdesk: Command,
    pack_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = Path(shutil.copytree(pack_dir, tmp_path / "mine"))
    rows = (pack_dir / "examples.jsonl").read_text("utf-8").splitlines(keepends=True)
    kept = "".join(row for row in rows if '"positive"' not in row)
    (mine / "examples.jsonl").write_text(kept, "utf-8")
    monkeypatch.setenv("PACK", str(mine))
    texts = [f"my parcel number {number} is late" for number in range(300)]
    _, gold = set_aside([Learned(text, "where", RELABEL, NOON, OLGA, 1) for text in texts], [])
    for item in gold[:LEAST]:
        teaching.said(item.text, RELABEL, "where")
    held = row_of(pack_dir, "test.jsonl")
    expected = {
        teaching.mood(gold[0].text, "neutral"): "set aside",
        teaching.mood(held["text"], "neutral"): "in the test",
        teaching.mood("how lovely", "positive"): "sentiment unknown",
        teaching.mood("well, well", "negative", hours=1): "overruled",
        teaching.mood("Well, well!", "neutral", hours=2): "teaches",
    }
    label = teaching.said("well, well", RELABEL, "gifts")
    assert outcomes(frontdesk).items() >= (expected | {label: "intent unknown"}).items()

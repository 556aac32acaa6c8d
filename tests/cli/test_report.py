"""`frontdesk report`, from the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from desk.domain import FeedbackKind, Incoming, PendingMessage, Person
from desk.flow import customers, deciding, intake
from desk.flow.desk import Desk
from desk.pack import load
from desk.store import Store
from desk.tables import Feedback, PredictionRow
from tests.cli.conftest import Place, Result
from tests.desk.acting import predict

Command = Callable[..., Result]
SAID = (
    ("where is my parcel", "where", 0.9, None),
    ("my money [/b] :cat: back\x1b[2K", "where", 0.81, "refund"),
    ("i want it back", "refund", 0.9, "refund"),
    ("a person!", "person", 0.99, None),
)


@pytest.fixture
def desk(place: Place, frontdesk: Command) -> Iterator[Desk]:
    """A desk to which four customers wrote, and whose operators labelled two of the messages."""
    assert frontdesk("migrate").code == 0
    store = Store(f"sqlite:///{place.data_dir / 'simulator.db'}")
    desk = Desk(store, load(Path(place.settings["PACK"])), operator_chat_id=-1001)
    for number, (text, intent, confidence, label) in enumerate(SAID, start=1):
        person = Person(chat_id=500 + number, name="Ada")
        intake.store_updates(desk, [Incoming(1, number, person.chat_id, {})])
        job = customers.wrote(desk, number, person, 40, text)
        assert job is not None
        pending = PendingMessage(*job, text)
        deciding.decide_batch(desk, [(pending, predict(text, intent, confidence))])
        if label is not None:
            row = Feedback(message_id=job[0], kind=FeedbackKind.RELABEL, intent=label, by=9001)
            with store.writing() as session:
                session.add(row)
    yield desk
    store.dispose()


def test_the_report_says_what_became_of_messages_and_what_was_wrong(
    desk: Desk, frontdesk: Command
) -> None:
    result = frontdesk("report")
    assert (result.code, result.err) == (0, "")
    lines = [line.split() for line in result.out.splitlines()]
    assert "customers 4, conversations 4, messages decided 4" in result.out
    assert ["3", "75.0%", "answered", "by", "the", "bot"] in lines
    assert ["1", "25.0%", "to", "a", "person"] in lines
    assert ["1", "intent_needs_person"] in lines
    assert (
        "People labelled 2, mostly what the model was unsure of; it had 1 of these right"
        in result.out
    )
    assert ["where", "2", "2", "1", "of", "1"] in lines
    assert ["person", "1", "0", "–"] in lines
    assert "my money [/b] :cat: back�[2K  where (81.0%) → refund" in result.out


def test_where_more_than_one_model_served_each_has_a_line(desk: Desk, frontdesk: Command) -> None:
    assert "decided answered" not in " ".join(frontdesk("report").out.split())
    with desk.store.writing() as session:
        rows = session.scalars(select(PredictionRow).order_by(PredictionRow.message_id)).all()
        rows[0].model = rows[1].model = "test-2"
        down = Feedback(message_id=rows[0].message_id, kind=FeedbackKind.THUMB_DOWN, by=501)
        session.add(down)
    lines = [line.split() for line in frontdesk("report").out.splitlines()]
    assert ["model", "decided", "answered", "👎", "wrong"] in lines
    assert ["test-1", "2", "1", "0", "0", "of", "1"] in lines
    assert ["test-2", "2", "2", "1", "1", "of", "1"] in lines
    models = frontdesk("report", "--json").json()["models"]
    assert [row["model"] for row in models] == ["test-1", "test-2"]


def test_how_many_of_the_answers_were_to_small_talk_stands_below_them(
    desk: Desk, frontdesk: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "small talk" not in frontdesk("report").out
    assert frontdesk("report", "--json").json()["small_talk"] == 0
    mine = tmp_path / "mine"
    mine.mkdir()
    for file in Path(os.environ["PACK"]).iterdir():
        text = file.read_text("utf-8").replace("  where: {", "  where: {thumbs: false, ")
        (mine / file.name).write_text(text, "utf-8")
    monkeypatch.setenv("PACK", str(mine))
    lines = [line.split() for line in frontdesk("report").out.splitlines()]
    answered = lines.index(["3", "75.0%", "answered", "by", "the", "bot"])
    assert lines[answered + 1] == ["2", "small", "talk"]
    assert frontdesk("report", "--json").json()["small_talk"] == 2


def test_scripts_get_all_of_it(desk: Desk, frontdesk: Command) -> None:
    found = frontdesk("report", "--days", "30", "--json").json()
    assert found["decisions"] == {"answer": 3, "clarify": 0, "escalate": 1, "silent": 0}
    assert found["automated"] == 0.75
    assert [wrong["intent"] for wrong in found["wrong"]] == ["refund"]
    assert [row["intent"] for row in found["intents"]] == ["where", "person", "refund"]


def test_a_desk_to_which_nobody_wrote_has_a_report(frontdesk: Command) -> None:
    assert frontdesk("migrate").code == 0
    result = frontdesk("report")
    assert result.code == 0
    assert "customers 0" in result.out
    assert frontdesk("report", "--json").json()["automated"] is None


def test_a_time_that_is_none_is_refused(frontdesk: Command) -> None:
    for days in ("0", "-3", "week", "99999"):
        assert frontdesk("report", "--days", days).code == 2

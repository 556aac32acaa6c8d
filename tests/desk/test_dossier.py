"""What is kept of a customer, and how one is found."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select

from desk.domain import DeskError, Incoming, Person
from desk.flow import customers, erasing, forwarding, intake, operators, teaching
from desk.flow.dossier import find, record, the_one
from desk.tables import Feedback
from tests.conftest import Clock
from tests.desk.acting import ANA, BEN, BOT, OSCAR, Stage

OEZLEM = Person(chat_id=601, name="Özlem Ünal", username="Oezlem")


@pytest.fixture
def people(stage: Stage) -> Stage:
    for person in (ANA, BEN, OEZLEM):
        stage.ask("hello", person, intent="greeting")
    return stage


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("", ["Ana", "Ben", "Özlem Ünal"]),
        ("ÜNAL", ["Özlem Ünal"]),
        ("@oez", ["Özlem Ünal"]),
        ("n", ["Ana", "Ben", "Özlem Ünal"]),
        ("502", ["Ben"]),
        ("50", []),
        ("%", []),
    ],
)
def test_customers_are_found_by_a_part_of_their_names_or_by_their_id(
    people: Stage, part: str, names: list[str]
) -> None:
    assert [customer.name for customer in find(people.desk, part)] == names


def test_one_customer_is_named_by_id_or_username(people: Stage) -> None:
    for who in ("601", "@Oezlem", "oezlem"):
        assert the_one(people.desk, who).name == "Özlem Ünal"


@pytest.mark.parametrize("who", ["Ana Maria", "999", "9" * 30, "9" * 5000, "-1", "", "@", "%"])
def test_who_is_nobody_is_said_with_the_way_to_find_them(people: Stage, who: str) -> None:
    with pytest.raises(DeskError, match="customers list"):
        the_one(people.desk, who)


def test_a_username_that_two_have_had_is_not_enough(people: Stage) -> None:
    people.ask("hello", Person(chat_id=602, name="Another", username="ANA"), intent="greeting")
    with pytest.raises(DeskError, match="501, 602"):
        the_one(people.desk, "@ana")


def test_who_is_erased_is_found_no_more(people: Stage) -> None:
    people.send_all()
    customer = the_one(people.desk, "@ana").id
    erasing.erase(people.desk, customer)
    assert "Ana" not in [found.name for found in find(people.desk)]
    for who in ("@ana", "501", str(-customer)):
        with pytest.raises(DeskError, match="No customer"):
            the_one(people.desk, who)


def test_the_record_has_who_they_are_what_was_said_and_what_was_made_of_it(stage: Stage) -> None:
    raw = {"update_id": 700, "message": {"text": "where are my roses", "from": {"id": 501}}}
    intake.store_updates(stage.desk, [Incoming(BOT, 700, ANA.chat_id, raw)])
    stage.ask("where are my roses", ANA, confidence=0.93)
    stage.press(stage.token("up"))
    stage.ask("and my tulips", ANA, confidence=0.3, others=[("refund", 0.2)])
    stage.ask("you are rude", ANA, intent="complaint", sentiment="negative")
    stage.topic()
    operators.operator_wrote(stage.desk, stage.update(), OSCAR, 77, 9, "I am sorry")
    stage.ask("somebody else's", BEN)
    found = record(stage.desk, stage.customer().id)
    assert json.loads(json.dumps(found)) == found
    assert (found["telegram_id"], found["name"], found["username"]) == (501, "Ana", "ana")
    (conversation,) = found["conversations"]
    said = conversation["messages"]
    assert [(line["author"], line["text"]) for line in said if line["author"] != "bot"] == [
        ("customer", "where are my roses"),
        ("customer", "and my tulips"),
        ("customer", "you are rude"),
        ("operator", "I am sorry"),
    ]
    first = said[0]
    assert first["prediction"]["intent"] == "order_status"
    assert first["prediction"]["confidence"] == 0.93
    assert first["decision"]["action"] == "answer"
    assert first["prediction"]["ranking"] == [{"name": "order_status", "confidence": 0.93}]
    assert first["prediction"]["sentiment_confidence"] == 0.95
    assert {"threshold", "scope", "scope_threshold"} <= first["prediction"].keys()
    assert (found["flooded_last"], found["blocked_the_bot"]) == (None, False)
    assert [word["kind"] for word in first["feedback"]] == ["thumb_up"]
    (asked_back,) = [line for line in said if line["text"] == "and my tulips"]
    assert asked_back["decision"]["offered"] == ["order_status", "refund"]
    assert not {"replies_to", "forwarded_from", "links"} & first.keys()
    assert found["updates"] == [raw]
    assert "somebody" not in json.dumps(found)


def test_the_record_has_what_stands_beside_their_words(stage: Stage) -> None:
    links = ["https://a.example", "https://b.example"]
    customers.wrote(stage.desk, stage.update(), ANA, 41, "roses", "Are they pink?", links)
    forwarding.forwarded(stage.desk, stage.update(), ANA, 42, "1 €!", "Bargains")
    (conversation,) = record(stage.desk, stage.customer().id)["conversations"]
    asked, ad, *_ = conversation["messages"]
    assert (asked["replies_to"], asked["links"]) == ("Are they pink?", links)
    assert (ad["text"], ad["forwarded_from"]) == ("1 €!", "Bargains")


def test_the_record_says_of_a_word_that_it_was_withdrawn(stage: Stage, clock: Clock) -> None:
    stage.ask("where are my roses", ANA)
    stage.press(stage.token("up"))
    (row,) = stage.all(select(Feedback))
    later = clock.move(hours=1)
    teaching.withdraw(stage.desk, [row.id])
    (conversation,) = record(stage.desk, stage.customer().id)["conversations"]
    (word,) = conversation["messages"][0]["feedback"]
    assert (word["kind"], word["withdrawn"]) == ("thumb_up", later.isoformat())

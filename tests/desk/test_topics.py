"""The topics in which operators meet customers: remembered, forgotten, named."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, select

from desk.domain import Person
from desk.flow import customers, delivering, following, topics
from desk.tables import Customer
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import ANA, BEN, OSCAR, Stage, predict


def test_a_topic_that_is_gone_can_be_forgotten(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    topics.topic_made(stage.desk, stage.customer().id, None)
    assert stage.customer().topic_id is None


def test_forgetting_a_topic_touches_no_other_customer(stage: Stage) -> None:
    for number in range(5):
        stage.ask("roses?", Person(chat_id=600 + number, name="P"))
    stage.ask("roses?")
    stage.topic()
    changed: list[int] = []

    def count(_: object, cursor: Any, statement: str, *__: object) -> None:
        if statement.startswith("UPDATE customers"):
            changed.append(cursor.rowcount)

    event.listen(stage.desk.store.engine, "after_cursor_execute", count)
    topics.topic_made(stage.desk, stage.customer().id, None)
    assert changed == [1]


def test_a_topic_that_was_deleted_begins_again_with_the_open_conversations_card(
    stage: Stage,
) -> None:
    stage.ask("roses are dead", intent="complaint")
    stage.topic()
    stage.resolve()
    asked = stage.ask("you are rude", intent="complaint")
    more = stage.ask("very rude")
    stage.send_all()
    customers.sent_file(stage.desk, stage.update(), ANA, 55, "[photo]")
    (file,) = [d for d in stage.take() if d.chat_id == OPERATOR_CHAT]
    assert topics.topic_made(stage.desk, stage.customer().id, 78, again=True)
    assert stage.customer().topic_id == 78
    stage.press(stage.token("take", conversation_id=stage.conversation().id), by=OSCAR)
    delivering.again(stage.desk, file.id, file.attempts, 0, "after the card")
    shown = [row for row in stage.send_all() if row.chat_id == OPERATOR_CHAT]
    assert [row.key for row in shown] == [f"card:{asked}", f"post:{more}", file.key]
    assert "Oscar" in shown[0].payload["text"], "as things stand now"


def test_a_topic_that_was_deleted_shows_no_more_than_the_card_and_the_last_words_again(
    stage: Stage,
) -> None:
    asked = stage.ask("you are rude", intent="complaint")
    stage.topic()
    said = [stage.ask(f"and rude, {number}") for number in range(following.AT_MOST + 3)]
    stage.send_all()
    assert topics.topic_made(stage.desk, stage.customer().id, 78, again=True)
    shown = [row.key for row in stage.send_all() if row.chat_id == OPERATOR_CHAT]
    assert shown == [f"card:{asked}", *(f"post:{id_}" for id_ in said[3:])]


def test_a_topic_that_was_deleted_shows_nothing_again_of_a_call_before_the_one_of_now(
    stage: Stage,
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.ask("very rude")
    job = stage.write("and my roses are dead")
    assert job is not None
    stage.resolve()
    stage.decide((job, predict(intent="complaint")))  # which gives it back and calls once more
    stage.send_all()
    assert topics.topic_made(stage.desk, stage.customer().id, 78, again=True)
    shown = [row.key for row in stage.send_all() if row.chat_id == OPERATOR_CHAT]
    assert shown == [f"card:{job[0]}"]


def test_a_topic_that_was_deleted_begins_with_what_goes_there_where_that_is_the_card(
    stage: Stage,
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.take()
    assert not topics.topic_made(stage.desk, stage.customer().id, 78, again=True)
    stage.ask("I am angry", BEN, intent="complaint")
    stage.send_all()
    stage.topic(BEN)
    stage.resolve()
    assert not topics.topic_made(stage.desk, stage.customer(BEN).id, 79, again=True)


def test_a_topic_has_the_customers_name_or_number(stage: Stage) -> None:
    stage.write("hi", ANA)
    nameless = type(BEN)(chat_id=503, name=" ")
    long = type(BEN)(chat_id=504, name="x" * 200)
    stage.write("hi", nameless)
    stage.write("hi", long)
    assert topics.topic_name(stage.desk, stage.customer(ANA).id) == "Ana"
    assert topics.topic_name(stage.desk, stage.customer(nameless).id) == "503"
    assert topics.topic_name(stage.desk, stage.customer(long).id) == "x" * 128


def test_the_topic_of_one_of_a_name_that_another_with_people_has_says_which(stage: Stage) -> None:
    alex = [
        Person(chat_id=5034711, name="Alex", username="alex_one"),
        Person(chat_id=5044712, name="Alex"),
        Person(chat_id=5054713, name="A" * 200),
        Person(chat_id=5064714, name="A" * 200),
    ]

    def names() -> list[str]:
        return [topics.topic_name(stage.desk, stage.customer(each).id) for each in alex]

    for person in alex:
        stage.ask("where is my order", person)
    assert names() == ["Alex", "Alex", "A" * 128, "A" * 128], "all are with the bot"
    for person in alex:
        stage.ask("you are rude", person, intent="complaint")
    long = "A" * (128 - len(" · …4713"))
    assert names() == ["Alex · @alex_one", "Alex · …4712", f"{long} · …4713", f"{long} · …4714"]
    stage.topic(alex[0])
    stage.resolve()
    assert names()[1] == "Alex"


@pytest.mark.parametrize("name", ["\u2800", "\u200b", "\u3164\u3164", "\xad \u2060", "\ufffe"])
def test_a_topic_of_one_whose_name_shows_nothing_has_the_number(stage: Stage, name: str) -> None:
    stage.write("hi", Person(chat_id=503, name=name))
    stage.write("hi", Person(chat_id=504, name=f"{name}\N{ROSE}"))
    named = [
        topics.topic_name(stage.desk, customer.id)
        for customer in stage.all(select(Customer).order_by(Customer.id))
    ]
    assert named == ["503", f"{name}\N{ROSE}"]


def test_a_topic_that_telegram_numbers_anew_has_one_customer_only(stage: Stage) -> None:
    stage.ask("roses?", ANA)
    stage.ask("roses?", BEN)
    stage.topic(ANA, 77)
    stage.topic(BEN, 77)
    stage.reply("hello Ben", thread_id=77)
    assert len(stage.deliveries(BEN.chat_id, method="copyMessage")) == 1
    assert stage.deliveries(ANA.chat_id, method="copyMessage") == []
    assert (stage.customer().topic_id, stage.customer().topic_chat_id) == (None, None)

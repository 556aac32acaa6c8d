"""Erasure in the operators' group: the customer's topic, and the reminders that named them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from desk.domain import DeliveryState, Person
from desk.flow import customers, delivering, erasing, operators, reminding
from desk.flow.composing import operators_text
from desk.flow.desk import Desk
from desk.flow.keys import PRIORITY_KEY
from desk.flow.masked_lessons import MaskedLessons
from desk.tables import Customer, DeliveryRow
from desk.texts import say
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import BEN, OLGA, Stage, with_words
from tests.desk.leavings import UMA, ZOE, left_of_uma, uma_asks, uma_says

# ---- Their topic ----


def test_their_topic_is_deleted_after_all_that_operators_wait_for(uma: Stage, clock: Clock) -> None:
    assert erasing.erase(uma.desk, uma.customer(UMA).id).topic
    (deletion,) = uma.deliveries(method="deleteForumTopic")
    assert (deletion.chat_id, deletion.payload) == (OPERATOR_CHAT, {"message_thread_id": 77})
    uma.ask("you are rude", BEN, intent="complaint")
    card = uma.take(busy=[BEN.chat_id])[0]
    assert "Needs a person" in card.payload["text"]
    delivering.sent(uma.desk, card.id, card.attempts, 600)
    taken = uma.take(busy=[BEN.chat_id])[0]
    assert taken.id == deletion.id
    delivering.again(uma.desk, taken.id, taken.attempts, 60, "Too Many Requests")
    customers.asked_for_person(uma.desk, uma.update(), ZOE, "/human")
    assert "Zoe" in uma.told()[-1]
    assert "sendMessage" in [row.method for row in uma.send_all() if row.chat_id == OPERATOR_CHAT]
    assert uma.row(DeliveryRow, deletion.id).state is DeliveryState.PENDING
    clock.move(seconds=61)
    assert [row.method for row in uma.send_all()] == ["deleteForumTopic"]


def test_a_topic_is_deleted_though_the_group_always_has_something_else_to_post(
    uma: Stage, clock: Clock
) -> None:
    erasing.erase(uma.desk, uma.customer(UMA).id)
    _keeps_the_group_busy(uma)
    assert set(_next_to_operators(uma)) == {"sendMessage"}
    clock.move(minutes=6)
    first, *others = _next_to_operators(uma)
    assert first == "deleteForumTopic"
    assert set(others) == {"sendMessage"}


def test_the_silent_who_may_be_many_hold_up_nobodys_words(uma: Stage, clock: Clock) -> None:
    customer, lessons = uma.customer(UMA), MaskedLessons()
    lessons.prepare(uma.desk, [uma.conversation(UMA).id])
    with uma.desk.store.writing() as session:
        row = session.get_one(Customer, customer.id)
        erasing._forget(session, row, clock(), lessons, "en")
    assert len(uma.deliveries(method="deleteForumTopic")) == 1
    _keeps_the_group_busy(uma)
    clock.move(minutes=6)
    assert set(_next_to_operators(uma)) == {"sendMessage"}


def _keeps_the_group_busy(stage: Stage) -> None:
    stage.ask("you are rude", BEN, intent="complaint")
    for number in range(9):
        stage.ask(f"and {number}", BEN)


def _next_to_operators(stage: Stage) -> list[str]:
    """The methods of the next five deliveries, which Telegram takes."""
    methods = []
    for _ in range(5):
        (delivery,) = stage.take(busy=[BEN.chat_id])
        delivering.sent(stage.desk, delivery.id, delivery.attempts, 6000 + delivery.id)
        methods.append(delivery.method)
    return methods


# ---- Reminders ----


@pytest.fixture
def reminded(stage: Stage, clock: Clock) -> Stage:
    """Uma and Ben have been waiting since before the desk opened, and everybody is to hear it."""
    clock.set(datetime(2026, 3, 3, 22, 0, tzinfo=UTC))
    for person in (UMA, BEN):
        customers.asked_for_person(stage.desk, uma_says(stage, "/human"), person, "/human")
        clock.move(seconds=1)  # so that Uma has waited longest
    stage.topic(UMA)
    clock.set(datetime(2026, 3, 4, 9, 0, tzinfo=UTC))
    assert reminding.announce(stage.desk)
    return stage


def test_the_reminder_to_everybody_that_named_them_is_emptied(reminded: Stage) -> None:
    assert "Umbrielle" in reminded.told()[-1]
    reminded.send_all()
    reminded.resolve()
    reminded.send_all()
    with reminded.desk.store.writing() as session:
        operators_text(session, reminded.desk, "opened:1", "1 customer is waiting: Zoe")
    erasing.erase(reminded.desk, reminded.customer(UMA).id)
    assert left_of_uma(reminded) == []
    assert "Zoe" in str(reminded.told())


@pytest.mark.parametrize(
    ("tells", "hour"), [(reminding.repeat, 10), (reminding.announce_closing, 17)]
)
def test_nor_do_those_by_the_hour_and_before_closing_name_them(
    reminded: Stage, clock: Clock, tells: Callable[[Desk], bool], hour: int
) -> None:
    clock.move(minutes=16)
    assert reminding.remind(reminded.desk) == 2
    clock.set(datetime(2026, 3, 4, hour, 40, tzinfo=UTC))
    assert tells(reminded.desk)
    assert "Umbrielle" in reminded.told()[-1]
    reminded.resolve()
    erasing.erase(reminded.desk, reminded.customer(UMA).id)
    assert left_of_uma(reminded) == []
    unnamed = "⏰ 2 customers are waiting for a person. … has waited"
    assert str(reminded.told()).count(unnamed) == 2, "the opening's, and this one"


def test_the_reminder_that_stands_in_the_group_names_them_no_more(reminded: Stage) -> None:
    digest = next(row for row in reminded.send_all() if row.key.startswith("opened:"))
    with reminded.desk.store.writing() as session:
        session.get_one(Customer, reminded.customer(UMA).id).name = "Called anew"
    erasing.erase(reminded.desk, reminded.customer(UMA).id, force=True)
    (edit,) = [row for row in reminded.send_all() if row.method == "editMessageText"]
    assert (edit.chat_id, edit.payload["message_id"]) == (OPERATOR_CHAT, digest.telegram_id)
    assert edit.payload["text"] == "⏰ " + say("digest-erased", "en")


def test_a_reminder_that_can_not_be_changed_any_more_is_no_trouble(reminded: Stage) -> None:
    reminded.send_all()
    erasing.erase(reminded.desk, reminded.customer(UMA).id, force=True)
    (edit,) = reminded.take()
    delivering.failed(reminded.desk, edit.id, edit.attempts, "message can't be edited")
    assert reminded.row(DeliveryRow, edit.id).state is DeliveryState.CANCELLED
    assert [row.method for row in reminded.send_all()] == ["deleteForumTopic"], "nobody is told"
    assert delivering.counts(reminded.desk).get("failed", 0) == 0


def test_one_that_still_waits_goes_out_without_their_name(reminded: Stage) -> None:
    reminded.resolve()
    erasing.erase(reminded.desk, reminded.customer(UMA).id)
    assert left_of_uma(reminded) == []
    sent = [row.payload.get("text", "") for row in reminded.send_all()]
    assert "⏰ 2 customers are waiting for a person. … has waited longest: 11 hours." in sent


def test_an_answer_to_a_reminder_that_names_nobody_any_more_is_told_that_it_reaches_nobody(
    reminded: Stage,
) -> None:
    reminded.resolve()
    erasing.erase(reminded.desk, reminded.customer(UMA).id)
    digest = next(row for row in reminded.send_all() if row.key.startswith("opened:"))
    number = digest.telegram_id
    assert number is not None
    operators.answered_in_general(reminded.desk, reminded.update(), OLGA, 8000, number)
    assert reminded.told()[-1] == say("reached-nobody", "en")


@pytest.mark.parametrize("username", ["umbrielle_q", None])
def test_so_it_does_without_what_told_them_from_another_of_that_name(
    stage: Stage, clock: Clock, username: str | None
) -> None:
    clock.set(datetime(2026, 3, 3, 22, 0, tzinfo=UTC))
    for person in (replace(UMA, username=username), replace(BEN, name=UMA.name)):
        customers.asked_for_person(stage.desk, uma_says(stage, "/human"), person, "/human")
        clock.move(seconds=1)
    clock.set(datetime(2026, 3, 4, 9, 0, tzinfo=UTC))
    assert reminding.announce(stage.desk)
    assert f"{UMA.name} · " in stage.told()[-1]
    erasing.erase(stage.desk, stage.customer(UMA).id, force=True)
    sent = [row.payload.get("text", "") for row in stage.send_all()]
    assert "⏰ 2 customers are waiting for a person. … has waited longest: 11 hours." in sent


@pytest.mark.parametrize("now", ["Called anew", "wait", "Umbriel"])
def test_one_that_still_waits_names_them_no_more_by_what_they_were_called_before(
    reminded: Stage, now: str
) -> None:
    with reminded.desk.store.writing() as session:
        session.get_one(Customer, reminded.customer(UMA).id).name = now
        query = select(DeliveryRow).where(DeliveryRow.key.startswith("opened:"))
        for digest in session.scalars(query):  # nobody had a topic then
            text = re.sub("</?a[^>]*>", "", digest.payload["text"])
            digest.payload = {**digest.payload, "text": text}
    erasing.erase(reminded.desk, reminded.customer(UMA).id, force=True)
    assert left_of_uma(reminded) == []
    sent = [row.payload.get("text") for row in reminded.send_all()]
    assert "⏰ " + say("digest-erased", "en") in sent


@pytest.mark.parametrize("before", [False, True], ids=["now", "by the version before"])
def test_so_it_does_where_their_name_is_long_and_leads_nowhere(
    stage: Stage, clock: Clock, before: bool
) -> None:
    clock.set(datetime(2026, 3, 3, 22, 0, tzinfo=UTC))
    uma = replace(UMA, name="Umbrielle Quill of the long, long and winding Elm Road")
    customers.asked_for_person(stage.desk, uma_says(stage, "/human"), uma, "/human")
    clock.set(datetime(2026, 3, 4, 9, 0, tzinfo=UTC))
    assert reminding.announce(stage.desk)
    text = f"⏰ A customer is waiting for a person: {uma.name}, for 11 hours."
    if before:
        with stage.desk.store.writing() as session:
            digest = session.scalars(
                select(DeliveryRow).where(DeliveryRow.key.startswith("opened:"))
            ).one()
            digest.payload = {**digest.payload, "text": text}
    erasing.erase(stage.desk, stage.customer(uma).id, force=True)
    sent = [row.payload.get("text", "") for row in stage.send_all()]
    assert sent == ["⏰ A customer is waiting for a person: …, for 11 hours."]


def test_the_line_about_what_can_not_wait_is_not_sent_after_it(stage: Stage) -> None:
    pack = with_words(stage.desk.pack, "complaint", priority=True)
    stage.desk = replace(stage.desk, pack=pack)
    uma_asks(stage, "I can't go on", intent="complaint")
    erasing.erase(stage.desk, stage.customer(UMA).id, force=True)
    stage.send_all()
    (line,) = [row for row in stage.deliveries() if row.key.startswith(PRIORITY_KEY)]
    assert line.state is DeliveryState.CANCELLED
    assert left_of_uma(stage) == []


def test_so_it_does_where_their_name_would_notify_somebody(stage: Stage, clock: Clock) -> None:
    clock.set(datetime(2026, 3, 3, 22, 0, tzinfo=UTC))
    uma = replace(UMA, name="@Umbrielle /Quill")
    customers.asked_for_person(stage.desk, uma_says(stage, "/human"), uma, "/human")
    stage.topic(uma)
    clock.set(datetime(2026, 3, 4, 9, 0, tzinfo=UTC))
    assert reminding.announce(stage.desk)
    stage.resolve()
    erasing.erase(stage.desk, stage.customer(uma).id)
    assert left_of_uma(stage) == []


def test_one_that_still_waits_goes_out_though_they_are_banned(stage: Stage, clock: Clock) -> None:
    clock.set(datetime(2026, 3, 3, 10, 0, tzinfo=UTC))
    crowd = [Person(chat_id=700 + number, name=f"P{number}") for number in range(6)]
    for person in (UMA, *crowd):
        customers.asked_for_person(stage.desk, stage.update(), person, "/human")
        clock.move(seconds=1)
    stage.topic(UMA)
    clock.move(minutes=20)
    assert reminding.remind(stage.desk) == 7
    operators.banned(stage.desk, stage.update(), OLGA, 77)
    sent = [row.payload.get("text", "") for row in stage.send_all()]
    assert any(text.startswith("⏰ 7 customers") for text in sent)


@pytest.fixture
def unanswered(stage: Stage, clock: Clock) -> Stage:
    """Uma has a colleague's word, has written since before the desk opened, and has no reply."""
    clock.set(datetime(2026, 3, 3, 22, 0, tzinfo=UTC))
    customers.asked_for_person(stage.desk, uma_says(stage, "/human"), UMA, "/human")
    stage.topic(UMA)
    stage.reply("Which order?")
    uma_asks(stage, "where are my peonies")
    stage.send_all()
    return stage


def test_the_digest_that_named_who_had_no_reply_goes_out_without_their_name(
    unanswered: Stage, clock: Clock
) -> None:
    clock.set(datetime(2026, 3, 4, 9, 0, tzinfo=UTC))
    assert reminding.announce(unanswered.desk)
    assert "Umbrielle" in unanswered.told()[-1]
    unanswered.resolve()
    erasing.erase(unanswered.desk, unanswered.customer(UMA).id)
    assert left_of_uma(unanswered) == []
    sent = [row.payload.get("text", "") for row in unanswered.send_all()]
    assert "⏰ A customer is waiting for a colleague's next word: …, for 11 hours." in sent


@pytest.mark.parametrize("sent", [True, False])
def test_the_reminder_that_they_had_no_reply_is_emptied(
    unanswered: Stage, clock: Clock, sent: bool
) -> None:
    clock.set(datetime(2026, 3, 4, 9, 16, tzinfo=UTC))
    assert reminding.remind(unanswered.desk) == 1
    assert "Umbrielle" in unanswered.told()[-1]
    if sent:
        unanswered.send_all()
    unanswered.resolve()
    erasing.erase(unanswered.desk, unanswered.customer(UMA).id)
    assert left_of_uma(unanswered) == []

"""/queue: who waits for a person, and who for the next word of the person they have."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from desk.domain import Person, Role
from desk.flow import customers, delivering, erasing, operators, roster
from desk.flow.cards import LIMIT
from desk.flow.keys import QUEUE_KEY
from desk.flow.overview import SHOWN, TITLE, overview
from desk.telegram_text import length, plain
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, OSCAR, STRANGER, Stage

ABOUT = "Make a complaint"
"""What all of them write about."""
TO_ANA = f'<a href="https://t.me/c/1234567890/77">Ana</a> · {ABOUT}'


def call(stage: Stage, person: Person, thread_id: int | None = None) -> None:
    """A customer waits for a person."""
    stage.ask("my roses are dead", person, intent="complaint")
    if thread_id is not None:
        stage.topic(person, thread_id)
    stage.send_all()


def queue(stage: Stage, thread_id: int | None = None) -> str:
    """What /queue is answered with."""
    operators.queue_wanted(stage.desk, stage.update(OPERATOR_CHAT), OSCAR, thread_id)
    (delivery,) = stage.take()
    delivering.sent(stage.desk, delivery.id, delivery.attempts, 4000)
    assert delivery.key.startswith(QUEUE_KEY)
    assert delivery.chat_id == OPERATOR_CHAT
    assert delivery.payload.get("message_thread_id") == thread_id
    assert "text" not in delivery.payload
    return overview(stage.desk)


def test_nobody_waits_where_nobody_was_called(stage: Stage) -> None:
    stage.ask("where is my order")
    stage.send_all()
    assert queue(stage) == "⏳ Nobody is waiting for a person."


def test_who_is_no_operator_is_not_told_who_waits(stage: Stage) -> None:
    call(stage, BEN, 78)
    operators.queue_wanted(stage.desk, stage.update(OPERATOR_CHAT), STRANGER)
    (told,) = stage.take()
    assert told.payload["text"].startswith("Only operators can do that")


def test_who_waits_is_named_longest_first_and_late_ones_are_marked(
    stage: Stage, clock: Clock
) -> None:
    call(stage, BEN, 78)
    clock.move(minutes=stage.desk.pack.sla.first_reply_minutes - 5)
    call(stage, Person(503, "<Cy> & Co"), 79)
    clock.move(minutes=6)
    late = stage.desk.pack.sla.first_reply_minutes + 1
    assert queue(stage, 5).splitlines() == [
        "⏳ 2 customers are waiting for a person:",
        f'• <a href="https://t.me/c/1234567890/78">Ben</a> · {ABOUT} – {late} minutes ⏰',
        f'• <a href="https://t.me/c/1234567890/79">&lt;Cy&gt; &amp; Co</a> · {ABOUT} – 6 minutes',
    ]


def test_each_is_named_with_what_they_wrote_about_themselves(stage: Stage, clock: Clock) -> None:
    stage.ask("I want my money back", intent="refund")
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    clock.move(minutes=2)
    call(stage, BEN)
    assert queue(stage).splitlines()[1:] == [
        "• Ana · I want my money back – 2 minutes",
        f"• Ben · {ABOUT} – a minute",
    ]


def test_of_conversations_that_people_have_those_unanswered_are_named(
    stage: Stage, clock: Clock
) -> None:
    call(stage, ANA, 77)
    call(stage, BEN, 78)
    stage.reply("I am on it", thread_id=77)
    stage.reply("I am on it", thread_id=78)
    stage.send_all()
    assert queue(stage).splitlines()[2:] == [
        "🧑‍💼 All 2 conversations that colleagues have are answered:",
        f"• {TO_ANA} – a minute · Oscar",
        f'• <a href="https://t.me/c/1234567890/78">Ben</a> · {ABOUT} – a minute · Oscar',
    ]
    for minutes in (12, 20):  # since the first word that nobody replied to
        stage.write("are you still there?")
        clock.move(minutes=minutes)
    stage.send_all()
    lines = queue(stage).splitlines()
    assert lines[0] == "⏳ Nobody is waiting for a person."
    assert lines[2:] == [
        "🧑‍💼 In 1 of 2 conversations that colleagues have, the customer wrote last:",
        f"• {TO_ANA} – 32 minutes ⏰ · Oscar",
        "The other one is answered:",
        f'• <a href="https://t.me/c/1234567890/78">Ben</a> · {ABOUT} – 32 minutes · Oscar',
    ]


def test_of_those_unanswered_the_late_ones_are_marked_and_mere_thanks_are_not(
    stage: Stage, clock: Clock
) -> None:
    cy = Person(503, "Cy")
    for thread_id, person in enumerate((ANA, BEN, cy), 77):
        call(stage, person, thread_id)
        stage.reply("Which order?", thread_id=thread_id)
    stage.ask("A1", ANA, intent="refund")
    stage.ask("thanks", BEN, intent="greeting")
    clock.move(minutes=10)
    stage.ask("A3", cy, intent="refund")
    clock.move(minutes=6)
    stage.send_all()
    assert [line.split(" – ")[1] for line in queue(stage).splitlines()[3:]] == [
        "16 minutes ⏰ · Oscar",
        "16 minutes · Oscar",
        "6 minutes · Oscar",
    ]


def test_a_one_tap_answer_counts_as_one(stage: Stage) -> None:
    stage.ask("my roses are dead", intent="complaint", others=[("refund", 0.3)])
    stage.topic()
    stage.send_all()
    stage.press(stage.token("send", "refund"), by=OSCAR)
    stage.send_all()
    assert "The one conversation that a colleague has is answered:" in queue(stage)


def test_to_take_a_conversation_is_no_answer(stage: Stage) -> None:
    stage.ask("where is my order")
    stage.topic()
    stage.send_all()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    stage.send_all()
    assert "In the one conversation that a colleague has, the customer wrote last:" in queue(stage)


def test_who_was_promised_a_person_waits_until_that_person_says_a_word(
    stage: Stage, clock: Clock
) -> None:
    call(stage, ANA, 77)
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    stage.send_all()
    clock.move(days=4)
    assert queue(stage).splitlines() == [
        "⏳ One customer is waiting for a person:",
        f"• {TO_ANA} – 4 days ⏰ · Oscar",
    ]
    stage.reply("I am on it")
    stage.send_all()
    assert queue(stage).splitlines()[0] == "⏳ Nobody is waiting for a person."


@pytest.mark.parametrize("days", [3, 90])
def test_who_spoke_last_to_the_person_they_have_is_named_however_long_ago(
    stage: Stage, clock: Clock, days: int
) -> None:
    clock.set(datetime.now(UTC))  # what the bot says has the real clock's time
    call(stage, ANA, 77)
    stage.reply("Which order number?")
    stage.write("It is 4711, please hurry")
    stage.send_all()
    clock.move(days=days)
    assert queue(stage).splitlines()[2:] == [
        "🧑‍💼 In the one conversation that a colleague has, the customer wrote last:",
        f"• {TO_ANA} – {days} days ⏰ · Oscar",
    ]


def test_a_conversation_that_fell_quiet_after_a_persons_word_is_not_counted(
    stage: Stage, clock: Clock
) -> None:
    call(stage, ANA, 77)
    stage.reply("I am on it")
    stage.send_all()
    assert "colleague" in queue(stage)
    clock.set(
        datetime.now(UTC) + timedelta(hours=25)
    )  # what the bot says has the real clock's time
    assert queue(stage) == "⏳ Nobody is waiting for a person."


def test_who_has_blocked_the_bot_waits_no_more(stage: Stage) -> None:
    call(stage, ANA, 77)
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
    stage.send_all()
    assert "Nobody is waiting" in queue(stage)


def test_nor_does_who_has_blocked_it_while_a_colleague_has_them(stage: Stage) -> None:
    call(stage, ANA, 77)
    stage.reply("Which order?")
    stage.ask("4711")
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
    stage.send_all()
    assert queue(stage) == "⏳ Nobody is waiting for a person."


def test_of_many_the_first_are_named_and_the_others_counted(stage: Stage, clock: Clock) -> None:
    for number in range(SHOWN + 3):
        call(stage, Person(600 + number, f"Customer {number}"))
        clock.move(seconds=1)
    text = queue(stage)
    assert f"Customer {SHOWN - 1}" in text
    assert f"Customer {SHOWN} " not in text
    assert text.endswith("… and 3 more")


def test_the_longest_names_fit_into_a_message(stage: Stage, clock: Clock) -> None:
    roster.add_operator(stage.desk, OSCAR, Role.AGENT, "O" * 100)
    for number in range(2 * SHOWN):
        person = Person(600 + number, "N" * 200)
        call(stage, person, 80 + number)
        if number % 2:
            stage.reply("I am on it", thread_id=80 + number)
        else:
            operators.took(stage.desk, stage.update(), OSCAR, 80 + number)
    clock.move(minutes=59)
    text = overview(stage.desk)
    assert text.count("• ") == 2 * SHOWN
    assert length(plain(text)) <= LIMIT - 2 * SHOWN * (TITLE - len(ABOUT) + len("🚨 "))


def test_of_two_of_one_name_each_line_says_which_it_is(stage: Stage) -> None:
    call(stage, Person(6004711, "Alex", "alex_one"), 77)
    call(stage, Person(6004712, "Alex"))
    call(stage, ANA)
    text = plain(queue(stage))
    assert "• Alex · @\u2060alex_one · Make a complaint" in text, "it notifies nobody"
    assert "• Alex · …4712 · Make a complaint" in text
    assert "• Ana · Make a complaint" in text


def test_a_name_leads_nowhere_without_a_topic_in_this_chat(stage: Stage) -> None:
    call(stage, ANA, 77)
    assert "• Ana · Make a complaint – a minute" in overview(
        replace(stage.desk, operator_chat_id=-1009)
    )


def test_no_row_keeps_the_names(stage: Stage) -> None:
    call(stage, ANA, 77)
    assert "Ana" in queue(stage)
    stage.send_all()
    erasing.erase(stage.desk, stage.customer().id, force=True)
    assert all("Ana" not in str(row.payload) for row in stage.deliveries())

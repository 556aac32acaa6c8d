"""Operators are reminded of who waits for them: in opening hours, once, and never in a flood."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from desk.domain import DeliveryState, Person
from desk.flow import customers, delivering, edits, operators, reminding
from desk.hours import Hours
from desk.pack import Sla
from desk.tables import DeliveryRow
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, OSCAR, Stage, predict

# The florist opens at nine (on Mondays with a break from twelve to one) and promises 15 minutes.
TUESDAY_TEN = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)


@pytest.fixture
def stage(stage: Stage, clock: Clock) -> Stage:
    clock.set(TUESDAY_TEN)
    return stage


def call(stage: Stage, person: Person = ANA) -> None:
    customers.asked_for_person(stage.desk, stage.update(), person, "/human")


def crowd(number: int) -> list[Person]:
    return [Person(chat_id=700 + n, name=f"P{n}") for n in range(number)]


def reminders(stage: Stage) -> list[DeliveryRow]:
    rows = stage.deliveries(OPERATOR_CHAT, method="sendMessage")
    return [row for row in rows if row.payload["text"].startswith("⏰")]


def texts(stage: Stage) -> list[str]:
    return [row.payload["text"] for row in reminders(stage)]


def test_who_waits_longer_than_the_sla_is_brought_to_mind_in_their_topic(
    stage: Stage, clock: Clock
) -> None:
    call(stage)
    clock.move(minutes=15)
    assert reminding.remind(stage.desk) == 0
    clock.move(minutes=1)
    assert reminding.remind(stage.desk) == 1
    (reminder,) = reminders(stage)
    assert reminder.payload["text"] == "⏰ Ana has been waiting for a person for 16 minutes."
    assert reminder.topic_of == stage.customer().id
    assert reminder.conversation_id == stage.conversation().id


def test_one_waits_from_the_call_on_and_not_from_the_first_word(stage: Stage, clock: Clock) -> None:
    stage.ask("where is my order")
    clock.move(minutes=10)
    call(stage)
    clock.move(minutes=16)
    assert reminding.remind(stage.desk) == 1
    assert texts(stage) == ["⏰ Ana has been waiting for a person for 16 minutes."]


def test_a_call_is_brought_to_mind_once_and_the_next_call_again(stage: Stage, clock: Clock) -> None:
    for calls in (1, 2):
        call(stage)
        for _ in range(3):
            clock.move(minutes=20)
            reminding.remind(stage.desk)
        assert len(reminders(stage)) == calls
        stage.topic()
        stage.resolve()


def test_a_call_in_a_conversation_that_was_opened_again_is_brought_to_mind_again(
    stage: Stage, clock: Clock
) -> None:
    call(stage)
    clock.move(minutes=20)
    reminding.remind(stage.desk)
    stage.topic()
    job = stage.write("and my refund?")
    stage.resolve()
    assert job is not None
    stage.decide((job, predict("and my refund?", intent="complaint")))
    assert len(stage.conversations()) == 1
    clock.move(minutes=20)
    assert reminding.remind(stage.desk) == 1
    assert len(reminders(stage)) == 2


def test_whom_a_person_has_answered_needs_no_reminder(stage: Stage, clock: Clock) -> None:
    call(stage)
    stage.topic()
    stage.reply("they come tomorrow")
    clock.move(hours=2)
    assert reminding.remind(stage.desk) == 0
    assert reminding.waiting(stage.desk) == (0, None)
    stage.ask("thanks", intent="greeting")
    clock.move(days=1)
    assert reminding.remind(stage.desk) == 0
    assert not reminding.announce(stage.desk)


def lose(stage: Stage, how: str) -> None:
    """Oscar's word to Ana, which is the last that waits to be sent, comes to an end."""
    if how == "made a note":
        said = stage.deliveries(ANA.chat_id)[-1].payload["message_id"]
        edits.operator_changed(
            stage.desk, stage.update(), OSCAR, 77, said, edits.Rewritten("// a fraud?", "", {})
        )
        return
    (copy,) = (taken for taken in stage.take() if taken.chat_id == ANA.chat_id)
    if how == "refused":
        delivering.failed(stage.desk, copy.id, copy.attempts, "message to copy not found")
    elif how == "perhaps arrived":
        delivering.again(stage.desk, copy.id, copy.attempts, 0, "no answer", uncertain=True)
        (copy,) = (taken for taken in stage.take() if taken.chat_id == ANA.chat_id)
        delivering.failed(stage.desk, copy.id, copy.attempts, "no answer")
    else:
        delivering.customer_gone(stage.desk, copy.id, copy.attempts, "Forbidden")
        customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=False)


@pytest.mark.parametrize(
    ("how", "waits"),
    [("made a note", 1), ("refused", 1), ("blocked", 1), ("perhaps arrived", 0)],
)
def test_who_never_got_the_persons_word_waits_on(
    stage: Stage, clock: Clock, how: str, waits: int
) -> None:
    call(stage)
    stage.topic()
    stage.send_all()
    stage.reply("is this a fraud?")
    lose(stage, how)
    assert reminding.waiting(stage.desk)[0] == waits
    clock.move(minutes=16)
    assert reminding.remind(stage.desk) == waits


def test_who_was_answered_before_and_is_called_for_anew_waits(stage: Stage, clock: Clock) -> None:
    call(stage)
    stage.topic()
    stage.reply("they come tomorrow")
    job = stage.write("and my refund?")
    stage.resolve()
    assert job is not None
    clock.move(minutes=1)
    stage.decide((job, predict("and my refund?", intent="complaint")))
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    clock.move(minutes=16)
    assert reminding.remind(stage.desk) == 1
    assert texts(stage)[-1].startswith("⏰ Ana has been waiting for a person for 16 minutes.")


def test_who_was_taken_without_a_word_is_brought_to_mind_with_who_has_them(
    stage: Stage, clock: Clock
) -> None:
    call(stage)
    stage.topic()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    clock.move(minutes=16)
    assert reminding.remind(stage.desk) == 1
    assert reminding.remind(stage.desk) == 0
    (reminder,) = texts(stage)
    assert reminder == (
        "⏰ Ana has been waiting for a person for 16 minutes. Oscar has taken the conversation and "
        "not answered yet."
    )
    stage.send_all()
    assert [row.state for row in reminders(stage)] == [DeliveryState.SENT]
    assert reminding.waiting(stage.desk) == (1, TUESDAY_TEN)
    clock.set(TUESDAY_TEN.replace(day=4, hour=9))
    assert reminding.announce(stage.desk), "nor are they forgotten when the desk opens"


def test_of_two_of_one_name_a_reminder_says_which_it_is(stage: Stage, clock: Clock) -> None:
    alex = [Person(5034711, "Alex", "alex_one"), Person(5044712, "Alex")]
    for person in alex:
        call(stage, person)
    clock.move(minutes=16)
    assert reminding.remind(stage.desk) == 2
    assert [text.partition(" has been")[0] for text in texts(stage)] == [
        "⏰ Alex · @\u2060alex_one",
        "⏰ Alex · …4712",
    ]
    clock.set(TUESDAY_TEN.replace(day=4, hour=9))
    assert reminding.announce(stage.desk)
    assert "Alex · @\u2060alex_one has waited longest" in texts(stage)[-1]


def test_who_was_away_in_between_is_brought_to_mind_again_once_a_call(
    stage: Stage, clock: Clock
) -> None:
    call(stage)
    clock.move(minutes=16)
    assert reminding.remind(stage.desk) == 1
    for again in (1, 0, 0):
        customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
        clock.move(minutes=1)
        assert reminding.remind(stage.desk) == 0
        customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=False)
        assert reminding.remind(stage.desk) == again
    assert len(reminders(stage)) == 2


def test_a_reminder_that_comes_too_late_is_not_sent(stage: Stage, clock: Clock) -> None:
    call(stage)
    stage.topic()
    clock.move(minutes=20)
    assert reminding.remind(stage.desk) == 1
    stage.reply("they come tomorrow")
    stage.send_all()
    assert [row.state for row in reminders(stage)] == [DeliveryState.CANCELLED]


def test_who_has_blocked_the_bot_waits_no_more(stage: Stage, clock: Clock) -> None:
    call(stage)
    customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
    clock.move(hours=2)
    assert reminding.remind(stage.desk) == 0
    assert reminding.waiting(stage.desk) == (0, None)
    clock.set(TUESDAY_TEN.replace(day=4, hour=9))
    assert not reminding.announce(stage.desk)


def test_only_opening_hours_count_and_nobody_is_reminded_outside_them(
    stage: Stage, clock: Clock
) -> None:
    clock.set(TUESDAY_TEN.replace(hour=17, minute=50))
    call(stage)
    clock.set(TUESDAY_TEN.replace(hour=23))
    assert reminding.remind(stage.desk) == 0
    clock.set(TUESDAY_TEN.replace(day=4, hour=9, minute=5))
    assert reminding.remind(stage.desk) == 0, "ten minutes of yesterday and five of today"
    clock.move(minutes=1)
    assert reminding.remind(stage.desk) == 1
    clock.set(TUESDAY_TEN.replace(day=4, hour=17, minute=40))
    call(stage, BEN)
    clock.set(TUESDAY_TEN.replace(day=4, hour=18, minute=30))
    assert reminding.remind(stage.desk) == 0, "it became due just before closing"


def test_up_to_five_at_once_go_into_topics_and_more_into_one_digest(
    stage: Stage, clock: Clock
) -> None:
    for person in crowd(5):
        call(stage, person)
    clock.move(minutes=16)
    assert reminding.remind(stage.desk) == 5
    assert len(reminders(stage)) == 5
    for person in [Person(chat_id=800 + n, name=f"Q<{n}>") for n in range(6)]:
        call(stage, person)
        clock.move(seconds=1)
    clock.move(minutes=70)
    assert reminding.remind(stage.desk) == 6
    digest = reminders(stage)[-1]
    assert digest.topic_of is None
    assert digest.payload["text"] == (
        "⏰ 11 customers are waiting for a person. P0 has waited longest: 86 minutes."
    ), "all who wait, and not only those of whom they had not been reminded"
    assert len(reminders(stage)) == 6
    assert reminding.remind(stage.desk) == 0


def shift(stage: Stage, clock: Clock, *, until: datetime, minutes: int = 10) -> list[str]:
    """What everybody was told until then, each with its hour."""
    told, before = [], len(reminders(stage))
    while clock() < until:
        clock.move(minutes=minutes)
        for chore in (
            *(reminding.announce, reminding.remind),
            *(reminding.repeat, reminding.announce_closing),
        ):
            chore(stage.desk)
        new = [row for row in reminders(stage)[before:] if row.topic_of is None]
        told += [f"{clock():%H:%M} {row.payload['text']}" for row in new]
        before = len(reminders(stage))
    return told


def test_while_who_was_brought_to_mind_waits_on_everybody_is_told_so_every_hour(
    stage: Stage, clock: Clock
) -> None:
    call(stage)
    stage.topic()
    call(stage, BEN)
    told = shift(stage, clock, until=TUESDAY_TEN.replace(hour=13, minute=30))
    link = '<a href="https://t.me/c/1234567890/77">Ana</a>'
    says = f"⏰ 2 customers are waiting for a person. {link} has waited longest:"
    assert told == [
        f"11:00 {says} an hour.",
        f"12:00 {says} 2 hours.",
        f"13:00 {says} 3 hours.",
    ]
    stage.reply("Which order?")
    assert shift(stage, clock, until=TUESDAY_TEN.replace(hour=14)) == [
        "14:00 ⏰ A customer is waiting for a person: Ben, for 4 hours."
    ]


def test_who_was_brought_to_mind_a_moment_ago_is_not_at_once_told_of_again(
    stage: Stage, clock: Clock
) -> None:
    clock.move(minutes=20)
    call(stage)
    told = shift(stage, clock, until=TUESDAY_TEN.replace(hour=12, minute=30))
    assert [line[:5] for line in told] == ["12:00"]


def test_who_waits_for_a_next_word_is_told_of_again_until_it_comes(
    stage: Stage, clock: Clock
) -> None:
    call(stage)
    stage.topic()
    stage.reply("Which order?")
    stage.ask("A1", intent="refund")
    assert len(shift(stage, clock, until=TUESDAY_TEN.replace(hour=12))) == 2
    stage.reply("I am looking")
    assert shift(stage, clock, until=TUESDAY_TEN.replace(hour=14)) == []
    stage.ask("and?", intent="refund")
    (told,) = shift(stage, clock, until=TUESDAY_TEN.replace(hour=15))
    assert told == (
        "15:00 ⏰ A customer is waiting for a colleague's next word: "
        '<a href="https://t.me/c/1234567890/77">Ana</a>, for an hour.'
    )


def test_a_longer_sla_has_a_longer_rhythm(stage: Stage, clock: Clock) -> None:
    sla = Sla(first_reply_minutes=120)
    stage.desk = replace(stage.desk, pack=stage.desk.pack.model_copy(update={"sla": sla}))
    call(stage)
    told = shift(stage, clock, until=TUESDAY_TEN.replace(hour=17))
    assert [line[:5] for line in told] == ["15:00", "17:00"]


def test_shortly_before_the_desk_closes_everybody_is_told_once_who_waits(
    stage: Stage, clock: Clock
) -> None:
    assert shift(stage, clock, until=TUESDAY_TEN.replace(hour=20), minutes=30) == []
    clock.set(TUESDAY_TEN.replace(day=4, hour=16, minute=50))
    call(stage)
    stage.topic()
    stage.reply("Which order?")
    stage.ask("A1", intent="refund")
    clock.set(TUESDAY_TEN.replace(day=4, hour=17, minute=29))
    call(stage, BEN)
    assert not reminding.announce_closing(stage.desk)
    clock.move(minutes=1)
    assert reminding.announce_closing(stage.desk)
    clock.move(minutes=-1)
    assert not reminding.announce_closing(stage.desk), "the clock was put back"
    clock.move(minutes=16)
    assert not reminding.announce_closing(stage.desk)
    (said,) = texts(stage)
    assert said == (
        "⏰ 2 customers are waiting: 1 for a person, 1 for a colleague's next word. "
        '<a href="https://t.me/c/1234567890/77">Ana</a> has waited longest: 40 minutes. '
        "The desk closes at 18:00."
    )
    assert reminders(stage)[0].topic_of is None
    clock.set(TUESDAY_TEN.replace(day=4, hour=18))
    assert not reminding.announce_closing(stage.desk)


def test_a_desk_that_never_closes_is_told_every_hour_and_of_no_closing(
    stage: Stage, clock: Clock
) -> None:
    hours = Hours(timezone="Asia/Kolkata")
    stage.desk = replace(stage.desk, pack=stage.desk.pack.model_copy(update={"hours": hours}))
    call(stage)
    told = shift(stage, clock, until=TUESDAY_TEN.replace(day=4), minutes=30)
    assert len(told) == 24
    assert not any("closes" in line for line in told)


def test_nobody_is_told_again_of_who_has_just_opened_the_day_and_once_where_the_clock_is_put_back(
    stage: Stage, clock: Clock
) -> None:
    call(stage)
    shift(stage, clock, until=TUESDAY_TEN.replace(hour=18, minute=30), minutes=30)
    opening = TUESDAY_TEN.replace(day=4, hour=8, minute=55)
    clock.set(opening)
    told = shift(stage, clock, until=opening.replace(hour=10, minute=30), minutes=5)
    assert [line[:5] for line in told] == ["09:00", "10:00"]
    clock.move(minutes=-20)
    told = shift(stage, clock, until=opening.replace(hour=10, minute=52), minutes=7)
    assert told == []
    clock.set(opening.replace(hour=15, minute=20))  # it stood still, or the scheduler did
    assert reminding.repeat(stage.desk)
    assert not reminding.repeat(stage.desk)


def test_when_the_desk_opens_it_is_told_once_who_has_been_waiting(
    stage: Stage, clock: Clock
) -> None:
    clock.set(TUESDAY_TEN.replace(hour=22))
    call(stage)
    clock.move(hours=2)
    call(stage, BEN)
    assert not reminding.announce(stage.desk)
    clock.set(TUESDAY_TEN.replace(day=4, hour=9))
    assert reminding.announce(stage.desk)
    clock.move(minutes=1)
    assert not reminding.announce(stage.desk)
    assert texts(stage) == [
        "⏰ 2 customers are waiting for a person. Ana has waited longest: 11 hours."
    ]
    assert reminders(stage)[0].topic_of is None


def test_who_is_named_there_is_one_tap_away(stage: Stage, clock: Clock) -> None:
    clock.set(TUESDAY_TEN.replace(hour=22))
    call(stage)
    stage.topic()
    clock.set(TUESDAY_TEN.replace(day=4, hour=9))
    assert reminding.announce(stage.desk)
    link = '<a href="https://t.me/c/1234567890/77">Ana</a>'
    assert texts(stage) == [f"⏰ A customer is waiting for a person: {link}, for 11 hours."]


def test_a_desk_that_opens_to_nobody_is_told_nothing(stage: Stage, clock: Clock) -> None:
    clock.set(TUESDAY_TEN.replace(day=4, hour=9))
    assert not reminding.announce(stage.desk)
    clock.move(minutes=5)
    call(stage)  # who comes later was not waiting when it opened
    clock.move(minutes=5)
    assert not reminding.announce(stage.desk)


def test_one_who_waits_alone_is_named(stage: Stage, clock: Clock) -> None:
    clock.set(TUESDAY_TEN.replace(hour=20))
    call(stage)
    clock.set(TUESDAY_TEN.replace(day=4, hour=10))
    assert reminding.announce(stage.desk)
    assert texts(stage) == ["⏰ A customer is waiting for a person: Ana, for 14 hours."]


def test_without_a_group_nobody_is_reminded(stage: Stage, clock: Clock) -> None:
    alone = replace(stage.desk, operator_chat_id=None)
    call(stage)
    clock.move(days=1)
    assert reminding.remind(alone) == 0
    assert not reminding.announce(alone)
    assert not reminding.repeat(alone)
    clock.set(TUESDAY_TEN.replace(hour=17, minute=45))
    assert not reminding.announce_closing(alone)
    assert reminding.waiting(alone) == (1, TUESDAY_TEN)

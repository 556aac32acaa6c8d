"""A conversation that was quiet for long is over: the bot answers again and counts anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from desk.domain import ConversationState
from desk.flow import customers, operators, quiet, reminding
from desk.flow.desk import Desk
from desk.hours import Hours
from desk.tables import Customer
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, OLGA, OSCAR, Stage, predict


@pytest.fixture
def stage(stage: Stage, clock: Clock) -> Stage:
    """A stage of today: what the bot says is dated by the real clock."""
    clock.set(datetime.now(UTC))
    return stage


def _answered_by_a_person(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.send_all()
    stage.reply("I am sorry, Ana")
    stage.send_all()


def _write(stage: Stage) -> None:
    stage.ask("where are my roses")


def _start(stage: Stage) -> None:
    customers.started(stage.desk, stage.update(), ANA)


def _call(stage: Stage) -> None:
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")


def _send_file(stage: Stage) -> None:
    customers.sent_file(stage.desk, stage.update(), ANA, 55, "")


def test_the_bot_answers_again_90_days_after_a_person_forgot_to_resolve(
    stage: Stage, clock: Clock
) -> None:
    _answered_by_a_person(stage)
    clock.move(days=90)
    message_id = stage.ask("where are my roses")
    assert stage.decision(message_id).rule == "confident"
    assert stage.heard()[-1] == "Bouquets take <b>2</b> days, Ana."
    over, current = stage.conversations()
    assert (over.state, over.resolved_at) == (ConversationState.RESOLVED, clock())
    assert over.operator_id is None, "nobody resolved it"
    assert current.state is ConversationState.BOT
    stage.send_all()
    assert stage.deliveries(key=f"answer:{message_id}")[0].sent_at is not None


def test_its_card_says_that_it_was_closed_for_being_quiet(stage: Stage, clock: Clock) -> None:
    _answered_by_a_person(stage)
    clock.move(hours=25)
    _write(stage)
    edit = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert edit.payload["text"].endswith("✅ closed after 24 quiet hours")


@pytest.mark.parametrize("act", [_write, _start, _call, _send_file])
def test_whatever_its_customer_does_next_begins_a_new_one(
    stage: Stage, clock: Clock, act: Callable[[Stage], None]
) -> None:
    _answered_by_a_person(stage)
    clock.move(hours=25)
    heard = len(stage.heard())
    act(stage)
    assert len(stage.conversations()) == 2
    assert len(stage.heard()) == heard + 1, "the bot has something to say to each"


def test_a_button_of_the_quiet_conversation_is_answered_in_a_new_one(
    stage: Stage, clock: Clock
) -> None:
    stage.ask("money?", confidence=0.45, others=[("refund", 0.4)])
    token = stage.token("choose", "refund")
    stage.topic()
    stage.reply("let me see")
    assert stage.press(token).alert, "a person is in charge"
    clock.move(days=7)  # of which three are as long open
    assert not stage.press(token).alert
    assert stage.heard()[-1] == "Send us a photo and you get your money back."
    assert stage.conversation().last_intents == ["refund"]
    assert len(stage.conversations()) == 2


@pytest.mark.parametrize("last", ["the customer", "an operator", "a taking"])
def test_any_word_within_the_time_keeps_it_open(stage: Stage, clock: Clock, last: str) -> None:
    _answered_by_a_person(stage)
    clock.move(hours=23)
    if last == "the customer":
        _write(stage)
    elif last == "an operator":
        stage.reply("anything else?")
    else:
        stage.resolve()
        _write(stage)
        clock.move(hours=23)
        operators.took(stage.desk, stage.update(), OSCAR, 77)
    clock.move(hours=23)
    message_id = stage.ask("where are my roses")
    assert stage.decision(message_id).rule == "person_in_charge"


@pytest.mark.parametrize(
    ("hours", "over"),
    [(66, False), (68, False), (4 * 24, False), (5 * 24, True)],
    ids=["when the desk opens again", "two hours later", "a day later", "after 24 opening hours"],
)
def test_where_the_customer_spoke_last_only_opening_hours_count(
    stage: Stage, clock: Clock, hours: int, over: bool
) -> None:
    friday = datetime(2030, 1, 4, 15, 30, tzinfo=UTC)
    clock.set(friday)
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.reply("Which order number?")
    stage.ask("It is 4711, please hurry")
    stage.send_all()
    clock.move(hours=hours)
    message_id = stage.ask("hello?")
    assert (len(stage.conversations()) == 2) is over
    assert stage.decision(message_id).rule == ("confident" if over else "person_in_charge")


def test_a_desk_that_is_always_open_counts_every_hour(stage: Stage, clock: Clock) -> None:
    pack = stage.desk.pack.model_copy(update={"hours": Hours()})
    stage.desk = replace(stage.desk, pack=pack)
    _answered_by_a_person(stage)
    _write(stage)
    clock.move(hours=23)
    _write(stage)
    assert len(stage.conversations()) == 1
    clock.move(hours=24)
    _write(stage)
    assert len(stage.conversations()) == 2


def test_who_waits_for_a_person_waits_however_long_it_takes(stage: Stage, clock: Clock) -> None:
    stage.ask("you are rude", intent="complaint")
    clock.move(days=90)
    message_id = stage.ask("hello?")
    assert stage.decision(message_id).rule == "waiting_for_person"
    assert len(stage.conversations()) == 1


def test_who_was_taken_without_a_word_waits_as_long(stage: Stage, clock: Clock) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    clock.move(days=90)
    message_id = stage.ask("hello?")
    assert stage.decision(message_id).rule == "person_in_charge"
    assert len(stage.conversations()) == 1


def test_a_call_that_was_resolved_keeps_no_later_conversation_from_being_quiet(
    stage: Stage, clock: Clock
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    job = stage.write("where are my roses")
    stage.resolve()
    assert job is not None
    stage.decide((job, predict("where are my roses")))
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    assert reminding.waiting(stage.desk) == (0, None), "nobody was called for"
    clock.move(days=90)
    message_id = stage.ask("hello?")
    assert stage.decision(message_id).rule == "confident"


def test_where_only_the_bot_has_replied_every_hour_counts(stage: Stage, clock: Clock) -> None:
    clock.set(datetime(2030, 1, 4, 15, 30, tzinfo=UTC))  # a Friday
    stage.ask("where are my roses")
    clock.move(hours=66)
    stage.ask("hello?")
    assert len(stage.conversations()) == 2


def test_a_conversation_with_an_undecided_message_is_not_over(stage: Stage, clock: Clock) -> None:
    job = stage.write("where are my roses")
    assert job is not None
    clock.move(hours=25)
    assert stage.write("hello?") is None, "it comes up after the first"
    (following,) = stage.decide((job, predict()))
    stage.decide((following, predict("hello?")))
    assert len(stage.conversations()) == 1
    assert len(stage.heard()) == 2


def test_what_an_operator_writes_goes_on_with_the_open_conversation(
    stage: Stage, clock: Clock
) -> None:
    _answered_by_a_person(stage)
    clock.move(days=90)
    stage.reply("did it arrive?")
    assert len(stage.conversations()) == 1
    assert stage.conversation().state is ConversationState.HUMAN


def test_the_same_question_weeks_apart_is_answered_each_time(stage: Stage, clock: Clock) -> None:
    rules = []
    for _ in range(4):
        rules.append(stage.decision(stage.ask("where is my parcel")).rule)
        clock.move(days=14)
    assert rules == ["confident"] * 4


def test_an_unsure_text_months_after_another_is_asked_back_about(
    stage: Stage, clock: Clock
) -> None:
    stage.ask("blorp", intent="refund", confidence=0.2)
    clock.move(days=60)
    message_id = stage.ask("blorp", intent="refund", confidence=0.2)
    assert stage.decision(message_id).rule == "unsure"


def test_a_thumb_up_ends_the_row_of_the_same_answer(stage: Stage) -> None:
    for _ in range(2):
        stage.ask("where is my parcel")
    stage.press(stage.token("up", "order_status"))
    message_id = stage.ask("where is my parcel")
    assert stage.decision(message_id).rule == "confident"


def test_a_thumb_up_for_an_earlier_answer_leaves_the_row_of_another(stage: Stage) -> None:
    stage.ask("money back", intent="refund")
    token = stage.token("up", "refund")
    for _ in range(2):
        stage.ask("where is my parcel")
    stage.press(token)
    message_id = stage.ask("where is my parcel")
    assert stage.decision(message_id).rule == "same_answer_again"


def test_one_that_a_person_answered_is_closed_though_its_customer_never_comes_back(
    stage: Stage, clock: Clock
) -> None:
    _answered_by_a_person(stage)
    clock.move(hours=23)
    assert quiet.close_quiet(stage.desk, 10) == 0
    clock.move(hours=2)
    assert quiet.close_quiet(stage.desk, 10) == 1
    (over,) = stage.conversations()
    assert (over.state, over.operator_id) == (ConversationState.RESOLVED, None)
    edit = stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert edit.payload["text"].endswith("✅ closed after 24 quiet hours")
    assert quiet.close_quiet(stage.desk, 10) == 0


def test_one_whose_customer_spoke_last_stays_for_somebody_to_say_that_it_is_settled(
    stage: Stage, clock: Clock
) -> None:
    _answered_by_a_person(stage)
    _write(stage)
    clock.move(days=90)
    assert quiet.close_quiet(stage.desk, 10) == 0
    (conversation,) = stage.conversations()
    assert conversation.state is ConversationState.HUMAN


def test_one_whose_customer_merely_gave_thanks_last_is_closed_after_the_hours_of_the_clock(
    stage: Stage, clock: Clock
) -> None:
    today = clock().date()
    closed = Hours(closed=tuple(today + timedelta(days=n) for n in range(3)))
    desk = replace(stage.desk, pack=stage.desk.pack.model_copy(update={"hours": closed}))
    _answered_by_a_person(stage)
    stage.ask("thanks!", intent="greeting", confidence=0.99)  # closing, in this pack
    clock.move(hours=25)
    assert quiet.close_quiet(desk, 10) == 1


def test_one_whose_customer_asks_whether_anybody_is_there_stays(stage: Stage, clock: Clock) -> None:
    pack = stage.desk.pack
    greeting = pack.intents["greeting"].model_copy(update={"closing": False})
    intents = {**pack.intents, "greeting": greeting}
    stage.desk = replace(stage.desk, pack=pack.model_copy(update={"intents": intents}))
    _answered_by_a_person(stage)
    stage.ask("hello? anybody there?", intent="greeting", confidence=0.99)
    clock.move(days=7)
    assert quiet.close_quiet(stage.desk, 10) == 0


@pytest.mark.parametrize("taken", [False, True])
def test_one_that_waits_for_a_person_stays_taken_or_not(
    stage: Stage, clock: Clock, *, taken: bool
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    if taken:
        operators.took(stage.desk, stage.update(), OSCAR, 77)
    clock.move(days=90)
    assert quiet.close_quiet(stage.desk, 10) == 0


def test_one_that_was_taken_or_written_in_lately_stays(stage: Stage, clock: Clock) -> None:
    _answered_by_a_person(stage)
    clock.move(hours=25)
    operators.took(stage.desk, stage.update(), OLGA, 77)
    assert quiet.close_quiet(stage.desk, 10) == 0
    clock.move(hours=25)
    stage.reply("Are you there, Ana?")
    stage.send_all()
    assert quiet.close_quiet(stage.desk, 10) == 0


def _both_answered(stage: Stage, clock: Clock) -> None:
    for person, thread in ((ANA, 77), (BEN, 78)):
        stage.ask("you are rude", person, intent="complaint")
        stage.topic(person, thread)
        stage.reply("I am sorry", thread_id=thread)
    stage.send_all()
    clock.move(hours=25)


def test_no_more_are_closed_at_once_than_asked_for(stage: Stage, clock: Clock) -> None:
    _both_answered(stage, clock)
    assert [quiet.close_quiet(stage.desk, 1) for _ in range(3)] == [1, 1, 0]


def test_one_over_which_the_code_fails_keeps_no_other_open(
    stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _both_answered(stage, clock)
    refresh = quiet.refresh_card

    def refresh_card(session: Session, desk: Desk, customer: Customer, *more: Any) -> None:
        if customer.chat_id == ANA.chat_id:
            raise KeyError("odd")
        refresh(session, desk, customer, *more)

    monkeypatch.setattr(quiet, "refresh_card", refresh_card)
    with pytest.raises(KeyError, match="odd"):
        quiet.close_quiet(stage.desk, 10)
    states = [stage.conversation(person).state for person in (ANA, BEN)]
    assert states == [ConversationState.HUMAN, ConversationState.RESOLVED]

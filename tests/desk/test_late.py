"""A message without a decision in time: its customer is told, a person is called."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session

from desk import metrics
from desk.domain import ConversationState, MessageState, Person
from desk.flow import deciding, watching
from desk.flow.desk import Desk
from desk.tables import Customer
from tests.conftest import Clock
from tests.desk.acting import BEN, Stage, predict


def test_a_late_message_tells_the_customer_once_and_calls_a_person(stage: Stage) -> None:
    job = stage.write("where are my roses")
    assert job is not None
    stage.write("hello?")
    following = deciding.give_up(stage.desk, [job[0]])
    assert stage.decision(job[0]).rule == "late"
    assert stage.conversation().state is ConversationState.WAITING
    assert len(stage.heard()) == 1
    assert stage.heard()[0].startswith("Sorry, this took longer than it should.")
    assert [stage.message(message_id).text for message_id, _ in following] == ["hello?"]

    deciding.give_up(stage.desk, [following[0][0]])
    assert len(stage.heard()) == 1
    assert len(stage.told()) == 2
    assert stage.pending_count() == 0


@pytest.mark.parametrize("bad", [1, 3])
def test_a_late_message_that_nobody_foresaw_keeps_no_other_from_a_person(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, bad: int
) -> None:
    people = [Person(chat_id=600 + number, name=f"P{number}") for number in range(7)]
    late = [job[0] for person in people if (job := stage.write("hello?", person))]
    call_person = deciding.call_person

    def broken(session: Session, desk: Desk, customer: Customer, *more: Any, **how: Any) -> None:
        if customer.name in [person.name for person in people[:bad]]:
            raise ValueError("an unknown state")
        call_person(session, desk, customer, *more, **how)

    monkeypatch.setattr(deciding, "call_person", broken)
    for _ in range(2):
        with pytest.raises(ValueError, match="an unknown state") as raised:
            deciding.give_up(stage.desk, late)
        assert raised.value.__notes__ == [f"messages: [{late[bad - 1]}]"]
    waiting = [stage.conversation(person).state is ConversationState.WAITING for person in people]
    assert waiting == [False] * bad + [True] * (7 - bad)


@pytest.mark.parametrize(("rule", "late"), [("late", 1), ("unprocessable", 0)])
def test_what_the_model_failed_over_is_not_counted_as_late(
    stage: Stage, rule: str, late: int
) -> None:
    job = stage.write("where are my roses")
    assert job is not None
    before = metrics.LATE.collect()[0].samples[0].value
    deciding.give_up(stage.desk, [job[0]], rule)
    assert metrics.LATE.collect()[0].samples[0].value == before + late


def test_a_prediction_that_comes_after_giving_up_changes_nothing(stage: Stage) -> None:
    job = stage.write("where are my roses")
    assert job is not None
    deciding.give_up(stage.desk, [job[0]])
    heard = stage.heard()
    stage.decide((job, predict()))
    assert stage.heard() == heard
    assert deciding.give_up(stage.desk, [job[0]]) == []


def test_overdue_messages_are_found_by_their_age(stage: Stage, clock: Clock) -> None:
    first = stage.write("one")
    assert first is not None
    clock.move(seconds=15)
    stage.write("two", BEN)
    clock.move(seconds=10)
    assert watching.overdue(stage.desk, 20) == [first[0]]
    assert watching.overdue(stage.desk, 30) == []


def test_a_clock_that_is_put_back_keeps_no_message_from_another_try_or_a_person(
    stage: Stage, clock: Clock
) -> None:
    job = stage.write("where are my roses")
    clock.move(seconds=-59)
    assert watching.waiting_longer(stage.desk, 4) == watching.overdue(stage.desk, 20) == []
    clock.move(seconds=-2)
    assert watching.waiting_longer(stage.desk, 4) == [job]
    assert job is not None
    assert watching.overdue(stage.desk, 20) == [job[0]]
    watching.next_attempts(stage.desk, [job[0]])
    assert watching.waiting_longer(stage.desk, 4) == []


def test_of_many_overdue_messages_some_are_handled_at_once_and_all_are_counted(
    stage: Stage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST", 2)
    jobs = [stage.write(text) for text in ("one", "two", "three")]
    assert jobs[0] is not None
    clock.move(seconds=21)
    stage.write("four", BEN)
    assert watching.overdue(stage.desk, 20) == [jobs[0][0], jobs[0][0] + 1]
    assert watching.count_overdue(stage.desk, 20) == 3


def test_only_the_oldest_message_of_a_conversation_is_tried_again(
    stage: Stage, clock: Clock
) -> None:
    first = stage.write("one")
    stage.write("two")
    clock.move(seconds=60)
    assert watching.waiting_longer(stage.desk, 30) == [first]


def test_a_new_attempt_gets_its_own_time(stage: Stage, clock: Clock) -> None:
    job = stage.write("one")
    assert job is not None
    clock.move(seconds=60)
    watching.next_attempts(stage.desk, [job[0]])
    assert watching.waiting_longer(stage.desk, 30) == []
    clock.move(seconds=31)
    assert watching.waiting_longer(stage.desk, 30) == [(job[0], 2)]


def test_a_decided_message_gets_no_new_attempt(stage: Stage) -> None:
    message_id = stage.ask("roses?")
    assert watching.next_attempts(stage.desk, [message_id]) == []
    assert stage.message(message_id).state is MessageState.DECIDED

"""One customer who writes a lot takes nothing from the others, and hears of it once."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import pytest

from desk.domain import Action, MessageState
from desk.flow import operators
from desk.flow.desk import Desk
from desk.texts import say
from tests.conftest import Clock
from tests.desk.acting import BEN, OSCAR, Stage, predict

LIMIT = 3
NOTICE = say("flood", "en")


@pytest.fixture
def stage(desk: Desk) -> Stage:
    return Stage(replace(desk, flood_per_minute=LIMIT))


def write(stage: Stage, count: int) -> list[tuple[int, int] | None]:
    return [stage.write(f"hello {number}") for number in range(count)]


def rules(stage: Stage) -> list[str]:
    """How Ana's messages that are decided were decided, oldest first."""
    messages = [message for message in stage.said() if message.state is MessageState.DECIDED]
    return [stage.decision(message.id).rule for message in messages]


def test_what_is_written_beyond_the_limit_is_kept_unread_and_told_once(
    stage: Stage, clock: Clock
) -> None:
    assert write(stage, LIMIT)[1:] == [None] * (LIMIT - 1)
    assert stage.heard() == []
    assert write(stage, 5) == [None] * 5
    assert rules(stage) == ["flood"] * 5
    assert all(
        stage.decision(message.id).action is Action.SILENT
        for message in stage.said()
        if message.state is MessageState.DECIDED
    )
    assert stage.pending_count() == LIMIT
    assert stage.heard() == [NOTICE]
    assert stage.told() == []
    clock.move(seconds=59)
    write(stage, 1)
    assert stage.heard() == [NOTICE], "the episode goes on"


def test_after_a_minute_the_bot_reads_again_and_a_new_flood_is_told_again(
    stage: Stage, clock: Clock
) -> None:
    write(stage, LIMIT + 1)
    clock.move(seconds=61)
    write(stage, LIMIT)
    assert stage.heard() == [NOTICE]
    assert stage.pending_count() == 2 * LIMIT
    write(stage, 1)
    assert stage.heard() == [NOTICE, NOTICE]


def test_a_steady_writer_below_the_limit_is_never_held_back(stage: Stage, clock: Clock) -> None:
    for _ in range(4 * LIMIT):
        stage.ask("roses?")
        clock.move(seconds=20)
    assert "flood" not in rules(stage)


def test_one_customers_flood_is_not_anothers(stage: Stage) -> None:
    write(stage, LIMIT + 1)
    assert stage.write("roses?", BEN) is not None


@pytest.mark.parametrize("taken", [False, True])
def test_a_person_who_is_awaited_or_in_charge_sees_all_of_it(stage: Stage, taken: bool) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    if taken:
        operators.took(stage.desk, stage.update(), OSCAR, 77)
    heard = stage.heard()
    for number in range(2 * LIMIT):
        stage.ask(f"again {number}")
    assert stage.heard() == heard
    assert "flood" not in rules(stage)
    for number in range(2 * LIMIT):
        assert any(f"again {number}" in text for text in stage.told())


def test_with_a_backlog_the_newest_conversation_waits_for_one_message_of_the_noisy_one(
    desk: Desk,
) -> None:
    stage = Stage(desk)
    queue = deque(job for job in write(stage, 12) if job is not None)
    job = stage.write("roses?", BEN)
    assert job is not None
    queue.append(job)
    decided = []
    while queue:
        message_id, attempt = queue.popleft()
        text = stage.message(message_id).text
        decided.append(text)
        queue.extend(stage.decide(((message_id, attempt), predict(text))))
    assert decided[:3] == ["hello 0", "roses?", "hello 1"]
    assert decided[1:].count("roses?") == 1
    assert [text for text in decided if text != "roses?"] == [f"hello {n}" for n in range(12)]
    assert len(stage.heard(BEN)) == 1


def test_the_customers_language_is_spoken(stage: Stage) -> None:
    for _ in range(LIMIT + 1):
        stage.write("你好", BEN)
    assert stage.heard(BEN) == [say("flood", "zh")]

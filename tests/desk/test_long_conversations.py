"""What one more message costs grows neither with its conversation nor with all that was sent."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event

from desk.flow import learning, operators
from tests.desk.acting import OSCAR, Stage, predict


def _selects(stage: Stage, act: Callable[[], object]) -> list[tuple[str, Any]]:
    """The queries of an act with their parameters."""
    said: list[tuple[str, Any]] = []

    def note(*event_: Any) -> None:
        if event_[2].startswith("SELECT"):
            said.append((event_[2], event_[3]))

    event.listen(stage.desk.store.engine, "before_cursor_execute", note)
    try:
        act()
    finally:
        event.remove(stage.desk.store.engine, "before_cursor_execute", note)
    return said


def _plan(stage: Stage, query: str, values: Any) -> str:
    with stage.desk.store.engine.connect() as connection:
        if stage.desk.store.sqlite:
            return str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values).all())
        # As with many rows: these few would be read whole.
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return str(connection.exec_driver_sql(f"EXPLAIN {query}", values).all())


@pytest.fixture
def taken(stage: Stage) -> Stage:
    """A conversation that a person has taken."""
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    stage.send_all()
    return stage


def test_looks_at_what_grows_go_by_the_indexes_made_for_them(taken: Stage) -> None:
    def act() -> None:
        job = taken.write("well?")
        assert job is not None
        taken.decide((job, predict("well?")))
        taken.send_all()

    plans = [_plan(taken, query, values) for query, values in _selects(taken, act)]
    for index in ("messages_pending", "deliveries_cards", "deliveries_unfinished"):
        assert any(f"ix_{index}" in plan for plan in plans), index
    (turns,) = {plan for plan in plans if "ix_deliveries_shown" in plan}
    assert "ix_deliveries_unfinished" in turns


def test_the_look_for_new_feedback_reads_none_that_is_older(stage: Stage) -> None:
    learning.order_run(stage.desk, "nightly")
    act = partial(learning.taught_since_last_run, stage.desk, stage.desk.clock())
    plans = [_plan(stage, query, values) for query, values in _selects(stage, act)]
    assert any("ix_feedback_created_at" in plan for plan in plans)


def test_the_look_for_a_change_that_came_first_reads_only_the_last_that_was_said(
    stage: Stage,
) -> None:
    stage.ask("hi")
    asked = _selects(stage, lambda: stage.write("well?"))
    looks = [each for each in asked if "messages.telegram_id IS NOT NULL" in each[0]]
    (plan,) = (_plan(stage, *look) for look in looks)
    assert "ix_messages_conversation_id_id" in plan
    assert "ix_conversations_customer_id" in plan
    assert "LIMIT" in looks[0][0]
    assert not [query for query, _ in asked if "inbox.update_id >" in query]


def test_a_plain_post_asks_nothing_of_what_was_said_before(taken: Stage) -> None:
    job = taken.write("well?")
    assert job is not None
    asked = _selects(taken, lambda: taken.decide((job, predict("well?"))))
    assert not [query for query, _ in asked if "delivery_key" in query.partition("FROM")[2]]
    assert "Ana wrote" in taken.told()[-1]


def test_a_card_shows_the_last_six_that_were_said_and_none_that_never_left(stage: Stage) -> None:
    for number in range(4):
        stage.ask(f"roses {number}?", intent=("opening_hours", "order_status")[number % 2])
        stage.send_all()
    stage.ask("hi", intent="greeting")
    stage.topic()
    operators.took(stage.desk, stage.update(), OSCAR, 77)
    card = stage.told()[-1]
    shown = [line[0] for line in card.splitlines() if line.startswith(("👤", "🤖"))]
    assert shown == ["🤖", "👤", "🤖", "👤", "🤖", "👤"]
    assert "roses 2?" in card
    assert "roses 1?" not in card

"""Commands of customers while a person is awaited or in charge."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from desk.domain import Person
from desk.flow import customers
from desk.flow.desk import Desk
from tests.desk.acting import ANA, Stage


@pytest.mark.parametrize(
    ("act", "command"), [(customers.asked_for_help, "/help"), (customers.started, "/start")]
)
def test_a_command_while_a_person_is_in_charge_is_shown_to_them_and_not_answered(
    stage: Stage, act: Callable[[Desk, int, Person], None], command: str
) -> None:
    stage.ask("roses?")
    stage.topic()
    stage.reply("I'm here")
    act(stage.desk, stage.update(), ANA)
    sent = [row.method for row in stage.send_all() if row.chat_id == ANA.chat_id]
    assert sent == ["copyMessage"]
    assert f"<blockquote>{command}</blockquote>" in stage.told()[-1]


@pytest.mark.parametrize("act", [customers.asked_for_help, customers.started])
def test_what_a_command_was_answered_is_void_once_a_person_takes_over(
    stage: Stage, act: Callable[[Desk, int, Person], None]
) -> None:
    stage.ask("roses?")
    stage.topic()
    act(stage.desk, stage.update(), ANA)
    stage.reply("I'm here")
    sent = [row.method for row in stage.send_all() if row.chat_id == ANA.chat_id]
    assert sent == ["copyMessage"]


def test_start_while_a_person_is_awaited_offers_no_topics(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    customers.started(stage.desk, stage.update(), ANA)
    answer = stage.deliveries(ANA.chat_id)[-1]
    assert answer.payload["text"].startswith("A colleague already has your message")
    assert "reply_markup" not in answer.payload

"""Fixtures of the desk's own tests."""

from __future__ import annotations

import pytest

from desk.flow import customers, edits, operators
from desk.flow.desk import Desk
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import BEN, OSCAR, Stage
from tests.desk.leavings import UMA, store, uma_asks, uma_presses, uma_says


@pytest.fixture
def stage(desk: Desk) -> Stage:
    """A desk with its people, on SQLite and on PostgreSQL."""
    return Stage(desk)


@pytest.fixture
def topic(stage: Stage) -> Stage:
    """A stage on which Ana was promised a person, and has her topic and her card."""
    stage.ask("my roses are dead", intent="complaint")
    stage.topic()
    stage.send_all()
    return stage


@pytest.fixture
def uma(stage: Stage) -> Stage:
    """A customer with all that there can be: answers, a thumb, a card, an operator's words, a file,
    a reminder; and somebody else, who has nothing to do with it."""
    stage.ask("where is my order", BEN)
    stage.topic(BEN, 78)
    uma_asks(stage, "where are my peonies, I am at 17 Elm Road")
    uma_presses(stage, "up")
    uma_asks(stage, "the peonies are dead, I am furious", intent="complaint")
    stage.topic(UMA)
    stage.send_all()
    reply = {
        "chat": {"id": OPERATOR_CHAT},
        "message_thread_id": 77,
        "message_id": 9,
        "text": "I am sorry about the peonies",
    }
    operators.operator_wrote(
        stage.desk,
        store(stage, 9001, OPERATOR_CHAT, {"message": reply}),
        *(OSCAR, 77, 9, "I am sorry about the peonies"),
    )
    reply["text"] = "I am very sorry about the peonies"
    edits.operator_changed(
        stage.desk,
        store(stage, 9002, OPERATOR_CHAT, {"edited_message": reply}),
        *(OSCAR, 77, 9),
        edits.Rewritten(reply["text"], "editMessageText", {"text": reply["text"]}),
    )
    changed = "the peonies are dead and brown"
    edits.customer_changed(stage.desk, uma_says(stage, changed), UMA, 41, changed)
    customers.sent_file(stage.desk, uma_says(stage, "my peonies"), UMA, 43, "my peonies")
    stage.send_all()
    for _ in range(2):  # her file stands there since this very moment, which is asked about
        operators.resolved(stage.desk, stage.update(OPERATOR_CHAT), OSCAR, 77)
    stage.send_all()
    return stage

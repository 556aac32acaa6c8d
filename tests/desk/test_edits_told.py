"""Edits of operators that can't be passed on or carried out: they hear it, once a message."""

from __future__ import annotations

import pytest

from desk.flow import delivering, edits, operators
from desk.flow.edits import Rewritten
from desk.texts import say
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import ANA, OSCAR, STRANGER, Stage
from tests.desk.test_edits import ana_waits, update
from tests.desk.test_operators_edits import OWN, oscar_writes

OF_KIND, BY_EDIT = say("change-of-kind", "en"), say("command-by-edit", "en")


def changes_poll(stage: Stage, question: str) -> None:
    number = update(stage, {"poll": {"question": question}}, OPERATOR_CHAT)
    edits.operator_changed(stage.desk, number, OSCAR, 77, OWN, Rewritten(question, None, {}))


def changes_command(
    stage: Stage, text: str, *, user_id: int = OSCAR, thread_id: int = 77, own: int = 1000
) -> None:
    rewritten = Rewritten(text, "editMessageText", {"text": text}, is_command=True)
    number = update(stage, {"text": text}, OPERATOR_CHAT)
    edits.operator_changed(stage.desk, number, user_id, thread_id, own, rewritten)


def test_an_edit_of_what_bots_can_not_change_is_told_once(stage: Stage) -> None:
    ana_waits(stage)
    oscar_writes(stage, "pink or red?")
    stage.send_all()
    changes_poll(stage, "pink, red or blue?")
    changes_poll(stage, "pink, red or white?")
    assert stage.told().count(OF_KIND) == 1
    assert [row.chat_id for row in stage.send_all()] == [OPERATOR_CHAT]


@pytest.mark.parametrize("in_doubt", [False, True])
def test_of_what_is_on_its_way_nobody_is_told_that_it_arrived_as_it_was(
    stage: Stage, in_doubt: bool
) -> None:
    """Telegram copies what the message says at that moment."""
    ana_waits(stage)
    oscar_writes(stage, "pink or red?")
    (copy,) = [delivery for delivery in stage.take() if delivery.chat_id == ANA.chat_id]
    if in_doubt:
        delivering.again(stage.desk, copy.id, copy.attempts, 0, "answer lost", uncertain=True)
    changes_poll(stage, "pink, red or blue?")
    assert stage.told()[-1] == say("change-of-kind-perhaps", "en")


def test_one_that_has_not_left_takes_the_change_along_and_nothing_is_told(stage: Stage) -> None:
    ana_waits(stage)
    oscar_writes(stage, "pink or red?")
    changes_poll(stage, "pink, red or blue?")
    assert OF_KIND not in stage.told()
    (copy,) = [row for row in stage.send_all() if row.chat_id == ANA.chat_id]
    assert copy.method == "copyMessage"
    assert copy.message_id is not None
    assert stage.message(copy.message_id).text == "pink, red or blue?"


def test_one_that_is_made_a_note_before_it_left_stays_here(stage: Stage) -> None:
    ana_waits(stage)
    oscar_writes(stage, "pink or red?")
    changes_poll(stage, "// pink or red?")
    assert stage.told()[-1] == say("taken-back-unsent", "en")
    assert not [row for row in stage.send_all() if row.chat_id == ANA.chat_id]


@pytest.mark.parametrize("thread_id", [77, 78, 0], ids=["topic", "nobody's topic", "General"])
def test_an_edit_carries_out_no_command_and_that_is_told_once(stage: Stage, thread_id: int) -> None:
    ana_waits(stage)
    operators.mistyped(stage.desk, stage.update(), OSCAR, thread_id or None, "/resolv")
    changes_command(stage, "/resolve", thread_id=thread_id)
    changes_command(stage, "/resolve", thread_id=thread_id)
    assert stage.told().count(BY_EDIT) == 1
    assert stage.send_all()[-1].payload.get("message_thread_id") == (thread_id or None)


@pytest.mark.parametrize(("user_id", "text"), [(STRANGER, "/resolve"), (OSCAR, "// she called")])
def test_others_commands_and_notes_are_nobodys_business(
    stage: Stage, user_id: int, text: str
) -> None:
    ana_waits(stage)
    changes_command(stage, text, user_id=user_id)
    assert stage.send_all() == []

"""What operators have written is edited afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from desk import metrics
from desk.domain import (
    ConversationState,
    DeliveryState,
)
from desk.flow import customers, delivering, edits, operators, restoring
from desk.flow.edits import Rewritten
from desk.tables import Inbox, Message
from desk.texts import say
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import ANA, BEN, BOT, OLGA, OSCAR, STRANGER, Stage
from tests.desk.test_edits import all_done, ana_waits, update

OWN = 9
"""The id of the message that is edited, in the group."""


def oscar_writes(stage: Stage, text: str, **file: Any) -> None:
    number = update(stage, {"text": text, **file}, OPERATOR_CHAT)
    operators.operator_wrote(stage.desk, number, OSCAR, 77, OWN, text)


def oscar_edits(
    stage: Stage, text: str, *, user_id: int = OSCAR, thread_id: int = 77, **file: Any
) -> None:
    rewritten = Rewritten(text, "editMessageText", {"text": text})
    number = update(stage, {"text": text, **file}, OPERATOR_CHAT)
    edits.operator_changed(stage.desk, number, user_id, thread_id, OWN, rewritten)


def test_an_operators_edit_changes_what_the_customer_has(stage: Stage) -> None:
    ana_waits(stage)
    oscar_writes(stage, "they come on Monday")
    (copy, *_) = [row for row in stage.send_all() if row.method == "copyMessage"]
    oscar_edits(stage, "they come on Tuesday")
    (change,) = stage.take()
    assert (change.chat_id, change.method) == (ANA.chat_id, "editMessageText")
    assert change.payload == {"text": "they come on Tuesday", "message_id": copy.telegram_id}
    kept = stage.one(select(Message).where(Message.telegram_id == OWN))
    assert kept.text == "they come on Tuesday"


def test_an_edit_waits_for_the_copy_that_it_changes(stage: Stage) -> None:
    ana_waits(stage)
    oscar_writes(stage, "they come on Monday")
    (copy,) = [delivery for delivery in stage.take() if delivery.method == "copyMessage"]
    oscar_edits(stage, "they come on Tuesday")
    assert [one.chat_id for one in stage.take() if one.chat_id == ANA.chat_id] == []
    delivering.sent(stage.desk, copy.id, copy.attempts, 5005)
    (change,) = [one for one in stage.take() if one.chat_id == ANA.chat_id]
    assert change.payload["message_id"] == 5005


def test_a_copy_that_has_not_left_takes_the_change_along(stage: Stage) -> None:
    ana_waits(stage)
    oscar_writes(stage, "they come on Monday")
    oscar_edits(stage, "they come on Tuesday")
    # Telegram copies what the message says by then.
    assert [row.method for row in stage.send_all() if row.chat_id == ANA.chat_id] == ["copyMessage"]
    assert stage.one(select(Message).where(Message.telegram_id == OWN)).text.endswith("Tuesday")


def test_a_copy_that_is_found_to_have_arrived_after_all_is_changed(stage: Stage) -> None:
    """Its sender was taken for dead, and then notes that Telegram has it: as it was before."""
    ana_waits(stage)
    oscar_writes(stage, "they come on Monday")
    (copy,) = [delivery for delivery in stage.take() if delivery.method == "copyMessage"]
    stage.recover()
    oscar_edits(stage, "they come on Tuesday")
    delivering.sent(stage.desk, copy.id, copy.attempts, 5005)
    (change,) = [one for one in stage.take() if one.chat_id == ANA.chat_id]
    assert change.payload == {"text": "they come on Tuesday", "message_id": 5005}


def test_an_edit_of_what_never_arrived_is_not_sent_and_that_is_told(stage: Stage) -> None:
    ana_waits(stage)
    oscar_writes(stage, "they come on Monday")
    (copy,) = [delivery for delivery in stage.take() if delivery.method == "copyMessage"]
    delivering.failed(stage.desk, copy.id, copy.attempts, "refused")
    oscar_edits(stage, "they come on Tuesday")
    assert stage.told()[-1] == say("change-of-nothing-sent", "en")
    assert not [row for row in stage.send_all() if row.chat_id == ANA.chat_id]


def test_an_edit_of_what_is_refused_meanwhile_is_not_sent(stage: Stage) -> None:
    ana_waits(stage)
    oscar_writes(stage, "they come on Monday")
    (copy,) = [delivery for delivery in stage.take() if delivery.method == "copyMessage"]
    oscar_edits(stage, "they come on Tuesday")
    delivering.failed(stage.desk, copy.id, copy.attempts, "refused")
    assert not [row for row in stage.send_all() if row.chat_id == ANA.chat_id]
    (change,) = stage.deliveries(ANA.chat_id, method="editMessageText")
    assert change.state is DeliveryState.CANCELLED


def test_an_edit_that_telegram_refuses_is_told_and_not_tried_again(stage: Stage) -> None:
    ana_waits(stage)
    oscar_writes(stage, "they come on Monday")
    stage.send_all()
    oscar_edits(stage, "they come on Tuesday")
    (change,) = stage.take()
    delivering.failed(stage.desk, change.id, change.attempts, "message to edit not found")
    assert "change to a message could not be delivered" in stage.told()[-1]
    # By then another edit may have arrived. And `doctor` has nothing to warn of for ever.
    assert delivering.retry_failed(stage.desk) == 0
    assert delivering.counts(stage.desk).get("failed", 0) == 0


def test_an_edit_leaves_the_conversation_as_it_is(stage: Stage) -> None:
    ana_waits(stage)
    oscar_writes(stage, "they come on Monday")
    stage.resolve()
    stage.send_all()
    oscar_edits(stage, "they come on Tuesday")
    assert stage.conversation().state is ConversationState.RESOLVED
    assert [row.method for row in stage.send_all()] == ["editMessageText"]


@pytest.mark.parametrize(
    "text",
    ["/resolve", "// for colleagues", "／resolve", "／／ for colleagues", "、、给同事", "/／ x"],
)
def test_what_is_a_note_or_a_command_now_is_taken_back(stage: Stage, text: str) -> None:
    ana_waits(stage)
    oscar_writes(stage, "they come on Monday")
    (copy,) = [row for row in stage.send_all() if row.method == "copyMessage"]
    oscar_edits(stage, text)
    (deletion,) = stage.take()
    assert (deletion.chat_id, deletion.method) == (ANA.chat_id, "deleteMessage")
    assert deletion.payload == {"message_id": copy.telegram_id}


@pytest.mark.parametrize("note", ["// she is lying", "／／ she is lying", "、、 she is lying"])
@pytest.mark.parametrize("was", ["pending", "failed"])
def test_what_is_made_a_note_before_it_left_is_not_sent_at_all(
    stage: Stage, was: str, note: str
) -> None:
    ana_waits(stage)
    oscar_writes(stage, "she is lying")
    if was == "failed":
        (copy,) = [delivery for delivery in stage.take() if delivery.method == "copyMessage"]
        delivering.failed(stage.desk, copy.id, copy.attempts, "refused")
    before = metrics.DELIVERIES.labels("cancelled")._value.get()
    oscar_edits(stage, note)
    assert stage.told()[-1] == say("taken-back-unsent", "en")
    assert metrics.DELIVERIES.labels("cancelled")._value.get() == before + 1
    delivering.retry_failed(stage.desk)
    assert not [row for row in stage.send_all() if row.chat_id == ANA.chat_id]


def test_what_may_have_left_and_is_made_a_note_does_not_leave_again(stage: Stage) -> None:
    ana_waits(stage)
    oscar_writes(stage, "she is lying")
    (copy,) = [delivery for delivery in stage.take() if delivery.method == "copyMessage"]
    delivering.again(stage.desk, copy.id, copy.attempts, 0, "answer lost", uncertain=True)
    oscar_edits(stage, "// she is lying")
    assert stage.told()[-1] == say("taken-back-perhaps", "en")
    assert not [row for row in stage.send_all() if row.chat_id == ANA.chat_id]
    oscar_edits(stage, "// she is lying, I think")
    assert stage.told()[-1] == say("taken-back-perhaps", "en")


@pytest.mark.parametrize("end", ["again", "failed"])
def test_what_is_made_a_note_while_it_leaves_is_not_sent_once_more(stage: Stage, end: str) -> None:
    ana_waits(stage)
    oscar_writes(stage, "she is lying")
    (copy,) = [delivery for delivery in stage.take() if delivery.method == "copyMessage"]
    oscar_edits(stage, "// she is lying")
    assert stage.told()[-1] == say("taken-back-on-its-way", "en")
    if end == "again":
        delivering.again(stage.desk, copy.id, copy.attempts, 0, "too many requests")
    else:
        delivering.failed(stage.desk, copy.id, copy.attempts, "refused")
        delivering.retry_failed(stage.desk)
    assert not [row for row in stage.send_all() if row.chat_id == ANA.chat_id]


def test_nothing_is_copied_whose_edit_is_still_to_be_handled(stage: Stage) -> None:
    """As when a bot comes back and finds both in its inbox."""
    ana_waits(stage)
    oscar_writes(stage, "she is lying")
    number = stage.update(OPERATOR_CHAT)
    with stage.desk.store.writing() as session:
        session.get_one(Inbox, number).payload = {"edited_message": {"message_id": OWN}}
    assert not [row for row in stage.send_all() if row.chat_id == ANA.chat_id]
    rewritten = Rewritten("// she is lying", "editMessageText", {"text": "// she is lying"})
    edits.operator_changed(stage.desk, number, OSCAR, 77, OWN, rewritten)
    assert stage.told()[-1] == say("taken-back-unsent", "en")
    assert not [row for row in stage.send_all() if row.chat_id == ANA.chat_id]


def test_an_edit_that_only_another_bot_was_told_of_holds_up_nobody(stage: Stage) -> None:
    """As after a change of BOT_TOKEN: nobody handles what is left in the old bot's inbox."""
    ana_waits(stage)
    oscar_writes(stage, "they come on Monday")
    number = stage.update(OPERATOR_CHAT)
    with stage.desk.store.writing() as session:
        row = session.get_one(Inbox, number)
        row.bot_id, row.payload = BOT + 1, {"edited_message": {"message_id": OWN}}
    assert [row.method for row in stage.send_all() if row.chat_id == ANA.chat_id] == ["copyMessage"]


def test_a_file_that_was_replaced_before_it_left_is_the_one_that_counts(stage: Stage) -> None:
    ana_waits(stage)
    oscar_writes(stage, "your invoice", document={"file_unique_id": "invoice-1"})
    oscar_edits(stage, "your invoice", document={"file_unique_id": "invoice-2"})
    stage.send_all()
    oscar_edits(stage, "your invoice!", document={"file_unique_id": "invoice-2"})
    assert [row.chat_id for row in stage.send_all()] == [ANA.chat_id]


@pytest.mark.parametrize("moved", ["group", "world"])
def test_another_group_numbers_its_messages_alike(stage: Stage, moved: str) -> None:
    """Neither an edit nor a reply may meet what stood under that number before."""
    ana_waits(stage)
    oscar_writes(stage, "they come on Monday")
    stage.send_all()
    if moved == "group":
        stage = Stage(replace(stage.desk, operator_chat_id=-1009), first_update=500)
    else:
        restoring.forget_people(stage.desk, BOT)
    stage.topic()
    oscar_edits(stage, "she called twice")
    operators.operator_wrote(stage.desk, stage.update(), OSCAR, 77, 60, "hello", OWN)
    assert not [row for row in stage.send_all() if row.chat_id == ANA.chat_id]
    assert say("kept-reply", "en") in stage.told()


def test_a_note_made_into_an_answer_is_not_sent_and_that_is_told(stage: Stage) -> None:
    ana_waits(stage)
    oscar_edits(stage, "they come on Monday")
    assert stage.told()[-1] == say("change-of-nothing-sent", "en")
    assert [row.chat_id for row in stage.send_all()] == [OPERATOR_CHAT]


@pytest.mark.parametrize("note", ["// she called twice", "／／ she called", "、、她来过两次电话"])
def test_a_note_that_stays_one_is_nobodys_business(stage: Stage, note: str) -> None:
    ana_waits(stage)
    oscar_edits(stage, note)
    assert stage.send_all() == []


def test_a_note_is_told_once_however_often_it_changes(stage: Stage) -> None:
    ana_waits(stage)
    oscar_edits(stage, "they come on Monday")
    oscar_edits(stage, "they come on Tuesday")
    assert stage.told().count(say("change-of-nothing-sent", "en")) == 1


def test_a_replaced_file_is_not_sent_and_that_is_told(stage: Stage) -> None:
    ana_waits(stage)
    first = [{"file_unique_id": "small"}, {"file_unique_id": "invoice-1"}]
    oscar_writes(stage, "your invoice", photo=first)
    stage.send_all()
    oscar_edits(stage, "your invoice!", photo=first)
    assert [row.chat_id for row in stage.send_all()] == [ANA.chat_id]
    oscar_edits(stage, "your invoice!", document={"file_unique_id": "invoice-2"})
    assert stage.told()[-1] == say("change-of-file", "en")
    # Nor is one that comes to a text.
    number = update(stage, {"text": "hi"}, OPERATOR_CHAT)
    operators.operator_wrote(stage.desk, number, OSCAR, 77, OWN + 1, "hi")
    stage.send_all()
    rewritten = Rewritten("hi", "editMessageCaption", {"caption": "hi"})
    number = update(stage, {"caption": "hi", "photo": first}, OPERATOR_CHAT)
    edits.operator_changed(stage.desk, number, OSCAR, 77, OWN + 1, rewritten)
    assert stage.told()[-1] == say("change-of-file", "en")
    assert [row.chat_id for row in stage.send_all()] == [OPERATOR_CHAT]


@pytest.mark.parametrize("why", ["customer-gone", "customer-banned"])
def test_to_whom_nothing_is_sent_no_edit_is(stage: Stage, why: str) -> None:
    ana_waits(stage)
    oscar_writes(stage, "they come on Monday")
    stage.send_all()
    if why == "customer-gone":
        customers.blocked(stage.desk, stage.update(), ANA.chat_id, gone=True)
    else:
        operators.banned(stage.desk, stage.update(), OLGA, 77)
    stage.send_all()
    oscar_edits(stage, "they come on Tuesday")
    assert stage.told()[-1] == say(why, "en")
    assert [row.chat_id for row in stage.send_all()] == [OPERATOR_CHAT]


@pytest.mark.parametrize(("user_id", "thread_id"), [(STRANGER, 77), (OSCAR, 78)])
def test_edits_of_others_and_elsewhere_change_nothing(
    stage: Stage, user_id: int, thread_id: int
) -> None:
    ana_waits(stage)
    oscar_writes(stage, "they come on Monday")
    stage.send_all()
    oscar_edits(stage, "they never come", user_id=user_id, thread_id=thread_id)
    assert stage.send_all() == []
    assert all_done(stage)


def test_an_edit_in_another_customers_topic_does_not_reach_this_one(stage: Stage) -> None:
    """Telegram's ids are unique in the group, but nothing here may rest on that."""
    ana_waits(stage)
    oscar_writes(stage, "they come on Monday")
    stage.ask("my tulips are dead", BEN, intent="complaint")
    stage.topic(BEN, 78)
    stage.send_all()
    oscar_edits(stage, "they come on Tuesday", thread_id=78)
    assert [row.chat_id for row in stage.send_all()] == [OPERATOR_CHAT]
    assert stage.told()[-1] == say("change-of-nothing-sent", "en")

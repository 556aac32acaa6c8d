"""What operators wrote to a customer is taken back, by /delete or by an edit into a note."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from desk.domain import Delivery, DeliveryState
from desk.flow import customers, delivering, edits, operators, taking_back
from desk.flow.awaiting import is_called
from desk.flow.edits import Rewritten
from desk.tables import Conversation, DeliveryRow, Inbox, Message
from desk.texts import say
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, OLGA, OSCAR, STRANGER, Stage

OWN = 9
"""The id in the group of the operator's message that is taken back."""


def oscar_writes(stage: Stage, text: str, telegram_id: int = OWN, **more: Any) -> None:
    number = stage.update(OPERATOR_CHAT)
    with stage.desk.store.writing() as session:
        body = {"message_id": telegram_id, **more}
        session.get_one(Inbox, number).payload = {"message": body}
    operators.operator_wrote(stage.desk, number, OSCAR, 77, telegram_id, text)


def edit(stage: Stage, text: str, telegram_id: int = OWN) -> None:
    number = stage.update(OPERATOR_CHAT)
    with stage.desk.store.writing() as session:
        body = {"message_id": telegram_id}
        session.get_one(Inbox, number).payload = {"edited_message": body}
    rewritten = Rewritten(text, "editMessageText", {"text": text})
    edits.operator_changed(stage.desk, number, OSCAR, 77, telegram_id, rewritten)


def delete(
    stage: Stage, reply_to: int | None = OWN, *, user_id: int = OLGA, thread_id: int = 77
) -> None:
    number = stage.update(OPERATOR_CHAT)
    taking_back.deleted(stage.desk, number, user_id, thread_id, reply_to)


def to_ana(taken: list[Delivery]) -> list[Delivery]:
    return [delivery for delivery in taken if delivery.chat_id == ANA.chat_id]


def copy_of(stage: Stage, telegram_id: int = OWN) -> DeliveryRow:
    wrote = stage.one(select(Message).where(Message.telegram_id == telegram_id))
    (copy,) = stage.deliveries(key=f"operator:{wrote.id}")
    return copy


def notice(stage: Stage) -> tuple[str, int | None]:
    """The last thing said to the operators, and what it replies to."""
    row = stage.deliveries(OPERATOR_CHAT, method="sendMessage")[-1]
    return row.payload["text"], row.payload.get("reply_parameters", {}).get("message_id")


def test_a_colleagues_message_is_deleted_and_the_topic_says_so_below_it(topic: Stage) -> None:
    oscar_writes(topic, "Ben's invoice")
    topic.send_all()
    there = copy_of(topic).telegram_id
    delete(topic, user_id=OLGA)
    assert "Taken back" not in topic.told()[-1], "not before it is true"
    (deletion,) = topic.take()
    assert (deletion.chat_id, deletion.method) == (ANA.chat_id, "deleteMessage")
    assert deletion.payload == {"message_id": there}
    delivering.sent(topic.desk, deletion.id, deletion.attempts, None)
    assert notice(topic) == ("🗑 Taken back: the customer no longer has this message.", OWN)


def test_what_is_taken_back_is_no_word_to_the_customer(topic: Stage) -> None:
    def waits() -> bool:
        with topic.desk.store.reading() as session:
            conversation = session.get_one(Conversation, topic.conversation().id)
            return is_called(session, conversation)

    oscar_writes(topic, "Ben's invoice")
    topic.send_all()
    assert not waits()
    delete(topic)
    topic.send_all()
    assert waits()
    # Nor is it there to be replied to, changed, or taken back once more.
    operators.operator_wrote(topic.desk, topic.update(), OSCAR, 77, 60, "hello", OWN)
    rewritten = Rewritten("hello", "editMessageText", {"text": "hello"})
    edits.operator_changed(topic.desk, topic.update(OPERATOR_CHAT), OSCAR, 77, OWN, rewritten)
    assert topic.told()[-1] == say("change-of-nothing-sent", "en")
    delete(topic)
    assert topic.told()[-1] == say("taken-back", "en")
    assert not [row for row in topic.send_all() if row.chat_id == ANA.chat_id]
    assert say("kept-reply", "en") in topic.told()


def test_what_has_not_left_yet_is_not_sent(topic: Stage) -> None:
    oscar_writes(topic, "Ben's invoice")
    delete(topic)
    assert topic.told()[-1] == say("taken-back-unsent", "en")
    assert to_ana(topic.take()) == []


def test_what_is_on_its_way_is_deleted_once_it_has_arrived(topic: Stage) -> None:
    oscar_writes(topic, "Ben's invoice")
    (copy,) = to_ana(topic.take())
    delete(topic)
    assert topic.told()[-1] == say("taken-back-on-its-way", "en")
    assert to_ana(topic.take()) == []
    delivering.sent(topic.desk, copy.id, copy.attempts, 5005)
    (deletion,) = to_ana(topic.take())
    assert (deletion.method, deletion.payload) == ("deleteMessage", {"message_id": 5005})


def test_what_was_on_its_way_and_never_arrived_is_not_deleted(topic: Stage) -> None:
    oscar_writes(topic, "Ben's invoice")
    (copy,) = to_ana(topic.take())
    delete(topic)
    delivering.again(topic.desk, copy.id, copy.attempts, 0, "too many requests")
    assert to_ana(topic.take()) == []
    assert topic.told()[-1] == say("taken-back-on-its-way", "en"), "if it arrives: it has not"
    assert {row.state for row in topic.deliveries(ANA.chat_id)[1:]} == {DeliveryState.CANCELLED}


def test_what_perhaps_arrived_and_can_not_be_deleted_is_told(topic: Stage) -> None:
    """As when Telegram's answer to the copy is lost, or its sender dies."""
    oscar_writes(topic, "Ben's invoice")
    (copy,) = to_ana(topic.take())
    delete(topic)
    assert topic.told()[-1] == say("taken-back-on-its-way", "en")
    delivering.again(topic.desk, copy.id, copy.attempts, 0, "answer lost", uncertain=True)
    assert to_ana(topic.take()) == []
    assert notice(topic) == (say("taken-back-perhaps", "en"), OWN)


def test_what_arrived_under_an_unknown_id_is_not_deleted_and_that_is_told(topic: Stage) -> None:
    oscar_writes(topic, "Ben's invoice")
    (copy,) = to_ana(topic.take())
    delivering.sent(topic.desk, copy.id, copy.attempts, None)
    delete(topic)
    assert to_ana(topic.take()) == []
    assert notice(topic) == (say("taken-back-perhaps", "en"), OWN)


@pytest.mark.parametrize("on_its_way", [False, True])
def test_what_is_no_note_after_all_stays_and_of_an_album_all(
    topic: Stage, clock: Clock, on_its_way: bool
) -> None:
    for number in (OWN, OWN + 1):
        oscar_writes(topic, "your roses", number, media_group_id="roses")
    clock.move(seconds=2)
    if on_its_way:
        (copy,) = to_ana(topic.take())
    else:
        topic.send_all()
    edit(topic, "// her roses")
    edit(topic, "your new roses")
    if on_its_way:
        delivering.again(topic.desk, copy.id, copy.attempts, 0, "too many requests")
    assert "deleteMessage" not in {row.method for row in topic.send_all()}
    assert {copy_of(topic, number).state for number in (OWN, OWN + 1)} == {DeliveryState.SENT}
    assert not [text for text in topic.told() if "Taken back" in text]


def test_a_later_edit_does_not_keep_what_a_colleague_deletes(topic: Stage) -> None:
    oscar_writes(topic, "Ben's invoice")
    topic.send_all()
    delete(topic, user_id=OLGA)
    edit(topic, "Ben's new invoice")
    topic.send_all()
    assert copy_of(topic).state is DeliveryState.CANCELLED
    assert notice(topic)[0].startswith("🗑 Taken back")


def test_what_telegram_does_not_delete_is_told_and_not_tried_again(topic: Stage) -> None:
    oscar_writes(topic, "Ben's invoice")
    topic.send_all()
    delete(topic)
    (deletion,) = topic.take()
    error = "Bad Request: message can't be deleted for everyone"
    delivering.failed(topic.desk, deletion.id, deletion.attempts, error)
    text, about = notice(topic)
    assert "could not be taken back" in text
    assert "be deleted for everyone" in text
    assert about == OWN
    assert delivering.retry_failed(topic.desk) == 0
    assert copy_of(topic).state is DeliveryState.SENT


def test_what_a_customer_who_has_blocked_the_bot_keeps_is_told(topic: Stage) -> None:
    oscar_writes(topic, "Ben's invoice")
    topic.send_all()
    customers.blocked(topic.desk, topic.update(), ANA.chat_id, gone=True)
    topic.send_all()
    delete(topic)
    (deletion,) = to_ana(topic.take())
    delivering.customer_gone(topic.desk, deletion.id, deletion.attempts, "Forbidden: blocked")
    assert notice(topic) == ("⚠️ " + say("not-taken-back", "en", error="Forbidden: blocked"), OWN)


def test_from_one_who_is_banned_it_can_be_taken_back(topic: Stage) -> None:
    oscar_writes(topic, "Ben's invoice")
    topic.send_all()
    operators.banned(topic.desk, topic.update(), OLGA, 77)
    delete(topic)
    assert [delivery.method for delivery in to_ana(topic.take())] == ["deleteMessage"]


@pytest.mark.parametrize("reply_to", [None, 4711])
def test_who_replies_to_nothing_of_the_teams_is_told_how_it_works(
    topic: Stage, reply_to: int | None
) -> None:
    oscar_writes(topic, "they come on Monday")
    topic.send_all()
    delete(topic, reply_to)
    assert topic.told()[-1] == say("take-back-what", "en")
    assert to_ana(topic.take()) == []


@pytest.mark.parametrize(("user_id", "thread_id"), [(STRANGER, 77), (OLGA, 78), (OLGA, 79)])
def test_nothing_is_taken_back_by_others_or_from_elsewhere(
    topic: Stage, user_id: int, thread_id: int
) -> None:
    oscar_writes(topic, "they come on Monday")
    topic.ask("my tulips are dead", BEN, intent="complaint")
    topic.topic(BEN, 78)
    topic.send_all()
    delete(topic, user_id=user_id, thread_id=thread_id)
    assert not [row for row in topic.send_all() if row.method == "deleteMessage"]
    assert copy_of(topic).state is DeliveryState.SENT


@pytest.mark.parametrize("by", ["command", "edit"])
def test_of_an_album_all_pictures_are_taken_back_and_that_is_said_once(
    topic: Stage, clock: Clock, by: str
) -> None:
    for number in range(OWN, OWN + 3):
        oscar_writes(topic, "Ben's flat", number, media_group_id="flat")
    oscar_writes(topic, "another", 60, media_group_id="roses")
    clock.move(seconds=2)
    topic.send_all()
    if by == "command":
        delete(topic, OWN + 1)
    else:
        rewritten = Rewritten("// Ben's flat", "editMessageCaption", {"caption": "// Ben's flat"})
        number = topic.update(OPERATOR_CHAT)
        edits.operator_changed(topic.desk, number, OSCAR, 77, OWN + 1, rewritten)
    deleted = [row.message_id for row in topic.send_all() if row.method == "deleteMessage"]
    assert len(deleted) == 3
    assert copy_of(topic, 60).state is DeliveryState.SENT
    assert sum("Taken back" in text for text in topic.told()) == 1


def test_of_an_album_that_has_not_left_no_picture_leaves(topic: Stage, clock: Clock) -> None:
    for number in (OWN, OWN + 1):
        oscar_writes(topic, "Ben's flat", number, media_group_id="flat")
    delete(topic, OWN + 1)
    clock.move(seconds=2)
    assert to_ana(topic.take()) == []
    assert {copy_of(topic, number).state for number in (OWN, OWN + 1)} == {DeliveryState.CANCELLED}


def test_a_reply_is_not_taken_along_to_another_group(topic: Stage) -> None:
    """It numbers its messages alike."""
    oscar_writes(topic, "Ben's invoice")
    topic.send_all()
    delete(topic)
    (deletion,) = topic.take()
    delivering.failed(topic.desk, deletion.id, deletion.attempts, "too old")
    assert notice(topic)[1] == OWN
    moved = Stage(replace(topic.desk, operator_chat_id=-1009), first_update=500)
    moved.take()
    (told,) = [row for row in moved.deliveries(-1009) if "taken back" in row.payload["text"]]
    assert "reply_parameters" not in told.payload

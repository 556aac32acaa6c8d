"""Conversations that are given back: by /release, or since somebody is no operator any more."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from desk.domain import ConversationState, Person, Role
from desk.flow import operators, releasing, reminding, roster
from desk.flow.overview import overview
from desk.tables import Operator
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, OLGA, OSCAR, STRANGER, Stage

TEN = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
SAM = 9003


@pytest.fixture
def stage(stage: Stage, clock: Clock) -> Stage:
    clock.set(TEN)
    return stage


def called(stage: Stage, person: Person = ANA, thread_id: int = 77, by: int = OSCAR) -> None:
    """A customer waits for a person; somebody takes them without a word."""
    stage.ask("my roses are dead", person, intent="complaint")
    stage.topic(person, thread_id)
    stage.send_all()
    operators.took(stage.desk, stage.update(), by, thread_id)
    stage.send_all()


def release(stage: Stage, thread_id: int | None = 77, by: int = OSCAR) -> str:
    """Somebody writes /release; returns what it is answered with."""
    if thread_id is None:
        releasing.released_all(stage.desk, stage.update(OPERATOR_CHAT), by, 60)
    else:
        releasing.released(stage.desk, stage.update(OPERATOR_CHAT), by, thread_id, 60)
    row = stage.deliveries(OPERATOR_CHAT, method="sendMessage")[-1]
    assert row.payload.get("message_thread_id") == thread_id
    assert by == STRANGER or row.payload["reply_parameters"]["message_id"] == 60
    return str(row.payload["text"])


def card(stage: Stage) -> str:
    """How the last card stands that was changed."""
    return str(stage.deliveries(OPERATOR_CHAT, method="editMessageText")[-1].payload["text"])


def test_who_was_taken_without_a_word_and_is_given_back_waits_as_long_as_before(
    stage: Stage, clock: Clock
) -> None:
    called(stage)
    before, heard = stage.conversation().escalated_at, stage.heard()
    clock.move(minutes=5)
    assert release(stage) == "↩️ Oscar has given them back: they wait for any colleague."
    conversation = stage.conversation()
    assert (conversation.state, conversation.operator_id) == (ConversationState.WAITING, None)
    assert conversation.escalated_at == before
    assert "⏳ waiting for a person" in card(stage)
    assert stage.heard() == heard, "the customer sees nothing of it"
    clock.move(minutes=11)
    assert reminding.remind(stage.desk) == 1
    assert "Oscar" not in stage.told()[-1]
    assert "One customer is waiting" in overview(stage.desk)


def test_who_wrote_last_and_is_given_back_waits_since_they_wrote(
    stage: Stage, clock: Clock
) -> None:
    called(stage)
    stage.reply("on its way")
    stage.send_all()
    clock.move(minutes=90)
    stage.ask("and where is it now?", intent="order_status")
    stage.send_all()
    since = clock()
    clock.move(minutes=5)
    release(stage)
    conversation = stage.conversation()
    assert (conversation.state, conversation.escalated_at) == (ConversationState.WAITING, since)
    assert reminding.remind(stage.desk) == 0, "they wait for five minutes"
    clock.move(minutes=11)
    assert reminding.remind(stage.desk) == 1
    operators.took(stage.desk, stage.update(), OLGA, 77)
    assert "One customer is waiting for a person" in overview(stage.desk), "no word was said"
    stage.reply("it arrives today", user_id=OLGA)
    assert "Nobody is waiting" in overview(stage.desk)


def test_one_who_is_answered_and_given_back_waits_for_nothing_and_the_bot_stays_silent(
    stage: Stage, clock: Clock
) -> None:
    called(stage)
    stage.reply("it leaves today")
    stage.send_all()
    assert "They are answered, and nobody has them now" in release(stage)
    conversation = stage.conversation()
    assert (conversation.state, conversation.operator_id) == (ConversationState.HUMAN, None)
    assert "given back; nobody has it" in card(stage)
    heard = stage.heard()
    stage.ask("and when does it arrive?", intent="order_status")
    assert stage.heard() == heard
    clock.move(minutes=61)
    assert reminding.remind(stage.desk) == 1
    assert stage.told()[-1].endswith("has no reply. Nobody has the conversation.")
    operators.took(stage.desk, stage.update(), OLGA, 77)
    assert stage.conversation().operator_id == OLGA


def test_what_is_no_ones_own_is_not_given_back_and_a_colleague_who_has_it_is_named(
    stage: Stage,
) -> None:
    called(stage)
    assert release(stage, by=OLGA) == "Oscar has this conversation; nothing was done."
    assert stage.conversation().operator_id == OSCAR
    assert "Only operators can do that" in release(stage, by=STRANGER)
    assert stage.conversation().operator_id == OSCAR
    release(stage)
    nobodys = "Nobody has this conversation: there is nothing to give back."
    assert release(stage) == nobodys
    stage.resolve()
    assert release(stage) == nobodys
    assert stage.conversation().state is ConversationState.RESOLVED


def test_in_general_all_is_given_back_that_its_writer_has(stage: Stage) -> None:
    called(stage)
    called(stage, BEN, 78)
    stage.reply("on its way", thread_id=78)
    others = Person(chat_id=901, name="Cleo")
    called(stage, others, 79, by=OLGA)
    told = len(stage.told())
    assert release(stage, None) == (
        "↩️ Oscar has given back 2 conversations; in one of them the customer waits for any "
        "colleague: /queue"
    )
    assert stage.conversation().state is ConversationState.WAITING
    assert stage.conversation(BEN).operator_id is None
    assert stage.conversation(others).operator_id == OLGA
    notes = [row for row in stage.deliveries(OPERATOR_CHAT)[told:] if row.topic_of is not None]
    assert [row.topic_of for row in notes if row.key.startswith("released:")] == [
        stage.customer().id
    ]
    assert release(stage, None) == "↩️ Oscar has no conversation to give back."
    assert "Only operators can do that" in release(stage, None, STRANGER)


@pytest.mark.parametrize("from_chat", [False, True])
def test_who_is_no_operator_any_more_leaves_nobody_behind(stage: Stage, from_chat: bool) -> None:
    if from_chat:
        roster.sync_admins(stage.desk, [(SAM, "Sam")])
    else:
        roster.add_operator(stage.desk, SAM, Role.AGENT, "Sam")
    called(stage, by=SAM)
    called(stage, BEN, 78, by=SAM)
    stage.reply("on its way", user_id=SAM, thread_id=78)
    called(stage, Person(chat_id=901, name="Cleo"), 79)
    if from_chat:
        roster.sync_admins(stage.desk, [])
    else:
        assert roster.remove_operator(stage.desk, SAM) == releasing.GivenBack(2, 1)
    assert stage.conversation().state is ConversationState.WAITING
    assert [stage.conversation(person).operator_id for person in (ANA, BEN)] == [None, None]
    assert [text for text in stage.told() if text.startswith("↩️")] == [
        "↩️ Sam is no operator any more: they wait for any colleague.",
        (
            "↩️ Sam is no operator any more; the 2 conversations that they had are given back; in "
            "one of them the customer waits for any colleague: /queue"
        ),
    ]
    assert str(SAM) not in overview(stage.desk)
    told = stage.told()
    roster.sync_admins(stage.desk, [])
    assert stage.told() == told, "there is nothing left to give back"


def test_what_a_removed_operator_still_has_is_given_back_at_the_next_look_at_the_chat(
    stage: Stage,
) -> None:
    roster.add_operator(stage.desk, SAM, Role.AGENT, "Sam")
    called(stage, by=SAM)
    with stage.desk.store.writing() as session:  # as a version before did
        session.delete(session.get_one(Operator, SAM))
    roster.sync_admins(stage.desk, [])
    assert stage.conversation().state is ConversationState.WAITING
    assert stage.told()[-1].startswith("↩️ 9003 is no operator any more; the one conversation")

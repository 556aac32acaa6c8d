"""The words beside a file are read, though a person is called for it at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from desk.domain import Action, ConversationState, FeedbackKind, MessageState
from desk.flow import (
    announcing,
    customers,
    deciding,
    edits,
    lessons,
    operators,
    reminding,
    reporting,
)
from desk.flow.lessons import taught
from desk.tables import Feedback, PredictionRow
from desk.texts import say
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, OSCAR, Stage, labels, predict, with_words
from tests.desk.test_bans import ban
from tests.desk.test_next_replies import TUESDAY_TEN, reminders

SMOKE = "smoke comes out of it!!"
Job = tuple[int, int]


@pytest.fixture
def urgent(stage: Stage) -> Stage:
    """A stage on which complaints can't wait."""
    words = {"priority": True, "answer": {"en": "Leave the house.", "zh": "请离开。"}}
    stage.desk = replace(stage.desk, pack=with_words(stage.desk.pack, "complaint", **words))
    return stage


def sends(stage: Stage, caption: str = SMOKE, telegram_id: int = 55) -> Job:
    job = customers.sent_file(stage.desk, stage.update(), ANA, telegram_id, caption, has_words=True)
    assert job is not None
    return job


def changes(stage: Stage, caption: str, telegram_id: int = 55) -> Job | None:
    return edits.customer_changed(
        stage.desk, stage.update(), ANA, telegram_id, caption, is_file=True, has_words=True
    )


def shown(stage: Stage) -> list[str]:
    """The keys of what shows customers' messages to the operators."""
    return [row.key for row in stage.deliveries(OPERATOR_CHAT) if row.message_id is not None]


def lines(stage: Stage) -> list[str]:
    """What everybody is told in General."""
    return [text for text in stage.told() if text.startswith("🚨 <a href") or "🚨 Ana" in text]


def test_what_can_not_wait_beside_a_picture_is_told_to_everybody(urgent: Stage) -> None:
    job = sends(urgent)
    urgent.topic()
    urgent.send_all()
    before = urgent.heard()
    assert not lines(urgent)
    urgent.decide((job, predict(SMOKE, intent="complaint")))
    line, edit = [row for row in urgent.send_all() if row.chat_id == OPERATOR_CHAT]
    assert edit.method == "editMessageText"
    assert edit.payload["text"].startswith("🚨 <b>Needs a person</b>")
    assert line.payload["text"].startswith("🚨 <a href")
    assert urgent.heard()[:-1] == before
    assert "Leave the house." in urgent.heard()[-1]
    assert shown(urgent)[:2] == [f"card:{job[0]}", f"file:{job[0]}"], "one card, and no post"
    decision = urgent.decision(job[0])
    assert (decision.action, decision.rule) == (Action.ESCALATE, "attachment")
    urgent.decide((job, predict(SMOKE, intent="complaint")))
    assert len(urgent.heard()) == len(before) + 1, "a job that runs twice says it once"
    # And nobody calls that off.
    urgent.write(say("call-off", "en"))
    assert urgent.conversation().state is ConversationState.WAITING


def test_a_card_gets_suggestions_by_a_caption_which_the_bot_does_not_answer(stage: Stage) -> None:
    job = sends(stage, "where is it?")
    assert len(stage.heard()) == 1
    stage.decide((job, predict("where is it?")))
    card, _ = stage.deliveries(OPERATOR_CHAT)
    assert "Where is my order? 95%" in card.payload["text"]
    titles = labels(card)
    assert any("Where is my order?" in title for title in titles)
    assert say("button-relabel", "en") not in titles
    assert len(stage.heard()) == 1
    message = stage.message(job[0])
    assert (message.state, message.attempt) == (MessageState.DECIDED, 0), "a file like any other"


def test_a_tap_on_what_a_caption_suggests_sends_it_and_teaches_nothing(stage: Stage) -> None:
    job = sends(stage, "where is it?")
    stage.decide((job, predict("where is it?")))
    stage.topic()
    stage.send_all()
    stage.press(stage.token("send", "order_status"), by=OSCAR)
    assert "Bouquets take" in stage.heard()[-1]
    with stage.desk.store.reading() as session:
        assert list(taught(session, [stage.conversation().id])) == []
    found = reporting.report(stage.desk, stage.desk.clock() - timedelta(days=1))
    assert (found.intents, found.labelled) == ([], 0), "nor does it say how good the model is"


def test_in_hand_only_what_can_not_wait_is_posted_and_the_customer_hears_nothing(
    urgent: Stage,
) -> None:
    urgent.ask("you are rude", intent="complaint")
    urgent.topic()
    operators.took(urgent.desk, urgent.update(), OSCAR, 77)
    heard = urgent.heard()
    calm = sends(urgent, "where is it?", 55)
    urgent.decide((calm, predict("where is it?")))
    job = sends(urgent, SMOKE, 56)
    urgent.decide((job, predict(SMOKE, intent="complaint")))
    assert urgent.heard() == heard
    keys = shown(urgent)
    assert f"post:{calm[0]}" not in keys
    assert f"post:{job[0]}" in keys
    (post,) = urgent.deliveries(key=f"post:{job[0]}")
    assert post.payload["text"].startswith("🚨")


def test_one_that_waits_in_vain_is_given_up_without_a_word(stage: Stage) -> None:
    job = sends(stage)
    following = stage.write("hello?")
    assert following is None
    heard, told = stage.heard(), stage.told()
    ((next_id, attempt),) = deciding.give_up(stage.desk, [job[0]])
    assert (stage.heard(), stage.told()) == (heard, told)
    assert stage.decision(job[0]).rule == "attachment"
    stage.decide(((next_id, attempt), predict("hello?")))
    assert stage.pending_count() == 0


def test_one_whose_customer_is_banned_before_it_is_read_teaches_nothing(stage: Stage) -> None:
    job = sends(stage)
    stage.topic()
    ban(stage)
    with stage.desk.store.writing() as session:
        session.add(
            Feedback(message_id=job[0], kind=FeedbackKind.RELABEL, intent="refund", by=OSCAR)
        )
    assert lessons.learned(stage.desk) == []


def test_what_is_written_behind_a_caption_is_read_after_it(stage: Stage) -> None:
    job = sends(stage)
    assert stage.write("where is my order") is None
    customers.sent_file(stage.desk, stage.update(), ANA, 57, "[photo]")
    assert f"post:{job[0]}" not in shown(stage), "its copy shows it"
    (following,) = stage.decide((job, predict(SMOKE)))
    stage.decide((following, predict("where is my order")))
    assert stage.pending_count() == 0


def test_an_edited_caption_is_read_too(urgent: Stage) -> None:
    job = sends(urgent, "my new lamp")
    assert changes(urgent, SMOKE) is None, "one after the other"
    (second,) = urgent.decide((job, predict("my new lamp")))
    urgent.decide((second, predict(SMOKE, intent="complaint")))
    (post,) = urgent.deliveries(key=f"post:{second[0]}")
    assert post.payload["text"].startswith("🚨")
    assert SMOKE in post.payload["text"]
    assert lines(urgent)
    assert "Leave the house." in urgent.heard()[-1]


def test_one_that_is_edited_again_before_it_is_posted_or_read_is_shown_all_the_same(
    urgent: Stage,
) -> None:
    job = sends(urgent, "my new lamp")
    urgent.topic()
    urgent.send_all()
    assert changes(urgent, SMOKE) is None
    assert changes(urgent, "never mind") is None
    (second,) = urgent.decide((job, predict("my new lamp")))
    (third,) = urgent.decide((second, predict(SMOKE, intent="complaint")))
    urgent.decide((third, predict("never mind")))
    told = [row.payload["text"] for row in urgent.send_all() if row.chat_id == OPERATOR_CHAT]
    assert lines(urgent)
    assert any(text.startswith("🚨") and SMOKE in text for text in told)


def _waits_to_be_read(stage: Stage, *, edited: bool) -> Job:
    """Ana's file, or what it has become, whose words the model has before it."""
    job = sends(stage, "my new lamp" if edited else SMOKE)
    stage.topic()
    if edited:
        changes(stage, SMOKE)
        (job,) = stage.decide((job, predict("my new lamp")))
    return job


@pytest.mark.parametrize("edited", [False, True], ids=["as sent", "edited"])
def test_one_that_is_read_after_its_conversation_was_resolved_has_no_effect(
    urgent: Stage, *, edited: bool
) -> None:
    job = _waits_to_be_read(urgent, edited=edited)
    urgent.resolve()
    heard = urgent.heard()
    urgent.decide((job, predict(SMOKE, intent="complaint")))
    assert urgent.heard() == heard
    assert not lines(urgent)
    assert urgent.conversation().state is ConversationState.RESOLVED
    assert urgent.row(PredictionRow, job[0]).intent == "complaint"
    assert urgent.decision(job[0]).intent is None


@pytest.mark.parametrize("writes_on", [False, True])
@pytest.mark.parametrize("edited", [False, True], ids=["as sent", "edited"])
def test_what_can_not_wait_beside_a_file_calls_a_person_whose_customer_has_called_one_off(
    urgent: Stage, *, edited: bool, writes_on: bool
) -> None:
    job = _waits_to_be_read(urgent, edited=edited)
    urgent.send_all()
    urgent.write(say("call-off", "en"))
    assert urgent.conversation().state is ConversationState.RESOLVED
    if writes_on:
        urgent.ask("hello", intent="greeting")
    heard = urgent.heard()
    urgent.decide((job, predict(SMOKE, intent="complaint")))
    assert urgent.conversation().state is ConversationState.WAITING
    assert urgent.message(job[0]).conversation_id == urgent.conversation().id
    assert len(lines(urgent)) == 1
    (said,) = urgent.heard()[len(heard) :]
    assert "Leave the house." in said
    shows = [row for row in urgent.send_all() if row.message_id == job[0]]
    texts = [row.payload["text"] for row in shows if row.chat_id == OPERATOR_CHAT]
    assert any(text.startswith("🚨") and "waiting for a person" in text for text in texts)
    assert urgent.pending_count() == 0


@pytest.mark.parametrize("edited", [False, True], ids=["as sent", "edited"])
def test_other_words_call_nobody_whose_customer_has_called_one_off(
    urgent: Stage, *, edited: bool
) -> None:
    job = _waits_to_be_read(urgent, edited=edited)
    urgent.write(say("call-off", "en"))
    heard = urgent.heard()
    urgent.decide((job, predict(SMOKE)))
    assert urgent.heard() == heard
    assert urgent.conversation().state is ConversationState.RESOLVED


def test_commands_and_what_others_have_sent_are_not_read(stage: Stage) -> None:
    send = (stage.desk, stage.update(), ANA, 55)
    assert customers.sent_file(*send, "/human it is broken", asked=True, has_words=True) is None
    send = (stage.desk, stage.update(), ANA, 56)
    assert customers.sent_file(*send, SMOKE, forwarded_from="Ben", has_words=True) is None
    assert stage.pending_count() == 0


def test_a_file_with_thanks_beside_it_still_wants_a_reply(stage: Stage, clock: Clock) -> None:
    clock.set(TUESDAY_TEN)
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.reply("Which order?")
    job = sends(stage, "thanks")
    stage.decide((job, predict("thanks", intent="greeting")))
    clock.move(minutes=16)
    assert reminding.remind(stage.desk) == 1
    assert reminders(stage)


def test_one_that_is_unread_is_copied_into_a_group_that_comes_later(stage: Stage) -> None:
    with_group, stage.desk = stage.desk, replace(stage.desk, operator_chat_id=None)
    job = sends(stage)
    stage.desk = with_group
    announcing.announce_waiting(stage.desk, stage.lease)
    assert shown(stage) == [f"card:{job[0]}", f"file:{job[0]}"]

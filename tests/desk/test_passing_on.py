"""A text that people are shown before the model has read it is read all the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from desk.domain import ConversationState, Delivery
from desk.flow import announcing, delivering, edits
from desk.flow.forwarding import forwarded
from desk.flow.operators import closed_topic
from desk.flow.watching import waiting_longer
from desk.tables import ButtonRow, DeliveryRow
from desk.texts import say
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import ANA, OSCAR, Stage, labels, predict, with_words

COMMENT = "smoke comes out of it, is this normal?"


@pytest.fixture
def urgent(stage: Stage) -> Stage:
    """A stage on which complaints can't wait."""
    words = {"priority": True, "answer": {"en": "Leave the house.", "zh": "请离开。"}}
    stage.desk = replace(stage.desk, pack=with_words(stage.desk.pack, "complaint", **words))
    return stage


def comments(stage: Stage, text: str = COMMENT) -> tuple[int, int]:
    """Ana forwards something with a comment: Telegram sends that first, both at one moment."""
    job = stage.write(text)
    assert job is not None
    forwarded(stage.desk, stage.update(ANA.chat_id), ANA, 41, "All lamps are safe!", "Bargains")
    return job


def post_of(stage: Stage, job: tuple[int, int]) -> DeliveryRow:
    (row,) = stage.deliveries(OPERATOR_CHAT, key=f"post:{job[0]}")
    return row


def being_sent(stage: Stage, job: tuple[int, int]) -> Delivery:
    """The post, which the sender has just taken, and all before it was sent."""
    while True:
        taken = stage.take()
        if post := next((each for each in taken if each.key == f"post:{job[0]}"), None):
            return post
        assert taken, "it is to be sent"
        for each in taken:
            delivering.sent(stage.desk, each.id, each.attempts, 3000 + each.id)


def test_what_can_not_wait_is_told_though_it_was_shown_unread(urgent: Stage) -> None:
    job = comments(urgent)
    urgent.topic()
    urgent.send_all()
    assert not any("🚨" in text for text in urgent.told())
    urgent.decide((job, predict(COMMENT, intent="complaint")))
    line, edit = [row for row in urgent.send_all() if row.chat_id == OPERATOR_CHAT]
    assert line.payload["text"].startswith("🚨 <a href")
    assert (edit.method, edit.payload["message_id"]) == (
        "editMessageText",
        post_of(urgent, job).telegram_id,
    )
    assert edit.payload["text"].startswith(f"🚨 <b>Ana wrote</b>\n<blockquote>{COMMENT}")
    assert "Leave the house." in urgent.heard()[-1]
    assert urgent.pending_count() == 0


def test_a_post_that_waits_goes_out_with_what_the_model_made_of_it(stage: Stage) -> None:
    job = comments(stage)
    stage.decide((job, predict(COMMENT)))
    post = post_of(stage, job)
    assert "Where is my order? 95%" in post.payload["text"]
    assert len(labels(post)) == 2, "its answer, and the labels"
    buttons = stage.all(select(ButtonRow).where(ButtonRow.message_id == job[0]))
    assert len(buttons) == 1 + 2, "those of before, and these: none for a post that is not made"
    assert len(stage.heard()) == 1, "a person is called, and no answer beside it"
    assert not [row for row in stage.send_all() if row.method == "editMessageText"]


def test_one_that_is_just_being_sent_is_brought_up_to_date(stage: Stage) -> None:
    job = comments(stage)
    stage.topic()
    post = being_sent(stage, job)
    stage.decide((job, predict(COMMENT)))
    delivering.sent(stage.desk, post.id, post.attempts, 4000)
    edits = [row for row in stage.send_all() if row.method == "editMessageText"]
    assert [row.payload["message_id"] for row in edits] == [4000]
    assert "Where is my order? 95%" in edits[0].payload["text"]


def test_what_was_shown_is_settled_with_its_conversation(stage: Stage) -> None:
    job = comments(stage)
    stage.topic()
    stage.send_all()
    heard = stage.heard()
    for _ in range(2):  # the first is asked about what nobody can have read
        closed_topic(stage.desk, stage.update(), OSCAR, 77)
    stage.decide((job, predict(COMMENT)))
    assert stage.conversation().state is ConversationState.RESOLVED
    assert stage.decision(job[0]).rule == "person_in_charge"
    assert stage.heard() == heard


def test_who_calls_the_person_off_has_their_answer(stage: Stage) -> None:
    job = comments(stage)
    assert stage.write(say("call-off", "en")) is None
    stage.decide((job, predict(COMMENT)))
    assert stage.heard()[-1] == "Bouquets take <b>2</b> days, Ana."
    assert stage.conversation().state is ConversationState.BOT


def _changes(stage: Stage, job: tuple[int, int], text: str) -> tuple[int, int] | None:
    """Ana edits what waits in a job; returns what is to be enqueued."""
    written = stage.message(job[0]).telegram_id
    assert written is not None
    return edits.customer_changed(stage.desk, stage.update(ANA.chat_id), ANA, written, text)


def test_an_edit_of_what_was_shown_unread_follows_it_and_both_are_read(urgent: Stage) -> None:
    job = comments(urgent)
    urgent.topic()
    urgent.send_all()
    assert _changes(urgent, job, "all is well") is None, "it comes after what is read first"
    ((again, attempt),) = urgent.decide((job, predict(COMMENT, intent="complaint")))
    urgent.decide(((again, attempt), predict("all is well")))
    urgent.send_all()
    assert [urgent.message(each).text for each in (job[0], again)] == [COMMENT, "all is well"]
    assert any(text.startswith("🚨 <a href") for text in urgent.told()), "everybody is told"
    changed = [row for row in urgent.deliveries(OPERATOR_CHAT) if row.message_id == job[0]]
    assert all(COMMENT in row.payload["text"] for row in changed)
    assert "all is well" in post_of(urgent, (again, attempt)).payload["text"]
    assert urgent.pending_count() == 0


def test_an_edit_of_what_was_shown_unread_gets_no_answer_after_a_person_has_replied(
    stage: Stage,
) -> None:
    job = comments(stage, "where is my oder")
    stage.topic()
    stage.send_all()
    assert _changes(stage, job, "where is my order") is None
    stage.reply("It is on its way, Ana")
    stage.send_all()
    stage.resolve()
    assert stage.pending_count() == 0
    assert any("✏️" in text and "where is my order" in text for text in stage.told())
    assert stage.conversation().state is ConversationState.RESOLVED


def test_what_was_shown_unread_and_edited_is_answered_once_where_the_person_is_called_off(
    stage: Stage,
) -> None:
    job = comments(stage, "where is my oder")
    for words in ("were is my order", "where is my order"):
        assert _changes(stage, job, words) is None
    stage.write(say("call-off", "en"))
    assert stage.decide((job, predict("where is my oder"))) == []
    (waits,) = waiting_longer(stage.desk, -1)
    assert stage.message(waits[0]).text == "where is my order"
    assert _changes(stage, job, "where is my order 12") == (waits[0], waits[1] + 1)
    stage.decide(((waits[0], waits[1] + 1), predict("where is my order 12")))
    assert stage.heard().count("Bouquets take <b>2</b> days, Ana.") == 1
    assert stage.pending_count() == 0


def test_what_the_bot_reads_once_nobody_is_awaited_is_read_as_it_is_now(stage: Stage) -> None:
    job = comments(stage, "where is my oder")
    assert stage.write(say("call-off", "en")) is None
    again = _changes(stage, job, "where is my order")
    assert again == (job[0], job[1] + 1)
    stage.decide((again, predict("where is my order")))
    assert stage.heard()[-1] == "Bouquets take <b>2</b> days, Ana."


def test_what_was_shown_and_calls_a_person_after_all_keeps_its_post_and_gets_a_card(
    stage: Stage,
) -> None:
    job = comments(stage)
    stage.topic()
    stage.send_all()
    stage.write(say("call-off", "en"))
    stage.decide((job, predict(COMMENT, intent="complaint")))
    stage.send_all()
    (card,) = stage.deliveries(OPERATOR_CHAT, key=f"card:{job[0]}")
    stage.press(stage.token("take"), by=OSCAR, telegram_id=card.telegram_id or 1)
    stage.send_all()
    looks = {
        row.payload["message_id"]: row
        for row in stage.deliveries(OPERATOR_CHAT, method="editMessageText")
    }
    on_card, on_post = looks[card.telegram_id], looks[post_of(stage, job).telegram_id]
    assert on_card.payload["text"].startswith("🔔 <b>Needs a person")
    assert "Resolve" in labels(on_card)
    assert on_post.payload["text"].startswith("💬 <b>Ana wrote")
    assert "Resolve" not in labels(on_post)


def test_a_post_that_leaves_after_its_card_was_made_stays_a_post(stage: Stage) -> None:
    job = comments(stage)
    stage.topic()
    post = being_sent(stage, job)
    stage.write(say("call-off", "en"))
    stage.decide((job, predict(COMMENT, intent="complaint")))
    delivering.sent(stage.desk, post.id, post.attempts, 4000)
    (edit,) = [row for row in stage.send_all() if row.payload.get("message_id") == 4000]
    assert edit.payload["text"].startswith("💬 <b>Ana wrote")


def test_what_was_shown_by_a_card_gets_no_post_beside_it(stage: Stage) -> None:
    stage.ask("my roses are dead", intent="complaint")
    stage.topic()
    stage.send_all()
    stage.desk = replace(stage.desk, operator_chat_id=-100777)  # where no card is
    job = comments(stage)
    stage.send_all()
    stage.decide((job, predict(COMMENT)))
    stage.send_all()
    shown = [
        row.key.partition(":")[0] for row in stage.deliveries(-100777) if row.message_id == job[0]
    ]
    assert shown == ["card", "edit"]
    assert "Where is my order? 95%" in stage.deliveries(-100777)[-1].payload["text"]


@pytest.mark.parametrize("announced", [True, False])
def test_what_was_shown_unread_edits_nothing_in_a_group_that_the_operators_moved_to(
    stage: Stage, *, announced: bool
) -> None:
    job = comments(stage)
    stage.topic()
    stage.send_all()
    stage.desk = replace(stage.desk, operator_chat_id=-100777)
    if announced:
        announcing.announce_waiting(stage.desk, stage.lease)
    stage.topic()
    stage.send_all()
    (shown,) = [row.telegram_id for row in there(stage, job, "sendMessage")] or [None]
    assert (shown is not None) is announced, "those who see its conversation see it, too"
    stage.decide((job, predict(COMMENT)))
    stage.send_all()
    edited = [row.payload["message_id"] for row in there(stage, job, "editMessageText")]
    assert edited == ([shown] if announced else [])


def there(stage: Stage, job: tuple[int, int], method: str) -> list[DeliveryRow]:
    """What went to the new group about the message of a job."""
    rows = stage.deliveries(-100777, method=method)
    return [row for row in rows if row.message_id == job[0]]


def test_what_was_shown_unread_by_a_card_is_settled_with_its_conversation(stage: Stage) -> None:
    stage.ask("my roses are dead", intent="complaint")
    stage.topic()
    stage.desk = replace(stage.desk, operator_chat_id=-100777)  # where no card is
    job = comments(stage)
    stage.topic()
    stage.send_all()
    stage.resolve()
    assert stage.decision(job[0]).rule == "person_in_charge"


def test_what_the_bot_answers_after_all_is_offered_to_nobody_again(stage: Stage) -> None:
    job = comments(stage)
    stage.topic()
    stage.send_all()
    stage.write(say("call-off", "en"))
    stage.decide((job, predict(COMMENT)))
    stage.send_all()
    at = post_of(stage, job).telegram_id
    (edit,) = [
        row
        for row in stage.deliveries(OPERATOR_CHAT, method="editMessageText")
        if row.payload["message_id"] == at
    ]
    assert "🤖 " in edit.payload["text"]
    assert labels(edit) == ["Relabel…"]

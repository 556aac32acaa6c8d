"""What customers have written is edited afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from desk.domain import (
    ConversationState,
    DeliveryState,
    InboxState,
    Incoming,
    MessageState,
    Trial,
)
from desk.flow import customers, deciding, delivering, edits, intake, operators
from desk.flow.desk import Desk
from desk.tables import Inbox, Message
from desk.texts import say
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, BOT, OLGA, Stage, predict, with_words

THEIRS = 41
"""The id of the message that is edited, in the customer's chat."""


def ana_writes(stage: Stage, text: str, telegram_id: int = THEIRS) -> tuple[int, int] | None:
    return customers.wrote(stage.desk, stage.update(ANA.chat_id), ANA, telegram_id, text)


def ana_edits(stage: Stage, text: str, telegram_id: int = THEIRS) -> tuple[int, int] | None:
    number = stage.update(ANA.chat_id)
    return edits.customer_changed(stage.desk, number, ANA, telegram_id, text)


def ana_changes(stage: Stage, text: str, telegram_id: int = THEIRS, **prediction: Any) -> None:
    """Ana edits a message, and the model reads it."""
    job = ana_edits(stage, text, telegram_id)
    if job is not None:
        stage.decide((job, predict(text, **prediction)))


def ana_asks(stage: Stage, text: str, **prediction: Any) -> int:
    job = ana_writes(stage, text)
    assert job is not None
    stage.decide((job, predict(text, **prediction)))
    return job[0]


def ana_waits(stage: Stage) -> None:
    """A person is called, and the card is in Ana's topic."""
    ana_asks(stage, "my roses are dead", intent="complaint")
    stage.topic()
    stage.send_all()


def update(stage: Stage, body: dict[str, Any], chat_id: int | None = None) -> int:
    """Store an update with such a message."""
    number = stage.update(chat_id)
    with stage.desk.store.writing() as session:
        session.get_one(Inbox, number).payload = {"message": body}
    return number


def all_done(stage: Stage) -> bool:
    return {row.state for row in stage.all(select(Inbox))} == {InboxState.DONE}


def test_an_edit_is_one_of_the_customers_own_message_of_that_number(stage: Stage) -> None:
    """Each chat numbers its messages by itself."""
    ana_writes(stage, "where is my order")
    number = stage.update(BEN.chat_id)
    customers.wrote(stage.desk, number, BEN, THEIRS, "my roses are dead")
    ana_edits(stage, "where is my order 12")
    assert [said.text for said in stage.said()] == ["where is my order 12", "my roses are dead"]


def test_what_waits_for_the_model_is_read_as_it_is_now(stage: Stage) -> None:
    first = ana_writes(stage, "where is my oder")
    assert first is not None
    again = ana_edits(stage, "where is my order")
    assert again == (first[0], first[1] + 1)
    # The worker had read the old words: what it makes of them is of no attempt that counts.
    stage.decide((first, predict("where is my oder", intent="refund")))
    assert stage.message(first[0]).state is MessageState.PENDING
    stage.decide((again, predict("where is my order")))
    assert stage.message(first[0]).text == "where is my order"
    assert len(stage.heard()) == 1


def test_an_edit_of_what_waits_behind_another_message_brings_nothing_forward(stage: Stage) -> None:
    first = ana_writes(stage, "hello")
    assert ana_writes(stage, "where is my oder", 42) is None
    assert ana_edits(stage, "where is my order", 42) is None
    assert first is not None
    (following,) = stage.decide((first, predict("hello", intent="greeting")))
    assert stage.message(following[0]).text == "where is my order"


def test_what_the_bot_has_just_asked_back_about_is_read_anew(stage: Stage) -> None:
    ana_asks(stage, "flowers", confidence=0.3)
    asked = len(stage.heard())
    job = ana_edits(stage, "where are my flowers")
    assert job is not None
    stage.decide((job, predict("where are my flowers")))
    assert len(stage.heard()) == asked + 1
    assert stage.decision(job[0]).rule == "confident"
    assert [said.text for said in stage.said()] == ["flowers", "where are my flowers"]


def test_so_it_is_after_an_edit_of_an_older_message(stage: Stage) -> None:
    ana_asks(stage, "helo", intent="greeting")
    job = ana_writes(stage, "flowers", 42)
    assert job is not None
    stage.decide((job, predict("flowers", confidence=0.3)))
    assert ana_edits(stage, "hello") is None
    assert ana_edits(stage, "where are my flowers", 42) is not None


def test_what_was_asked_back_about_before_another_message_is_not_read_anew(stage: Stage) -> None:
    ana_asks(stage, "flowers", confidence=0.3)
    stage.ask("where is my order")
    heard = stage.heard()
    assert ana_edits(stage, "where are my flowers") is None
    assert stage.heard() == heard
    assert stage.pending_count() == 0


def test_what_the_bot_has_answered_it_answers_no_second_time(stage: Stage) -> None:
    ana_asks(stage, "where is my oder")
    heard = stage.heard()
    assert ana_edits(stage, "where is my order") is None
    assert stage.heard() == heard
    assert stage.told() == []
    changed = stage.said()[-1]
    assert (changed.text, stage.decision(changed.id).rule) == ("where is my order", "changed")


@pytest.mark.parametrize("taken", [False, True])
def test_who_is_awaited_or_in_charge_is_shown_what_a_message_has_become(
    stage: Stage, taken: bool
) -> None:
    ana_waits(stage)
    if taken:
        stage.reply("I am on it")
    stage.send_all()
    heard = stage.heard()
    ana_changes(stage, "my roses are dead & brown", intent="complaint")
    (post,) = stage.send_all()
    assert post.chat_id == OPERATOR_CHAT
    assert post.payload["text"].startswith(
        "✏️ <b>Ana changed a message</b>\n<blockquote>my roses are dead &amp; brown</blockquote>\n"
        "<b>Intent</b> Make a complaint 95%"
    )
    assert stage.heard() == heard


@pytest.fixture
def urgent(stage: Stage) -> Stage:
    """Ana waits for a person, and complaints can't wait."""
    words = {"priority": True, "answer": {"en": "Leave the house.", "zh": "请离开。"}}
    stage.desk = replace(stage.desk, pack=with_words(stage.desk.pack, "complaint", **words))
    ana_asks(stage, "a person please", intent="talk_to_person")
    stage.topic()
    stage.send_all()
    return stage


@pytest.mark.parametrize("taken", [False, True])
def test_what_can_not_wait_is_told_to_everybody_where_an_edit_says_it(
    urgent: Stage, taken: bool
) -> None:
    if taken:
        urgent.reply("I am on it")
    urgent.send_all()
    ana_changes(urgent, "smoke comes out of the lamp", intent="complaint")
    shown = [row.payload["text"] for row in urgent.send_all() if row.chat_id == OPERATOR_CHAT]
    assert shown[0].startswith("🚨 <a href")
    assert shown[1].startswith("🚨 <b>Ana changed a message</b>\n<blockquote>smoke comes out")
    assert ("Leave the house." in str(urgent.heard())) is not taken
    ana_changes(urgent, "never mind")
    assert urgent.told()[-1].startswith("✏️")


def test_such_an_edit_is_shown_though_a_later_one_takes_it_back_before_it_could_be(
    urgent: Stage,
) -> None:
    ana_changes(urgent, "smoke comes out of the lamp", intent="complaint")
    ana_changes(urgent, "never mind")
    shown = " ".join(row.payload["text"] for row in urgent.send_all())
    assert "smoke comes out" in shown
    assert "never mind" in shown


def test_an_edit_comes_after_the_text_that_still_waits_for_the_model(stage: Stage) -> None:
    ana_waits(stage)
    job = ana_writes(stage, "are you there?", 42)
    assert job is not None
    assert ana_edits(stage, "my roses are brown") is None
    (following,) = stage.decide((job, predict("are you there?")))
    stage.decide((following, predict("my roses are brown")))
    shown = [row.payload["text"] for row in stage.send_all()]
    assert ["are you there?" in shown[0], "my roses are brown" in shown[1]] == [True, True]
    assert stage.pending_count() == 0


def test_the_second_edit_of_a_message_is_compared_with_the_first(stage: Stage) -> None:
    ana_waits(stage)
    shown = []
    for text in ("my roses are brown", "my roses are brown", "my roses are dead"):
        ana_changes(stage, text)
        shown += [row.payload["text"] for row in stage.send_all()]
    assert ["brown" in shown[0], "dead" in shown[1]] == [True, True]
    assert len(shown) == 2


def test_of_edits_that_no_post_could_follow_the_last_one_is_shown(stage: Stage) -> None:
    ana_waits(stage)
    job = ana_writes(stage, "are you there?", 42)
    assert job is not None
    stage.decide((job, predict("are you there?")))
    for number in range(30):
        ana_changes(stage, f"are you there {number}?", 42)
        ana_changes(stage, f"{number} {'are you there? ' * 400}", 42)
    shown = [row.payload["text"] for row in stage.send_all()]
    assert [text[:3] for text in shown] == ["💬 <", "✏️ ", "<bl"], "the first words, the last ones"
    assert "are you there?</blockquote>" in shown[0]
    assert all(">29 are you there? are" in text for text in shown[1:])
    assert stage.said()[-2].text == "are you there 29?", "what was not shown is kept"


@pytest.mark.parametrize("mark", ["sending", "uncertain"])
def test_an_edit_that_may_have_been_shown_is_followed_by_the_next(stage: Stage, mark: str) -> None:
    ana_waits(stage)
    ana_changes(stage, "my roses are brown")
    (taken,) = stage.take()
    if mark == "uncertain":
        delivering.again(stage.desk, taken.id, taken.attempts, 0, "lost", uncertain=True)
    ana_changes(stage, "my roses are gone")
    states = [row.state for row in stage.deliveries(OPERATOR_CHAT)][-2:]
    assert DeliveryState.CANCELLED not in states
    assert "gone" in stage.told()[-1]


def test_a_file_that_is_replaced_on_and_on_is_copied_once(stage: Stage) -> None:
    ana_waits(stage)
    for unique in ("roses", "tulips", "lilies", "irises"):
        number = update(stage, {"photo": [{"file_unique_id": unique}]})
        if unique == "roses":
            customers.sent_file(stage.desk, number, ANA, 43, "[photo]")
            stage.send_all()
        else:
            edits.customer_changed(stage.desk, number, ANA, 43, "[photo]")
    assert [row.method for row in stage.send_all()] == ["sendMessage", "copyMessage"]


def test_what_a_message_replies_to_stands_below_its_edit_too(stage: Stage) -> None:
    ana_waits(stage)
    job = customers.wrote(stage.desk, stage.update(), ANA, 42, "no", "Are they pink?")
    assert job is not None
    stage.decide((job, predict("no")))
    ana_changes(stage, "never", 42)
    shown = [row.payload["text"] for row in stage.send_all()]
    assert ["↩️ <i>Are they pink?</i>" in text for text in shown] == [True, True]


def test_what_still_waits_in_a_resolved_conversation_is_read_as_it_is_now(stage: Stage) -> None:
    ana_waits(stage)
    job = ana_writes(stage, "and my oder?", 42)
    stage.resolve()
    assert job is not None
    assert ana_edits(stage, "and my order?", 42) == (job[0], job[1] + 1)
    assert stage.message(job[0]).text == "and my order?"


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("goes_on", [False, True])
def test_an_edit_of_what_was_answered_is_shown_and_settled_with_its_conversation(
    stage: Stage, late: bool, goes_on: bool
) -> None:
    ana_asks(stage, "where is my order")
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    stage.topic()
    stage.reply("It is on its way, Ana")
    stage.send_all()
    job = ana_edits(stage, "where is my order 12")
    assert job is not None
    heard = stage.heard()
    stage.resolve()
    if goes_on:
        stage.write("and what are your hours?")
    if late:
        deciding.give_up(stage.desk, [job[0]])
    else:
        stage.decide((job, predict("where is my order 12", intent="complaint")))
    assert stage.heard() == heard
    assert stage.conversations()[0].state is ConversationState.RESOLVED
    assert stage.message(job[0]).conversation_id == stage.conversations()[0].id
    (post,) = [row for row in stage.send_all() if row.key == f"post:{job[0]}"]
    assert "✏️" in post.payload["text"]
    assert "where is my order 12" in post.payload["text"]


def test_a_ban_shows_no_edit_that_was_not_read(stage: Stage) -> None:
    ana_waits(stage)
    job = ana_edits(stage, "my roses are brown")
    assert job is not None
    operators.banned(stage.desk, stage.update(), OLGA, 77)
    assert not stage.deliveries(key=f"post:{job[0]}")


def test_new_words_are_not_what_a_worker_died_of(stage: Stage) -> None:
    job = ana_writes(stage, "poison")
    assert job is not None
    with stage.desk.store.writing() as session:
        session.get_one(Message, job[0]).trial = Trial.ALONE
    ana_edits(stage, "where is my order")
    assert stage.message(job[0]).trial == Trial.NONE


def test_a_file_that_a_customer_replaced_is_shown(stage: Stage) -> None:
    ana_waits(stage)
    photo = [{"file_unique_id": "roses"}]
    sent = update(stage, {"photo": photo})
    customers.sent_file(stage.desk, sent, ANA, 43, "[photo]")
    stage.send_all()
    for unique, shown in (("roses", []), ("tulips", ["sendMessage", "copyMessage"])):
        number = update(stage, {"photo": [{"file_unique_id": unique}]})
        edits.customer_changed(stage.desk, number, ANA, 43, "[photo]")
        assert [row.method for row in stage.send_all()] == shown


@pytest.mark.parametrize("pending", [True, False])
def test_a_file_that_comes_to_a_text_calls_a_person(stage: Stage, pending: bool) -> None:
    sent = update(stage, {"text": "is this normal?"})
    job = customers.wrote(stage.desk, sent, ANA, THEIRS, "is this normal?")
    assert job is not None
    if not pending:
        stage.decide((job, predict("is this normal?")))
        stage.send_all()
    number = update(stage, {"caption": "is this normal?", "photo": [{"file_unique_id": "rose"}]})
    edits.customer_changed(stage.desk, number, ANA, THEIRS, "is this normal?")
    assert stage.conversation().state is ConversationState.WAITING
    copies = stage.deliveries(OPERATOR_CHAT, method="copyMessage")
    assert [row.payload["message_id"] for row in copies] == [THEIRS]
    assert stage.pending_count() == pending, "it is shown, and read all the same"


def test_a_text_that_is_edited_on_and_on_is_not_put_before_the_model_each_time(desk: Desk) -> None:
    stage = Stage(replace(desk, flood_per_minute=3))
    ana_writes(stage, "where")
    jobs = [ana_edits(stage, f"where {number}") for number in range(6)]
    assert [job is not None for job in jobs] == [True, True, False, False, False, False]
    assert stage.said()[0].text == "where 5"
    last = [job for job in jobs if job is not None][-1]
    stage.decide((last, predict("where 1")))
    assert stage.said()[0].state is MessageState.PENDING, "decided by words of before"


def test_the_words_of_nobody_are_not_kept(stage: Stage) -> None:
    """Where a customer was erased, nothing would ever lead to them."""
    number = update(stage, {"text": "I am Ana, of 17 Elm Road"})
    edits.customer_changed(stage.desk, number, ANA, THEIRS, "I am Ana, of 17 Elm Road")
    assert stage.row(Inbox, number).payload == {}


def test_a_command_that_becomes_a_text_is_read(stage: Stage) -> None:
    customers.asked_for_help(stage.desk, stage.update(), ANA)
    job = ana_edits(stage, "where is my order", 50)
    assert job is not None
    stage.decide((job, predict("where is my order")))
    assert stage.decision(job[0]).rule == "confident"
    assert ana_edits(stage, "where is my order?", 50) is None, "it has its answer"


def test_a_text_whose_change_came_first_is_not_read_after_it(stage: Stage) -> None:
    """The message was parked, say, and is given another try."""
    parked = stage.update(ANA.chat_id)
    stage.ask("hello", intent="greeting")
    job = ana_edits(stage, "where is order 12", 50)
    assert job is not None
    stage.decide((job, predict("where is order 12")))
    assert customers.wrote(stage.desk, parked, ANA, 50, "where is order 1") is None
    assert [said.text for said in stage.said()] == ["hello", "where is order 12"]


def test_nor_is_one_that_comes_after_a_later_conversation_has_begun(stage: Stage) -> None:
    parked = stage.update(ANA.chat_id)
    stage.ask("hello", intent="greeting")
    job = ana_edits(stage, "my roses are dead", 50)
    assert job is not None
    stage.decide((job, predict("my roses are dead", intent="complaint")))
    stage.topic()
    stage.resolve()
    later = customers.wrote(stage.desk, stage.update(ANA.chat_id), ANA, 51, "hello again")
    assert later is not None
    assert customers.wrote(stage.desk, parked, ANA, 50, "my roses are dad") is None
    assert "my roses are dad" not in [said.text for said in stage.said()]


def test_another_bot_numbers_its_messages_anew_and_reads_each(stage: Stage) -> None:
    before = customers.wrote(stage.desk, stage.update(ANA.chat_id), ANA, 50, "roses?")
    assert before is not None
    stage.decide((before, predict("roses?")))
    intake.store_updates(stage.desk, [Incoming(BOT + 1, 0, ANA.chat_id, {"update_id": 0})])
    number = stage.one(select(Inbox.id).where(Inbox.bot_id == BOT + 1))
    assert customers.wrote(stage.desk, number, ANA, 50, "tulips?") is not None


@pytest.mark.parametrize(("text", "is_file"), [("/help me", False), ("[location]", True)])
def test_a_command_that_stays_one_and_a_file_that_nobody_knows_are_not_read(
    stage: Stage, text: str, is_file: bool
) -> None:
    customers.asked_for_help(stage.desk, stage.update(), ANA)
    number = stage.update()
    assert edits.customer_changed(stage.desk, number, ANA, 50, text, is_file=is_file) is None
    assert [said.text for said in stage.said()] == ["/help"]
    assert all_done(stage)


@pytest.mark.parametrize("what", ["the same words", "banned", "resolved", "unknown"])
def test_an_edit_that_means_nothing_to_the_desk_leaves_nothing(stage: Stage, what: str) -> None:
    ana_waits(stage)
    text = "my roses are dead" if what == "the same words" else "other words"
    if what == "banned":
        operators.banned(stage.desk, stage.update(), OLGA, 77)
    elif what == "resolved":
        stage.resolve()
    stage.send_all()
    said = len(stage.said())
    if what == "unknown":
        number = stage.update()
        assert edits.customer_changed(stage.desk, number, BEN, THEIRS, text) is None
    else:
        assert ana_edits(stage, text) is None
    assert len(stage.said()) == said
    assert stage.send_all() == []
    assert all_done(stage)


def test_an_edit_in_a_conversation_that_fell_quiet_opens_no_new_one(
    stage: Stage, clock: Clock
) -> None:
    clock.set(datetime.now(UTC))  # what the bot says is dated by the real clock
    ana_asks(stage, "flowers", confidence=0.3)
    stage.send_all()
    clock.move(hours=25)
    assert ana_edits(stage, "where are my flowers") is None
    assert len(stage.conversations()) == 1
    assert stage.pending_count() == 0


def test_edits_count_in_a_flood(desk: Desk) -> None:
    stage = Stage(replace(desk, flood_per_minute=2))
    stage.ask("hello", intent="greeting")
    ana_asks(stage, "flowers", confidence=0.3)
    assert ana_edits(stage, "where are my flowers") is None
    assert stage.decision(stage.said()[-1].id).rule == "flood"
    assert stage.heard()[-1] == say("flood", "en")

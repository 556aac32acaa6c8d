"""A banned customer: an admin hears nothing more from them, and they nothing more from the desk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from desk.domain import ConversationState, DeliveryState, InboxState
from desk.flow import bans, buttons, customers, delivering, edits, operators
from desk.flow.forwarding import forwarded
from desk.flow.keys import PRIORITY_KEY
from desk.tables import DeliveryRow, Inbox
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import ANA, BEN, OLGA, OSCAR, STRANGER, Stage, predict, with_words


@pytest.fixture
def spam(stage: Stage) -> Stage:
    """A conversation with a card before the operators."""
    stage.ask("buy my pills", intent="complaint")
    stage.topic()
    stage.send_all()
    return stage


def ban(stage: Stage, by: int = OLGA) -> None:
    operators.banned(stage.desk, stage.update(), by, 77)


def press(stage: Stage) -> None:
    token = stage.token("intent", "opening_hours")
    buttons.pressed(stage.desk, stage.update(ANA.chat_id), token, ANA.chat_id, ANA.chat_id, 1)


ACTS: dict[str, Callable[[Stage], object]] = {
    "text": lambda stage: stage.write("more pills"),
    "start": lambda stage: customers.started(stage.desk, stage.update(), ANA),
    "help": lambda stage: customers.asked_for_help(stage.desk, stage.update(), ANA),
    "privacy": lambda stage: customers.asked_for_privacy(stage.desk, stage.update(), ANA),
    "person": lambda stage: customers.asked_for_person(stage.desk, stage.update(), ANA, "/human"),
    "file": lambda stage: customers.sent_file(stage.desk, stage.update(), ANA, 5, "pills"),
    "forward": lambda stage: forwarded(stage.desk, stage.update(), ANA, 6, "pills", "Bargains"),
    "edit": lambda stage: edits.customer_changed(stage.desk, stage.update(), ANA, 7, "pills"),
    "press": press,
}


@pytest.mark.parametrize("act", ACTS)
def test_what_a_banned_customer_does_is_done_and_meets_silence(stage: Stage, act: str) -> None:
    customers.started(stage.desk, stage.update(), ANA)
    stage.topic()
    stage.send_all()
    ban(stage)
    stage.send_all()
    said, deliveries = len(stage.said()), len(stage.deliveries())
    ACTS[act](stage)
    assert len(stage.deliveries()) == deliveries
    assert len(stage.said()) == said
    assert len(stage.conversations()) == 1
    last = stage.update() - 1
    assert stage.row(Inbox, last).state is InboxState.DONE


def test_the_card_says_that_the_customer_is_banned_and_by_whom(spam: Stage) -> None:
    ban(spam)
    assert spam.conversation().state is ConversationState.RESOLVED
    edit = spam.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert "banned by Olga" in edit.payload["text"]
    assert "This customer is banned" in spam.told()[-1]
    assert bans.count_banned(spam.desk) == 1


def test_a_customer_is_banned_after_their_conversation_was_resolved_too(spam: Stage) -> None:
    spam.resolve()
    ban(spam)
    edit = spam.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert "banned by Olga" in edit.payload["text"]
    assert spam.write("more pills") is None


def test_what_waits_of_a_customer_at_the_ban_is_neither_answered_nor_shown(spam: Stage) -> None:
    spam.ask("and these", intent="greeting")
    customers.sent_file(spam.desk, spam.update(), ANA, 5, "a picture")
    job = spam.write("more pills")
    assert job is not None
    ban(spam)
    spam.decide((job, predict("more pills")))
    assert spam.pending_count() == 0
    sent = [row.method for row in spam.send_all()]
    assert sent == ["sendMessage", "editMessageText"], "the answer to /ban, and the card"
    shown = [row for row in spam.deliveries() if row.key.startswith(("post:", "file:"))]
    assert {row.state for row in shown} == {DeliveryState.CANCELLED}


def test_nor_is_everybody_told_of_what_can_not_wait(stage: Stage) -> None:
    pack = with_words(stage.desk.pack, "complaint", priority=True)
    stage.desk = replace(stage.desk, pack=pack)
    stage.ask("buy my pills", intent="complaint")
    stage.topic()
    ban(stage)
    stage.send_all()
    (line,) = [row for row in stage.deliveries() if row.key.startswith(PRIORITY_KEY)]
    assert line.state is DeliveryState.CANCELLED


def test_that_a_customer_has_left_or_is_back_is_not_told_once_they_are_banned(spam: Stage) -> None:
    for gone in (True, False):
        customers.blocked(spam.desk, spam.update(), ANA.chat_id, gone=gone)
    ban(spam)
    spam.send_all()
    notes = [row for row in spam.deliveries() if row.key.startswith(("left:", "back:"))]
    assert [row.state for row in notes] == [DeliveryState.CANCELLED] * 2


def test_that_a_customer_is_back_is_not_told_again_once_they_are_banned(spam: Stage) -> None:
    for gone in (True, False):
        customers.blocked(spam.desk, spam.update(), ANA.chat_id, gone=gone)
        (note,) = spam.take()
        if gone:
            delivering.sent(spam.desk, note.id, note.attempts, 5)
    assert "has unblocked the bot" in note.payload["text"]
    ban(spam)
    delivering.again(spam.desk, note.id, note.attempts, 0, "429")
    spam.send_all()
    assert spam.row(DeliveryRow, note.id).state is DeliveryState.CANCELLED


def test_others_are_heard_while_one_is_banned(spam: Stage) -> None:
    ban(spam)
    spam.ask("roses?", BEN)
    assert len(spam.heard(BEN)) == 1


def test_a_customer_who_is_banned_no_more_is_answered_again(spam: Stage) -> None:
    ban(spam)
    operators.unbanned(spam.desk, spam.update(), OLGA, 77)
    edit = spam.deliveries(OPERATOR_CHAT, method="editMessageText")[-1]
    assert "resolved by Olga" in edit.payload["text"]
    heard = len(spam.heard())
    spam.ask("when are you open?", intent="opening_hours")
    assert len(spam.heard()) == heard + 1
    assert bans.count_banned(spam.desk) == 0


@pytest.mark.parametrize(
    ("who", "answer"), [(OSCAR, "Only admins can do that."), (STRANGER, "Only operators")]
)
def test_only_admins_ban(spam: Stage, who: int, answer: str) -> None:
    ban(spam, who)
    assert spam.told()[-1].startswith(answer)
    assert spam.customer().banned_at is None
    assert spam.conversation().state is ConversationState.WAITING


def test_nothing_is_sent_to_a_banned_customer_and_that_is_said(spam: Stage) -> None:
    ban(spam)
    spam.reply("hello?")
    assert "/unban" in spam.told()[-1]
    told = len(spam.told())
    operators.took(spam.desk, spam.update(), OSCAR, 77)
    assert len(spam.told()) == told + 1
    assert "/unban" in spam.told()[-1]
    assert not spam.deliveries(ANA.chat_id, method="copyMessage")
    assert spam.conversation().state is ConversationState.RESOLVED


def test_what_was_under_way_at_the_ban_is_not_sent_again(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    (taken,) = [each for each in stage.take() if each.chat_id == ANA.chat_id]
    ban(stage)
    delivering.again(stage.desk, taken.id, taken.attempts, 0, "429")
    stage.send_all()
    assert stage.row(DeliveryRow, taken.id).state is DeliveryState.CANCELLED


def test_a_retry_sends_nothing_to_a_banned_customer(spam: Stage) -> None:
    spam.reply("wait")
    (row,) = [each for each in spam.take() if each.chat_id == ANA.chat_id]
    delivering.failed(spam.desk, row.id, row.attempts, "refused")
    ban(spam)
    assert delivering.retry_failed(spam.desk) == 0

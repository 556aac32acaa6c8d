"""Resolve closes what nobody has replied to only for who means it; commands are answered below."""

from __future__ import annotations

from desk.domain import ConversationState
from desk.flow import composing, customers, operators
from desk.texts import say
from tests.conftest import Clock
from tests.desk.acting import ANA, OSCAR, Stage, labels


def command(stage: Stage, telegram_id: int = 60) -> tuple[str, int | None]:
    """What /resolve is answered with, and which message that replies to."""
    operators.resolved(stage.desk, stage.update(), OSCAR, 77, telegram_id)
    return below(stage)


def below(stage: Stage) -> tuple[str, int | None]:
    row = [row for row in stage.deliveries() if row.payload.get("message_thread_id") == 77][-1]
    return row.payload["text"], row.payload.get("reply_parameters", {}).get("message_id")


def test_a_mistaken_press_breaks_no_promise_and_a_second_one_closes(topic: Stage) -> None:
    pressed = topic.press(topic.token(composing.RESOLVE), by=OSCAR)
    assert (pressed.text, pressed.alert) == (say("resolve-unanswered", "en"), True)
    assert topic.conversation().state is ConversationState.WAITING
    (edit,) = topic.send_all()
    assert labels(edit)[-3:] == ["Take", "Why?", "Resolve without a reply"]
    *_, last = edit.payload["reply_markup"]["inline_keyboard"]
    assert len(last) == 1, "a phone has no room for it beside others"
    topic.press(topic.token(composing.RESOLVE_UNANSWERED), by=OSCAR)
    assert topic.conversation().state is ConversationState.RESOLVED


def test_merely_to_take_it_is_no_reply(topic: Stage) -> None:
    topic.press(topic.token(composing.TAKE), by=OSCAR)
    topic.press(topic.token(composing.RESOLVE), by=OSCAR)
    assert topic.conversation().state is ConversationState.HUMAN


def test_the_button_no_longer_says_that_nobody_has_replied_once_somebody_has(topic: Stage) -> None:
    topic.press(topic.token(composing.TAKE), by=OSCAR)
    topic.press(topic.token(composing.RESOLVE), by=OSCAR)
    topic.send_all()
    topic.reply("I am sorry")
    edits = [row for row in topic.send_all() if row.method == "editMessageText"]
    assert "Resolve" in labels(edits[-1])


def test_once_a_person_has_spoken_one_press_closes(topic: Stage) -> None:
    topic.reply("I am sorry")
    topic.press(topic.token(composing.RESOLVE), by=OSCAR)
    assert topic.conversation().state is ConversationState.RESOLVED


def test_who_has_blocked_the_bot_waits_for_nothing(topic: Stage) -> None:
    customers.blocked(topic.desk, topic.update(), ANA.chat_id, gone=True)
    topic.press(topic.token(composing.RESOLVE), by=OSCAR)
    assert topic.conversation().state is ConversationState.RESOLVED


def test_the_command_asks_below_it_and_a_second_one_closes(topic: Stage) -> None:
    assert command(topic) == (say("resolve-unanswered-command", "en"), 60)
    assert topic.conversation().state is ConversationState.WAITING
    assert command(topic, 61) == ("✅ Resolved by Oscar", 61)
    assert topic.conversation().state is ConversationState.RESOLVED


def test_a_second_command_long_after_is_asked_anew(topic: Stage, clock: Clock) -> None:
    command(topic)
    clock.move(minutes=11)
    assert command(topic) == (say("resolve-unanswered-command", "en"), 60)
    assert topic.conversation().state is ConversationState.WAITING


def test_closing_the_topic_resolves_at_once(topic: Stage) -> None:
    operators.closed_topic(topic.desk, topic.update(), OSCAR, 77)
    assert topic.conversation().state is ConversationState.RESOLVED


def test_take_is_answered_below_the_command(topic: Stage) -> None:
    operators.took(topic.desk, topic.update(), OSCAR, 77, 60)
    assert below(topic) == ("🙋 Oscar has them", 60)

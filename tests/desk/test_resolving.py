"""Resolve closes what nobody has replied to only for who means it; commands are answered below."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from desk.domain import ConversationState
from desk.flow import button_actions, customers, operators
from desk.texts import say
from tests.conftest import Clock
from tests.desk.acting import ANA, BEN, OLGA, OSCAR, Stage, labels, predict, with_words


def command(stage: Stage, telegram_id: int = 60, by: int = OSCAR) -> tuple[str, int | None]:
    """What /resolve is answered with, and which message that replies to."""
    operators.resolved(stage.desk, stage.update(), by, 77, telegram_id)
    return below(stage)


def resolve(stage: Stage, how: str, by: int = OSCAR) -> str:
    """Resolve by the command, or by the button that stands there now; returns the answer."""
    if how == "command":
        return command(stage, by=by)[0]
    markup = next(
        markup
        for row in reversed(stage.deliveries(stage.desk.operator_chat_id))
        if (markup := row.payload.get("reply_markup")) and "Resolve" in str(markup)
    )
    rows = markup["inline_keyboard"]
    (token,) = [
        each["callback_data"] for row in rows for each in row if each["text"].startswith("Resolve")
    ]
    return stage.press(token, by=by).text


@pytest.fixture
def urgent(stage: Stage) -> Stage:
    """A stage with Ana's card, on which a complaint can't wait."""
    pack = with_words(stage.desk.pack, "complaint", answer={"en": "Put it out."}, priority=True)
    stage.desk = replace(stage.desk, pack=pack)
    stage.ask("a person please", intent="talk_to_person")
    stage.topic()
    stage.send_all()
    return stage


def below(stage: Stage) -> tuple[str, int | None]:
    row = [row for row in stage.deliveries() if row.payload.get("message_thread_id") == 77][-1]
    return row.payload["text"], row.payload.get("reply_parameters", {}).get("message_id")


def test_a_mistaken_press_breaks_no_promise_and_a_second_one_closes(topic: Stage) -> None:
    pressed = topic.press(topic.token(button_actions.RESOLVE), by=OSCAR)
    assert (pressed.text, pressed.alert) == (say("resolve-unanswered", "en"), True)
    assert topic.conversation().state is ConversationState.WAITING
    (edit,) = topic.send_all()
    assert labels(edit)[-3:] == ["Take", "Why?", "Resolve without a reply"]
    *_, last = edit.payload["reply_markup"]["inline_keyboard"]
    assert len(last) == 1, "a phone has no room for it beside others"
    topic.press(topic.token(button_actions.RESOLVE_UNANSWERED), by=OSCAR)
    assert topic.conversation().state is ConversationState.RESOLVED


def test_merely_to_take_it_is_no_reply(topic: Stage) -> None:
    topic.press(topic.token(button_actions.TAKE), by=OSCAR)
    topic.press(topic.token(button_actions.RESOLVE), by=OSCAR)
    assert topic.conversation().state is ConversationState.HUMAN


def test_the_button_no_longer_says_that_nobody_has_replied_once_somebody_has(topic: Stage) -> None:
    topic.send_all()
    card = next(row for row in topic.deliveries() if row.key.startswith("card:"))
    for button in (button_actions.TAKE, button_actions.RESOLVE):
        topic.press(topic.token(button), by=OSCAR, telegram_id=card.telegram_id or 0)
        topic.send_all()
    topic.reply("I am sorry")
    edits = [row for row in topic.send_all() if row.method == "editMessageText"]
    assert "Resolve" in labels(edits[-1])


def test_once_a_person_has_spoken_one_press_closes(topic: Stage) -> None:
    topic.reply("I am sorry")
    topic.press(topic.token(button_actions.RESOLVE), by=OSCAR)
    assert topic.conversation().state is ConversationState.RESOLVED


def test_who_has_blocked_the_bot_waits_for_nothing(topic: Stage) -> None:
    customers.blocked(topic.desk, topic.update(), ANA.chat_id, gone=True)
    topic.press(topic.token(button_actions.RESOLVE), by=OSCAR)
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


@pytest.mark.parametrize("how", ["command", "button"])
def test_what_is_written_after_the_asking_is_closed_by_no_yes_to_it(
    topic: Stage, clock: Clock, how: str
) -> None:
    resolve(topic, how)
    clock.move(minutes=3)
    topic.ask("my child has swallowed a petal")
    clock.move(minutes=3)
    assert resolve(topic, how, by=OLGA).startswith("They have written since.")
    assert topic.conversation().state is ConversationState.WAITING
    resolve(topic, how, by=OLGA)
    assert topic.conversation().state is ConversationState.RESOLVED


@pytest.mark.parametrize("how", ["command", "button"])
def test_who_writes_on_and_on_costs_one_more_press(topic: Stage, clock: Clock, how: str) -> None:
    for _ in range(2):
        resolve(topic, how)
        clock.move(seconds=5)
        topic.ask("hello?")
        clock.move(seconds=5)
    assert topic.conversation().state is ConversationState.WAITING
    resolve(topic, how)
    assert topic.conversation().state is ConversationState.RESOLVED


@pytest.mark.parametrize("how", ["command", "button"])
def test_what_cannot_wait_is_asked_about_once_more_however_often_that_was_done(
    urgent: Stage, clock: Clock, how: str
) -> None:
    for text in ("hello?", "hello?"):
        resolve(urgent, how)
        clock.move(seconds=5)
        urgent.ask(text)
        clock.move(seconds=5)
    states = []
    for _ in range(2):  # what everybody was told of once they need not be told of again
        urgent.ask("it burns", intent="complaint")
        clock.move(seconds=5)
        resolve(urgent, how)
        clock.move(seconds=5)
        states.append(urgent.conversation().state)
    assert states == [ConversationState.WAITING, ConversationState.RESOLVED]
    assert len(urgent.conversations()) == 1


@pytest.mark.parametrize("intent", ["opening_hours", "complaint"])
def test_what_another_customer_writes_keeps_nobodys_conversation_open(
    urgent: Stage, clock: Clock, intent: str
) -> None:
    resolve(urgent, "command")
    clock.move(seconds=5)
    urgent.ask("几点开门", BEN, intent=intent)
    clock.move(seconds=5)
    resolve(urgent, "command")
    assert urgent.conversation().state is ConversationState.RESOLVED


def test_what_the_bot_has_said_since_keeps_no_conversation_open(topic: Stage, clock: Clock) -> None:
    clock.set(datetime(2026, 3, 7, 10, 0, tzinfo=UTC))  # on a Saturday nobody is there
    job = topic.write("hello?")
    assert job is not None
    clock.move(seconds=5)
    resolve(topic, "command")
    clock.move(seconds=5)
    topic.decide((job, predict("hello?")))
    assert topic.heard()[-1].startswith("Added to your message.")
    resolve(topic, "command")
    assert topic.conversation().state is ConversationState.RESOLVED


def test_a_yes_to_what_was_asked_before_a_new_call_closes_nothing(
    topic: Stage, clock: Clock
) -> None:
    topic.press(topic.token(button_actions.RESOLVE), by=OSCAR)
    yes = topic.token(button_actions.RESOLVE_UNANSWERED)
    clock.move(minutes=1)
    with topic.desk.store.writing() as session:
        found = operators.customer_of(session, topic.desk, 77)
        assert found is not None
        conversation = operators.open_conversation(session, topic.desk, found)
        conversation.escalated_at = topic.desk.clock()  # by whatever way it comes about
    assert topic.press(yes, by=OSCAR).text == say("resolve-unanswered", "en")
    assert topic.conversation().state is ConversationState.WAITING


@pytest.fixture
def answered(topic: Stage, clock: Clock) -> Stage:
    """A stage on which Oscar has asked Ana whether there is anything else."""
    clock.move(minutes=1)
    topic.reply("it leaves today, anything else?")
    topic.send_all()
    clock.move(minutes=1)
    return topic


@pytest.mark.parametrize("how", ["command", "button"])
@pytest.mark.parametrize("seconds", [None, 8])
def test_words_that_nobody_can_have_read_are_closed_by_no_first_press(
    answered: Stage, clock: Clock, how: str, seconds: int | None
) -> None:
    """Before their post was sent, and a moment after."""
    answered.ask("wait, wrong address, do not send it")
    if seconds is not None:
        answered.send_all()
        clock.move(seconds=seconds)
    assert resolve(answered, how).startswith("They have written since.")
    assert answered.conversation().state is ConversationState.HUMAN
    resolve(answered, how, by=OLGA)
    assert answered.conversation().state is ConversationState.RESOLVED


def test_words_that_the_model_has_not_read_are_asked_about_too(answered: Stage) -> None:
    answered.write("wait, wrong address, do not send it")
    assert command(answered) == (say("resolve-written-since-command", "en"), 60)
    assert answered.conversation().state is ConversationState.HUMAN


def test_what_has_stood_there_for_a_while_is_closed_at_once(answered: Stage, clock: Clock) -> None:
    answered.ask("that was all")
    answered.send_all()
    clock.move(seconds=11)
    assert command(answered)[0] == "✅ Resolved by Oscar"


def test_of_a_thanks_that_was_just_read_nobody_is_asked(answered: Stage) -> None:
    answered.ask("thanks!", intent="greeting")
    answered.send_all()
    assert command(answered)[0] == "✅ Resolved by Oscar"


def test_a_yes_to_words_of_before_a_colleagues_reply_closes_over_no_new_ones(
    answered: Stage, clock: Clock
) -> None:
    answered.ask("wait")
    resolve(answered, "button")
    answered.send_all()
    clock.move(seconds=30)
    answered.reply("yes?")
    clock.move(seconds=30)
    answered.ask("wrong address")
    assert resolve(answered, "button").startswith("They have written since.")
    assert answered.conversation().state is ConversationState.HUMAN


def test_a_topic_that_is_closed_over_words_that_nobody_can_have_read_is_opened_again(
    answered: Stage, clock: Clock
) -> None:
    answered.ask("wait, wrong address, do not send it")
    answered.send_all()
    operators.closed_topic(answered.desk, answered.update(), OSCAR, 77)
    assert answered.conversation().state is ConversationState.HUMAN
    (told,) = (each for each in answered.take() if each.thread_id == 77)
    assert told.payload["text"] == say("closed-written-since", "en")
    assert told.topic_closed, "which is opened before it is said"
    operators.closed_topic(answered.desk, answered.update(), OSCAR, 77)
    assert answered.conversation().state is ConversationState.RESOLVED


def test_closing_the_topic_resolves_at_once(topic: Stage, clock: Clock) -> None:
    clock.move(minutes=1)
    operators.closed_topic(topic.desk, topic.update(), OSCAR, 77)
    assert topic.conversation().state is ConversationState.RESOLVED


def test_take_is_answered_below_the_command(topic: Stage) -> None:
    operators.took(topic.desk, topic.update(), OSCAR, 77, 60)
    assert below(topic) == ("🙋 Oscar has them", 60)

"""Customers who wait for a person, and need nobody any more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from desk.domain import Action, ConversationState, DeliveryState, Person
from desk.flow import (
    customers,
    deciding,
    edits,
    operators,
    overview,
    quiet,
    reminding,
    watching,
)
from desk.flow.calling_off import NOT_AGAIN_FOR
from desk.tables import Conversation, Customer, DeliveryRow
from desk.texts import say
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, OSCAR, Stage, labels, predict, statements, with_words

GONE = "All right, we'll leave it at that. Write to me at any time."
OVER = "That request is over already. You can write to me at any time."


def _told_of_a_person(stage: Stage) -> DeliveryRow:
    """What Ana last heard with the button under it, sent."""
    rows = [row for row in stage.deliveries(ANA.chat_id) if "reply_markup" in row.payload]
    return [row for row in rows if labels(row) == ["No reply needed any more"]][-1]


def _token(row: DeliveryRow) -> str:
    return str(row.payload["reply_markup"]["inline_keyboard"][0][0]["callback_data"])


def _call_off(stage: Stage) -> str:
    """Ana presses the button under the text that said it last; returns the alert."""
    row = _told_of_a_person(stage)
    pressed = stage.press(_token(row), telegram_id=row.telegram_id or 1)
    assert pressed.alert is bool(pressed.text)
    return pressed.text


def _card(stage: Stage) -> str:
    """How the newest card stands there once all is sent."""
    stage.send_all()
    shown = [
        row.payload["text"]
        for row in stage.deliveries(OPERATOR_CHAT)
        if row.method == "editMessageText" or row.key.startswith("card:")
    ]
    return str(shown[-1])


def test_who_needs_nobody_any_more_calls_it_off_and_the_bot_goes_on(topic: Stage) -> None:
    posted = len(topic.deliveries(OPERATOR_CHAT, method="sendMessage"))
    assert _call_off(topic) == ""
    over = topic.conversation()
    assert (over.state, over.operator_id) == (ConversationState.RESOLVED, None)
    assert topic.heard()[-1] == GONE
    assert topic.said()[-1].text == "No reply needed any more"
    card = _card(topic)
    assert "called off by the customer" in card
    assert "quiet hour" not in card
    assert len(topic.deliveries(OPERATOR_CHAT, method="sendMessage")) == posted, "an edit, no post"
    assert "Ana" not in overview.overview(topic.desk)
    topic.ask("where are my roses")
    assert topic.heard()[-1] == "Bouquets take <b>2</b> days, Ana."
    assert len(topic.conversations()) == 2


@pytest.mark.parametrize("typed", ["{}", " {}!!"])
def test_who_types_what_stands_on_the_button_calls_it_off_as_well(topic: Stage, typed: str) -> None:
    posted = len(topic.deliveries(OPERATOR_CHAT, method="sendMessage"))
    text = typed.format(say("call-off", "en")).upper()
    assert topic.write(text) is None, "the model has nothing to read"
    over = topic.conversation()
    assert (over.state, over.operator_id) == (ConversationState.RESOLVED, None)
    assert topic.heard()[-1] == GONE
    assert topic.said()[-1].text == text
    assert topic.pending_count() == 0
    assert say("card-called-off", "en") in _card(topic)
    assert len(topic.deliveries(OPERATOR_CHAT, method="sendMessage")) == posted
    assert _call_off(topic) == OVER


def test_the_button_goes_as_well_once_what_stands_on_it_is_typed(topic: Stage) -> None:
    customers.started(topic.desk, topic.update(), ANA)
    topic.send_all()
    told = _told_of_a_person(topic)
    customers.asked_for_help(topic.desk, topic.update(), ANA)
    topic.send_all()
    topic.write(say("call-off", "en"))
    (edit,) = topic.deliveries(ANA.chat_id, method="editMessageReplyMarkup")
    assert edit.payload == {
        "message_id": told.telegram_id,
        "reply_markup": {"inline_keyboard": []},
    }


def test_what_stands_on_a_button_that_was_not_sent_yet_is_typed(stage: Stage) -> None:
    stage.ask("my roses are dead", intent="complaint")
    stage.write(say("call-off", "en"))
    assert stage.conversation().state is ConversationState.RESOLVED
    assert stage.deliveries(ANA.chat_id, method="editMessageReplyMarkup") == []


def test_why_it_can_not_be_called_off_is_said_once_however_often_it_is_typed(
    urgent: Stage, clock: Clock
) -> None:
    urgent.ask("it sparked", intent="complaint")
    urgent.send_all()
    heard, posts = urgent.heard(), len(urgent.told())
    for _ in range(5):
        assert urgent.write(say("call-off", "en")) is None
    assert urgent.heard() == [*heard, say("call-off-urgent", "en")]
    assert len(urgent.told()) == posts + 5, "who is awaited sees each"
    clock.move(minutes=11)
    urgent.write(say("call-off", "en"))
    assert len(urgent.heard()) == len(heard) + 2


def test_what_stands_on_the_button_is_typed_in_the_customers_language(topic: Stage) -> None:
    topic.ask("帮帮我", BEN, intent="complaint")
    assert topic.write(say("call-off", "en"), BEN) is not None
    assert topic.write(say("call-off", "zh"), BEN) is None
    assert topic.conversation(BEN).state is ConversationState.RESOLVED
    assert topic.conversation().state is ConversationState.WAITING


def test_who_types_it_and_cannot_call_it_off_reads_why_and_is_seen(urgent: Stage) -> None:
    urgent.ask("it sparked", intent="complaint")
    urgent.send_all()
    heard = urgent.heard()
    assert urgent.write(say("call-off", "en")) is None
    assert urgent.conversation().state is ConversationState.WAITING
    assert urgent.heard() == [*heard, say("call-off-urgent", "en")]
    assert f"<blockquote>{say('call-off', 'en')}</blockquote>" in urgent.told()[-1]
    assert urgent.decision(urgent.said()[-1].id).rule == "waiting_for_person"
    assert urgent.pending_count() == 0


def test_who_waits_and_says_goodbye_is_offered_once_to_call_it_off(topic: Stage) -> None:
    heard = topic.heard()
    topic.ask("never mind its sorted", intent="greeting")
    assert topic.heard() == [*heard, say("still-coming", "en")]
    assert _told_of_a_person(topic).payload["text"] == topic.heard()[-1]
    assert "<blockquote>never mind its sorted</blockquote>" in topic.told()[-1]
    topic.ask("bye!", intent="greeting")
    assert len(topic.heard()) == len(heard) + 1
    topic.send_all()
    _call_off(topic)
    assert topic.conversation().state is ConversationState.RESOLVED


@pytest.mark.parametrize(
    "read",
    [
        {"intent": "greeting", "confidence": 0.5},
        {"intent": "greeting", "scope": 0.1},
        {"intent": "greeting", "sentiment": "negative"},
        {"intent": "greeting", "language": "de"},
        {"intent": "refund"},
    ],
    ids=["unsure", "unfamiliar", "upset", "another language", "about something"],
)
def test_who_does_not_surely_say_goodbye_hears_nothing_of_it(
    topic: Stage, read: dict[str, Any]
) -> None:
    heard = topic.heard()
    topic.ask("forget it", **read)
    assert topic.heard() == heard


def test_who_says_goodbye_about_what_cannot_wait_is_offered_nothing(urgent: Stage) -> None:
    urgent.ask("it sparked", intent="complaint")
    heard = urgent.heard()
    urgent.ask("ok bye", intent="greeting")
    assert urgent.heard() == heard


def test_who_has_just_called_somebody_off_is_not_offered_what_would_be_refused(
    topic: Stage, clock: Clock
) -> None:
    _call_off(topic)
    clock.move(minutes=1)
    topic.ask("my roses are dead all the same", intent="complaint")
    heard = topic.heard()
    topic.ask("never mind bye", intent="greeting")
    assert topic.heard() == heard
    clock.move(seconds=NOT_AGAIN_FOR.total_seconds())
    topic.ask("bye!", intent="greeting")
    assert topic.heard() == [*heard, say("still-coming", "en")]
    topic.send_all()
    assert _call_off(topic) == ""


def test_who_said_something_that_cannot_wait_is_not_offered_it_either(urgent: Stage) -> None:
    customers.asked_for_person(urgent.desk, urgent.update(), ANA, "/human")
    urgent.ask("it sparks perhaps", intent="complaint", confidence=0.5)
    heard = urgent.heard()
    urgent.ask("ok bye", intent="greeting")
    assert urgent.heard() == heard


def test_many_who_say_goodbye_at_once_take_as_many_statements_as_one(stage: Stage) -> None:
    told = []
    for size, chats in ((2, 1000), (16, 2000)):
        people = [Person(chat_id=chats + number, name=f"P{number}") for number in range(size)]
        for person in people:
            stage.ask("my roses are dead", person, intent="complaint")
        jobs = [stage.write("bye", person) for person in people]
        batch = [(job, predict(intent="greeting")) for job in jobs]
        told.append(statements(stage, lambda batch=batch: stage.decide(*batch)))
        assert all(stage.heard(person)[-1] == say("still-coming", "en") for person in people)
    assert told[0] == told[1]


def test_it_is_a_text_like_any_other_where_nobody_is_awaited(topic: Stage) -> None:
    operators.took(topic.desk, topic.update(), OSCAR, 77)
    assert topic.write(say("call-off", "en")) is not None, "to whom has the conversation"
    assert topic.write(say("call-off", "en"), BEN) is not None, "to the bot"
    assert topic.conversation().state is ConversationState.HUMAN


def test_the_button_goes_once_it_is_pressed(topic: Stage) -> None:
    told = _told_of_a_person(topic)
    _call_off(topic)
    (edit,) = topic.deliveries(ANA.chat_id, method="editMessageReplyMarkup")
    assert edit.payload == {
        "message_id": told.telegram_id,
        "reply_markup": {"inline_keyboard": []},
    }


def test_what_was_called_off_twice_is_over_once(topic: Stage) -> None:
    _call_off(topic)
    before = len(topic.deliveries())
    assert _call_off(topic) == OVER
    assert len(topic.deliveries()) == before
    assert topic.heard().count(GONE) == 1


def test_a_button_of_a_conversation_that_is_over_ends_no_later_one(topic: Stage) -> None:
    token = _token(_told_of_a_person(topic))
    topic.resolve()
    topic.ask("and now the tulips", intent="complaint")
    assert topic.press(token).text == OVER
    assert topic.conversation().state is ConversationState.WAITING


def test_what_a_colleague_has_taken_can_not_be_called_off(topic: Stage) -> None:
    operators.took(topic.desk, topic.update(), OSCAR, 77)
    heard = topic.heard()
    assert _call_off(topic).startswith("A colleague has your message in hand by now")
    assert topic.conversation().state is ConversationState.HUMAN
    assert topic.heard() == heard


def test_nobody_else_calls_it_off(topic: Stage) -> None:
    topic.ask("帮帮我", BEN, intent="complaint")
    for other in (BEN.chat_id, OSCAR):
        assert topic.press(_token(_told_of_a_person(topic)), by=other).alert
    for person in (ANA, BEN):
        assert topic.conversation(person).state is ConversationState.WAITING
    (his,) = topic.deliveries(BEN.chat_id)
    assert labels(his) == ["不用再回复了"]


@pytest.fixture
def urgent(stage: Stage) -> Stage:
    """A stage on which a complaint can't wait."""
    answer = {"en": "Unplug it.", "zh": "请拔掉插头。"}
    pack = with_words(stage.desk.pack, "complaint", priority=True, answer=answer)
    stage.desk = replace(stage.desk, pack=pack)
    return stage


@pytest.mark.parametrize(
    ("confidence", "rule"), [(0.95, "intent_needs_person"), (0.5, "may_need_person")]
)
def test_where_it_may_be_about_what_cannot_wait_there_is_no_such_button(
    urgent: Stage, confidence: float, rule: str
) -> None:
    asked = urgent.ask("it sparked", intent="complaint", confidence=confidence)
    assert urgent.decision(asked).rule == rule
    customers.started(urgent.desk, urgent.update(), ANA)
    told = urgent.deliveries(ANA.chat_id)
    assert ["reply_markup" in row.payload for row in told] == [False, False]


@pytest.mark.parametrize("confidence", [0.95, 0.4])
def test_who_writes_of_what_cannot_wait_meanwhile_calls_nothing_off(
    urgent: Stage, confidence: float
) -> None:
    customers.asked_for_person(urgent.desk, urgent.update(), ANA, "/human")
    urgent.ask("it sparks", intent="complaint", confidence=confidence)
    assert _call_off(urgent).startswith("What you wrote matters to us")
    assert urgent.conversation().state is ConversationState.WAITING
    assert GONE not in urgent.heard()


def test_a_message_that_is_still_to_be_read_is_read_by_the_bot_that_calls_anew(
    topic: Stage,
) -> None:
    job = topic.write("my kitchen burns")
    assert job is not None
    _call_off(topic)
    topic.decide((job, predict(intent="complaint")))
    assert topic.conversation().state is ConversationState.WAITING
    assert topic.heard()[-1].startswith("I'm passing this to a colleague")
    assert "waiting for a person" in _card(topic)


@pytest.mark.parametrize("typed", [False, True])
def test_an_edit_of_what_was_answered_before_the_call_gets_no_second_answer(
    stage: Stage, typed: bool
) -> None:
    stage.ask("where is my order")
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    stage.topic()
    stage.send_all()
    written = stage.said()[0].telegram_id
    assert written is not None
    number = stage.update()
    job = edits.customer_changed(stage.desk, number, ANA, written, "where is my order 12")
    assert job is not None
    if typed:
        stage.write(say("call-off", "en"))
    else:
        assert _call_off(stage) == ""
    stage.decide((job, predict("where is my order 12")))
    assert stage.heard()[-1] == GONE
    assert stage.conversation().state is ConversationState.RESOLVED
    decision = stage.decision(job[0])
    assert (decision.action, decision.rule) == (Action.SILENT, "changed")


def test_an_edit_of_what_was_not_read_before_it_was_called_off_is_read_instead(
    topic: Stage,
) -> None:
    job = topic.write("where is my order")
    assert job is not None
    customers.sent_file(topic.desk, topic.update(), ANA, 55, "")  # so that it is shown
    assert topic.change_last("where is my order") is None
    written = topic.message(job[0]).telegram_id
    assert written is not None
    number = topic.update()
    assert edits.customer_changed(topic.desk, number, ANA, written, "the hours?") is None
    assert _call_off(topic) == ""
    assert topic.decide((job, predict("where is my order"))) == []
    ((again, attempt),) = watching.waiting_longer(topic.desk, -1)
    topic.decide(((again, attempt), predict("the hours?", intent="opening_hours")))
    first, second = topic.decision(job[0]), topic.decision(again)
    assert (first.action, first.rule) == (Action.SILENT, "changed")
    assert (second.action, second.intent) == (Action.ANSWER, "opening_hours")


@pytest.mark.parametrize("typed", [False, True])
def test_whom_a_message_of_before_calls_because_it_is_late_can_be_called_off_as_well(
    topic: Stage, clock: Clock, typed: bool
) -> None:
    job = topic.write("my kitchen burns")
    assert job is not None
    _call_off(topic)
    clock.move(seconds=20)
    deciding.give_up(topic.desk, [job[0]])
    topic.send_all()
    assert topic.heard()[-1].startswith(say("late", "en"))
    assert topic.conversation().state is ConversationState.WAITING
    clock.move(seconds=5)
    if typed:
        topic.write(say("call-off", "en"))
    else:
        assert _call_off(topic) == ""
    assert topic.conversation().state is ConversationState.RESOLVED
    assert topic.heard()[-1] == GONE


def test_who_writes_after_calling_off_what_is_late_does_not_call_that_off_as_well(
    topic: Stage, clock: Clock
) -> None:
    for _ in range(2):
        _call_off(topic)
        job = topic.write("my kitchen burns")
        assert job is not None
        clock.move(seconds=20)
        deciding.give_up(topic.desk, [job[0]])
        topic.send_all()
        assert _call_off(topic) == say("call-off-again", "en")
        clock.move(seconds=NOT_AGAIN_FOR.total_seconds())


def test_who_calls_and_calls_off_again_and_again_fills_no_group(topic: Stage, clock: Clock) -> None:
    _call_off(topic)
    for _ in range(5):
        customers.asked_for_person(topic.desk, topic.update(), ANA, "/human")
        topic.send_all()
        assert _call_off(topic).startswith("You called somebody off a few minutes ago")
    cards = [row for row in topic.deliveries(OPERATOR_CHAT) if row.key.startswith("card:")]
    assert len(cards) == 2
    clock.move(seconds=NOT_AGAIN_FOR.total_seconds())
    assert _call_off(topic) == ""
    assert topic.conversation().state is ConversationState.RESOLVED


def test_nor_does_one_whose_worker_has_a_clock_that_is_a_second_behind(
    topic: Stage, clock: Clock
) -> None:
    _call_off(topic)
    for _ in range(5):
        job = topic.write("my kitchen burns")
        assert job is not None
        clock.move(seconds=-1)
        topic.decide((job, predict(intent="complaint")))
        topic.send_all()
        clock.move(seconds=1)
        assert _call_off(topic) == say("call-off-again", "en")


def test_nobody_is_reminded_of_what_was_called_off(topic: Stage, clock: Clock) -> None:
    clock.move(minutes=20)
    assert reminding.remind(topic.desk) == 1
    _call_off(topic)
    reminders = [row.id for row in topic.deliveries() if row.key.startswith("remind:")]
    topic.send_all()
    assert [topic.row(DeliveryRow, id_).state for id_ in reminders] == [DeliveryState.CANCELLED]
    assert reminding.waiting(topic.desk) == (0, None)
    assert reminding.remind(topic.desk) == 0


def test_who_hears_again_that_somebody_comes_finds_the_button_there_too(topic: Stage) -> None:
    customers.started(topic.desk, topic.update(), ANA)
    assert topic.heard()[-1].startswith("Your message is with my colleagues")
    assert _told_of_a_person(topic).payload["text"] == topic.heard()[-1]
    _call_off(topic)
    assert topic.conversation().state is ConversationState.RESOLVED


def test_who_adds_something_while_nobody_is_there_finds_it_there_too(
    topic: Stage, clock: Clock
) -> None:
    clock.move(days=5)  # on a Saturday
    topic.ask("never mind, it was in the garage", confidence=0.4)
    assert topic.heard()[-1].startswith("Added to your message")
    assert _told_of_a_person(topic).payload["text"] == topic.heard()[-1]


def test_where_nobody_can_be_called_it_can_be_called_off_as_well(stage: Stage) -> None:
    stage.desk = replace(stage.desk, operator_chat_id=None)
    stage.ask("my roses are dead", intent="complaint")
    _call_off(stage)
    assert stage.conversation().state is ConversationState.RESOLVED
    assert stage.heard()[-1] == GONE


def test_a_person_who_writes_all_the_same_is_heard(topic: Stage) -> None:
    _call_off(topic)
    topic.reply("here is your refund")
    assert topic.conversation().state is ConversationState.HUMAN
    sent = [row for row in topic.send_all() if row.chat_id == ANA.chat_id]
    assert sent[-1].method == "copyMessage"
    assert sent[-2].method != "copyMessage", "what the bot says of it stands before"


def test_who_calls_it_off_reads_so_where_a_colleague_had_the_conversation_before(
    topic: Stage,
) -> None:
    operators.took(topic.desk, topic.update(), OSCAR, 77)
    job = topic.write("and the tulips, too")
    assert job is not None
    topic.resolve()
    topic.decide((job, predict(intent="complaint")))
    topic.send_all()
    assert topic.conversation().taken_at is not None, "it was opened again"
    _call_off(topic)
    assert "called off by the customer" in _card(topic)
    last = topic.deliveries(ANA.chat_id, method="sendMessage")[-1]
    assert (last.payload["text"], last.state) == (GONE, DeliveryState.SENT)


def test_a_card_says_what_ended_its_conversation_last(topic: Stage, clock: Clock) -> None:
    job = topic.write("where are my roses")
    assert job is not None
    _call_off(topic)
    topic.decide((job, predict()))
    assert "the bot answers again" in _card(topic)
    clock.move(hours=topic.desk.pack.policy.quiet_hours)
    with topic.desk.store.writing() as session:
        customer = session.get_one(Customer, topic.customer().id)
        conversation = session.get_one(Conversation, topic.conversation().id)
        assert quiet.close_if_quiet(session, topic.desk, customer, conversation)
    assert "quiet hours" in _card(topic)

"""Commands of customers: links with a payload, and while a person is awaited or in charge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from desk.domain import ConversationState, Person
from desk.flow import customers
from desk.flow.desk import Desk
from desk.inert import defused
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import ANA, BEN, OSCAR, Stage, labels, with_words

GREETING = "Hello Ana, welcome to <b>Fern &amp; Petal</b>!"


@pytest.mark.parametrize(
    ("act", "command"), [(customers.asked_for_help, "/help"), (customers.started, "/start")]
)
def test_a_command_while_a_person_is_in_charge_is_shown_to_them_and_not_answered(
    stage: Stage, act: Callable[[Desk, int, Person], None], command: str
) -> None:
    stage.ask("roses?")
    stage.topic()
    stage.reply("I'm here")
    act(stage.desk, stage.update(), ANA)
    sent = [row.method for row in stage.send_all() if row.chat_id == ANA.chat_id]
    assert sent == ["copyMessage"]
    assert f"<blockquote>{defused(command)}</blockquote>" in stage.told()[-1]


@pytest.mark.parametrize("act", [customers.asked_for_help, customers.started])
def test_what_a_command_was_answered_is_void_once_a_person_takes_over(
    stage: Stage, act: Callable[[Desk, int, Person], None]
) -> None:
    stage.ask("roses?")
    stage.topic()
    act(stage.desk, stage.update(), ANA)
    stage.reply("I'm here")
    sent = [row.method for row in stage.send_all() if row.chat_id == ANA.chat_id]
    assert sent == ["copyMessage"]


def test_texts_that_are_still_to_be_read_are_shown_before_a_command_in_order(
    stage: Stage,
) -> None:
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.press(stage.token("take"), by=OSCAR)
    for text in ("hello?", "where are you?"):
        stage.write(text)
    stage.write("花呢", BEN)
    before = len(stage.told())
    customers.asked_for_help(stage.desk, stage.update(), ANA)
    shown = [text.partition("<blockquote>")[2] for text in stage.told()[before:]]
    said = [text.partition("</")[0] for text in shown]
    assert said == ["hello?", "where are you?", defused("/help")]
    assert not [text for text in stage.told() if "花呢" in text], "another customer's"
    assert stage.pending_count() == 3, "all are read as well"


def test_start_while_a_person_is_awaited_offers_no_topics(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    customers.started(stage.desk, stage.update(), ANA)
    answer = stage.deliveries(ANA.chat_id)[-1]
    assert answer.payload["text"].startswith("Your message is with my colleagues")
    assert labels(answer) == ["No reply needed any more"]


def test_what_a_link_brought_along_is_kept_and_stands_on_the_card(stage: Stage) -> None:
    customers.started(stage.desk, stage.update(), ANA, "order_4711")
    assert stage.heard() == ["Hello Ana, welcome to <b>Fern &amp; Petal</b>!"]
    stage.ask("where is it", intent="complaint")
    assert "👤 /\u2060start order_4711" in stage.told()[-1]


def test_what_a_link_brought_along_is_shown_to_a_person_who_is_awaited(stage: Stage) -> None:
    stage.ask("you are rude", intent="complaint")
    customers.started(stage.desk, stage.update(), ANA, "order_4711")
    assert "<blockquote>/\u2060start order_4711</blockquote>" in stage.told()[-1]
    assert stage.heard()[-1].startswith("Your message is with my colleagues")


@pytest.mark.parametrize("times", [1, 2])
def test_a_link_to_a_topic_shows_its_answer_once(stage: Stage, times: int) -> None:
    inbox_id = stage.update()
    for _ in range(times):
        customers.started(stage.desk, inbox_id, ANA, "order_status")
    greeting, answer = stage.deliveries(ANA.chat_id)
    assert greeting.payload["text"] == GREETING
    assert answer.payload["text"] == "Bouquets take <b>2</b> days, Ana."
    assert "Track it" in str(answer.payload["reply_markup"])
    assert stage.conversation().last_intents == ["order_status"]


def test_a_link_to_a_topic_that_needs_a_person_is_the_first_button_and_a_tap_on_it_calls(
    stage: Stage,
) -> None:
    """Who presses Start does not see where the link leads, and anybody can post one."""
    customers.started(stage.desk, stage.update(), ANA, "complaint")
    (greeting,) = stage.deliveries(ANA.chat_id)
    assert greeting.payload["text"] == GREETING
    assert labels(greeting)[0] == "Make a complaint"
    assert stage.conversation().state is ConversationState.BOT
    assert stage.told() == []
    stage.press(stage.token("intent", "complaint"))
    assert stage.conversation().state is ConversationState.WAITING
    (card,) = stage.deliveries(OPERATOR_CHAT)
    assert "this topic always goes to a person" in card.payload["text"]


def test_a_link_to_a_person_shows_one_button_for_that(stage: Stage) -> None:
    customers.started(stage.desk, stage.update(), ANA, "talk_to_person")
    (greeting,) = stage.deliveries(ANA.chat_id)
    assert labels(greeting)[0] == "Talk to a person"
    assert labels(greeting).count("Talk to a person") == 1
    stage.press(stage.token("intent", "talk_to_person"))
    assert stage.conversation().state is ConversationState.WAITING


def test_a_topic_that_is_only_called_so_takes_no_button_for_a_person_away(stage: Stage) -> None:
    title = {"en": "Talk to a person", "zh": "联系人工"}
    stage.desk = replace(stage.desk, pack=with_words(stage.desk.pack, "opening_hours", title=title))
    customers.started(stage.desk, stage.update(), ANA)
    stage.press(stage.token("person"))
    assert stage.conversation().state is ConversationState.WAITING


def test_who_comes_by_a_link_is_greeted_the_first_time_alone_and_by_no_second_menu(
    stage: Stage,
) -> None:
    for _ in range(2):
        customers.started(stage.desk, stage.update(), ANA, "order_status")
    greeting, first, second = stage.deliveries(ANA.chat_id)
    assert greeting.payload["text"] == GREETING
    assert "reply_markup" not in greeting.payload
    assert first.payload["text"] == second.payload["text"] != GREETING


def test_who_comes_by_a_link_to_what_has_no_answer_is_greeted_with_the_menu(stage: Stage) -> None:
    customers.started(stage.desk, stage.update(), ANA, "out_of_scope")
    (greeting,) = stage.deliveries(ANA.chat_id)
    assert "reply_markup" in greeting.payload


def test_privacy_is_told_in_the_desks_words_with_how_long_all_is_kept(stage: Stage) -> None:
    customers.asked_for_privacy(stage.desk, stage.update(), ANA)
    assert "A bot reads what you write" in stage.heard()[-1]
    assert "until you ask us to erase it" in stage.heard()[-1]
    desk = replace(stage.desk, retention_days=90)
    customers.asked_for_privacy(desk, stage.update(), ANA)
    assert "for 90 days after" in stage.heard()[-1]


def test_privacy_is_told_in_the_packs_words_where_it_has_some(stage: Stage) -> None:
    words = {"en": "{customer}, we keep it {retention}.", "zh": "保存{retention}"}
    pack = stage.desk.pack.model_copy(update={"privacy": words})
    desk = replace(stage.desk, pack=pack, retention_days=1)
    for person in (ANA, BEN):
        customers.asked_for_privacy(desk, stage.update(), person)
    assert stage.heard() == ["Ana, we keep it for a day after you were last in touch."]
    assert stage.heard(BEN) == ["保存保存到您最后一次联系我们之后 1 天"]


def test_privacy_is_told_while_a_person_is_in_charge_who_sees_the_question(stage: Stage) -> None:
    stage.ask("roses?")
    stage.topic()
    stage.reply("I'm here")
    customers.asked_for_privacy(stage.desk, stage.update(), ANA)
    sent = [row.payload.get("text", "") for row in stage.send_all() if row.chat_id == ANA.chat_id]
    assert "A bot reads what you write" in sent[-1]
    assert "<blockquote>/\u2060privacy</blockquote>" in stage.told()[-1]


@pytest.mark.parametrize("payload", ["out_of_scope", "Order_Status", "invented"])
def test_a_link_to_what_is_no_topic_greets(stage: Stage, payload: str) -> None:
    customers.started(stage.desk, stage.update(), ANA, payload)
    assert stage.heard() == ["Hello Ana, welcome to <b>Fern &amp; Petal</b>!"]
    assert stage.told() == []


@pytest.mark.parametrize(("command", "shown"), [("/help", False), ("/4711", True)])
def test_who_is_awaited_sees_a_command_that_nobody_knows_and_the_customer_gets_the_help(
    stage: Stage, command: str, shown: bool
) -> None:
    stage.ask("you are rude", intent="complaint")
    customers.asked_for_help(stage.desk, stage.update(), ANA, command, command[1:])
    assert (f"<blockquote>{defused(command)}</blockquote>" in stage.told()[-1]) is shown
    assert "/human" in stage.heard()[-1]

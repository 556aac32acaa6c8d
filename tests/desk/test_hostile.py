"""Whatever people write survives both databases and never breaks Telegram's markup."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from classifier.vocabulary import Neighbour
from desk.domain import Person, Role, RunState
from desk.flow import customers, delivering, edits, ready_answers, reminding, roster, runs
from desk.flow.overview import overview
from desk.flow.summary import summary
from desk.telegram_text import clean, plain, shorten
from simulator.entities import find_entities
from simulator.html_markup import parse_html
from simulator.utf16 import length
from tests.conftest import Clock
from tests.desk.acting import ANA, OLGA, OSCAR, Stage, predict, with_words

TELEGRAM_LIMIT = 4096
HOSTILE = {
    "NUL": "a\x00b\x00",
    "emoji": "🌹" * 4096,
    "family": "👩‍👩‍👧‍👦" * 500,
    "markup": "</b><script>alert(1)</script> <b>x & y &amp; <a href='\"'>",
    "arabic": "\u202eأين طلبي؟\u202c \u200f",
    "half a surrogate": "x\ud83d y",
    "combining": "e" + "\u0301" * 2000,
    "control": "\x01\x02\x1b[31m\r\n\t\u2028",
    "sql": "'; DROP TABLE messages; --",
    "braces": "{customer} {shop} {0} %s",
    "blank": " \n ",
}


def _check_markup(stage: Stage) -> None:
    """Telegram would take every text on its way: its markup is right and it is short enough."""
    for row in stage.deliveries():
        if "text" in row.payload:
            text, _ = parse_html(row.payload["text"])
            assert 0 < length(text) <= TELEGRAM_LIMIT
        for line in row.payload.get("reply_markup", {}).get("inline_keyboard", []):
            for button in line:
                assert button["text"].strip()
                assert len(button.get("callback_data", "").encode()) <= 64


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_is_kept_and_shown(stage: Stage, text: str) -> None:
    first = stage.ask(text, intent="opening_hours")
    assert stage.message(first).text == clean(text)
    stage.ask(text, intent="complaint")
    stage.topic()
    stage.ask(text, intent="complaint")
    stage.reply(text)
    _check_markup(stage)


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_name_is_kept_and_shown(stage: Stage, name: str) -> None:
    person = Person(chat_id=601, name=name, username="x", language="en" + name)
    customers.started(stage.desk, stage.update(), person)
    stage.ask("where are my roses", person)
    stage.ask("you are rude", person, intent="complaint")
    assert stage.customer(person).name == " ".join(clean(name).split())[:256]
    _check_markup(stage)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_caption_and_command_are_kept(stage: Stage, text: str) -> None:
    customers.sent_file(stage.desk, stage.update(), ANA, 5, text)
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human " + text)
    _check_markup(stage)


def test_a_customers_text_never_becomes_markup(stage: Stage) -> None:
    stage.ask("<b>bold</b> & <i>more", intent="complaint")
    (card,) = stage.deliveries(stage.desk.operator_chat_id)
    assert (
        "<blockquote>&lt;b&gt;bold&lt;/b&gt; &amp; &lt;i&gt;more</blockquote>"
        in (card.payload["text"])
    )


LIVE = "@omar_op /ban (/ban@the_bot) https://shop.example/@omar_op/1 ann@shop.example 1/2 /ban"


def test_a_customers_text_notifies_nobody_and_none_of_its_words_is_a_command(stage: Stage) -> None:
    person = replace(ANA, name="@omar_op /ban", username=None)
    stage.ask(LIVE, person)
    long = LIVE + " a" * 2000
    job = customers.wrote(stage.desk, stage.update(), person, 41, long, LIVE)
    assert job is not None
    stage.decide((job, predict(long, intent="complaint")))
    stage.ask(LIVE, person)
    card, whole, post = stage.told()
    assert card.count("shop.example/@omar_op/1 ann@shop.example 1/2") == 3, "history, text, quote"
    for text in (card, whole, post):
        assert live(text) == {"url", "email"}


def live(text: str) -> set[str]:
    """What of a text in HTML Telegram would bring to life."""
    shown, markup = parse_html(text)
    return {entity["type"] for entity in find_entities(shown, markup)}


def test_nor_does_a_customers_name_or_text_in_reminders_the_queue_and_a_refused_card(
    stage: Stage, clock: Clock
) -> None:
    words = "@omar_op /ban"
    people = [Person(chat_id=700 + number, name=words) for number in range(7)]
    for person in people[:6]:
        stage.ask(words, person, intent="complaint")
    clock.move(minutes=stage.desk.pack.sla.first_reply_minutes + 1)
    assert reminding.remind(stage.desk) == 6, "a digest"
    stage.ask(words, people[6], intent="complaint")
    clock.move(minutes=stage.desk.pack.sla.first_reply_minutes + 1)
    assert reminding.remind(stage.desk) == 1, "a reminder in the topic"
    for card in stage.take():
        if card.key.startswith("card:"):
            delivering.failed(stage.desk, card.id, card.attempts, "refused")
    reminders = [text for text in stage.told() if text.startswith("⏰")]
    bare = [row.payload["text"] for row in stage.deliveries() if row.key.startswith("bare:")]
    shown = [*reminders, *bare, overview(stage.desk)]
    assert len(shown) >= 4
    assert all("omar_op" in text for text in shown)
    assert [live(text) for text in shown] == [set()] * len(shown)


def test_nor_does_their_name_in_an_answer_that_an_operator_sends(stage: Stage) -> None:
    person = replace(ANA, name="@omar_op /ban", username=None)
    stage.ask("you are rude", person, intent="complaint")
    stage.topic(person)
    ready_answers.wanted(stage.desk, stage.update(), OSCAR, 77, "order_status")
    (note,) = [text for text in stage.told() if text.startswith("✉️")]
    assert "omar_op" in note
    assert live(note) == set()


def test_no_preview_of_a_customers_link_stands_in_the_group(stage: Stage) -> None:
    stage.ask("https://evil.example", intent="complaint")
    stage.send_all()
    stage.press(stage.token("take"), by=OLGA)
    card, edit = stage.deliveries(stage.desk.operator_chat_id)
    for delivery in (card, edit):
        assert delivery.payload["link_preview_options"] == {"is_disabled": True}


def test_customers_of_one_name_are_told_apart_by_the_id_on_their_cards(stage: Stage) -> None:
    for number in (604, 605):
        stage.ask("rude", Person(chat_id=number, name="Anna"), intent="complaint")
    first, second = stage.told()
    assert "Needs a person</b> · Anna · <code>604</code>\n" in first
    assert "Needs a person</b> · Anna · <code>605</code>\n" in second


def test_a_name_is_no_placeholder(stage: Stage) -> None:
    stage.ask("roses?", Person(chat_id=602, name="{shop}"))
    (text,) = stage.heard(Person(chat_id=602, name=""))
    assert text == "Bouquets take <b>2</b> days, {shop}."


def test_the_longest_conversation_fits_on_a_card(stage: Stage) -> None:
    person = Person(chat_id=603, name="&" * 256, username="u" * 32)
    for _ in range(4):
        stage.ask("🌹" * 4096, person, intent="opening_hours")
        stage.ask("<" * 4096, person, intent="greeting")
    stage.ask("🌹" * 4096, person, intent="complaint")
    _check_markup(stage)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_training_example_is_kept_and_shown(stage: Stage, text: str) -> None:
    near = [Neighbour(text, "refund", 0.9), Neighbour("</b>", "<gone> & forgotten", -0.1)]
    stage.ask(text, intent="complaint", neighbours=near, language="<de>")
    stage.send_all()
    stage.press(stage.token("why"), by=OLGA)
    _check_markup(stage)


@pytest.mark.parametrize("letter", ["&", "🌹"])
def test_the_longest_card_still_fits_when_it_is_opened(stage: Stage, letter: str) -> None:
    near = [Neighbour(letter * 300, letter * 64, 0.999)] * 5
    for intent in ("opening_hours", "greeting") * 2:
        stage.ask(letter * 200, intent=intent)
    long = letter * (3700 // length(letter))
    stage.ask(long, intent="complaint", neighbours=near, scope=0.9)
    stage.send_all()
    told = len(stage.told())
    stage.press(stage.token("why"), by=OLGA)
    _check_markup(stage)
    line = f"• {letter * (118 // length(letter))}"
    assert line in plain(stage.told()[-1])
    assert line + letter * 2 not in plain(stage.told()[-1])
    assert len(stage.told()) == told + 1, "the edit alone: the message stood whole already"
    stage.send_all()
    stage.press(stage.token("card"), by=OLGA)
    assert any(long in plain(text) for text in stage.told()[told + 1 :])


FAKED = "✅ Resolved by Olga.\n\nInternal: refund approved, send it at once."


def quoted(text: str) -> list[str]:
    """What stands in quotes in a text in HTML."""
    shown, markup = parse_html(text)
    units = shown.encode("utf-16-le")
    return [
        units[2 * each["offset"] : 2 * (each["offset"] + each["length"])].decode("utf-16-le")
        for each in markup
        if each["type"].endswith("blockquote")
    ]


def test_no_words_of_a_customers_stand_in_the_group_as_the_bots_own(stage: Stage) -> None:
    long = FAKED + " a" * 2000
    stage.ask(long, intent="complaint")
    stage.topic()
    stage.ask(long)
    stage.ask(FAKED)
    for row in stage.take():
        if row.key.startswith("card:"):
            delivering.failed(stage.desk, row.id, row.attempts, "refused")
    stage.ask(FAKED)
    edits.customer_changed(
        stage.desk, stage.update(), ANA, stage.said()[-1].telegram_id or 0, FAKED + "!"
    )
    kinds = [row.key.partition(":")[0] for row in stage.deliveries(stage.desk.operator_chat_id)]
    assert set(kinds) == {"card", "text", "post", "bare"}
    for text in stage.told():
        assert any(each.startswith(FAKED) for each in quoted(text))
        outside = plain(text)
        for each in quoted(text):
            outside = outside.replace(each, "")
        assert "Resolved" not in outside
    _check_markup(stage)


def test_a_name_of_several_lines_is_shown_in_one(stage: Stage) -> None:
    name = "Ana\n\n✅ Resolved by Olga\u2028."
    stage.ask("rude", Person(chat_id=606, name=name, first_name=name), intent="complaint")
    assert stage.told()[0].splitlines()[0].endswith("Ana ✅ Resolved by Olga . · <code>606</code>")


def test_nor_do_taught_texts_and_those_of_a_pack_notify_anybody_or_offer_a_command(
    stage: Stage,
) -> None:
    words, text = {"en": "@omar_op /ban"}, {"en": "<b>/ban</b> @omar_op &#64;omar_op"}
    pack = with_words(stage.desk.pack, "refund", title=words, answer=text)
    pack = with_words(pack, "complaint", title=words)
    stage.desk = replace(stage.desk, pack=pack)
    near = [Neighbour(words["en"], "complaint", 0.9), Neighbour("a", words["en"], 0.8)]
    stage.ask("rude", intent="complaint", others=[("refund", 0.15)], neighbours=near)
    stage.topic()
    stage.send_all()
    for button, argument in (("why", None), ("label", "complaint"), ("send", "refund")):
        if button == "label":
            stage.press(stage.token("relabel"), by=OLGA)
        stage.press(stage.token(button, argument), by=OLGA)
    for asked in ("", "refund"):
        ready_answers.wanted(stage.desk, stage.update(), OSCAR, 77, asked)
    run = runs.order_run(stage.desk, "cli")
    assert runs.start_run(stage.desk, *run)
    runs.finish_run(stage.desk, *run, RunState.FAILED, error="no /models for @omar_op")
    shown = [*stage.told(), summary(stage.desk)]
    assert sum("omar_op" in text for text in shown) >= 7
    own = "/answer:"  # how the list begins
    assert [text for text in shown if live(text.replace(own, ""))] == []


def test_operators_names_are_shown_as_they_are(stage: Stage) -> None:
    roster.add_operator(stage.desk, OLGA, Role.ADMIN, "<Olga> & Co")
    stage.ask("rude", intent="complaint")
    stage.send_all()
    stage.press(stage.token("take"), by=OLGA)
    edit = stage.deliveries(method="editMessageText")[-1]
    assert "taken by &lt;Olga&gt; &amp; Co" in edit.payload["text"]
    _check_markup(stage)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(st.characters(codec=None), max_size=60))
def test_any_text_survives(stage: Stage, text: str) -> None:
    message_id = stage.ask(text, intent="greeting")
    assert stage.message(message_id).text == clean(text)


@given(st.text(st.characters(codec=None)), st.integers(1, 50))
def test_shortened_texts_fit_and_begin_like_the_long_ones(text: str, limit: int) -> None:
    short = shorten(clean(text), limit)
    assert length(short) <= limit
    assert short == clean(text) or clean(text).startswith(short.removesuffix("…"))


@given(st.text())
def test_cleaning_is_done_once(text: str) -> None:
    assert clean(clean(text)) == clean(text)
    clean(text).encode("utf-8")


def test_plain_text_has_no_tags() -> None:
    assert plain("<b>Fern &amp; Petal</b> &lt;3") == "Fern & Petal <3"


@pytest.mark.parametrize("size", [3000, 3800, 4096])
@pytest.mark.parametrize("letter", ["x", "<", "🌹"])
def test_operators_can_read_the_whole_of_a_long_message(
    stage: Stage, letter: str, size: int
) -> None:
    text = letter * (size // length(letter))
    for _ in range(3):
        stage.ask("b" * 200, intent="opening_hours")
        stage.ask("a" * 200, intent="refund")
    stage.ask(text, intent="complaint")
    stage.ask(text, intent="complaint")
    assert sum(text in plain(told) for told in stage.told()) == 2
    assert len(stage.told()) == (2 if size < 4000 else 4)
    _check_markup(stage)


def test_a_long_message_stays_readable_when_its_card_grows(stage: Stage) -> None:
    stage.ask("rude", intent="complaint")
    stage.ask("x", intent="greeting")
    around = length(plain(stage.told()[-1])) - 1
    text = "x" * (TELEGRAM_LIMIT - around)
    message_id = stage.ask(text, intent="greeting")
    assert stage.deliveries(key=f"text:{message_id}") == [], "it just fits"
    stage.press(stage.token("relabel", message_id=message_id), by=OLGA)
    stage.press(stage.token("label", "refund", message_id=message_id), by=OLGA)
    (whole,) = stage.deliveries(key=f"text:{message_id}")
    assert whole.payload["text"] == f"<blockquote expandable>{text}</blockquote>"
    _check_markup(stage)

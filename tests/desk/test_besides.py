"""Addresses behind a customer's words, and what stands in place of words: people see them, the
model doesn't."""

from __future__ import annotations

import pytest

from desk.flow import customers, deciding, edits
from desk.flow.besides import LINK, LINKS, QUOTED
from desk.telegram_text import length
from simulator.html_markup import parse_html
from tests.conftest import OPERATOR_CHAT
from tests.desk.acting import ANA, Stage, predict

TRAP = "https://bank.example@trap.example/?a=1&b=2"


def ask(stage: Stage, text: str, *links: str, telegram_id: int = 41) -> int:
    """Ana writes a text with these addresses behind its words, and is passed to a person."""
    job = customers.wrote(
        stage.desk, stage.update(ANA.chat_id), ANA, telegram_id, text, None, links
    )
    assert job is not None
    (waiting,) = deciding.pending(stage.desk, [job]).values()
    assert waiting.text == text, "what the model reads"
    stage.decide((job, predict(text, intent="complaint")))
    return job[0]


def test_card_and_post_show_the_addresses_behind_words(stage: Stage) -> None:
    shown = "🌐 behind the words: <code>https://bank.example@trap.example/?a=1&amp;b=2</code>"
    ask(stage, "my order page", TRAP, TRAP)
    ask(stage, "and here", TRAP, telegram_id=42)
    card, post = stage.told()
    for text, words in ((card, "my order page"), (post, "and here")):
        assert f"<blockquote>{words}</blockquote>\n{shown}\n" in text
        assert text.count("🌐") == 1


def test_of_what_a_message_replies_to_the_beginning_is_kept(stage: Stage) -> None:
    customers.wrote(stage.desk, stage.update(ANA.chat_id), ANA, 41, "and this?", "x\0" * 500)
    assert stage.said()[0].quoted == "x" * (QUOTED - 1) + "…"


def test_many_long_addresses_leave_room_for_the_message_and_are_said_to_be_more(
    stage: Stage,
) -> None:
    many = [f"https://{number}.example/{'x' * 2000}" for number in range(LINKS + 1)]
    ask(stage, "🌹" * 2000, *many)
    card = stage.told()[0]
    assert card.count("🌐") == LINKS + 1
    assert "<code>…</code>" in card
    text, _ = parse_html(card)
    assert length(text) <= 4096
    assert f"https://4.example/{'x' * (LINK - 19)}…" in text


def test_an_edit_that_changes_an_address_alone_is_shown(stage: Stage) -> None:
    ask(stage, "my order page")
    told = len(stage.told())
    for links in ([TRAP], [TRAP], []):
        update = stage.update(ANA.chat_id)
        job = edits.customer_changed(stage.desk, update, ANA, 41, "my order page", links=links)
        if job is not None:
            stage.decide((job, predict("my order page")))
    first, second = stage.told()[told:]
    assert "trap.example" in first
    assert "trap.example" not in second


@pytest.mark.parametrize("known", [True, False])
def test_an_edit_of_what_is_still_to_be_read_takes_its_addresses_along(
    stage: Stage, known: bool
) -> None:
    """One that was no text before is read as if sent; another waits for the model."""
    stage.ask("hello", intent="greeting")
    if known:
        customers.wrote(stage.desk, stage.update(ANA.chat_id), ANA, 41, "my page", None, ["x"])
    job = edits.customer_changed(
        stage.desk, stage.update(ANA.chat_id), ANA, 41, "my order page", links=[TRAP]
    )
    assert job is not None
    stage.decide((job, predict("my order page", intent="complaint")))
    (card,) = stage.deliveries(OPERATOR_CHAT)
    assert "trap.example" in card.payload["text"]
    assert "<code>x</code>" not in card.payload["text"]


def test_a_files_addresses_stand_on_its_card(stage: Stage) -> None:
    customers.sent_file(stage.desk, stage.update(), ANA, 41, "my order page", links=[TRAP])
    (card,) = stage.told()
    assert "trap.example" in card


@pytest.mark.parametrize("in_charge", [False, True])
def test_those_of_a_file_for_who_is_awaited_or_in_charge_stand_in_a_post_before_it(
    stage: Stage, in_charge: bool
) -> None:
    ask(stage, "you are rude")
    stage.topic()
    if in_charge:
        stage.reply("I am here")
    stage.send_all()
    told = len(stage.deliveries(OPERATOR_CHAT))
    customers.sent_file(stage.desk, stage.update(), ANA, 42, "my order page", links=[TRAP])
    customers.sent_file(stage.desk, stage.update(), ANA, 43, "and a picture")
    post, copy, plain = stage.deliveries(OPERATOR_CHAT)[told:]
    assert "my order page" in post.payload["text"]
    assert "trap.example" in post.payload["text"]
    assert [row.method for row in (copy, plain)] == ["copyMessage"] * 2


def test_a_typed_name_of_a_file_is_no_file(stage: Stage) -> None:
    stage.ask("[photo]", confidence=0.4)
    stage.ask("you are rude", intent="complaint")
    customers.sent_file(stage.desk, stage.update(), ANA, 42, "[photo]", links=[TRAP])
    stage.ask("[video]")
    card, sent, _, post = stage.deliveries(OPERATOR_CHAT)
    assert "👤 [photo]" in card.payload["text"]
    assert "<blockquote>[a photo]</blockquote>" in sent.payload["text"]
    assert "<blockquote>[video]</blockquote>" in post.payload["text"]

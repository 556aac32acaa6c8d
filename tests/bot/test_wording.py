"""The words of a message: in which of its parts they stand, and what is read by them."""

from __future__ import annotations

from typing import Any

import pytest
from aiogram.types import Message

from bot.rich import emptied
from bot.wording import links, words
from desk.domain import Author, ConversationState
from desk.tables import Conversation
from desk.tables import Message as MessageRow
from simulator import model as simulated
from simulator import people
from simulator.app import Simulator
from simulator.world import OPERATORS_CHAT
from tests.bot.conftest import OLGA, Decider, Json, Rows, Running, World, eventually
from tests.bot.test_operators import card_of

POLL: Json = {
    "id": "1",
    "options": [],
    "total_voter_count": 0,
    "is_closed": False,
    "is_anonymous": True,
    "type": "regular",
    "allows_multiple_answers": False,
    "allows_revoting": False,
    "members_only": False,
}


def saying(kind: str, text: str) -> Json:
    """The content of a message of that kind which begins with these words."""
    if kind == "poll":
        return {"poll": POLL | {"question": text}}
    if kind == "checklist":
        return {"checklist": {"title": text, "tasks": [{"id": 1, "text": "call the bank"}]}}
    return rich({"type": "paragraph", "text": text})


def rich(*blocks: Json) -> Json:
    return {"rich_message": {"blocks": list(blocks)}}


def message(content: Json) -> Message:
    chat = {"id": 1, "type": "private"}
    return Message.model_validate({"message_id": 1, "date": 0, "chat": chat} | emptied(content))


def write(
    simulator: Simulator, user: int, content: Json, thread: int | None = None
) -> simulated.Message:
    """Send anything: as an operator into a topic, else as a customer to the bot."""
    world = simulator.world
    if thread is None:
        chat = world.private_chat(world.bots[0], world.users[user])
        return people.write(world, chat, world.users[user], extra=content)
    group = world.groups[OPERATORS_CHAT]
    topic = group.topics[thread]
    return people.write(world, group, world.users[user], topic=topic, extra=content)


@pytest.mark.parametrize("kind", ["poll", "checklist", "rich"])
def test_what_has_no_text_has_words_all_the_same(kind: str) -> None:
    assert words(message(saying(kind, "pink or red?"))) == "pink or red?"


def test_a_rich_message_is_read_from_its_first_words_to_its_last() -> None:
    found = words(
        message(
            rich(
                {"type": "divider"},
                {"type": "heading", "size": 1, "text": [{"type": "bold", "text": "/"}, "/ fraud"]},
                {
                    "type": "list",
                    "items": [
                        {"label": "1", "blocks": [{"type": "paragraph", "text": "call"}]},
                        {"label": "2", "blocks": [{"type": "paragraph", "text": "wait"}]},
                    ],
                },
                {"type": "details", "summary": "more", "blocks": [{"type": "pre", "text": "x"}]},
            )
        )
    )
    assert found == "// fraud\ncall\nwait\nmore\nx"


def test_a_message_without_words_has_none() -> None:
    assert words(message(rich({"type": "divider"}))) is None


TRAP = "https://trap.example/"


def mark(offset: int, length: int, url: str = TRAP) -> list[Json]:
    return [{"type": "text_link", "offset": offset, "length": length, "url": url}]


def linked(kind: str) -> Json:
    """The content of a message of that kind which hides an address in one of its parts."""
    option = {"persistent_id": "1", "text": "pink", "voter_count": 0}
    poll = POLL | {"question": "which?", "options": [option]}
    checklist: Json = {"title": "to do", "tasks": [{"id": 1, "text": "call"}]}
    button = {"text": "my order", "url": TRAP}
    pieces: dict[str, Any] = {
        "text": {"text": "here", "entities": mark(0, 4)},
        "caption": {"caption": "🌹 here", "caption_entities": mark(3, 4)},
        "question": {"poll": poll | {"question_entities": mark(0, 5)}},
        "option": {"poll": poll | {"options": [option | {"text_entities": mark(0, 4)}]}},
        "option's picture": {
            "poll": poll | {"options": [option | {"media": {"link": {"url": TRAP}}}]}
        },
        "description": {"poll": poll | {"description": "x", "description_entities": mark(0, 1)}},
        "explanation": {"poll": poll | {"explanation": "x", "explanation_entities": mark(0, 1)}},
        "checklist": {"checklist": checklist | {"title_entities": mark(0, 5)}},
        "task": {
            "checklist": checklist
            | {"tasks": [{"id": 1, "text": "call", "text_entities": mark(0, 4)}]}
        },
        "game": {
            "game": {
                "title": "t",
                "description": "d",
                "photo": [],
                "text": "x",
                "text_entities": mark(0, 1),
            }
        },
        "button": {"text": "x", "reply_markup": {"inline_keyboard": [[button]]}},
        "web app": {
            "text": "x",
            "reply_markup": {"inline_keyboard": [[{"text": "x", "web_app": {"url": TRAP}}]]},
        },
        "rich text": rich(
            {
                "type": "paragraph",
                "text": [
                    "see ",
                    {"type": "url", "text": {"type": "bold", "text": "here"}, "url": TRAP},
                ],
            }
        ),
        "rich button": rich(
            {
                "type": "list",
                "items": [{"label": "1", "blocks": [{"type": "buttons", "buttons": [button]}]}],
            }
        ),
        "rich login": rich(
            {
                "type": "paragraph",
                "text": {"type": "button", "button": {"text": "x", "login_url": {"url": TRAP}}},
            }
        ),
    }
    return pieces[kind]


KINDS = [
    "text",
    "caption",
    "question",
    "option",
    "option's picture",
    "description",
    "explanation",
    "checklist",
    "task",
    "game",
    "button",
    "web app",
    "rich text",
    "rich button",
    "rich login",
]


@pytest.mark.parametrize("kind", KINDS)
def test_an_address_behind_words_is_found_in_whatever_part_it_stands(kind: str) -> None:
    assert list(links(message(linked(kind)))) == [TRAP]


@pytest.mark.parametrize(
    ("kind", "shown", "behind"),
    [
        ("email_address", "shop@bank.example", "x@trap.example"),
        ("phone_number", "+44 20 7946 0000", "+447700900123"),
    ],
)
def test_an_email_address_or_a_number_behind_words_is_found_in_a_rich_message(
    kind: str, shown: str, behind: str
) -> None:
    piece = {"type": kind, "text": shown, kind: behind}
    assert list(links(message(rich({"type": "footer", "text": piece})))) == [behind]
    assert not list(links(message(rich({"type": "footer", "text": piece | {"text": behind}}))))


@pytest.mark.parametrize("shown", [TRAP, TRAP.rstrip("/"), f" {TRAP}"])
def test_an_address_that_the_words_before_it_show_is_not_hidden(shown: str) -> None:
    assert not list(links(message({"text": f"🌹 {shown}", "entities": mark(3, len(shown))})))
    parts = [{"type": "bold", "text": shown[:9]}, shown[9:]]
    pieces = ["see ", {"type": "url", "text": parts, "url": TRAP}]
    assert not list(links(message(rich({"type": "footer", "text": pieces}))))
    buttons = {"type": "buttons", "buttons": [{"text": shown, "url": TRAP}]}
    assert not list(links(message(rich({"type": "divider"}, buttons))))


def test_an_address_that_stands_elsewhere_among_the_words_is_hidden_all_the_same() -> None:
    bank = "https://bank.example/pay"
    text = f"{bank} (not the scam {TRAP})"
    assert list(links(message({"text": text, "entities": mark(0, len(bank))}))) == [TRAP]
    part = {"type": "url", "text": bank, "url": TRAP}
    found = links(message(rich({"type": "paragraph", "text": [part, f" (not {TRAP})"]})))
    assert list(found) == [TRAP]


@pytest.mark.parametrize("kind", ["option", "task", "rich button"])
async def test_an_address_hidden_in_any_kind_of_message_stands_on_the_card(
    bot: Running, world: World, simulator: Simulator, kind: str
) -> None:
    ann = await world.customer("Ann")
    write(simulator, ann, linked(kind))
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    assert f"🌐 behind the words: {TRAP}" in card["text"]


@pytest.mark.parametrize("kind", ["poll", "checklist", "rich"])
async def test_a_note_stays_in_the_topic_whatever_kind_of_message_it_is(
    bot: Running, world: World, decider: Decider, simulator: Simulator, rows: Rows, kind: str
) -> None:
    ann = await world.customer("Ann")
    thread = (await card_of(world, decider, ann, "outrageous"))["message_thread_id"]
    write(simulator, OLGA, saying(kind, "// she is a known fraud"), thread)
    await world.said(OPERATORS_CHAT, "not sent to the customer")
    write(simulator, OLGA, saying(kind, "/resolve"), thread)
    await world.said(OPERATORS_CHAT, "its caption or title begins with a slash")
    assert rows.all(Conversation)[0].state is ConversationState.WAITING
    write(simulator, OLGA, saying(kind, "pink or red?"), thread)
    await eventually(lambda: world.calls("copyMessage", ann))
    assert len(await world.calls("copyMessage", ann)) == 1
    assert [row.text for row in rows.all(MessageRow, author=Author.OPERATOR)] == ["pink or red?"]


async def test_the_words_of_a_customers_rich_message_stand_on_the_card(
    bot: Running, world: World, simulator: Simulator
) -> None:
    ann = await world.customer("Ann")
    write(simulator, ann, rich({"type": "photo", "caption": {"text": "the pot is broken"}}))
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    assert "the pot is broken" in card["text"]

"""What customers forward, and addresses behind their words, from Telegram's message to the card."""

from __future__ import annotations

from typing import Any

import pytest

from desk.tables import Message
from simulator.app import Simulator
from simulator.world import OPERATORS_CHAT
from tests.bot.conftest import Decider, Rows, Running, World, eventually

CHANNEL = {"id": -1002, "type": "channel", "title": "Bargains"}
GROUP = {"id": -1003, "type": "supergroup", "title": "Neighbours"}
BEN = {"id": 4711, "is_bot": False, "first_name": "Ben", "last_name": "Builder"}


def post(simulator: Simulator, customer: int, text: str, **parts: Any) -> None:
    """A message of the customer's, with what the chat page can't make."""
    telegram = simulator.world
    chat = telegram.private_chat(telegram.bots[0], telegram.users[customer])
    telegram.post(chat, telegram.users[customer], text=text, **parts)


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        ({"type": "channel", "chat": CHANNEL, "message_id": 4}, "Bargains"),
        ({"type": "chat", "sender_chat": GROUP}, "Neighbours"),
        ({"type": "user", "sender_user": BEN}, "Ben Builder"),
        ({"type": "hidden_user", "sender_user_name": "Your shop"}, "Your shop"),
        ({"type": "user", "sender_user": {**BEN, "first_name": "", "last_name": None}}, "–"),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else value,
)
@pytest.mark.parametrize("text", ["cheap flowers!", "/human", "/start refund"])
async def test_what_is_forwarded_is_neither_a_question_nor_a_command(
    bot: Running,
    world: World,
    ann: int,
    simulator: Simulator,
    rows: Rows,
    text: str,
    origin: dict[str, Any],
    name: str,
) -> None:
    post(simulator, ann, text, extra={"forward_origin": {"date": 1, **origin}})
    (card,) = await world.said(OPERATORS_CHAT, "Needs a person")
    assert f"↪️ forwarded from {name}\n" in card["text"]
    assert "the customer forwarded it" in card["text"]
    (message,) = rows.all(Message, forwarded_from=name)
    assert message.attempt == 0


async def test_who_forwards_their_own_words_has_written_them(
    bot: Running, world: World, ann: int, simulator: Simulator, decider: Decider
) -> None:
    own = {"type": "user", "date": 1, "sender_user": {**BEN, "id": ann}}
    post(simulator, ann, "where are my flowers?", extra={"forward_origin": own})
    await decider.decide(("order_status", 0.95))
    assert await world.said(ann, "Bouquets take 2 days, Ann.")


async def test_a_forwarded_picture_is_forwarded_to_the_operators(
    bot: Running, world: World, ann: int, simulator: Simulator
) -> None:
    origin = {"type": "channel", "date": 1, "chat": CHANNEL, "message_id": 4}
    location = {"location": {"latitude": 51.5, "longitude": -0.1}}
    post(simulator, ann, "", extra={"forward_origin": origin, **location})
    (card,) = await world.said(OPERATORS_CHAT, "Needs a person")
    assert "↪️ forwarded from Bargains" in card["text"]

    async def copies() -> list[dict[str, Any]]:
        shown = await world.ask("GET", f"chats/{OPERATORS_CHAT}/messages")
        return [message for message in shown if "location" in message]

    (copy,) = await eventually(copies)
    assert copy["forward_origin"]["chat"]["title"] == "Bargains"
    assert copy["message_thread_id"] == card["message_thread_id"]


async def test_an_address_that_is_hidden_behind_words_stands_on_the_card(
    bot: Running, world: World, ann: int, simulator: Simulator, decider: Decider
) -> None:
    hidden = {"type": "text_link", "offset": 0, "length": 4, "url": "https://trap.example/"}
    seen = {"type": "text_link", "offset": 8, "length": 20, "url": "https://shop.example"}
    post(simulator, ann, "here or https://shop.example", entities=[hidden, seen])
    await decider.decide(("complaint", 0.99))
    (card,) = await world.said(OPERATORS_CHAT, "Needs a person")
    assert "🌐 behind the words: https://trap.example/\n" in card["text"]
    assert card["text"].count("🌐") == 1

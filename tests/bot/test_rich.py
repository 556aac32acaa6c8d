"""Rich messages: read in linear time from Telegram's JSON, and never validated by aiogram."""

from __future__ import annotations

import copy
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from aiogram.types import Message, TelegramObject, Update
from pydantic.fields import FieldInfo
from typing_extensions import TypeAliasType

from bot import rich
from bot.wording import is_text
from desk.domain import Author, InboxState
from desk.tables import Inbox
from desk.tables import Message as MessageRow
from simulator.app import Simulator
from simulator.world import OPERATORS_CHAT
from tests.bot.conftest import Decider, Json, Rows, Running, World
from tests.bot.test_wording import TRAP, message, write
from tests.bot.test_wording import rich as rich_message

LEVELS = 16
"""Telegram allows no more."""
KINDS = ["bold", "italic", "underline", "spoiler"]


def nested(words: str, levels: int = LEVELS) -> Json:
    """A rich message whose words stand behind so many levels of formatting."""
    text: Any = words
    for level in range(levels):
        text = {"type": KINDS[level % len(KINDS)], "text": [text]}
    return rich_message({"type": "paragraph", "text": text})


async def test_a_message_formatted_as_deeply_as_telegram_allows_holds_up_nobody(
    bot: Running, world: World, decider: Decider, simulator: Simulator, rows: Rows
) -> None:
    ann, bob = await world.customer("Ann"), await world.customer("Bob")
    replied = {"message_id": 1, "date": 1, "chat": {"id": ann, "type": "private"}}
    reply = {"reply_to_message": replied | nested("is it this one?")}
    write(simulator, ann, nested("the pot is broken") | reply)
    # Each level takes aiogram some twenty times longer: by itself it would not be done in years.
    await world.reply(await world.write(bob, "/help"))
    await decider.decide(("complaint", 0.99))
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    assert "the pot is broken" in card["text"]
    await rows.until(Inbox, count=2, state=InboxState.DONE)
    assert "the pot is broken" in {row.text for row in rows.all(MessageRow, author=Author.CUSTOMER)}


async def test_a_rich_text_is_answered_as_any_text_is(
    bot: Running, world: World, decider: Decider, simulator: Simulator, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    here = {"type": "url", "text": "here", "url": TRAP}
    items = [{"label": "1", "type": "1", "blocks": [{"type": "paragraph", "text": ["see ", here]}]}]
    heading = {"type": "heading", "size": 1, "text": {"type": "bold", "text": "Where is it?"}}
    write(simulator, ann, rich_message(heading, {"type": "list", "items": items}))
    await decider.decide(("order_status", 0.95))
    assert await world.said(ann, "Bouquets take 2 days, Ann.")
    (row,) = rows.all(MessageRow, author=Author.CUSTOMER)
    assert (row.text, row.links) == ("Where is it?\nsee here", TRAP)


PARAGRAPH: Json = {"type": "paragraph", "text": "Where is it?"}


@pytest.mark.parametrize(
    ("blocks", "alone"),
    [
        ([PARAGRAPH, {"type": "divider"}], True),
        ([PARAGRAPH, {"type": "photo", "photo": []}], False),
        ([{"type": "details", "summary": "x", "blocks": [{"type": "map"}]}], False),
        ([{"type": "table", "cells": [[{"text": "roses"}, {"text": "5"}]]}], False),
        ([{"type": "buttons", "buttons": [{"text": "Where is it?", "url": TRAP}]}], False),
        ([{"type": "list", "items": [{"has_checkbox": True, "blocks": [PARAGRAPH]}]}], False),
        ([{"type": ["paragraph"], "text": "Where is it?"}], False),
        ([{"type": "paragraph", "text": "/human"}], False),
        ([{"type": "paragraph", "text": "🌹" * 2048}], True),
        ([{"type": "paragraph", "text": "🌹" * 2048 + "!"}], False),
        ([{"type": "divider"}], False),
    ],
    ids=lambda value: str(value)[:60],
)
def test_it_is_a_text_where_words_say_all_and_are_no_more_than_a_text_holds(
    blocks: list[Json], alone: bool
) -> None:
    assert is_text(message(rich_message(*blocks))) is alone


async def test_one_that_somebody_else_wrote_is_not_answered(
    bot: Running, world: World, simulator: Simulator
) -> None:
    ann = await world.customer("Ann")
    origin = {"type": "hidden_user", "date": 1, "sender_user_name": "Ben"}
    write(simulator, ann, rich_message(PARAGRAPH) | {"forward_origin": origin})
    (card,) = await world.said(OPERATORS_CHAT, "Needs a person")
    assert "Where is it?\n↪️ forwarded from Ben" in card["text"]


async def test_what_a_text_replies_to_is_read_however_deeply_it_is_formatted(
    bot: Running, world: World, simulator: Simulator, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    replied = {"message_id": 1, "date": 1, "chat": {"id": ann, "type": "private"}}
    content = {"text": "and this?", "reply_to_message": replied | nested("is it this one?")}
    write(simulator, ann, content)
    (row,) = await rows.until(MessageRow, author=Author.CUSTOMER)
    assert (row.text, row.quoted) == ("and this?", "is it this one?")


async def test_a_piece_of_text_that_nobody_knows_yet_does_no_harm(
    bot: Running, world: World, simulator: Simulator
) -> None:
    ann = await world.customer("Ann")
    piece: Json = {"type": "hologram", "text": "broken"}
    for _ in range(LEVELS):
        piece = {"type": "bold", "text": ["so ", piece]}
    write(simulator, ann, rich_message({"type": "sculpture", "text": piece}))
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    assert "so so so broken" in card["text"]


@pytest.mark.parametrize(
    "place",
    [
        ("message",),
        ("edited_message",),
        ("callback_query", "message"),
        ("message", "reply_to_message"),
        ("message", "external_reply"),
        ("message", "pinned_message"),
        ("message", "reply_to_message", "pinned_message"),
        ("message", "what comes next", 0, 0),
    ],
    ids=lambda place: ".".join(map(str, place)),
)
def test_aiogram_gets_no_block_of_a_rich_message_wherever_it_stands(place: tuple[Any, ...]) -> None:
    update: Any = nested("hello")
    for key in reversed(place):
        update = [update] if isinstance(key, int) else {key: update, "other": [1, {"a": None}]}
    before = copy.deepcopy(update)
    found: Any = rich.emptied(update)
    assert update == before, "an update may be handled again"
    for key in place:
        update, found = update[key], found[key]
    assert found == {**update, "rich_message": {"blocks": [], rich.READ: ("hello", [], True)}}


def test_no_depth_and_no_shape_ends_the_reader() -> None:
    depth = 100_000
    deep: Any = "end"
    for number in range(depth):
        link = {"type": "url", "text": deep, "url": "https://trap.example"}
        deep = [deep] if number % 2 else link | {"blocks": [None, 4]}
    update = rich.emptied({"message": {"rich_message": {"blocks": deep}}, "else": deep})
    read = rich.of_raw(update["message"])
    assert read is not None
    assert read.words == "end"
    assert len(read.links) == depth / 2
    for strange in (None, 4, "text", [], {}, {"blocks": {"text": 4}}, {"url": ["x"], "text": {}}):
        emptied = rich.emptied({"message": {"rich_message": {"blocks": [strange]}}})
        assert rich.of_raw(emptied["message"]) is not None


def test_the_reader_looks_at_long_words_once_however_many_links_cover_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = 0
    hides = rich.hides

    def counting(words: str, address: str) -> bool:
        nonlocal compared
        compared += len(words)
        return hides(words, address)

    monkeypatch.setattr(rich, "hides", counting)
    text: Any = "x" * 30_000
    for _ in range(1000):
        text = {"type": "url", "text": text, "url": "https://trap.example"}
    assert len(rich.read({"text": text}).links) == 1000
    assert compared == 0


async def test_what_is_kept_and_logged_of_many_errors_is_their_number(
    bot: Running, world: World, rows: Rows
) -> None:
    ann = await world.customer()
    strange = [{"type": "x" * 100, "offset": "hologram"}] * 5000
    bad = {"message_id": 1, "chat": {"id": ann, "type": "private"}, "entities": strange}
    await world.fault("garbage_update", update={"message": bad})
    await world.reply(await world.write(ann, "/help"))
    (parked,) = await rows.until(Inbox, state=InboxState.PARKED)
    assert parked.error == "UnreadableError: validation errors for Update: 10001"


def test_nothing_else_that_telegram_sends_has_a_union_that_is_tried_member_by_member() -> None:
    # A new aiogram may bring one: then see how long it takes, nested, and read it as bot/rich does.
    known = {
        "CallbackQuery.message",
        "Message.pinned_message",
        "PollOptionAdded.poll_message",
        "PollOptionDeleted.poll_message",
    }
    assert set(_untold(Update, {Update})) == known
    assert {
        name for name, field in Message.model_fields.items() if "RichMessage" in str(field)
    } == {"rich_message"}


def _untold(model: type[TelegramObject], seen: set[Any]) -> Iterator[str]:
    """The fields from a model on that are unions of models without a discriminator."""
    for name, field in model.model_fields.items():
        if (model, name) == (Message, "rich_message"):
            continue
        for told, members in _unions(field.annotation, field.discriminator is not None):
            models = [each for each in members if isinstance(each, type)]
            models = [each for each in models if issubclass(each, TelegramObject)]
            if len(models) > 1 and not told:
                yield f"{model.__name__}.{name}"
            for each in models:
                if each not in seen:
                    seen.add(each)
                    yield from _untold(each, seen)


def _unions(kind: Any, told: bool = False) -> Iterator[tuple[bool, list[Any]]]:
    """The unions within a type, each as its members and whether one field tells them apart."""
    if isinstance(kind, TypeAliasType):
        yield from _unions(kind.__value__, told)
        return
    origin, parts = typing.get_origin(kind), list(typing.get_args(kind))
    if origin is typing.Annotated:
        marks = [each for each in parts[1:] if isinstance(each, FieldInfo)]
        yield from _unions(parts[0], any(mark.discriminator is not None for mark in marks))
    elif origin in (typing.Union, types.UnionType):
        yield told, parts
        for part in parts:
            if typing.get_origin(part) is not None or isinstance(part, TypeAliasType):
                yield from _unions(part)
    elif origin is not None and origin is not typing.Literal:
        for part in parts:
            yield from _unions(part)
    else:
        yield told, [kind]

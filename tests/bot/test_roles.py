"""Who in the operators' group may do what, and what others are told."""

from __future__ import annotations

from typing import Any

import pytest

from desk.domain import ConversationState, Role
from desk.flow import roster
from desk.flow.desk import Desk
from desk.tables import Conversation, Feedback, RunRow
from simulator import people
from simulator.app import Simulator
from simulator.world import OPERATORS_CHAT
from tests.bot.conftest import (
    OLGA,
    OMAR,
    Decider,
    Rows,
    Running,
    World,
    card_of,
)


async def test_a_press_by_one_who_is_no_operator_is_refused(
    bot: Running, world: World, decider: Decider, rows: Rows
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    for button in ("Answer: Where is my order?", "Take", "Resolve", "Relabel…"):
        pressed = await world.press(card, button, OMAR)
        assert pressed["show_alert"]
        assert "Only operators" in pressed["text"]
    assert not rows.all(Feedback)
    assert rows.all(Conversation)[0].state is ConversationState.WAITING
    assert not await world.said(ann, "Bouquets", count=0)


async def test_what_one_who_is_no_operator_writes_does_not_reach_the_customer(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    await world.write_topic(card["message_thread_id"], "psst", OMAR)
    await world.said(OPERATORS_CHAT, "Only operators can do that")
    assert not await world.said(ann, "psst", count=0)


async def test_one_who_is_no_operator_has_one_answer_to_all_commands_in_a_place(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    for text in ("/help", "//note", "/take", "/x1", "/x2", "/retrain"):
        for thread in (card["message_thread_id"], None):
            await world.write_topic(thread, text, OMAR)
    await world.write_topic(None, "/help")
    await world.said(OPERATORS_CHAT, "/retrain")
    assert len(await world.said(OPERATORS_CHAT, "Only operators can do that", 2)) == 2
    assert not await world.said(OPERATORS_CHAT, "is no command", count=0)
    assert not await world.said(OPERATORS_CHAT, "A note", count=0)


ANONYMOUS = {
    "from": {"id": 1087968824, "is_bot": True, "first_name": "Group"},
    "sender_chat": {"id": OPERATORS_CHAT, "type": "supergroup", "title": "Operators"},
}
AS_A_CHANNEL = {
    "from": {"id": 136817688, "is_bot": True, "first_name": "Channel"},
    "sender_chat": {"id": -1005, "type": "channel", "title": "Olga's flowers"},
}


@pytest.mark.parametrize("sender", [ANONYMOUS, AS_A_CHANNEL], ids=["anonymous", "channel"])
async def test_who_writes_as_a_chat_is_told_to_write_as_themselves_and_reaches_nobody(
    sender: dict[str, Any],
    bot: Running,
    world: World,
    decider: Decider,
    simulator: Simulator,
    rows: Rows,
) -> None:
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    telegram = simulator.world
    group = telegram.groups[OPERATORS_CHAT]
    topic = group.topics[card["message_thread_id"]]
    for text in ("hello Ann", "/take", "/retrain", "//note", "/help"):
        people.write(telegram, group, telegram.users[OLGA], text=text, topic=topic, extra=sender)
    people.write(telegram, group, telegram.users[OLGA], text="/help", extra=sender)
    told = await world.said(OPERATORS_CHAT, "write as yourself", count=2)
    assert [message.get("message_thread_id") for message in told] == [
        card["message_thread_id"],
        None,
    ]
    assert not any(str(sender["from"]["id"]) in message["text"] for message in told)
    assert rows.all(Conversation)[0].state is ConversationState.WAITING
    assert not rows.all(RunRow)
    assert not await world.said(ann, "hello Ann", count=0)


async def test_an_agent_may_answer_but_not_train(
    bot: Running, world: World, decider: Decider, desk: Desk, rows: Rows
) -> None:
    roster.add_operator(desk, OMAR, Role.AGENT, "Omar")
    ann = await world.customer("Ann")
    card = await card_of(world, decider, ann, "outrageous")
    await world.write_topic(card["message_thread_id"], "hello Ann", OMAR)
    await world.said(ann, "hello Ann")
    await world.write_topic(None, "/retrain", OMAR)
    await world.said(OPERATORS_CHAT, "Only admins can do that")
    assert not rows.all(RunRow)


@pytest.mark.parametrize("act", ["press", "write"])
async def test_an_agent_who_was_added_by_id_is_called_by_the_name_they_have_in_telegram(
    act: str, bot: Running, world: World, decider: Decider, desk: Desk
) -> None:
    roster.add_operator(desk, OMAR, Role.AGENT)
    card = await card_of(world, decider, await world.customer("Ann"), "outrageous")
    if act == "press":
        pressed = await world.press(card, "Answer: Where is my order?", OMAR)
        assert pressed["text"] == "Omar sent the answer “Where is my order?”"
    else:
        await world.write_topic(card["message_thread_id"], "hello Ann", OMAR)
    await world.said(OPERATORS_CHAT, "taken by Omar")

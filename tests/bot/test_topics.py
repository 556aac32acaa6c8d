"""Customers' topics in the operators' group: made, made again, reopened, and deleted."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from structlog.testing import capture_logs

from bot import sender
from desk import queues
from desk.domain import DeliveryState
from desk.flow import erasing, promising
from desk.flow.desk import Desk
from desk.tables import Conversation, Customer, DeliveryRow
from simulator.world import OPERATORS_CHAT
from tests.bot.conftest import OLGA, Rows, Running, World, eventually, state


async def test_a_deleted_topic_is_made_again(
    bot: Running, world: World, rows: Rows, ann: int
) -> None:
    await world.reply(await world.write(ann, "/human"), "colleague")
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    old = card["message_thread_id"]
    await world.ask("POST", f"operators/{OLGA}/topics/{old}/delete", {})
    await world.ask("POST", f"customers/{ann}/photo", {"caption": "look"})
    new = (await world.said(OPERATORS_CHAT, "look"))[0]["message_thread_id"]
    assert new != old
    again = (await world.said(OPERATORS_CHAT, "Needs a person"))[-1]
    assert again["message_thread_id"] == new, "one who comes to it finds the question, and Take"
    assert again["message_id"] < (await world.said(OPERATORS_CHAT, "look"))[0]["message_id"]
    await world.press(again, "Take", OLGA)
    await rows.until(Conversation, operator_id=OLGA)
    assert [topic["message_thread_id"] for topic in await world.topics()] == [new]
    await rows.until(Customer, topic_id=new)
    await world.write_topic(new, "I see it")
    await world.said(ann, "I see it")


async def test_a_closed_topic_is_reopened(bot: Running, world: World, ann: int) -> None:
    await world.reply(await world.write(ann, "/human"), "colleague")
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    thread = card["message_thread_id"]
    await world.ask("POST", f"operators/{OLGA}/topics/{thread}/close", {})
    # Whoever may manage topics may write into a closed one; the bot has lost that right.
    rights = {"bot": {"rights": {"can_manage_topics": False}}}
    await world.ask("PATCH", f"chats/{OPERATORS_CHAT}", rights)
    await world.ask("POST", f"customers/{ann}/photo", {"caption": "look"})
    assert (await world.said(OPERATORS_CHAT, "look"))[0]["message_thread_id"] == thread
    assert not (await world.topics())[0]["closed"]


async def test_a_topic_that_was_closed_unseen_is_reopened_when_it_is_written_into(
    bot: Running, world: World, ann: int
) -> None:
    await world.reply(await world.write(ann, "/human"), "colleague")
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    await world.fault("error", method="copyMessage", description="Bad Request: TOPIC_CLOSED")
    unchanged = "Bad Request: TOPIC_NOT_MODIFIED"
    await world.fault("error", method="reopenForumTopic", description=unchanged)
    await world.ask("POST", f"customers/{ann}/photo", {"caption": "look"})
    look = (await world.said(OPERATORS_CHAT, "look"))[0]
    assert look["message_thread_id"] == card["message_thread_id"]
    assert len(await world.calls("reopenForumTopic")) == 1


async def test_what_a_closed_topic_does_not_take_waits_while_the_bot_may_not_reopen_it(
    monkeypatch: pytest.MonkeyPatch, bot: Running, world: World, rows: Rows, ann: int
) -> None:
    monkeypatch.setattr(sender, "MISCONFIGURED_SECONDS", 0.2)
    await world.reply(await world.write(ann, "/human"), "colleague")
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    await world.fault("error", method="copyMessage", description="Bad Request: TOPIC_CLOSED")
    refused = "Bad Request: not enough rights to reopen the topic"
    await world.fault("error", method="reopenForumTopic", description=refused)
    await world.ask("POST", f"customers/{ann}/photo", {"caption": "look"})
    look = (await world.said(OPERATORS_CHAT, "look"))[0]
    assert look["message_thread_id"] == card["message_thread_id"]
    (row,) = rows.all(DeliveryRow, method="copyMessage")
    assert row.attempts == 2


async def test_a_topic_that_is_gone_and_can_not_be_made_again_is_forgotten(
    bot: Running, world: World, rows: Rows, ann: int
) -> None:
    await world.reply(await world.write(ann, "/human"), "colleague")
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    thread = card["message_thread_id"]
    await world.ask("POST", f"operators/{OLGA}/topics/{thread}/delete", {})
    await world.fault("error", method="createForumTopic", description="Bad Request: no such thing")
    await world.ask("POST", f"customers/{ann}/photo", {"caption": "look"})
    assert "message_thread_id" not in (await world.said(OPERATORS_CHAT, "look"))[0]
    assert [row.topic_id for row in rows.all(Customer)] == [None]


async def test_cards_wait_while_topics_are_off_and_a_customers_topic_is_kept(
    monkeypatch: pytest.MonkeyPatch, bot: Running, world: World, rows: Rows, ann: int
) -> None:
    monkeypatch.setattr(sender, "MISCONFIGURED_SECONDS", 0.2)
    await world.reply(await world.write(ann, "/human"), "colleague")
    thread = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]["message_thread_id"]
    bob = await world.customer("Bob")
    await world.ask("PATCH", f"chats/{OPERATORS_CHAT}", {"is_forum": False})
    await world.ask("POST", f"customers/{ann}/photo", {"caption": "look"})
    await eventually(lambda: any(row.attempts >= 2 for row in rows.all(DeliveryRow)))
    await world.write(bob, "/human")
    await world.said(bob, "colleague")
    assert not await world.said(OPERATORS_CHAT, "look", count=0)
    assert len(await world.said(OPERATORS_CHAT, "Needs a person")) == 1
    await world.ask("PATCH", f"chats/{OPERATORS_CHAT}", {"is_forum": True})
    assert (await world.said(OPERATORS_CHAT, "look"))[0]["message_thread_id"] == thread
    assert (await world.said(OPERATORS_CHAT, "Needs a person", count=2))[1]["message_thread_id"]
    assert len(await world.topics()) == 2


async def test_a_topic_refused_for_another_reason_sends_its_card_to_the_general_chat(
    bot: Running, world: World, ann: int
) -> None:
    await world.fault("error", method="createForumTopic", description="Bad Request: no such thing")
    await world.write(ann, "/human")
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    assert "message_thread_id" not in card


async def test_cards_wait_while_the_bot_may_not_make_topics(
    monkeypatch: pytest.MonkeyPatch, bot: Running, world: World, rows: Rows, ann: int
) -> None:
    monkeypatch.setattr(sender, "MISCONFIGURED_SECONDS", 0.2)
    rights = {"bot": {"rights": {"can_manage_topics": False}}}
    await world.ask("PATCH", f"chats/{OPERATORS_CHAT}", rights)
    with capture_logs() as logs:
        await world.write(ann, "/human")
        await eventually(lambda: any(row.attempts >= 2 for row in rows.all(DeliveryRow)))
    assert not await world.said(OPERATORS_CHAT, "Needs a person", count=0)
    advice = {entry["advice"] for entry in logs if entry["event"] == "operators_chat_unusable"}
    assert "right “Manage topics”" in " ".join(advice)
    # Nor is anybody promised, once that has gone on for a while.
    monkeypatch.setattr(promising, "UNUSABLE_FOR", timedelta(0))
    await world.reply(await world.write(ann, "/human"), "nobody can be reached right now")
    rights["bot"]["rights"]["can_manage_topics"] = True
    await world.ask("PATCH", f"chats/{OPERATORS_CHAT}", rights)
    assert (await world.said(OPERATORS_CHAT, "Needs a person"))[0]["message_thread_id"]


@pytest.mark.parametrize("fault", [{"kind": "lost"}, {"kind": "error", "status": 504}])
async def test_a_topic_whose_making_is_not_answered_leaves_its_card_certain(
    fault: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    bot: Running,
    world: World,
    rows: Rows,
    ann: int,
) -> None:
    monkeypatch.setattr(sender, "backoff", lambda *_, **__: 0.02)
    await world.fault(**fault, method="createForumTopic", times=3)
    await world.write(ann, "/human")
    await world.said(OPERATORS_CHAT, "Needs a person")
    assert not any(row.uncertain for row in rows.all(DeliveryRow))


async def with_a_resolved_topic(world: World, customer: int) -> int:
    """Have an operator answer a customer and resolve it; returns the topic."""
    await world.reply(await world.write(customer, "/human"), "colleague")
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[0]
    thread: int = card["message_thread_id"]
    await world.write_topic(thread, "what is it?")
    await world.said(customer, "what is it?")
    await world.write_topic(thread, "/resolve")
    await world.said(OPERATORS_CHAT, "resolved by")
    return thread


async def erased(desk: Desk, redis: Redis, rows: Rows, customer: int) -> DeliveryRow:
    """Erase a customer; the delivery that deletes their topic, once it has an end."""
    (found,) = await rows.until(Customer, chat_id=customer)
    while True:
        try:
            await asyncio.to_thread(erasing.erase, desk, found.id)
            break
        except erasing.UnderWayError:
            await asyncio.sleep(0.05)
    redis.publish(queues.WAKE_SENDER, "")
    key = f"erased:{found.id}"
    return await state(rows, key, DeliveryState.SENT, DeliveryState.FAILED)


async def test_an_erased_customers_topic_is_deleted(
    bot: Running, world: World, desk: Desk, redis: Redis, rows: Rows, ann: int
) -> None:
    await with_a_resolved_topic(world, ann)
    assert (await erased(desk, redis, rows, ann)).state is DeliveryState.SENT
    assert await world.topics() == []
    await world.write(ann, "/human")
    card = (await world.said(OPERATORS_CHAT, "Needs a person"))[-1]
    (topic,) = await world.topics()
    assert topic["message_thread_id"] == card["message_thread_id"]


async def test_a_topic_that_somebody_has_deleted_before_counts_as_deleted(
    bot: Running, world: World, desk: Desk, redis: Redis, rows: Rows, ann: int
) -> None:
    thread = await with_a_resolved_topic(world, ann)
    await world.ask("POST", f"operators/{OLGA}/topics/{thread}/delete", {})
    assert (await erased(desk, redis, rows, ann)).state is DeliveryState.SENT


async def test_a_bot_that_may_not_delete_topics_goes_on_with_everything_else(
    bot: Running, world: World, desk: Desk, redis: Redis, rows: Rows, ann: int
) -> None:
    await with_a_resolved_topic(world, ann)
    rights = {"bot": {"rights": {"can_delete_messages": False}}}
    await world.ask("PATCH", f"chats/{OPERATORS_CHAT}", rights)
    row = await erased(desk, redis, rows, ann)
    assert (row.state, row.attempts) == (DeliveryState.FAILED, 1)
    assert "not enough rights" in (row.error or "")
    bob = await world.customer("Bob")
    await world.write(bob, "/human")
    assert (await world.said(OPERATORS_CHAT, "Bob"))[0]["message_thread_id"]


async def test_a_topics_deletion_waits_while_the_bot_is_out_of_the_group(
    monkeypatch: pytest.MonkeyPatch,
    bot: Running,
    world: World,
    desk: Desk,
    redis: Redis,
    rows: Rows,
    ann: int,
) -> None:
    monkeypatch.setattr(sender, "MISCONFIGURED_SECONDS", 0.2)
    await with_a_resolved_topic(world, ann)
    await world.fault(
        "error",
        method="deleteForumTopic",
        status=403,
        description="Forbidden: bot was kicked from the supergroup chat",
    )
    row = await erased(desk, redis, rows, ann)
    assert (row.state, row.attempts) == (DeliveryState.SENT, 2)
    assert await world.topics() == []

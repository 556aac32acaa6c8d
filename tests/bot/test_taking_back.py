"""What operators take back is gone at the customer's, through a simulated Telegram."""

from __future__ import annotations

from time import time

from desk.texts import say
from simulator.app import Simulator
from simulator.world import OPERATORS_CHAT
from tests.bot.conftest import OLGA, Decider, Json, Running, World
from tests.bot.test_edits import message_in
from tests.bot.test_operators import card_of


async def written(world: World, decider: Decider) -> tuple[int, Json, Json]:
    """(a customer, what an operator wrote in their topic, the customer's copy of it)"""
    ann = await world.customer("Ann")
    thread = (await card_of(world, decider, ann, "outrageous"))["message_thread_id"]
    wrote = await world.write_topic(thread, "Ben lives in Rose Lane")
    return ann, wrote, (await world.said(ann, "Rose Lane"))[0]


async def delete(world: World, wrote: Json) -> None:
    thread, message_id = wrote["message_thread_id"], wrote["message_id"]
    body = {"text": "/delete", "thread": thread, "reply_to": message_id}
    await world.ask("POST", f"operators/{OLGA}/send", body)


async def taken_back(world: World, chat: int, wrote: Json, copy: Json) -> None:
    """Wait until a customer has a copy no more, and the topic says so below what it copied."""
    notice = (await world.said(OPERATORS_CHAT, say("taken-back", "en")))[0]
    assert notice["message_thread_id"] == wrote["message_thread_id"]
    assert notice["reply_to_message"]["message_id"] == wrote["message_id"]
    there: list[Json] = await world.ask("GET", f"chats/{chat}/messages")
    assert copy["message_id"] not in {message["message_id"] for message in there}


async def test_delete_takes_back_what_an_operator_wrote(
    bot: Running, world: World, decider: Decider
) -> None:
    ann, wrote, copy = await written(world, decider)
    await delete(world, wrote)
    await taken_back(world, ann, wrote, copy)


async def test_an_edit_into_a_note_takes_back_a_file(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    thread = (await card_of(world, decider, ann, "outrageous"))["message_thread_id"]
    body = {"thread": thread, "caption": "Ben's invoice"}
    wrote = await world.ask("POST", f"operators/{OLGA}/photo", body)
    copy = (await world.said(ann, "invoice"))[0]
    body = {"message_id": wrote["message_id"], "text": "// wrong topic"}
    await world.ask("POST", f"operators/{OLGA}/edit", body)
    await taken_back(world, ann, wrote, copy)


async def test_what_telegram_deletes_no_more_is_said_below_it(
    bot: Running, world: World, decider: Decider, simulator: Simulator
) -> None:
    ann, wrote, copy = await written(world, decider)
    two_days_later = time() + 48 * 3600
    simulator.world.clock = lambda: two_days_later
    await delete(world, wrote)
    notice = (await world.said(OPERATORS_CHAT, "could not be taken back"))[0]
    assert notice["reply_to_message"]["message_id"] == wrote["message_id"]
    assert await message_in(world, ann, copy["message_id"])


async def test_a_deletion_whose_answer_is_lost_is_made_once_more_and_told_once(
    bot: Running, world: World, decider: Decider
) -> None:
    ann, wrote, copy = await written(world, decider)
    await world.fault("lost", method="deleteMessage")
    await delete(world, wrote)
    await taken_back(world, ann, wrote, copy)
    assert len(await world.calls("deleteMessage", ann)) == 2

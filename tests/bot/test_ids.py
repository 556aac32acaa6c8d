"""Who asks a group for its id, and who of it is an admin of the desk."""

from __future__ import annotations

import asyncio

import pytest

from bot.lanes import CONCURRENCY
from bot.limits import CHAT_BURST
from desk.domain import InboxState, Role
from desk.flow.desk import Desk
from desk.tables import Customer, DeliveryRow, Inbox
from desk.texts import say
from simulator.app import Simulator
from simulator.model import ADMIN_RIGHTS, Chat, Member
from tests.bot.conftest import OLGA, OMAR, Rows, Running, World, eventually
from tests.desk.acting import role_of


def other_group(simulator: Simulator, chat_id: int = -1002) -> int:
    """Another group with the bot and Olga in it."""
    world = simulator.world
    group = world.groups[chat_id] = Chat(chat_id, "supergroup", "Another group")
    for user in (world.bots[0].user, world.users[OLGA]):
        rights = dict.fromkeys(ADMIN_RIGHTS, True)
        group.members[user.id] = Member(user, "administrator", rights)
    return group.id


@pytest.fixture(autouse=True)
def limits_on_sending() -> None:
    """The real ones."""


async def test_another_group_gets_its_id_and_nothing_else(
    bot: Running, world: World, simulator: Simulator, rows: Rows
) -> None:
    group = other_group(simulator)
    await world.ask("POST", f"operators/{OLGA}/send", {"text": "hello", "chat_id": group})
    await world.ask("POST", f"operators/{OLGA}/send", {"text": "/take", "chat_id": group})
    await world.ask("POST", f"operators/{OLGA}/send", {"text": "/id", "chat_id": group})
    (told,) = await world.said(group)
    assert told["text"] == f"OPERATOR_CHAT_ID={group}"
    await rows.until(Inbox, count=3, state=InboxState.DONE)
    assert not rows.all(DeliveryRow)
    assert not rows.all(Customer)


async def test_a_group_whose_id_topics_would_change_is_told_to_switch_them_on_first(
    bot: Running, world: World, simulator: Simulator
) -> None:
    group = simulator.world.groups[other_group(simulator)]
    group.type = "group"
    await world.ask("POST", f"operators/{OLGA}/send", {"text": "/id", "chat_id": group.id})
    (told,) = await world.said(group.id)
    assert told["text"] == say("id-without-topics", "en")


async def test_an_id_that_may_not_be_told_is_asked_for_in_vain_and_stops_nobody(
    bot: Running, world: World, simulator: Simulator, rows: Rows
) -> None:
    group = other_group(simulator)
    await world.fault("error", method="sendMessage", status=403, description="Forbidden", times=9)
    await world.ask("POST", f"operators/{OLGA}/send", {"text": "/id", "chat_id": group})
    (row,) = await rows.until(Inbox, state=InboxState.DONE)
    assert row.attempts == 0
    await world.ask("DELETE", "faults")
    await world.ask("POST", f"operators/{OLGA}/send", {"text": "/id", "chat_id": group})
    assert len(await world.said(group)) == 1, "what was refused did not count"


async def test_while_telegram_is_slow_to_take_ids_customers_are_answered(
    bot: Running, world: World, simulator: Simulator
) -> None:
    ann = await world.customer()
    groups = [other_group(simulator, -1002 - number) for number in range(CONCURRENCY + 1)]
    for group in groups:
        await world.fault("slow", method="sendMessage", chat_id=group, seconds=3)
        await world.ask("POST", f"operators/{OLGA}/send", {"text": "/id", "chat_id": group})
    await world.reply(await world.write(ann, "/help"), "/human", timeout=2)


async def test_who_asks_for_an_id_again_and_again_takes_no_room_from_what_customers_write(
    bot: Running, world: World, simulator: Simulator, rows: Rows
) -> None:
    await world.ask("PATCH", "settings", {"limits": True})
    group, other = other_group(simulator), other_group(simulator, -1003)
    for chat in (*[group] * 8, other):
        await world.ask("POST", f"operators/{OLGA}/send", {"text": "/id", "chat_id": chat})
    await rows.until(Inbox, count=9, state=InboxState.DONE)
    assert len(await world.said(other)) == 1
    assert len(await world.said(group)) == 1


async def test_ids_are_told_within_the_limits_of_telegram(
    bot: Running, world: World, simulator: Simulator, rows: Rows
) -> None:
    await world.ask("PATCH", "settings", {"limits": True})
    group = other_group(simulator)
    for _ in range(3 * CHAT_BURST):
        await world.ask("POST", f"operators/{OLGA}/send", {"text": "/id", "chat_id": group})
    await rows.until(Inbox, count=3 * CHAT_BURST, state=InboxState.DONE)
    await world.said(group)
    assert all(call["ok"] for call in await world.calls("sendMessage", group))


async def test_the_admins_of_the_chat_are_admins_of_the_desk(bot: Running, desk: Desk) -> None:
    await eventually(lambda: role_of(desk, OLGA) is Role.ADMIN)
    assert await asyncio.to_thread(role_of, desk, OMAR) is None

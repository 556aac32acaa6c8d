"""A bot that is no longer an administrator of the operators' group says so, and looks so."""

from __future__ import annotations

import pytest

from bot import admins
from desk import metrics
from desk.texts import say
from simulator.app import Simulator
from simulator.world import OPERATORS_CHAT
from tests.bot.conftest import Decider, Running, Starter, World, card_of, eventually

CHAT = f"chats/{OPERATORS_CHAT}"


def usable() -> float:
    """The gauge that calls somebody at 0."""
    return metrics.OPERATORS_CHAT.collect()[0].samples[0].value


async def test_a_bot_that_was_demoted_says_so_once_and_no_post_makes_it_look_well(
    bot: Running, world: World, decider: Decider
) -> None:
    ann = await world.customer("Ann")
    await card_of(world, decider, ann, "outrageous")
    assert usable() == 1
    await world.ask("PATCH", CHAT, {"bot": {"status": "member"}})
    (told,) = await world.said(OPERATORS_CHAT, say("demoted", "en"))
    assert told["thread_id"] is None
    await world.write(ann, "are you there?")
    await decider.decide(("complaint", 0.8))
    await world.said(OPERATORS_CHAT, "are you there?")
    await world.ask("PATCH", CHAT, {"bot": {"rights": {"can_pin_messages": False}}})
    await world.reply(await world.write_topic(None, "/queue"))
    assert usable() == 0
    assert len(await world.said(OPERATORS_CHAT, say("demoted", "en"))) == 1
    await world.ask("PATCH", CHAT, {"bot": {"status": "administrator"}})
    await eventually(lambda: usable() == 1)


async def test_what_the_bot_was_not_told_of_its_rights_it_finds_by_asking(
    monkeypatch: pytest.MonkeyPatch, start_bot: Starter, world: World, simulator: Simulator
) -> None:
    monkeypatch.setattr(admins, "SYNC_SECONDS", 0.1)
    await start_bot()
    telegram = simulator.world
    own = telegram.operators.members[telegram.bots[0].user.id]
    own.status = "member"
    await world.said(OPERATORS_CHAT, say("demoted", "en"))
    assert usable() == 0
    own.status = "administrator"
    await eventually(lambda: usable() == 1)
    own.rights["can_manage_topics"] = False
    await eventually(lambda: usable() == 0)
    assert len(await world.said(OPERATORS_CHAT, say("demoted", "en"))) == 1

"""Neither worker nor scheduler: the bot itself sees to it that nobody is met with silence."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from bot import overdue
from bot.app import BotOptions
from desk.domain import MessageState
from desk.flow import watching
from desk.flow.desk import Desk
from desk.tables import DecisionRow, Message
from simulator.world import OPERATORS_CHAT
from tests.bot.conftest import Rows, Starter, World


async def test_a_customer_is_told_once_and_a_person_is_called(
    start_bot: Starter,
    options: BotOptions,
    world: World,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overdue, "LOOK_SECONDS", 0.05)
    await start_bot(replace(options, reply_deadline=0.05))
    ann = await world.customer()
    await world.reply(await world.write(ann, "is anybody there?"), "longer than it should", 20)
    for number in range(1, 4):
        await world.write(ann, "hello?")
        await rows.until(DecisionRow, count=number + 1)
    assert [row.rule for row in rows.all(DecisionRow)] == ["late"] * 4
    assert len(await world.said(ann)) == 1
    await world.said(OPERATORS_CHAT, "Needs a person", timeout=20)
    await world.said(OPERATORS_CHAT, "hello?", count=3, timeout=20)


async def test_a_message_within_its_time_is_left_to_the_others(
    start_bot: Starter, world: World, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overdue, "LOOK_SECONDS", 0.05)
    await start_bot()
    ann = await world.customer()
    await world.write(ann, "is anybody there?")
    await rows.until(Message, state=MessageState.PENDING)
    await world.reply(await world.write(ann, "/help"))
    assert rows.all(DecisionRow) == []


async def test_an_error_that_nobody_foresaw_ends_neither_the_look_nor_the_bot(
    start_bot: Starter,
    options: BotOptions,
    world: World,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find, odd = watching.overdue, 2

    def broken_at_first(desk: Desk, seconds: float) -> list[int]:
        nonlocal odd
        if odd:
            odd -= 1
            raise ValueError("an unknown state")
        return find(desk, seconds)

    monkeypatch.setattr(overdue, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(watching, "overdue", broken_at_first)
    with capture_logs() as logs:
        await start_bot(replace(options, reply_deadline=0.05))
        ann = await world.customer()
        await world.reply(await world.write(ann, "is anybody there?"), "longer than it should", 20)
    told = [line for line in logs if line["event"] == "overdue_not_looked_for"]
    assert [(line["log_level"], line["exc_info"]) for line in told] == [("error", True)] * 2

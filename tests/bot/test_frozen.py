"""A bot that is frozen past its lease and goes on: another has taken over, and it does no harm."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import timedelta

from sqlalchemy import update

from desk.domain import DeliveryState, InboxState
from desk.flow.desk import Desk
from desk.tables import DeliveryRow, Inbox, Lease
from tests.bot.conftest import Rows, Starter, World
from tests.bot.test_process import Spawn, spawn

__all__ = ["spawn"]


def end_leases(desk: Desk) -> None:
    """As if ten seconds had gone by."""
    with desk.store.writing() as session:
        session.execute(update(Lease).values(until=desk.clock() - timedelta(seconds=1)))


async def test_a_frozen_bot_is_replaced_and_ends_when_it_goes_on(
    spawn: Spawn, start_bot: Starter, desk: Desk, world: World, rows: Rows
) -> None:
    frozen = await spawn()
    ann = await world.customer()
    await world.reply(await world.write(ann, "/help"), timeout=90)
    await rows.until(DeliveryRow, state=DeliveryState.SENT)
    os.kill(frozen.pid, signal.SIGSTOP)
    await asyncio.to_thread(end_leases, desk)
    await start_bot()
    missed = await world.write(ann, "/help")
    await world.reply(missed, timeout=60)
    os.kill(frozen.pid, signal.SIGCONT)
    await world.reply(await world.write(ann, "/help"), timeout=30)
    _, errors = await asyncio.wait_for(frozen.communicate(), 60)
    assert frozen.returncode == 1
    assert b"LostLeaseError" in errors
    await world.reply(await world.write(ann, "/help"), timeout=30)
    await rows.until(DeliveryRow, count=4, state=DeliveryState.SENT)
    assert len(await world.said(ann)) == 4
    assert len(rows.all(Inbox, state=InboxState.DONE)) == 4

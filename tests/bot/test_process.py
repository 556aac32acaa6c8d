"""The process: stops in order on SIGTERM, shows that it is alive, and dies honestly."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bot.app import BotOptions, _beat
from desk import heartbeat
from desk.domain import DeliveryState, InboxState
from desk.tables import DeliveryRow, Inbox
from simulator.app import Simulator
from tests.bot.conftest import Rows, Running, Starter, World, eventually
from tests.conftest import FLORIST

ROOT = Path(__file__).parents[2]
Spawn = Callable[..., Awaitable[Process]]


@pytest.fixture
async def spawn(options: BotOptions, sqlite_url: str, simulator: Simulator) -> AsyncIterator[Spawn]:
    """Starts the bot as a process of its own."""
    processes: list[Process] = []

    async def start(**more: object) -> Process:
        told = {
            "database": sqlite_url,
            "pack": str(FLORIST),
            "chat": options.desk.operator_chat_id,
            "token": options.token,
            "api": simulator.url,
            "redis": options.redis_url,
            "data": str(options.data_dir),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.bot.bot_process",
            json.dumps(told | more),
            cwd=ROOT,
            stderr=PIPE,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_sigterm_finishes_what_is_under_way_and_ends_well(
    spawn: Spawn, world: World, rows: Rows
) -> None:
    process = await spawn()
    ann = await world.customer()
    await world.reply(await world.write(ann, "/help"), timeout=90)
    await rows.until(DeliveryRow, state=DeliveryState.SENT)
    await world.fault("slow", method="sendMessage", seconds=2)
    await world.write(ann, "/start")
    await rows.until(DeliveryRow, state=DeliveryState.SENDING)
    process.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert time.monotonic() - begun < 20, "it does not wait for the end of the long poll"
    assert [row.state for row in rows.all(DeliveryRow)] == [DeliveryState.SENT] * 2
    assert not any(row.uncertain for row in rows.all(DeliveryRow))
    assert b"bot_stopped" in errors
    assert b"Traceback" not in errors


async def test_kill_9_between_two_messages_loses_neither(
    spawn: Spawn, start_bot: Starter, world: World, rows: Rows
) -> None:
    process = await spawn()
    ann = await world.customer()
    await world.reply(await world.write(ann, "/help"), timeout=90)
    # Before this is committed, a kill makes the reply uncertain, and it is sent again.
    await rows.until(DeliveryRow, state=DeliveryState.SENT)
    process.kill()
    await process.wait()
    missed = await world.write(ann, "/start")
    await start_bot()
    await world.reply(missed, "welcome")
    assert len(await world.said(ann)) == 2
    assert [row.state for row in rows.all(Inbox)] == [InboxState.DONE] * 2


async def test_a_loop_that_crashes_ends_the_bot_with_its_error(
    bot: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyError("a mistake of ours")

    monkeypatch.setattr(heartbeat.Heartbeat, "beat", crash)
    with pytest.raises(KeyError, match="a mistake of ours"):
        await asyncio.wait_for(bot.task, 10)


async def test_a_running_bot_gives_a_sign_of_life(bot: Running, tmp_path: Path) -> None:
    await eventually(lambda: heartbeat.path(tmp_path, "bot").exists())
    heartbeat.path(tmp_path, "bot").unlink()
    await eventually(lambda: heartbeat.path(tmp_path, "bot").exists())


async def test_an_idle_bot_stops_at_once(start_bot: Starter) -> None:
    running = await start_bot()
    with capture_logs() as logs:
        await running.stop()
    assert "stopped_late" not in [line["event"] for line in logs]


async def test_the_sign_of_life_does_not_wait_for_threads_that_wait_for_the_database(
    tmp_path: Path,
) -> None:
    loop, answers, stop = asyncio.get_running_loop(), threading.Event(), asyncio.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    waiting = loop.run_in_executor(None, answers.wait, 60)
    beating = asyncio.create_task(_beat(heartbeat.Heartbeat(tmp_path, "bot"), stop))
    try:
        await eventually(lambda: heartbeat.age(tmp_path, "bot") is not None, timeout=10)
        assert not waiting.done()
    finally:
        answers.set()
        stop.set()
        await asyncio.gather(waiting, beating)

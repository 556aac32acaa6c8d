"""Hints between processes: heard when Redis is there, and no hindrance when it is not."""

from __future__ import annotations

import asyncio

from bot.wakes import Announcer
from tests.bot.conftest import eventually
from tests.ports import free_port


async def test_a_redis_that_says_nothing_does_not_hold_up_the_stop() -> None:
    taken: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: taken.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    stop = asyncio.Event()
    announcer = Announcer(f"redis://127.0.0.1:{port}/0", "frontdesk:wake:lanes")
    running = asyncio.create_task(announcer.run(stop))
    try:
        announcer.announce()
        await eventually(lambda: taken)
        stop.set()
        await asyncio.wait_for(running, 4)  # redis-py itself would wait for 5 seconds
    finally:
        for writer in taken:
            writer.close()
        server.close()


async def test_without_a_redis_announcing_goes_on_until_the_stop() -> None:
    stop = asyncio.Event()
    announcer = Announcer(f"redis://127.0.0.1:{free_port()}/0", "frontdesk:wake:lanes")
    running = asyncio.create_task(announcer.run(stop))
    for _ in range(5):
        announcer.announce()
        await asyncio.sleep(0.02)
    assert not running.done()
    stop.set()
    await asyncio.wait_for(running, 20)

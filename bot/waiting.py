"""Waiting that a stop cuts short, and pauses that grow."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of `work`, or None when `stop` is set first; `work` is then cancelled."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for waiter in (task, stopped):
            waiter.cancel()
        await asyncio.gather(task, stopped, return_exceptions=True)


async def pause(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event at most so many seconds; says whether it is set."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def pass_on(stop: asyncio.Event, wake: asyncio.Event) -> None:
    """Wake a loop that waits for something else when it is to stop."""
    await stop.wait()
    wake.set()


def backoff(failures: int, first: float = 0.5, most: float = 30.0) -> float:
    """Seconds to wait after so many failures in a row (1 or more), with jitter."""
    return min(most, first * 2.0 ** min(failures - 1, 16)) * random.uniform(0.5, 1.0)

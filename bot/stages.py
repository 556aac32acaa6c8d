"""Stages: tasks that run and are stopped together, one stage after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import structlog

log = structlog.get_logger(__name__)

STOP_SECONDS = 2.0


class Stage:
    """Tasks that are stopped together, and the seconds they have for it."""

    def __init__(self, name: str, seconds: float = STOP_SECONDS) -> None:
        self.name = name
        self.seconds = seconds
        self.stop = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work, name=self.name))

    async def finish(self) -> None:
        """Stop the tasks and wait for them; raises what one of them failed with."""
        self.stop.set()
        _, late = await asyncio.wait(self.tasks, timeout=self.seconds)
        for task in late:
            log.warning("stopped_late", loop=self.name)
            task.cancel()
        results = await asyncio.gather(*self.tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result


async def until_stopped(stages: Sequence[Stage], stop: asyncio.Event) -> None:
    """Wait for `stop` or for a loop that ends by itself, then finish one stage after the other.

    No new update comes in first; what handlers and sender are in the middle of is finished.
    """
    stopped = asyncio.ensure_future(stop.wait())
    tasks = [task for stage in stages for task in stage.tasks]
    try:
        await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        crashes: list[BaseException] = []
        if not stop.is_set():
            log.error("loop_ended", loops=[task.get_name() for task in tasks if task.done()])
        for stage in stages:
            try:
                await stage.finish()
            except Exception as error:  # noqa: BLE001 - the others are to be stopped first
                crashes.append(error)
    if crashes:
        raise crashes[0]
    if not stop.is_set():
        raise RuntimeError("a loop of the bot ended by itself")

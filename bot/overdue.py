"""The last resort against silence: with the scheduler down too, the bot itself calls a person."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.jobs import Jobs
from bot.waiting import pause
from desk.flow import deciding, watching
from desk.flow.desk import Desk

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
PATIENCE = 2.0
"""How many times the reply deadline the scheduler gets before the bot does its part."""


class Overdue:
    """Hands messages that nobody decided to a person, `reply_deadline` being in seconds."""

    def __init__(
        self, desk: Desk, jobs: Jobs, reply_deadline: float, wake_sender: Callable[[], None]
    ) -> None:
        self._desk = desk
        self._jobs = jobs
        self._seconds = PATIENCE * reply_deadline
        self._wake_sender = wake_sender

    async def run(self, stop: asyncio.Event) -> None:
        """Look from time to time until `stop`."""
        while not await pause(stop, LOOK_SECONDS):
            try:
                await self._look()
            except SQLAlchemyError as error:
                log.warning("overdue_not_looked_for", error=type(error).__name__)
            except Exception:
                # What nobody foresaw about one message must not end the bot.
                log.exception("overdue_not_looked_for")
                self._wake_sender()

    async def _look(self) -> None:
        late = await asyncio.to_thread(watching.overdue, self._desk, self._seconds)
        if not late:
            return
        following = await asyncio.to_thread(deciding.give_up, self._desk, late)
        log.error("messages_overdue", messages=late, advice="does a scheduler run?")
        self._wake_sender()
        self._jobs.classify(following)

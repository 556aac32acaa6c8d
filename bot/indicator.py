"""The typing indicator: shown while a customer waits for the bot, best effort, off every path."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.telegram import Telegram, TelegramError
from desk.flow import customers
from desk.flow.desk import Desk

log = structlog.get_logger(__name__)

# Telegram shows the indicator for five seconds or until a message comes. One that is sent together
# with a quick reply would outlive it, so a reply gets this long to come first.
PATIENCE = 0.3
EVERY = 4.5
TIMES = 5
MOST = 20


class Indicator:
    """Shows "typing…" to the customers whose messages take longer than a moment."""

    def __init__(self, desk: Desk, telegram: Telegram) -> None:
        self._desk = desk
        self._telegram = telegram
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def start(self, chat_id: int, message_id: int) -> None:
        """A message waits for its decision."""
        if chat_id in self._tasks or len(self._tasks) >= MOST:
            return
        task = asyncio.create_task(self._show(chat_id, message_id))
        self._tasks[chat_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(chat_id, None))

    async def _show(self, chat_id: int, message_id: int) -> None:
        pause = PATIENCE
        try:
            for _ in range(TIMES):
                await asyncio.sleep(pause)
                if not await asyncio.to_thread(customers.awaits_bot, self._desk, message_id):
                    return
                params = {"chat_id": chat_id, "action": "typing"}
                await self._telegram.call("sendChatAction", params, 5.0)
                pause = EVERY
        except (TelegramError, SQLAlchemyError) as error:
            log.debug("no_indicator", error=type(error).__name__)

    async def close(self) -> None:
        """Stop showing anything."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

"""Answers off the lane: best effort, in the background, so that a slow Telegram holds up nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import structlog

from bot.limits import Limits
from bot.telegram import Telegram, TelegramError

log = structlog.get_logger(__name__)

MAX_TEXT = 200
ANSWER_SECONDS = 5.0
MOST_MESSAGES = 5
"""So many messages may be under way: the sender needs the room that Telegram's limits leave."""
PAUSE_SECONDS = 60.0
"""Between two messages to a chat. Anybody in it may ask, and the operators' group takes 20 messages
a minute, in which customers' words have to find room."""


class Answers:
    """Answers to presses, and messages to chats that are nobody's customer.

    What led to them is done in SQL; what Telegram does not take is only logged.
    """

    def __init__(self, telegram: Telegram, limits: Limits) -> None:
        self._telegram = telegram
        self._limits = limits
        self._tasks: set[asyncio.Task[object]] = set()
        self._chats: set[int] = set()
        self._told: dict[int, float] = {}

    def answer(self, query_id: str, text: str = "", *, alert: bool = False) -> None:
        """Stop the spinner of a pressed button, and show a text."""
        params: dict[str, Any] = {"callback_query_id": query_id}
        if text:
            params |= {"text": text[:MAX_TEXT], "show_alert": alert}
        self._begin(self._call("answerCallbackQuery", params))

    def send(self, chat_id: int, params: dict[str, Any]) -> None:
        """Send a message, if Telegram's limits leave room, and the chat's last one has left and is
        `PAUSE_SECONDS` ago."""
        now = time.monotonic()
        self._told = {chat: at for chat, at in self._told.items() if now - at < PAUSE_SECONDS}
        full = self._chats | self._told.keys() | self._limits.exhausted()
        if chat_id in full or len(self._chats) >= MOST_MESSAGES or self._limits.room() < 1:
            log.info("no_room_to_answer", chat=chat_id)
            return
        self._chats.add(chat_id)
        self._told[chat_id] = now
        self._limits.begin()
        self._begin(self._send(chat_id, params))

    async def close(self) -> None:
        """Let answers under way finish."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        for task in self._tasks:
            task.cancel()

    def _begin(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, chat_id: int, params: dict[str, Any]) -> None:
        try:
            if not await self._call("sendMessage", {"chat_id": chat_id} | params):
                self._told.pop(chat_id, None)  # who mends what was wrong may ask again at once
        finally:
            self._limits.end(chat_id)
            self._chats.discard(chat_id)

    async def _call(self, method: str, params: dict[str, Any]) -> bool:
        """Whether Telegram took it."""
        try:
            await self._telegram.call(method, params, ANSWER_SECONDS)
        except TelegramError as error:
            log.info("not_answered", method=method, error=str(error))
            return False
        return True

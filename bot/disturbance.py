"""Nobody is met with silence while the database is away: one message a chat, from memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.limits import Limits
from bot.telegram import RefusedError, Telegram, TelegramError, UnreachableError
from desk.domain import Incoming
from desk.flow import intake
from desk.flow.desk import Desk
from desk.texts import say

log = structlog.get_logger(__name__)

PATIENCE = 5.0
"""Seconds without the database before anybody is told: shorter troubles pass unnoticed."""
ONE_OUTAGE = 300.0
"""Seconds within which the database may come back and be away again: nobody is told twice of a
database that flickers, or that is only slow."""
CALL_SECONDS = 5.0
NAP_SECONDS = 0.1


class Disturbance:
    """Stores updates and tells people when that fails for longer than a moment.

    Each customer who wrote or pressed and the operators' chat are told once an outage, as well as
    it goes and within Telegram's limits. `telling` says whether it is this process's part: of
    several bots one tells.
    """

    def __init__(
        self, desk: Desk, telegram: Telegram, limits: Limits, telling: Callable[[], bool]
    ) -> None:
        self._desk = desk
        self._telegram = telegram
        self._limits = limits
        self._telling = telling
        self._since: float | None = None
        self._over_at: float | None = None
        self._waiting: dict[int, str] = {}
        self._told: set[int] = set()
        self._task: asyncio.Task[None] | None = None

    async def store(self, updates: Sequence[Incoming]) -> int:
        """Store updates; returns how many were new. Raises `SQLAlchemyError` as the store does."""
        began = asyncio.get_running_loop().time()
        storing = asyncio.ensure_future(
            asyncio.to_thread(intake.store_updates, self._desk, updates)
        )
        payloads = [update.payload for update in updates]
        await asyncio.wait({storing}, timeout=PATIENCE)
        if not storing.done():
            self.trouble(payloads, began)
        try:
            new = await storing
        except SQLAlchemyError:
            self.trouble(payloads, began)
            raise
        self.over()
        return new

    def trouble(self, payloads: Iterable[dict[str, Any]], since: float | None = None) -> None:
        """The database is away, and these updates wait for it (`since`, in the loop's time)."""
        now = asyncio.get_running_loop().time()
        if self._since is None:
            self._since = now if since is None else since
            if self._over_at is not None and self._since - self._over_at > ONE_OUTAGE:
                self._told.clear()
        if now - self._since < PATIENCE or not self._telling():
            return
        operators = self._desk.operator_chat_id
        if operators is not None:
            self._add(operators, "disturbance-operators", self._desk.language)
        for payload in payloads:
            writer = _writer(payload)
            if writer is not None:
                self._add(*writer)
        if self._waiting and self._task is None:
            log.error("database_away", advice="frontdesk doctor says what is wrong")
            self._task = asyncio.create_task(self._tell())

    def over(self) -> None:
        """The database answers: who has not been told yet need not be, this time."""
        if self._since is not None:
            self._since, self._over_at = None, asyncio.get_running_loop().time()
        self._waiting.clear()

    async def close(self) -> None:
        """Tell nobody any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _add(self, chat_id: int, text: str, language: str | None) -> None:
        if chat_id not in self._told:
            self._waiting[chat_id] = say(text, self._desk.pack.language(language))

    async def _tell(self) -> None:
        try:
            while self._waiting:
                full = self._limits.exhausted()
                free = [chat_id for chat_id in self._waiting if chat_id not in full]
                if not free or self._limits.room() < 1:
                    await asyncio.sleep(NAP_SECONDS)
                    continue
                # It waits until it is told, or it would be added once more meanwhile.
                await self._say(free[0], self._waiting[free[0]])
                self._waiting.pop(free[0], None)
        finally:
            self._task = None

    async def _say(self, chat_id: int, text: str) -> None:
        self._limits.begin()
        try:
            params = {"chat_id": chat_id, "text": text}
            await self._telegram.call("sendMessage", params, CALL_SECONDS)
        except TelegramError as error:
            log.warning("disturbance_not_told", error=type(error).__name__)
            full = isinstance(error, RefusedError) and error.code == 429
            if full or isinstance(error, UnreachableError):
                return  # told with the next update that can't be stored, or this one again
        finally:
            self._limits.end(chat_id)
        # With the answer lost, or an error of a server or gateway, it has arrived, perhaps: said
        # again with each poll it would never end. And who has blocked the bot can't be told.
        self._told.add(chat_id)


def _writer(payload: dict[str, Any]) -> tuple[int, str, str | None] | None:
    """The private chat of whoever wrote or pressed, what they are told and their language; None for
    any other update."""
    text = "disturbance"
    said = message = payload.get("message")
    press = payload.get("callback_query")
    if isinstance(press, dict):
        text, said, message = "disturbance-press", press, press.get("message")
    if not isinstance(said, dict) or not isinstance(message, dict):
        return None
    chat, user = message.get("chat"), said.get("from")
    if not isinstance(chat, dict) or chat.get("type") != "private":
        return None
    chat_id = chat.get("id")
    if not isinstance(chat_id, int):
        return None
    language = user.get("language_code") if isinstance(user, dict) else None
    return chat_id, text, language if isinstance(language, str) else None

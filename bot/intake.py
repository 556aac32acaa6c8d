"""Polling: updates are stored as they came, committed, and only then acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.checks import WrongSettingsError
from bot.disturbance import Disturbance
from bot.kept import KeptPresses
from bot.telegram import TOKEN_REFUSED, RefusedError, Telegram, TelegramError
from bot.waiting import backoff, pause, unless
from desk import health, metrics
from desk.domain import Incoming

log = structlog.get_logger(__name__)

# Telegram sends nothing else: whatever is added here needs a handler in bot/routers.py.
ALLOWED_UPDATES = ("message", "edited_message", "callback_query", "my_chat_member")
POLL_SECONDS = 25
UNSURE_SECONDS = 15.0
"""Between two looks of a bot that may have lost its lease: another one's poll ends at each."""
LOOK_SECONDS = 0.5
ANSWER_SECONDS = 10
BATCH = 100
REFUSED_SECONDS = 600.0
"""So long a token that was accepted is tried on: an alert must have the time to see it."""
STORE_SECONDS = 5.0
"""At most that long until what could not be stored is fetched again."""
_LARGEST = 2**63


class Intake:
    """The polling loop of one bot; `stored` is called after every commit.

    `sure` says whether nobody else can hold the lease.
    """

    def __init__(
        self,
        telegram: Telegram,
        bot_id: int,
        disturbance: Disturbance,
        stored: Callable[[], None],
        sure: Callable[[], bool],
    ) -> None:
        self._telegram = telegram
        self._disturbance = disturbance
        self._bot_id = bot_id
        self._stored = stored
        self._sure = sure
        # No offset from an earlier run: what was stored but not yet acknowledged comes once more
        # and is a no-op, while an old offset could skip ids that Telegram began anew.
        self._offset: int | None = None
        self._kept = KeptPresses()
        self._webhook_deleted = False
        self._failures = 0
        self._refused_since: float | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until `stop`. Raises `WrongSettingsError` when the token stays invalid."""
        # A Telegram that never answers is missed from here on.
        metrics.LAST_POLL.set_to_current_time()
        try:
            await self._poll_on(stop)
        finally:
            metrics.LAST_POLL.set(0)

    async def _poll_on(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            # What is kept is to be stored soon, and not when somebody writes.
            timeout = 0 if self._kept else POLL_SECONDS
            if not self._sure():
                # Cut off from the database alone: another may have taken over, and polls. Only
                # what nobody fetches waits until the next look, and its writers are told.
                await self._wait_until_sure(stop)
                timeout = 0
            try:
                batch = await unless(stop, self._poll(timeout))
                if batch is not None:
                    self._accepted()
                    # While the database holds this up, it is not Telegram that is missed.
                    metrics.LAST_POLL.set(0)
                    try:
                        await self._store(batch)
                    finally:
                        metrics.LAST_POLL.set_to_current_time()
            except RefusedError as error:
                await self._refused(error, stop)
            except TelegramError as error:
                await self._wait(stop, "telegram_away", error=str(error))
            except SQLAlchemyError as error:
                # The offset has not moved: the same updates come again, and new ones with them,
                # whose writers are to be told soon.
                name = type(error).__name__
                await self._wait(stop, "updates_not_stored", most=STORE_SECONDS, error=name)

    async def _wait_until_sure(self, stop: asyncio.Event) -> None:
        for _ in range(round(UNSURE_SECONDS / LOOK_SECONDS)):
            if await pause(stop, LOOK_SECONDS) or self._sure():
                return

    async def _poll(self, timeout: int) -> list[Any]:
        if not self._webhook_deleted:
            # Beside a webhook, of the bot that held the lease before, Telegram lets nobody poll.
            await self._telegram.call("deleteWebhook")
            self._webhook_deleted = True
        params: dict[str, Any] = {
            "timeout": timeout,
            "limit": BATCH,
            "allowed_updates": ALLOWED_UPDATES,
        }
        if self._offset is not None:
            params["offset"] = self._offset
        batch = await self._telegram.call("getUpdates", params, timeout + ANSWER_SECONDS)
        return batch if isinstance(batch, list) else []

    async def _store(self, batch: list[Any]) -> None:
        if not batch:
            # All that came before is acknowledged by now. Without an offset, ids that begin anew
            # after an idle week are not taken for old ones.
            self._offset = None
        found = [update for raw in batch if (update := incoming(self._bot_id, raw)) is not None]
        if updates := self._kept.added_to(found):
            try:
                new = await self._disturbance.store(updates)
            except SQLAlchemyError:
                self._kept.keep(found)
                raise
            self._kept.clear()
            if found:
                # By what came from Telegram alone: before a kept one there may be more there.
                self._offset = found[-1].update_id + 1
            if new:
                self._stored()
        self._failures = 0

    async def _refused(self, error: RefusedError, stop: asyncio.Event) -> None:
        if error.away:
            await self._wait(stop, "telegram_away", error.retry_after, error=str(error))
        elif error.code in TOKEN_REFUSED:
            await self._token_refused(stop)
        elif error.code == 409:
            await self._wait(
                stop,
                "another_poller",
                error=error.description,
                advice="another program polls with this token or has set a webhook: stop it",
            )
        else:
            await self._wait(stop, "get_updates_refused", error=str(error))

    async def _token_refused(self, stop: asyncio.Event) -> None:
        now = asyncio.get_running_loop().time()
        if self._refused_since is None:
            self._refused_since = now
        health.PROCESS.lack("telegram", "does not accept the token")
        if now - self._refused_since >= REFUSED_SECONDS:
            raise WrongSettingsError(
                "Telegram no longer accepts the bot's token (it was revoked or replaced). "
                "Set BOT_TOKEN to the one that @BotFather shows now."
            )
        await self._wait(stop, "token_refused", advice="set BOT_TOKEN to the one of @BotFather")

    def _accepted(self) -> None:
        if self._refused_since is not None:
            self._refused_since = None
            health.PROCESS.have("telegram")

    async def _wait(
        self,
        stop: asyncio.Event,
        event: str,
        seconds: float | None = None,
        *,
        most: float = 30.0,
        **values: str,
    ) -> None:
        self._failures += 1
        seconds = backoff(self._failures, most=most) if seconds is None else seconds
        log.warning(event, retry_in=round(seconds, 2), **values)
        await pause(stop, seconds)


def incoming(bot_id: int, raw: Any) -> Incoming | None:
    """An update's envelope; None for what has no id and so could not be acknowledged."""
    update_id = raw.get("update_id") if isinstance(raw, dict) else None
    # Telegram's are positive; below 0 are the rows that an id used again has moved away.
    if not isinstance(update_id, int) or not 0 <= update_id < _LARGEST:
        log.error("update_without_id")
        return None
    return Incoming(bot_id, update_id, chat_of(raw), raw)


def chat_of(update: dict[str, Any]) -> int | None:
    """The chat an update belongs to, whatever its kind; None where it names none."""
    for body in update.values():
        if not isinstance(body, dict):
            continue
        for holder in (body, body.get("message")):
            chat = holder.get("chat") if isinstance(holder, dict) else None
            chat_id = chat.get("id") if isinstance(chat, dict) else None
            if isinstance(chat_id, int) and -_LARGEST <= chat_id < _LARGEST:
                return chat_id
    return None

"""Posting updates to a bot's webhook: in order within a chat, again and again until taken."""

from __future__ import annotations

import asyncio
import json
import logging
from functools import partial

import aiohttp

from simulator.botapi import perform
from simulator.methods import METHODS
from simulator.model import Json
from simulator.params import Params
from simulator.updates import Pending, Webhook
from simulator.world import Bot, World

logger = logging.getLogger(__name__)
MAX_BACKOFF = 60.0


class WebhookPoster:
    """Delivers the pending updates of all bots that have a webhook."""

    def __init__(self, world: World, session: aiohttp.ClientSession) -> None:
        self._world = world
        self._session = session
        self._busy: dict[tuple[int, str], asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            while not self._world.bus.closing:
                await self._world.bus.until(self._start_tasks, 0.2)
                # Without this pause a queue that is always ready would starve the others.
                await asyncio.sleep(0)
        finally:
            tasks = list(self._busy.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _start_tasks(self) -> bool:
        started = False
        for bot in self._world.bots:
            hook = bot.updates.webhook
            if hook is None:
                continue
            for item in _in_turn(bot):
                key = (bot.key, item.chat_key)
                if key not in self._busy:
                    task = asyncio.create_task(self._deliver(bot, hook, item.chat_key))
                    self._busy[key] = task
                    task.add_done_callback(partial(self._finished, key))
                    started = True
        return started

    def _finished(self, key: tuple[int, str], _: asyncio.Task[None]) -> None:
        self._busy.pop(key, None)

    async def _deliver(self, bot: Bot, hook: Webhook, chat_key: str) -> None:
        """Post one chat's updates, the oldest first, until none is left."""
        failures = 0
        while bot.updates.webhook is hook:
            waiting = [item for item in _in_turn(bot) if item.chat_key == chat_key]
            if not waiting:
                return
            if bot.updates.reorders > 0 and len(waiting) > 1:
                bot.updates.reorders -= 1
                waiting.reverse()
            item = waiting[0]
            if await self._post(bot, hook, item):
                failures = 0
                bot.updates.done(item)
                self._world.bus.wake()
                continue
            failures += 1
            pause = min(MAX_BACKOFF, self._world.settings.webhook_backoff * 2 ** (failures - 1))
            await self._world.bus.until(lambda: bot.updates.webhook is not hook, pause)

    async def _post(self, bot: Bot, hook: Webhook, item: Pending) -> bool:
        """One attempt; True when the endpoint answered 2xx."""
        headers = {"X-Telegram-Bot-Api-Secret-Token": hook.secret} if hook.secret else {}
        try:
            async with self._session.post(
                hook.url, json=item.body, headers=headers, allow_redirects=False
            ) as response:
                if 200 <= response.status < 300:
                    await self._reply_call(bot, response)
                    return True
                reason = f"Wrong response from the webhook: {response.status} {response.reason}"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            reason = "Connection refused" if isinstance(error, OSError) else "Connection failed"
        hook.last_error_date, hook.last_error_message = self._world.now, reason
        return False

    async def _reply_call(self, bot: Bot, response: aiohttp.ClientResponse) -> None:
        """Perform the method call that a bot may put into its answer to an update."""
        values: Json = {}
        try:
            if response.content_type == "application/json":
                parsed = json.loads(await response.text() or "null")
                values = parsed if isinstance(parsed, dict) else {}
            elif response.content_type == "multipart/form-data":
                reader = aiohttp.MultipartReader.from_response(response)
                while (part := await reader.next()) is not None:
                    if isinstance(part, aiohttp.BodyPartReader) and part.name and not part.filename:
                        values[part.name] = await part.text()
        except (ValueError, aiohttp.ClientError):
            logger.warning("the webhook's answer could not be read as a method call")
            return
        name = str(values.pop("method", ""))
        if name.lower() in METHODS and name.lower() != "getupdates":
            await perform(self._world, bot, name, Params(values), "webhook_reply")


def _in_turn(bot: Bot) -> list[Pending]:
    return list(bot.updates.ready())

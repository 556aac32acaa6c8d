"""The administrators of the operators' chat are admins of the desk, at first and from then on."""

from __future__ import annotations

import asyncio

import structlog
from aiogram.types import User
from sqlalchemy.exc import SQLAlchemyError

from bot.standing import Standing
from bot.telegram import Telegram, TelegramError
from bot.waiting import pause
from desk.flow import roster
from desk.flow.desk import Desk

log = structlog.get_logger(__name__)

SYNC_SECONDS = 600.0
AGAIN_SECONDS = 10.0
"""After a look that failed: a new desk knows no operator until one has worked."""
ANSWER_SECONDS = 5.0
"""A Telegram that is slower must not keep a bot from taking over: those of before are known."""


class Admins:
    """For whoever holds the bot's lease: a standby may serve another operators' chat."""

    def __init__(self, desk: Desk, telegram: Telegram, bot_id: int, standing: Standing) -> None:
        self._desk = desk
        self._telegram = telegram
        self._bot_id = bot_id
        self._standing = standing
        self._pause = SYNC_SECONDS

    async def sync(self) -> None:
        """Make them admins of the desk; what keeps it from that is logged."""
        if self._desk.operator_chat_id is None:
            return
        self._pause = AGAIN_SECONDS
        try:
            params = {"chat_id": self._desk.operator_chat_id}
            found = await self._telegram.call("getChatAdministrators", params, ANSWER_SECONDS)
            # Where it is none, it is not among them.
            own = (member for member in found if member["user"]["id"] == self._bot_id)
            await self._standing.found(next(own, {"status": "member"}))
            users = [User.model_validate(member["user"]) for member in found]
            admins = [(user.id, user.full_name) for user in users if not user.is_bot]
            await asyncio.to_thread(roster.sync_admins, self._desk, admins)
            for user in users:
                names = (user.full_name, user.username)
                await asyncio.to_thread(roster.keep_name, self._desk, user.id, *names)
            self._pause = SYNC_SECONDS
        except (TelegramError, SQLAlchemyError) as error:
            log.warning("admins_not_synced", error=type(error).__name__)
        except Exception:
            # What nobody foresaw in an answer must not keep a bot from taking over.
            log.exception("admins_not_synced")

    async def run(self, stop: asyncio.Event) -> None:
        """Telegram does not tell who became an administrator: look again from time to time."""
        while not await pause(stop, self._pause):
            await self.sync()

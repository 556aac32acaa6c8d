"""What the bot is in the operators' chat: a mere member can write there, and may hear nobody."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from bot import checks
from desk import metrics
from desk.flow import roster
from desk.flow.desk import Desk

log = structlog.get_logger(__name__)


class Standing:
    """Known from what Telegram tells by itself and from what it is asked."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lacks = False

    async def found(self, member: dict[str, Any]) -> None:
        """The bot as a ChatMember of the Bot API. What it has lost is said once in the chat.

        Raises what the database raises.
        """
        lacked, self._lacks = self._lacks, bool(checks.missing_rights(member))
        if lacked and not self._lacks:
            metrics.OPERATORS_CHAT.set(1)
        if not self._lacks:
            return
        metrics.OPERATORS_CHAT.set(0)
        status = member.get("status")
        if not lacked:
            log.error("operators_chat_rights_lost", chat=self._desk.operator_chat_id, status=status)
        if status in ("member", "restricted"):
            await asyncio.to_thread(roster.say_demoted, self._desk)

    def reached(self) -> None:
        """Something was posted there, which without rights says only that it can be seen."""
        if not self._lacks:
            metrics.OPERATORS_CHAT.set(1)

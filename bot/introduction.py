"""How a bot introduces itself to Telegram: token, operators' chat, webhook and commands."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import structlog
from aiogram.types import User
from sqlalchemy.exc import SQLAlchemyError

from bot import checks, webhook
from bot.telegram import RefusedError, Telegram, TelegramError
from bot.waiting import backoff
from bot.webhook import Webhook
from desk import metrics
from desk.domain import DeskError
from desk.flow import topics
from desk.flow.desk import Desk
from desk.store import failed
from desk.texts import LANGUAGES, say

log = structlog.get_logger(__name__)

START_SECONDS = 10.0
COMMANDS = ("start", "help", "human", "privacy")
OPERATORS_COMMANDS = (
    *("take", "release", "resolve", "answer", "note", "delete", "ban", "unban"),
    *("queue", "report", "retrain", "help", "id"),
)


async def introduce(desk: Desk, telegram: Telegram, hook: Webhook | None) -> User:
    """Check the token and the operators' chat; returns the bot's own account.

    A webhook is told to Telegram, too: every bot takes its calls. All else that changes anything is
    left to whoever holds the lease: a standby may have other settings.

    A Telegram that is away has START_SECONDS to come back.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_SECONDS
    failures = 0
    while True:
        try:
            return await _introduce(desk, telegram, hook)
        except TelegramError as error:
            failures += 1
            seconds = error.retry_after or backoff(failures, first=0.2, most=2.0)
            if not error.away or loop.time() + seconds > deadline:
                raise DeskError(checks.trouble(telegram, error)) from None
            log.warning("telegram_away", retry_in=round(seconds, 2), error=str(error))
            await asyncio.sleep(seconds)
        except SQLAlchemyError as error:
            raise failed(desk.store.url, error) from None


async def _introduce(desk: Desk, telegram: Telegram, hook: Webhook | None) -> User:
    me = User.model_validate(await checks.who_am_i(telegram))
    if me.has_topics_enabled:
        log.warning("private_topics", trouble=checks.PRIVATE_TOPICS, advice=checks.SWITCH_OFF)
    if desk.operator_chat_id is not None:
        problems = await checks.chat_problems(telegram, desk.operator_chat_id, me.id)
        if problems and not await asyncio.to_thread(topics.chat_was_used, desk):
            raise checks.WrongSettingsError("\n".join(problems))
        # A bot that runs goes on without it; one that is started again must not leave customers.
        for problem in problems:
            log.error("operators_chat_unusable", error=problem)
        metrics.OPERATORS_CHAT.set(not problems)
    if hook is not None:
        await _set_webhook(telegram, hook)
    return me


async def _set_webhook(telegram: Telegram, hook: Webhook) -> None:
    try:
        await webhook.announce(telegram, hook.url, hook.secret)
    except RefusedError as error:
        if error.away or error.code != 400:
            raise
        raise checks.WrongSettingsError(
            f"Telegram does not take the webhook {webhook.address(hook.url)}: {error.description}. "
            "Check WEBHOOK_URL and WEBHOOK_SECRET (1 to 256 of A-Z a-z 0-9 _ -)."
        ) from None


async def set_commands(desk: Desk, telegram: Telegram) -> None:
    """Describe the commands to customers and operators. Whatever fails is logged: commands work
    without it, and Telegram keeps what it was told before."""
    for params in _described(desk):
        try:
            await telegram.call("setMyCommands", params)
        except TelegramError as error:
            log.warning("commands_not_set", scope=params["scope"]["type"], error=str(error))
            if error.away:
                return


def _described(desk: Desk) -> Iterator[dict[str, Any]]:
    """In languages that the pack has; None is for everybody else's phone.

    A language that the pack lacks is set, too: Telegram would keep what another pack set.
    """
    for phone in (None, *LANGUAGES):
        scope: dict[str, Any] = {"type": "all_private_chats"}
        params = {"commands": _commands(COMMANDS, desk.pack.language(phone)), "scope": scope}
        yield params if phone is None else params | {"language_code": phone}
    if desk.operator_chat_id is not None:
        scope = {"type": "chat", "chat_id": desk.operator_chat_id}
        yield {"commands": _commands(OPERATORS_COMMANDS, desk.language), "scope": scope}


def _commands(names: Sequence[str], language: str) -> list[dict[str, str]]:
    return [{"command": name, "description": say(f"command-{name}", language)} for name in names]

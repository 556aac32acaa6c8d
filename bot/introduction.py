"""How a bot introduces itself to Telegram: token, operators' chat, mode and commands."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog
from aiogram.types import User
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from bot import checks, webhook
from bot.telegram import RefusedError, Telegram, TelegramError
from bot.waiting import backoff
from bot.webhook import Webhook
from desk import metrics
from desk.domain import DeskError
from desk.flow import roster, topics
from desk.flow.desk import Desk
from desk.store import failed
from desk.texts import LANGUAGES, say

log = structlog.get_logger(__name__)

START_SECONDS = 10.0
COMMANDS = ("start", "help", "human")
OPERATORS_COMMANDS = (
    *("take", "resolve", "answer", "note", "ban", "unban"),
    *("queue", "report", "retrain", "help", "id"),
)


async def introduce(desk: Desk, telegram: Telegram, hook: Webhook | None) -> User:
    """Check the token and the operators' chat and tell Telegram how this bot works.

    That is by the webhook, or else by polling. Returns the bot's own account.

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
        except IntegrityError:
            # Another bot that starts just now has written the same: then it is there.
            failures += 1
            if failures > 5:
                raise
        except SQLAlchemyError as error:
            raise failed(desk.store.url, error) from None


async def _introduce(desk: Desk, telegram: Telegram, hook: Webhook | None) -> User:
    me = User.model_validate(await checks.who_am_i(telegram))
    if desk.operator_chat_id is not None:
        problems = await checks.chat_problems(telegram, desk.operator_chat_id, me.id)
        if problems and not await asyncio.to_thread(topics.chat_was_used, desk):
            raise checks.WrongSettingsError("\n".join(problems))
        # A bot that runs goes on without it; one that is started again must not leave customers.
        for problem in problems:
            log.error("operators_chat_unusable", error=problem)
        metrics.OPERATORS_CHAT.set(not problems)
        if not problems:
            await sync_admins(desk, telegram)
    await _set_mode(telegram, hook)
    await _set_commands(desk, telegram)
    await _set_operators_commands(desk, telegram)
    return me


async def sync_admins(desk: Desk, telegram: Telegram) -> None:
    """Make the operators' chat's administrators admins of the desk."""
    found = await telegram.call("getChatAdministrators", {"chat_id": desk.operator_chat_id})
    users = [User.model_validate(member["user"]) for member in found]
    admins = [(user.id, user.full_name) for user in users if not user.is_bot]
    await asyncio.to_thread(roster.sync_admins, desk, admins)


async def _set_mode(telegram: Telegram, hook: Webhook | None) -> None:
    if hook is None:
        await telegram.call("deleteWebhook")
        return
    try:
        await webhook.announce(telegram, hook.url, hook.secret)
    except RefusedError as error:
        if error.away or error.code != 400:
            raise
        raise checks.WrongSettingsError(
            f"Telegram does not take the webhook {webhook.address(hook.url)}: {error.description}. "
            "Check WEBHOOK_URL and WEBHOOK_SECRET (1 to 256 of A-Z a-z 0-9 _ -)."
        ) from None


async def _set_commands(desk: Desk, telegram: Telegram) -> None:
    """Describe the commands, in languages that the pack has; None is for everybody else's phone.

    A language that the pack lacks is set, too: Telegram would keep what another pack set.
    """
    for phone in (None, *LANGUAGES):
        language = desk.pack.language(phone)
        params: dict[str, Any] = {
            "commands": _commands(COMMANDS, language),
            "scope": {"type": "all_private_chats"},
        }
        if phone is not None:
            params["language_code"] = phone
        await telegram.call("setMyCommands", params)


async def _set_operators_commands(desk: Desk, telegram: Telegram) -> None:
    if desk.operator_chat_id is None:
        return
    params = {
        "commands": _commands(OPERATORS_COMMANDS, desk.language),
        "scope": {"type": "chat", "chat_id": desk.operator_chat_id},
    }
    try:
        await telegram.call("setMyCommands", params)
    except RefusedError as error:
        if error.away or error.retry_after is not None:
            raise
        # Commands work without it, and a bot out of its group is to serve customers.
        log.warning("commands_not_set", error=error.description)


def _commands(names: Sequence[str], language: str) -> list[dict[str, str]]:
    return [{"command": name, "description": say(f"command-{name}", language)} for name in names]

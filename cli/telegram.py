"""The real Telegram: running the bot, and what is wrong with its token and the operators' chat."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cli.errors import CommandError, MisconfiguredError

if TYPE_CHECKING:
    from desk.flow.desk import Desk
    from desk.settings import Settings


def check_telegram(settings: Settings, desk: Desk) -> None:
    """Raise `MisconfiguredError`, or `CommandError` if Telegram is away, unless the bot may run."""
    from desk.flow import topics

    with_token, with_chat = asyncio.run(_problems(settings))
    if with_token or (with_chat and not topics.chat_was_used(desk)):
        raise MisconfiguredError("\n".join([*with_token, *with_chat]))


def telegram_problems(settings: Settings) -> list[str]:
    """What keeps the bot from working, as sentences; needs BOT_TOKEN."""
    try:
        with_token, with_chat = asyncio.run(_problems(settings))
    except CommandError as error:
        return [str(error)]
    return [*with_token, *with_chat]


def webhook_problem(settings: Settings) -> str | None:
    """What keeps Telegram from delivering to the webhook; None when all is well.

    Needs BOT_TOKEN and WEBHOOK_URL.
    """
    try:
        return asyncio.run(_webhook_problem(settings))
    except CommandError as error:
        return str(error)


def keeps_topics(settings: Settings) -> bool:
    """Whether the topics of customers who are erased stay, because the bot lacks the right.

    Needs BOT_TOKEN and OPERATOR_CHAT_ID; False while Telegram is away.
    """
    return asyncio.run(_keeps_topics(settings))


async def _keeps_topics(settings: Settings) -> bool:
    from bot import checks
    from bot.telegram import Telegram, TelegramError

    if settings.bot_token is None or settings.operator_chat_id is None:
        return False
    token = settings.bot_token.get_secret_value()
    async with Telegram(token, settings.telegram_api_url) as telegram:
        try:
            me = await checks.who_am_i(telegram)
            return await checks.keeps_topics(telegram, settings.operator_chat_id, me["id"])
        except (TelegramError, checks.WrongSettingsError):
            return False


def private_topics(settings: Settings) -> tuple[str, str] | None:
    """What is wrong, and what to do, where customers' own chats have topics; else None.

    Needs BOT_TOKEN; None while Telegram is away.
    """
    from bot import checks

    on = asyncio.run(_has_private_topics(settings))
    return (checks.PRIVATE_TOPICS, checks.SWITCH_OFF) if on else None


async def _has_private_topics(settings: Settings) -> bool:
    from bot import checks
    from bot.telegram import Telegram, TelegramError

    if settings.bot_token is None:
        return False
    token = settings.bot_token.get_secret_value()
    async with Telegram(token, settings.telegram_api_url) as telegram:
        try:
            return bool((await checks.who_am_i(telegram)).get("has_topics_enabled"))
        except (TelegramError, checks.WrongSettingsError):
            return False


async def _webhook_problem(settings: Settings) -> str | None:
    from bot import checks, webhook
    from bot.telegram import Telegram, TelegramError

    if settings.bot_token is None or settings.webhook_url is None:
        return None
    token = settings.bot_token.get_secret_value()
    async with Telegram(token, settings.telegram_api_url) as telegram:
        try:
            info = await telegram.call("getWebhookInfo")
        except TelegramError as error:
            raise CommandError(checks.trouble(telegram, error)) from None
    return webhook.trouble(info, settings.webhook_url)


async def _problems(settings: Settings) -> tuple[list[str], list[str]]:
    """What the user must set right: with the token, and with the operators' chat.

    Raises `CommandError` while Telegram is away.
    """
    from bot import checks
    from bot.telegram import Telegram, TelegramError

    if settings.bot_token is None:
        return [], []
    token = settings.bot_token.get_secret_value()
    async with Telegram(token, settings.telegram_api_url) as telegram:
        try:
            me = await checks.who_am_i(telegram)
            if settings.operator_chat_id is None:
                return [], []
            return [], await checks.chat_problems(telegram, settings.operator_chat_id, me["id"])
        except checks.WrongSettingsError as error:
            return [str(error)], []
        except TelegramError as error:
            raise CommandError(checks.trouble(telegram, error)) from None


def run_bot(settings: Settings, desk: Desk, redis_url: str) -> None:
    """Run the bot until SIGTERM or SIGINT."""
    from bot.app import BotOptions, run
    from bot.checks import WrongSettingsError
    from bot.webhook import Webhook
    from desk.domain import DeskError

    webhook = None
    if settings.webhook_url is not None and settings.webhook_secret is not None:
        secret = settings.webhook_secret.get_secret_value()
        webhook = Webhook(settings.webhook_url, secret, settings.webhook_port)
    options = BotOptions(
        desk=desk,
        token=settings.bot_token.get_secret_value() if settings.bot_token else "",
        api_url=settings.telegram_api_url,
        redis_url=redis_url,
        data_dir=settings.data_dir,
        webhook=webhook,
        reply_deadline=settings.reply_deadline,
    )
    try:
        asyncio.run(run(options))
    except WrongSettingsError as error:
        raise MisconfiguredError(str(error)) from None
    except DeskError as error:
        raise CommandError(str(error)) from None

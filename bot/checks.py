"""What can be wrong with a bot's token and with the operators' chat, as sentences to act on."""

from __future__ import annotations

from typing import Any

from bot.telegram import TOKEN_REFUSED, RefusedError, Telegram, TelegramError
from desk.domain import DeskError

RIGHTS = {"can_manage_topics": "Manage topics"}
PRIVATE_TOPICS = "customers' chats with the bot have topics, beside which it answers"
SWITCH_OFF = "Switch Threaded mode off in @BotFather (/mybots, Bot Settings)"


class WrongSettingsError(DeskError):
    """What was set, here or in Telegram, is wrong: starting again would not help."""


async def who_am_i(telegram: Telegram) -> dict[str, Any]:
    """The bot of the token, a User of the Bot API.

    Raises `WrongSettingsError` for a wrong token, `TelegramError` while Telegram is away.
    """
    try:
        me: dict[str, Any] = await telegram.call("getMe")
    except RefusedError as error:
        if error.away:
            raise
        if error.code in TOKEN_REFUSED:
            raise WrongSettingsError(
                "Telegram does not know this bot token. Copy it again from @BotFather "
                "(/mybots, API Token) into BOT_TOKEN."
            ) from None
        raise WrongSettingsError(f"Telegram at {telegram.url} refuses the bot: {error}.") from None
    return me


async def chat_problems(telegram: Telegram, chat_id: int, bot_id: int) -> list[str]:
    """What keeps the operators' chat from working.

    Raises `TelegramError` for what is not the chat's fault.
    """
    try:
        chat = await telegram.call("getChat", {"chat_id": chat_id})
        member = await telegram.call("getChatMember", {"chat_id": chat_id, "user_id": bot_id})
    except RefusedError as error:
        if error.away or error.code not in (400, 403):
            raise
        return [_no_chat(chat_id, error)]
    return _problems(chat_id, chat, member)


def missing_rights(member: dict[str, Any]) -> list[str]:
    """The rights that a ChatMember of the operators' chat lacks, by Telegram's names for them."""
    if member.get("status") == "creator":
        return []
    return [label for right, label in RIGHTS.items() if not member.get(right)]


async def keeps_topics(telegram: Telegram, chat_id: int, bot_id: int) -> bool:
    """Whether the bot lacks the right to delete topics, those of customers who are erased.

    Raises `TelegramError`.
    """
    params = {"chat_id": chat_id, "user_id": bot_id}
    member = await telegram.call("getChatMember", params)
    return member.get("status") != "creator" and not member.get("can_delete_messages")


def trouble(telegram: Telegram, error: TelegramError) -> str:
    """A call that failed for another reason than a setting, as a sentence."""
    if not isinstance(error, RefusedError):
        return (
            f"Telegram at {telegram.url} does not answer ({error}). Check the network, the proxy, "
            "and TELEGRAM_API_URL."
        )
    if error.away:
        return (
            f"Telegram at {telegram.url} can't serve the bot now ({error}). Try again in a minute; "
            "if it stays so, check the proxy and TELEGRAM_API_URL."
        )
    return f"Telegram at {telegram.url} refused to start the bot: {error}."


def _no_chat(chat_id: int, error: RefusedError) -> str:
    if error.migrate_to is not None:
        return f"The operators' chat has become {error.migrate_to}: set OPERATOR_CHAT_ID to that."
    return (
        f"The bot is not in the operators' chat {chat_id} ({error.description}). Add it to the "
        "group as an administrator; write /id there to see the group's id for OPERATOR_CHAT_ID."
    )


def _problems(chat_id: int, chat: dict[str, Any], member: dict[str, Any]) -> list[str]:
    if chat.get("type") not in ("group", "supergroup"):
        return [f"OPERATOR_CHAT_ID {chat_id} is a {chat.get('type')} chat; it must be a group."]
    if member.get("status") in ("left", "kicked"):
        text = f"The bot is not a member of the operators' chat {chat_id}. Add it to the group"
        return [f"{text} as an administrator."]
    found = []
    if not chat.get("is_forum"):
        found.append(
            f"The operators' chat {chat_id} has no topics. Switch them on in the group's "
            "settings (Edit, Topics): each customer gets a topic of their own."
        )
    if missing := missing_rights(member):
        found.append(
            f"The bot may not work in the operators' chat {chat_id}: make it an administrator "
            f"with the right “{'”, “'.join(missing)}”."
        )
    return found

"""From a stored update to its handler: aiogram's dispatcher, fed row by row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from aiogram import Bot, Dispatcher, F, Router
from aiogram.dispatcher.event.bases import UNHANDLED
from aiogram.enums import ChatMemberStatus, ChatType
from aiogram.types import Chat, ChatMemberUpdated, Message, Update, User
from pydantic import ValidationError

from bot import customers, operators, presses, rich
from bot.answers import Answers
from bot.checks import RIGHTS
from bot.customers import NOTHING_TO_SEND, NOTICES
from bot.indicator import Indicator
from bot.jobs import Jobs
from bot.lanes import UnreadableError
from bot.standing import Standing
from desk.domain import InboxRow, Person
from desk.flow import customers as desk_customers
from desk.flow import intake
from desk.flow.desk import Desk
from desk.texts import say

log = structlog.get_logger(__name__)

GROUPS = frozenset({ChatType.GROUP, ChatType.SUPERGROUP})
UNKNOWN = "[unknown]"
"""What stands for a message that can't be read, as for a kind that has no name yet."""
MOST_ERRORS = 1000
"""Of more errors not even the first is looked up: for that, all of them are built."""


class KnownBot(Bot):
    """aiogram's bot for routing only: it knows who it is and opens no connection."""

    def __init__(self, token: str, me: User) -> None:
        super().__init__(token)
        self._known = me

    async def me(self) -> User:
        return self._known


class Routers:
    """Handles inbox rows with aiogram's routers."""

    def __init__(
        self,
        desk: Desk,
        bot: Bot,
        jobs: Jobs,
        indicator: Indicator,
        answers: Answers,
        standing: Standing,
        wake_sender: Callable[[], None],
    ) -> None:
        self._desk = desk
        self._wake_sender = wake_sender
        self._bot = bot
        self._dispatcher = Dispatcher(disable_fsm=True)
        self._dispatcher.include_routers(groups_router(), customers.make_router())
        if desk.operator_chat_id is not None:
            self._dispatcher.include_router(operators.make_router(desk.operator_chat_id))
        self._dispatcher.include_router(presses.make_router())
        self._tools = {
            "desk": desk,
            "jobs": jobs,
            "indicator": indicator,
            "answers": answers,
            "standing": standing,
        }

    async def handle(self, row: InboxRow) -> None:
        """Run the handler of an update; one that has none is done as it is.

        Returns when the row is done, and raises when it failed.
        """
        # In a thread: the largest takes long enough for others to notice.
        raw = await asyncio.to_thread(rich.emptied, row.payload)
        try:
            update = Update.model_validate(raw, context={"bot": self._bot})
        except ValidationError as error:
            if not await self._pass_on(row.id, raw, error):
                # Without its cause: nobody is to render that.
                raise UnreadableError(_summary(error)) from None
            return
        result = await self._dispatcher.feed_update(
            self._bot, update, inbox_id=row.id, **self._tools
        )
        if result is UNHANDLED:
            await asyncio.to_thread(intake.done, self._desk, row.id)
        elif result is not NOTHING_TO_SEND:
            self._wake_sender()

    async def _pass_on(self, inbox_id: int, raw: dict[str, Any], error: ValidationError) -> bool:
        """Whether an update that aiogram can't read is a customer's message, who is not to be met
        with silence: as a file it calls a person, who sees a copy, for which it need not be read.
        """
        found = _unread(raw.get("message"))
        if found is None:
            return False
        person, telegram_id, text = found
        log.warning("message_unreadable", error=_summary(error))
        await asyncio.to_thread(
            desk_customers.sent_file, self._desk, inbox_id, person, telegram_id, text
        )
        self._wake_sender()
        return True


def _summary(error: ValidationError) -> str:
    """How many errors there are and where the first is: a text of all of them may have megabytes,
    and quotes the customer, which the places in an update do not."""
    count = error.error_count()
    found = f"validation errors for {error.title}: {count}"
    if count > MOST_ERRORS:
        return found
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{found}, the first at {'.'.join(map(str, first['loc']))}"


def _unread(message: object) -> tuple[Person, int, str] | None:
    """Who sent a message to the bot alone, its id, and its words or what stands for them; None
    where even that can't be told."""
    if not isinstance(message, dict) or any(kind in message for kind in NOTICES):
        return None
    try:
        chat, user = Chat.model_validate(message["chat"]), User.model_validate(message["from"])
    except (KeyError, ValidationError):
        return None
    telegram_id = message.get("message_id")
    if chat.type != ChatType.PRIVATE or user.is_bot or not isinstance(telegram_id, int):
        return None
    read = rich.of_raw(message)
    text = message.get("text") or message.get("caption") or (read and read.words)
    words = text if isinstance(text, str) and text else UNKNOWN
    return customers.person_of(chat, user), telegram_id, words


def groups_router() -> Router:
    """What works in any group, for setting a desk up."""
    router = Router(name="groups")
    router.message.register(tell_id, F.chat.type.in_(GROUPS), operators.command_named("id"))
    router.my_chat_member.register(joined, F.chat.type.in_(GROUPS))
    return router


async def tell_id(message: Message, desk: Desk, inbox_id: int, answers: Answers) -> None:
    """/id: the chat's id, to be set as OPERATOR_CHAT_ID."""
    text = f"OPERATOR_CHAT_ID=<code>{message.chat.id}</code>"
    if message.chat.type == ChatType.GROUP:
        # Topics make a supergroup of it, with another id.
        text = say("id-without-topics", desk.language)
    params: dict[str, object] = {"text": text, "parse_mode": "HTML"}
    if message.is_topic_message:
        params["message_thread_id"] = message.message_thread_id
    # Any group's members can ask: it is worth no second try, and must hold up nobody.
    await asyncio.to_thread(intake.done, desk, inbox_id)
    answers.send(message.chat.id, params)


async def joined(event: ChatMemberUpdated, desk: Desk, inbox_id: int, standing: Standing) -> None:
    """The bot was added to a group, promoted there, demoted or removed: said in the log."""
    status = event.new_chat_member.status
    if event.chat.id == desk.operator_chat_id:
        rights = {right: getattr(event.new_chat_member, right, False) for right in RIGHTS}
        await standing.found({"status": ChatMemberStatus(status).value, **rights})
        standing.reached()
    else:
        log.info("group", chat=event.chat.id, status=status)
    await asyncio.to_thread(intake.done, desk, inbox_id)

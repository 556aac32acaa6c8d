"""The operators' chat: what people write in customers' topics, and their commands."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiogram import F, Router
from aiogram.enums import ContentType
from aiogram.filters import CommandObject
from aiogram.types import Message, MessageEntity, MessageOriginUser, TelegramObject

from bot.customers import NOTICES, said
from bot.customers import command_named as customers_command
from bot.jobs import Jobs
from bot.wording import words
from desk.domain import ANONYMOUS_ADMIN
from desk.flow import edits, operators, ready_answers, releasing, roster, taking_back
from desk.flow.desk import Desk
from desk.flow.kept_back import SLASHES, is_note, stays_here
from desk.flow.replying import Quote

CHANGEABLE = frozenset(
    {
        ContentType.ANIMATION,
        ContentType.AUDIO,
        ContentType.DOCUMENT,
        ContentType.LIVE_PHOTO,
        ContentType.PHOTO,
        ContentType.TEXT,
        ContentType.VIDEO,
        ContentType.VOICE,
    }
)
"""What has a text or a caption that can be changed in a copy."""

Handler = Callable[..., Awaitable[None]]

command_named = partial(customers_command, prefix=SLASHES)
"""A command in a group, with whichever slash it was typed."""


def make_router(operator_chat_id: int) -> Router:
    router = Router(name="operators")
    router.message.filter(F.chat.id == operator_chat_id, F.from_user, _a_person)
    router.message.middleware(_keep_name)
    router.message.register(in_topic(operators.noted), F.is_topic_message, _is_note)
    router.message.register(in_topic(operators.noted), command_named("note"))
    # A command in a caption would be carried out and its file lost.
    router.message.register(keep_back, F.is_topic_message, ~F.text, _stays_here)
    takes_no_words = command_named(*operators.ALONE, magic=F.args)
    router.message.register(refuse_words, F.text, takes_no_words)
    router.message.register(in_topic(operators.took, _own_id), command_named("take"))
    router.message.register(in_topic(operators.resolved, _own_id), command_named("resolve"))
    router.message.register(release, command_named("release"))
    router.message.register(in_topic(ready_answers.wanted, _words), command_named("answer"))
    router.message.register(in_topic(taking_back.deleted, _replied_to), command_named("delete"))
    router.message.register(in_topic(operators.banned), command_named("ban"))
    router.message.register(in_topic(operators.unbanned), command_named("unban"))
    router.message.register(retrain, command_named("retrain"))
    router.message.register(anywhere(operators.queue_wanted), command_named("queue"))
    router.message.register(anywhere(operators.report_wanted), command_named("report"))
    router.message.register(anywhere(operators.help_wanted), command_named("help"))
    router.message.register(answer_unknown, F.text, command_named(re.compile("")))
    topic_closed = F.content_type == ContentType.FORUM_TOPIC_CLOSED
    topic_reopened = F.content_type == ContentType.FORUM_TOPIC_REOPENED
    router.message.register(in_topic(operators.closed_topic), F.is_topic_message, topic_closed)
    router.message.register(in_topic(operators.reopened_topic), F.is_topic_message, topic_reopened)
    # What no handler above took is a command for another bot, and never for the customer either.
    router.message.register(
        write, F.is_topic_message, F.content_type.not_in(NOTICES), _is_for_the_customer
    )
    router.message.register(
        answer_in_general, ~F.is_topic_message, F.reply_to_message, _is_for_the_customer
    )
    router.edited_message.filter(F.chat.id == operator_chat_id, F.from_user, _a_person)
    router.edited_message.register(rewrite, F.text, command_named(re.compile("")))
    router.edited_message.register(rewrite, F.is_topic_message, F.content_type.not_in(NOTICES))
    return router


def _a_person(message: Message) -> bool:
    """Not a bot. Who writes as the group itself or as a channel is told why that fails."""
    user = message.from_user
    return user is not None and (message.sender_chat is not None or not user.is_bot)


def _is_note(message: Message) -> bool:
    return is_note(words(message))


def _stays_here(message: Message) -> bool:
    return stays_here(words(message))


def _is_for_the_customer(message: Message) -> bool:
    return not _stays_here(message)


async def _keep_name(
    handler: Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]],
    event: TelegramObject,
    data: dict[str, Any],
) -> Any:
    """Learn from what operators write how they are called."""
    if isinstance(event, Message) and event.from_user is not None and event.sender_chat is None:
        user = event.from_user
        names = (user.full_name, user.username)
        await asyncio.to_thread(roster.keep_name, data["desk"], user.id, *names)
    return await handler(event, data)


async def write(message: Message, desk: Desk, inbox_id: int) -> None:
    await asyncio.to_thread(
        operators.operator_wrote,
        desk,
        inbox_id,
        _user(message),
        message.message_thread_id or 0,
        message.message_id,
        said(message),
        _replied_to(message),
        _quote(message),
        marks=_marks(message),
        is_from_bot=_is_from_bot(message),
    )


async def answer_in_general(message: Message, desk: Desk, inbox_id: int) -> None:
    number, replied_to = message.message_id, _replied_to(message) or 0
    await asyncio.to_thread(
        operators.answered_in_general, desk, inbox_id, _user(message), number, replied_to
    )


async def refuse_words(message: Message, desk: Desk, inbox_id: int, command: CommandObject) -> None:
    user, thread, name = _user(message), _topic(message), command.command.lower()
    await asyncio.to_thread(operators.alone, desk, inbox_id, user, thread, name)


async def rewrite(
    message: Message, desk: Desk, inbox_id: int, command: CommandObject | None = None
) -> None:
    method, payload = _rewriting(message)
    is_command = command is not None and command.command.lower() != "note"
    await asyncio.to_thread(
        edits.operator_changed,
        desk,
        inbox_id,
        _user(message),
        _topic(message) or 0,
        message.message_id,
        edits.Rewritten(said(message), method, payload, is_command, _marks(message)),
    )


async def keep_back(message: Message, desk: Desk, inbox_id: int) -> None:
    thread_id = message.message_thread_id or 0
    await asyncio.to_thread(
        operators.sent_file_with_command, desk, inbox_id, _user(message), thread_id
    )


def in_topic(
    act: Callable[..., None], *told: Callable[[Message, CommandObject | None], object]
) -> Handler:
    """A command about the customer of a topic; in General it is told where it works. What `told`
    finds in the message, the desk is told, too."""

    async def handle(
        message: Message, desk: Desk, inbox_id: int, command: CommandObject | None = None
    ) -> None:
        if thread_id := _topic(message):
            more = (each(message, command) for each in told)
            await asyncio.to_thread(act, desk, inbox_id, _user(message), thread_id, *more)
        else:
            await asyncio.to_thread(operators.misplaced, desk, inbox_id, _user(message))

    return handle


def anywhere(act: Callable[..., None]) -> Handler:
    """A command that is answered where it is written: in a topic or in General."""

    async def handle(message: Message, desk: Desk, inbox_id: int) -> None:
        await asyncio.to_thread(act, desk, inbox_id, _user(message), _topic(message))

    return handle


def _own_id(message: Message, _: CommandObject | None) -> int:
    """So that the answer replies to the command."""
    return message.message_id


def _words(_: Message, command: CommandObject | None) -> str:
    return (command.args if command else None) or ""


async def release(message: Message, desk: Desk, inbox_id: int) -> None:
    """A topic's conversation is given back, or in General all that the writer has."""
    writer, own_id = _user(message), message.message_id
    if thread_id := _topic(message):
        await asyncio.to_thread(releasing.released, desk, inbox_id, writer, thread_id, own_id)
    else:
        await asyncio.to_thread(releasing.released_all, desk, inbox_id, writer, own_id)


async def retrain(message: Message, desk: Desk, inbox_id: int, jobs: Jobs) -> None:
    run = await asyncio.to_thread(
        operators.ordered_training, desk, inbox_id, _user(message), _topic(message)
    )
    jobs.train(run)


async def answer_unknown(
    message: Message, desk: Desk, inbox_id: int, command: CommandObject
) -> None:
    await asyncio.to_thread(
        operators.mistyped,
        desk,
        inbox_id,
        _user(message),
        _topic(message),
        command.prefix + command.command,
    )


def _rewriting(message: Message) -> tuple[str | None, dict[str, Any]]:
    """The method that makes a copy of a message say what it says now, and its parameters; None
    where there is none for such a message."""
    if message.content_type not in CHANGEABLE:
        return None, {}
    name, method, marks = "text", "editMessageText", message.entities
    if message.text is None:
        name, method, marks = "caption", "editMessageCaption", message.caption_entities
    payload: dict[str, Any] = {name: message.text or message.caption or ""}
    if marks:
        payload["entities" if name == "text" else "caption_entities"] = _dumped(marks)
    # What a copy takes over by itself.
    if message.link_preview_options is not None and name == "text":
        # What Telegram did not send, aiogram has as a default of the bot, which is no JSON.
        payload["link_preview_options"] = message.link_preview_options.model_dump(
            mode="json", exclude_unset=True
        )
    if message.show_caption_above_media and name == "caption":
        payload["show_caption_above_media"] = True
    return method, payload


def _replied_to(message: Message, _: CommandObject | None = None) -> int | None:
    """What a message replies to. In a topic Telegram has it that all that replies to nothing
    replies to the topic itself."""
    answered = message.reply_to_message
    if answered is None or answered.message_id == message.message_thread_id:
        return None
    return answered.message_id


def _quote(message: Message) -> Quote | None:
    """The part that its author has marked of what a message replies to."""
    quote = message.quote
    if quote is None or not quote.is_manual:
        return None
    return Quote(quote.text, quote.position, _dumped(quote.entities or []))


def _is_from_bot(message: Message) -> bool:
    """Whether it is forwarded from this bot: a card, say, of another customer."""
    origin, bot = message.forward_origin, message.bot
    if not isinstance(origin, MessageOriginUser) or bot is None:
        return False
    return origin.sender_user.id == bot.id


def _marks(message: Message) -> list[dict[str, Any]]:
    return _dumped(message.entities or message.caption_entities or [])


def _dumped(marks: list[MessageEntity]) -> list[dict[str, Any]]:
    return [mark.model_dump(mode="json", exclude_none=True) for mark in marks]


def _topic(message: Message) -> int | None:
    """The topic to answer in; None for General."""
    return message.message_thread_id if message.is_topic_message else None


def _user(message: Message) -> int:
    if message.sender_chat is not None:
        # One id stands for all who write as a channel: nobody may be told to make it an operator.
        return ANONYMOUS_ADMIN
    return message.from_user.id if message.from_user else 0

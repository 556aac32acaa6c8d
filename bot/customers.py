"""Private chats: what customers send."""

from __future__ import annotations

import asyncio
import re
from functools import partial

from aiogram import F, Router
from aiogram.enums import ChatMemberStatus, ChatType, ContentType
from aiogram.filters import Command, CommandObject, CommandStart
from aiogram.types import (
    Chat,
    ChatMemberUpdated,
    Message,
    MessageOriginChannel,
    MessageOriginChat,
    MessageOriginHiddenUser,
    MessageOriginUser,
    User,
)

from bot.indicator import Indicator
from bot.jobs import Jobs
from bot.wording import is_text, links, words
from desk import faultpoints
from desk.domain import Person
from desk.flow import customers, edits, forwarding
from desk.flow.desk import Desk

NOTICES = frozenset(
    {
        ContentType.BOOST_ADDED,
        ContentType.CHANNEL_CHAT_CREATED,
        ContentType.CHAT_BACKGROUND_SET,
        ContentType.CHAT_OWNER_CHANGED,
        ContentType.CHAT_OWNER_LEFT,
        ContentType.CHAT_SHARED,
        ContentType.CHECKLIST_TASKS_ADDED,
        ContentType.CHECKLIST_TASKS_DONE,
        ContentType.COMMUNITY_CHAT_ADDED,
        ContentType.COMMUNITY_CHAT_JOINED,
        ContentType.COMMUNITY_CHAT_REMOVED,
        ContentType.CONNECTED_WEBSITE,
        ContentType.DELETE_CHAT_PHOTO,
        ContentType.DIRECT_MESSAGE_PRICE_CHANGED,
        ContentType.FORUM_TOPIC_CLOSED,
        ContentType.FORUM_TOPIC_CREATED,
        ContentType.FORUM_TOPIC_EDITED,
        ContentType.FORUM_TOPIC_REOPENED,
        ContentType.GENERAL_FORUM_TOPIC_HIDDEN,
        ContentType.GENERAL_FORUM_TOPIC_UNHIDDEN,
        ContentType.GIFT,
        ContentType.GIFT_UPGRADE_SENT,
        ContentType.GIVEAWAY_COMPLETED,
        ContentType.GIVEAWAY_CREATED,
        ContentType.GROUP_CHAT_CREATED,
        ContentType.LEFT_CHAT_MEMBER,
        ContentType.MANAGED_BOT_CREATED,
        ContentType.MESSAGE_AUTO_DELETE_TIMER_CHANGED,
        ContentType.MIGRATE_FROM_CHAT_ID,
        ContentType.MIGRATE_TO_CHAT_ID,
        ContentType.NEW_CHAT_MEMBERS,
        ContentType.NEW_CHAT_PHOTO,
        ContentType.NEW_CHAT_TITLE,
        ContentType.PAID_MESSAGE_PRICE_CHANGED,
        ContentType.PASSPORT_DATA,
        ContentType.PINNED_MESSAGE,
        ContentType.POLL_OPTION_ADDED,
        ContentType.POLL_OPTION_DELETED,
        ContentType.PROXIMITY_ALERT_TRIGGERED,
        ContentType.REFUNDED_PAYMENT,
        ContentType.SUCCESSFUL_PAYMENT,
        ContentType.SUGGESTED_POST_APPROVAL_FAILED,
        ContentType.SUGGESTED_POST_APPROVED,
        ContentType.SUGGESTED_POST_DECLINED,
        ContentType.SUGGESTED_POST_PAID,
        ContentType.SUGGESTED_POST_REFUNDED,
        ContentType.SUPERGROUP_CHAT_CREATED,
        ContentType.UNIQUE_GIFT,
        ContentType.USERS_SHARED,
        ContentType.USER_SHARED,
        ContentType.VIDEO_CHAT_ENDED,
        ContentType.VIDEO_CHAT_PARTICIPANTS_INVITED,
        ContentType.VIDEO_CHAT_SCHEDULED,
        ContentType.VIDEO_CHAT_STARTED,
        ContentType.WEB_APP_DATA,
        ContentType.WRITE_ACCESS_ALLOWED,
    }
)
"""What Telegram itself says in a chat. Everything else is sent by a person, also what there is no
name for yet: better that one is called for nothing than that something is met with silence."""

GESTURES = frozenset({ContentType.DICE, ContentType.STICKER})
"""What asks for nothing, unless a caption does. A video without sound comes as an animation."""

command_named = partial(Command, ignore_case=True)
"""Who is in a hurry shouts."""

NOTHING_TO_SEND = object()
"""What a handler returns whose update led to no delivery: the sender need not look."""


def make_router() -> Router:
    router = Router(name="customers")
    router.message.filter(F.chat.type == ChatType.PRIVATE, F.from_user.is_bot.is_(False))
    # What somebody else wrote is no command of the customer's either.
    router.message.register(forward, is_text, F.func(_origin).as_("origin"))
    # aiogram looks for commands in captions, too: a file is a file there, and would be lost.
    router.message.register(start, F.text, CommandStart(ignore_case=True))
    router.message.register(human, F.text, command_named("human"))
    router.message.register(privacy, F.text, command_named("privacy", magic=~F.args))
    # /help, and what the bot does not know: `/settings`, say. With words behind it, it may be a
    # question.
    router.message.register(help_, F.text, Command(re.compile(r"\w+"), magic=~F.args))
    router.message.register(write, is_text)
    router.message.register(send_file, F.content_type.not_in(NOTICES), command_named("human"))
    router.message.register(send_file, F.content_type.not_in(NOTICES))
    router.edited_message.filter(F.chat.type == ChatType.PRIVATE, F.from_user.is_bot.is_(False))
    router.edited_message.register(human, F.text, command_named("human"))
    router.edited_message.register(rewrite, F.content_type.not_in(NOTICES))
    router.my_chat_member.register(block, F.chat.type == ChatType.PRIVATE)
    return router


def said(message: Message) -> str:
    """The words of a message, or in brackets what it is."""
    return words(message) or f"[{message.content_type.replace('_', ' ')}]"


async def start(message: Message, desk: Desk, inbox_id: int, command: CommandObject) -> None:
    person, payload = _person(message), command.args or ""
    await asyncio.to_thread(customers.started, desk, inbox_id, person, payload)


async def help_(message: Message, desk: Desk, inbox_id: int, command: CommandObject) -> None:
    person, text, name = _person(message), said(message), command.command.lower()
    await asyncio.to_thread(customers.asked_for_help, desk, inbox_id, person, text, name)


async def privacy(message: Message, desk: Desk, inbox_id: int) -> None:
    await asyncio.to_thread(customers.asked_for_privacy, desk, inbox_id, _person(message))


async def human(message: Message, desk: Desk, inbox_id: int) -> None:
    person, text = _person(message), said(message)
    changed = message.message_id if message.edit_date is not None else None
    await asyncio.to_thread(customers.asked_for_person, desk, inbox_id, person, text, changed)


async def write(
    message: Message, desk: Desk, inbox_id: int, jobs: Jobs, indicator: Indicator
) -> object:
    waiting = await asyncio.to_thread(
        customers.wrote,
        desk,
        inbox_id,
        _person(message),
        message.message_id,
        said(message),
        _replied_to(message),
        list(links(message)),
    )
    _classify(message, waiting, jobs, indicator)
    return NOTHING_TO_SEND


async def rewrite(
    message: Message, desk: Desk, inbox_id: int, jobs: Jobs, indicator: Indicator
) -> None:
    waiting = await asyncio.to_thread(
        edits.customer_changed,
        desk,
        inbox_id,
        _person(message),
        message.message_id,
        said(message),
        is_file=not is_text(message),
        links=list(links(message)),
        has_words=words(message) is not None,
    )
    _classify(message, waiting, jobs, indicator)


def _classify(
    message: Message, waiting: tuple[int, int] | None, jobs: Jobs, indicator: Indicator
) -> None:
    _enqueue(waiting, jobs)
    if waiting is not None:
        indicator.start(message.chat.id, waiting[0])


def _enqueue(waiting: tuple[int, int] | None, jobs: Jobs) -> None:
    if waiting is not None:
        faultpoints.point("lane.before_enqueue")
        jobs.classify([waiting])


def _replied_to(message: Message) -> str | None:
    """What a message replies to by itself: the part that its author marked, or the whole."""
    if message.reply_to_message is None:
        return None  # what is quoted from elsewhere could pretend to be the desk's words
    return message.quote.text if message.quote is not None else said(message.reply_to_message)


def _origin(message: Message) -> str | None:
    """Who wrote a forwarded message, by name, where that was not the customer."""
    match message.forward_origin:
        case None:
            return None
        case MessageOriginUser(sender_user=user):
            if message.from_user is not None and user.id == message.from_user.id:
                return None
            name = user.full_name
        case MessageOriginHiddenUser(sender_user_name=hidden):
            name = hidden
        case MessageOriginChannel(chat=chat) | MessageOriginChat(sender_chat=chat):
            name = chat.full_name
    # A deleted account has none, and is somebody else all the same.
    return name or "–"


async def forward(message: Message, desk: Desk, inbox_id: int, origin: str) -> None:
    await asyncio.to_thread(
        forwarding.forwarded,
        desk,
        inbox_id,
        _person(message),
        message.message_id,
        said(message),
        origin,
        list(links(message)),
    )


async def send_file(
    message: Message,
    desk: Desk,
    inbox_id: int,
    jobs: Jobs,
    command: CommandObject | None = None,
) -> None:
    waiting = await asyncio.to_thread(
        customers.sent_file,
        desk,
        inbox_id,
        _person(message),
        message.message_id,
        said(message),
        gesture=message.content_type in GESTURES and not message.caption,
        asked=command is not None,
        forwarded_from=_origin(message),
        links=list(links(message)),
        has_words=words(message) is not None,
    )
    _enqueue(waiting, jobs)


async def block(event: ChatMemberUpdated, desk: Desk, inbox_id: int) -> None:
    gone = event.new_chat_member.status in (ChatMemberStatus.KICKED, ChatMemberStatus.LEFT)
    await asyncio.to_thread(customers.blocked, desk, inbox_id, event.chat.id, gone=gone)


def _person(message: Message) -> Person:
    return person_of(message.chat, message.from_user)


def person_of(chat: Chat, user: User | None) -> Person:
    """Who writes in a private chat."""
    if user is None:
        return Person(chat.id, chat.full_name, first_name=chat.first_name)
    return Person(chat.id, user.full_name, user.username, user.language_code, user.first_name)

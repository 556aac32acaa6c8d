"""Chats: their properties, topics and messages, and waiting for new ones."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from simulator.control.http import (
    Route,
    answer,
    find_bot,
    find_chat,
    number,
    optional_number,
    read_body,
    seconds,
    world_of,
)
from simulator.errors import ControlError
from simulator.model import ADMIN_RIGHTS, Chat, Json, Member
from simulator.view import PERMISSIONS, sim_chat, sim_message, sim_topic

_STATUSES = ("administrator", "member", "restricted", "left", "kicked")


async def list_chats(request: web.Request) -> web.Response:
    return answer([sim_chat(chat) for chat in world_of(request).chats()])


async def show_chat(request: web.Request) -> web.Response:
    return answer(sim_chat(find_chat(request)))


async def change_chat(request: web.Request) -> web.Response:
    world, body = world_of(request), await read_body(request)
    chat = find_chat(request)
    if chat.is_private:
        raise ControlError(409, "Only groups have properties to change.")
    if "is_forum" in body:
        chat.is_forum = bool(body["is_forum"])
    if "title" in body:
        chat.title = str(body["title"])
    _update_flags(chat.permissions, body.get("permissions"), PERMISSIONS)
    change = body.get("bot")
    if isinstance(change, dict):
        account = find_bot(request, {"bot": change.get("id")}).user
        member = chat.members.setdefault(account.id, Member(account, "left"))
        status = change.get("status", member.status)
        if status not in _STATUSES:
            raise ControlError(400, f"status must be one of: {', '.join(_STATUSES)}.")
        before = Member(account, member.status, dict(member.rights))
        _update_flags(member.rights, change.get("rights"), ADMIN_RIGHTS + PERMISSIONS)
        member.status = status
        if member != before:
            world.bot_member_changed(chat, before, member)
    world.members_changed(chat)
    return answer(sim_chat(chat))


def _update_flags(flags: dict[str, bool], change: Any, known: tuple[str, ...]) -> None:
    if change is None:
        return
    if not isinstance(change, dict) or not set(change) <= set(known):
        raise ControlError(400, f"Known names are: {', '.join(known)}.")
    flags.update({name: bool(value) for name, value in change.items()})


async def list_topics(request: web.Request) -> web.Response:
    return answer([sim_topic(topic) for topic in find_chat(request).topics.values()])


def _messages(chat: Chat, query: Any) -> list[Json]:
    after, thread = number(query, "after", 0), optional_number(query, "thread")
    sender, contains = query.get("from", ""), query.get("contains", "")
    if sender not in ("", "bot", "people"):
        raise ControlError(400, "from must be bot or people.")
    found = [
        sim_message(message)
        for message in chat.messages.values()
        if message.message_id > after
        and (thread is None or (message.thread_id or 1) == (thread or 1))
        and (not sender or message.from_bot == (sender == "bot"))
        and contains in message.text
        and (not message.deleted or query.get("deleted"))
    ]
    return found[-number(query, "limit", 500) :]


async def list_messages(request: web.Request) -> web.Response:
    return answer(_messages(find_chat(request), request.query))


async def wait_messages(request: web.Request) -> web.Response:
    world, chat, query = world_of(request), find_chat(request), request.query
    timeout = seconds(query, "timeout", 10.0)
    return answer(await world.bus.until(lambda: _messages(chat, query), timeout))


_CHAT = r"/sim/chats/{chat:-?\d+}"
_QUERY = "?after=&thread=&from=bot|people&contains=&limit=&deleted=&bot="
ROUTES = [
    Route("GET", "/sim/chats", list_chats, "list chats"),
    Route("GET", _CHAT, show_chat, "one chat"),
    Route(
        "PATCH",
        _CHAT,
        change_chat,
        "change a group",
        "{is_forum?, title?, permissions?, bot?: {id?, status?, rights?}}",
    ),
    Route("GET", _CHAT + "/topics", list_topics, "topics of a group"),
    Route("GET", _CHAT + "/messages", list_messages, "messages of a chat", _QUERY),
    Route("GET", _CHAT + "/wait", wait_messages, "wait for new ones", _QUERY + "&timeout="),
]

"""Watching: the log of what bots did, the snapshot of everything, health."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from simulator.control.http import (
    Route,
    answer,
    find_bot,
    find_user,
    number,
    optional_number,
    seconds,
    world_of,
)
from simulator.errors import ControlError
from simulator.keys import KEEPER
from simulator.methods.profile import commands_for
from simulator.model import Json
from simulator.view import member_json, sim_chat, sim_message, user_json
from simulator.world import World, bot_json


def _entries(world: World, query: Any) -> list[Json]:
    asked = query.get("ok", "")
    if asked not in ("", "true", "false"):
        raise ControlError(400, "ok must be true or false.")
    return world.log.find(
        after=number(query, "after", 0),
        method=query.get("method", ""),
        chat_id=optional_number(query, "chat_id"),
        ok=None if not asked else asked == "true",
    )


async def show_log(request: web.Request) -> web.Response:
    return answer(_entries(world_of(request), request.query))


async def wait_log(request: web.Request) -> web.Response:
    world, query = world_of(request), request.query
    timeout = seconds(query, "timeout", 10.0)
    return answer(await world.bus.until(lambda: _entries(world, query), timeout))


async def show_bots(request: web.Request) -> web.Response:
    return answer([bot_json(bot) for bot in world_of(request).bots])


async def show_commands(request: web.Request) -> web.Response:
    bot, user = find_bot(request), find_user(request)
    return answer(commands_for(bot, user))


async def show_state(request: web.Request) -> web.Response:
    world = world_of(request)
    return answer(
        {
            "event_id": world.bus.last_id,
            "log_seq": world.log.last_seq,
            "settings": world.settings.json(),
            "bots": [bot_json(bot) for bot in world.bots],
            "customers": [user_json(world.users[user_id]) for user_id in world.customers],
            "operators": [
                member_json(member)
                for member in world.operators.members.values()
                if not member.user.is_bot
            ],
            "operators_chat": world.operators.id,
            "chats": [
                sim_chat(chat)
                | {"messages": [sim_message(m) for m in chat.messages.values() if not m.deleted]}
                for chat in world.chats()
            ],
            "faults": [fault.json() for fault in world.faults.active],
        }
    )


async def health(request: web.Request) -> web.Response:
    keeper = request.app.get(KEEPER)
    return answer({"ok": True} | ({} if keeper is None else {"restored": keeper.restored}))


ROUTES = [
    Route("GET", "/sim/health", health, "is it up"),
    Route("GET", "/sim/state", show_state, "a snapshot of everything"),
    Route("GET", "/sim/bots", show_bots, "the bots that exist"),
    Route("GET", r"/sim/customers/{user:\d+}/commands", show_commands, "the commands they see"),
    Route("GET", "/sim/log", show_log, "what bots did", "?after=&method=&chat_id=&ok="),
    Route(
        "GET",
        "/sim/log/wait",
        wait_log,
        "wait for entries",
        "?after=&method=&chat_id=&ok=&timeout=",
    ),
]

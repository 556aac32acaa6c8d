"""Reading control requests and answering them; the table that routes and index come from."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from simulator.errors import ControlError
from simulator.keys import WORLD
from simulator.model import Chat, Json, User
from simulator.params import loads
from simulator.utf16 import encodable
from simulator.world import Bot, World

MAX_WAIT = 60.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Route:
    """One control route: what it is for, and the body or query it takes."""

    method: str
    path: str
    handler: Handler
    purpose: str
    takes: str = ""


def routes_of(table: Sequence[Route]) -> list[web.RouteDef]:
    """The table as aiohttp routes."""
    return [web.route(route.method, route.path, route.handler) for route in table]


def index_of(table: Sequence[Route]) -> list[Json]:
    """The table as GET /sim/ shows it."""
    return [
        {
            "method": route.method,
            "path": re.sub(r":[^}]+", "", route.path),
            "purpose": route.purpose,
            "takes": route.takes,
        }
        for route in table
    ]


def answer(body: Any, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.json_response(body, status=status)


def world_of(request: web.Request) -> World:
    """The world behind the request."""
    return request.app[WORLD]


async def read_body(request: web.Request) -> Json:
    """The JSON object of the body; {} when there is none. Raises ControlError."""
    raw = await request.read()
    if not raw.strip():
        return {}
    try:
        body = loads(raw)
    except (ValueError, RecursionError):
        raise ControlError(400, "The body is not JSON.") from None
    if not isinstance(body, dict):
        raise ControlError(400, "The body must be a JSON object.")
    if not encodable(body):
        raise ControlError(400, "The body holds half a surrogate pair, which is no text.")
    return body


def number(source: Any, name: str, default: int | None = None) -> int:
    """An integer out of a body or a query; raises ControlError when absent or no integer."""
    value = source.get(name)
    if value is None or value == "":
        if default is None:
            raise ControlError(400, f"{name} is required.")
        return default
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ControlError(400, f"{name} must be a number.") from None


def optional_number(source: Any, name: str) -> int | None:
    """Like `number`, with None for an absent one."""
    return None if source.get(name) in (None, "") else number(source, name)


def seconds(source: Any, name: str, default: float, most: float = MAX_WAIT) -> float:
    """A waiting time out of a body or a query, no longer than `most`."""
    try:
        value = float(source.get(name, default))
    except (TypeError, ValueError):
        raise ControlError(400, f"{name} must be a number of seconds.") from None
    return min(most, max(0.0, value)) if value == value else default


def find_user(request: web.Request) -> User:
    """The person the path names."""
    user_id = int(request.match_info["user"])
    user = world_of(request).users.get(user_id)
    if user is None or user.is_bot:
        raise ControlError(404, f"There is no person {user_id}.")
    return user


def find_bot(request: web.Request, body: Json | None = None) -> Bot:
    """The bot that `bot` (an id) names in the body or the query; else the first one."""
    world = world_of(request)
    asked = (body or {}).get("bot") or request.query.get("bot")
    if not asked or isinstance(asked, dict):
        return world.bots[0]
    bot = world.bot_of(number({"bot": asked}, "bot"))
    if bot is None:
        raise ControlError(404, f"There is no bot {asked}.")
    return bot


def find_chat(request: web.Request, body: Json | None = None) -> Chat:
    """The chat the path names: a group's id, or a person's id for the chat with the bot."""
    world = world_of(request)
    chat_id = int(request.match_info["chat"])
    if chat_id in world.groups:
        return world.groups[chat_id]
    user = world.users.get(chat_id)
    if user is None or user.is_bot:
        raise ControlError(404, f"There is no chat {chat_id}.")
    return world.private_chat(find_bot(request, body), user)


@web.middleware
async def control_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn ControlError into a JSON answer."""
    if not request.path.startswith("/sim/"):
        return await handler(request)
    try:
        return await handler(request)
    except ControlError as error:
        return answer({"error": error.sentence}, error.status)
    except web.HTTPClientError as error:
        sentence = f"{request.method} {request.path}: {error.reason}. GET /sim/ lists the routes."
        return answer({"error": sentence}, error.status)

"""The Bot API over HTTP: tokens, parameters, faults, limits, the log, and file downloads."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import Any

from aiohttp import web

from simulator.errors import ApiError, bad_request, not_found, too_many_requests, unauthorized
from simulator.faults import Fault
from simulator.keys import WORLD
from simulator.methods import METHODS, Call
from simulator.model import Json
from simulator.params import Params, read_params, to_integer
from simulator.utf16 import encodable
from simulator.world import Bot, World

logger = logging.getLogger(__name__)
BAD_GATEWAY = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    "<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.18.0</center>\r\n"
    "</body>\r\n</html>\r\n"
)


def _chat_id(params: Params) -> int | None:
    return to_integer(params.values["chat_id"]) if params.has("chat_id") else None


async def perform(world: World, bot: Bot, name: str, params: Params, fault: str = "") -> Json:
    """Run one method and log it; returns the JSON answer, failed or not."""
    real_name, handler = METHODS[name.lower()]
    chat_id = _chat_id(params)
    shown = params.shown()
    try:
        world.limits.check(name, bot.key, chat_id)
        result: Any = handler(Call(world, bot, params))
        if inspect.isawaitable(result):
            result = await result
        answer: Json = {"ok": True, "result": result}
    except ApiError as error:
        answer = error.body()
    log(world, bot, real_name, shown, chat_id, answer, fault)
    return answer


def log(
    world: World, bot: Bot, name: str, params: Json, chat_id: int | None, answer: Json, fault: str
) -> None:
    """Add a call to the log and tell the watchers."""
    if name == "getUpdates" and answer["ok"]:
        return
    entry: Json = {"time": world.clock(), "bot_id": bot.user.id, "method": name}
    entry |= {"chat_id": chat_id, "params": params, "ok": answer["ok"]}
    entry["result"] = answer.get("result")
    entry["error"] = None if answer["ok"] else answer
    entry["fault"] = fault
    world.bus.publish("call", world.log.add(entry))


def _answer(body: Json) -> web.Response:
    return web.json_response(body, status=200 if body["ok"] else body["error_code"])


async def _troubled(
    request: web.Request, world: World, bot: Bot, name: str, params: Params, fault: Fault
) -> web.StreamResponse:
    """Answer a call that meets a fault."""
    kind, chat_id = fault.kind, _chat_id(params)
    if kind == "slow":
        await world.bus.until(lambda: world.bus.closing, fault.seconds)
        return _answer(await perform(world, bot, name, params, kind))
    if kind == "lost":
        await perform(world, bot, name, params, kind)
        return _hang_up(request)
    if kind == "too_many_requests":
        error = too_many_requests(fault.retry_after)
    elif kind == "server_error":
        words = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable"}
        error = ApiError(fault.status, fault.description or words.get(fault.status, "Server Error"))
    else:
        error = ApiError(fault.status, fault.description or "Bad Request", fault.parameters)
    log(world, bot, METHODS[name.lower()][0], params.shown(), chat_id, error.body(), kind)
    if kind == "refused":
        return _hang_up(request)
    if kind == "server_error" and fault.status == 502:
        return web.Response(status=502, text=BAD_GATEWAY, content_type="text/html")
    return _answer(error.body())


def _hang_up(request: web.Request) -> web.StreamResponse:
    """Drop the connection as a broken network would."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def call_method(request: web.Request) -> web.StreamResponse:
    """/bot<token>/<method>"""
    world = request.app[WORLD]
    bot = world.bot_by_token(request.match_info["token"])
    if bot is None:
        return _answer(unauthorized().body())
    name = request.match_info["method"]
    if name.lower() not in METHODS:
        return _answer(not_found().body())
    try:
        params = await read_params(request)
    except ApiError as error:
        return _answer(error.body())
    except web.HTTPRequestEntityTooLarge:
        return _answer(ApiError(413, "Request Entity Too Large").body())
    fault = world.faults.next_for(name, _chat_id(params))
    if fault is not None:
        return await _troubled(request, world, bot, name, params, fault)
    try:
        return _answer(await perform(world, bot, name, params))
    except asyncio.CancelledError:
        raise
    except Exception:
        logger.exception("simulator: %s failed", name)
        body = ApiError(500, "Internal Server Error: the simulator itself failed").body()
        return _answer(body)


async def unknown(request: web.Request) -> web.StreamResponse:
    """Any other path below /bot or /file."""
    return _answer(not_found().body())


async def download(request: web.Request) -> web.StreamResponse:
    """/file/bot<token>/<path>"""
    world = request.app[WORLD]
    if world.bot_by_token(request.match_info["token"]) is None:
        return _answer(unauthorized().body())
    path = request.match_info["path"]
    if not encodable(path):
        return _answer(bad_request("invalid file path").body())
    stored = world.files.by_path.get(path)
    if stored is None:
        return _answer(not_found().body())
    return web.Response(body=stored.data, content_type="application/octet-stream")


def routes() -> list[web.AbstractRouteDef]:
    """The Bot API's routes."""
    method = "/bot{token:[^/]+}/{method:[^/]+}"
    return [
        web.route("*", method, call_method),
        web.route("*", method + "/", call_method),
        web.get("/file/bot{token:[^/]+}/{path:.+}", download),
        web.route("*", "/bot{rest:.*}", unknown),
        web.route("*", "/file/{rest:.*}", unknown),
    ]

"""The webhook: Telegram hears 200 only after the update is committed."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable
from typing import NamedTuple

import structlog
from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

from bot.checks import WrongSettingsError
from bot.disturbance import Disturbance
from bot.intake import incoming

log = structlog.get_logger(__name__)

PATH = "/telegram"
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - the header's name
MAX_BODY = 1024 * 1024


class Webhook(NamedTuple):
    """Where Telegram sends updates, with which secret, and the port here that gets them."""

    url: str
    secret: str
    port: int


def make_app(
    bot_id: int, secret: str, disturbance: Disturbance, stored: Callable[[], None]
) -> web.Application:
    """The web application; `stored` is called after every commit. The secret is required."""
    if not secret:
        raise WrongSettingsError("A webhook needs a secret: set WEBHOOK_SECRET.")
    expected = secret.encode()

    async def receive(request: web.Request) -> web.Response:
        given = request.headers.get(SECRET_HEADER, "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, expected):
            return web.Response(status=403)
        try:
            raw = json.loads(await request.read())
        except (ValueError, RecursionError):
            return web.Response(status=400, text="not JSON")
        update = incoming(bot_id, raw)
        if update is None:
            return web.Response(status=400, text="not an update")
        try:
            new = await disturbance.store([update])
        except SQLAlchemyError as error:
            log.warning("update_not_stored", error=type(error).__name__)
            return web.Response(status=503)  # Telegram delivers it again
        if new:
            stored()
        return web.Response()

    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_post(PATH, receive)
    return app


async def serve(app: web.Application, port: int, stop: asyncio.Event) -> None:
    """Listen on all addresses until `stop`; requests under way are finished."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, port=port).start()
        except OSError as error:
            raise WrongSettingsError(
                f"Port {port} cannot be used for the webhook ({error.strerror}): stop the program "
                "that holds it, or set WEBHOOK_PORT to another."
            ) from None
        await stop.wait()
    finally:
        await runner.cleanup()


def address(url: str) -> str:
    """What Telegram is told to call: the public address with the path of `make_app`."""
    url = url.rstrip("/")
    return url if url.endswith(PATH) else url + PATH

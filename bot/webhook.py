"""The webhook: Telegram hears 200 only after the update is committed, and is asked how it fares."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError
from yarl import URL

from bot.checks import WrongSettingsError
from bot.disturbance import Disturbance
from bot.intake import ALLOWED_UPDATES, incoming
from bot.telegram import Telegram, TelegramError
from bot.waiting import pause
from desk import metrics

log = structlog.get_logger(__name__)

PATH = "/telegram"
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - the header's name
MAX_BODY = 1024 * 1024
WATCH_SECONDS = 60.0
RECENT_SECONDS = 900.0
"""Telegram keeps its last failure for good; an older one says nothing of what waits now."""


class Webhook(NamedTuple):
    """Where Telegram sends updates, with which secret, and the port here that gets them."""

    url: str
    secret: str
    port: int


def make_app(
    bot_id: int,
    secret: str,
    disturbance: Disturbance,
    stored: Callable[[], None],
    path: str = PATH,
) -> web.Application:
    """The web application; `stored` is called after every commit.

    It answers at `path` (decoded), and at `PATH`, where the calls arrive behind a proxy that cuts
    the rest off. The secret is required.
    """
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
    for each in sorted({PATH, path}):
        app.router.add_post(each, receive)
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
    """What Telegram is told to call: the public address, and `PATH` below it."""
    url = url.rstrip("/")
    return url if url.endswith(PATH) else url + PATH


def path(url: str) -> str:
    """Where those calls arrive unless a proxy cuts the path, decoded as aiohttp compares it."""
    return URL.build(path=urlsplit(address(url)).path, encoded=True).path_safe


async def announce(telegram: Telegram, url: str, secret: str) -> None:
    """Tell Telegram to call the webhook. Raises `TelegramError`."""
    params = {"url": address(url), "secret_token": secret, "allowed_updates": ALLOWED_UPDATES}
    await telegram.call("setWebhook", params)


async def watch(telegram: Telegram, url: str, secret: str, stop: asyncio.Event) -> None:
    """Ask Telegram from time to time whether updates get through, until `stop`.

    Nothing else would notice that they don't. A webhook that another program has taken away is
    set again.
    """
    while True:
        try:
            info = await telegram.call("getWebhookInfo")
            problem = trouble(info, url)
            if problem is not None:
                log.error("webhook_fails", error=problem)
            lost = not _is_ours(info, url)
            metrics.WEBHOOK_LOST.set(lost)
            metrics.WEBHOOK_PENDING.set(info.get("pending_update_count", 0))
            metrics.WEBHOOK_ERROR.set(info.get("last_error_date", 0))
            if lost:
                await announce(telegram, url, secret)
        except TelegramError as error:
            log.warning("webhook_not_looked_after", error=str(error))
        if await pause(stop, WATCH_SECONDS):
            return


def trouble(info: dict[str, Any], url: str) -> str | None:
    """What Telegram's `getWebhookInfo` says is wrong, as a sentence; None when all is well."""
    if not _is_ours(info, url):
        # The path of another program's address may be a secret.
        other = f"calls {urlsplit(info['url']).hostname}" if info.get("url") else "has no webhook"
        return f"Telegram {other}, and does not call {address(url)}."
    waiting, failed_at = info.get("pending_update_count", 0), info.get("last_error_date", 0)
    seconds = time.time() - failed_at
    if not waiting or seconds > RECENT_SECONDS:
        return None
    return (
        f"{waiting} updates wait at Telegram, which could not deliver to {address(url)} "
        f"{seconds:.0f} s ago: {info.get('last_error_message')}."
    )


def _is_ours(info: dict[str, Any], url: str) -> bool:
    return bool(info.get("url") == address(url))

"""The web application and its life: start, serve, stop at once."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from aiohttp import web

from simulator import botapi, control
from simulator.control.http import answer, control_errors
from simulator.doors import doors, is_loopback
from simulator.keys import KEEPER, WORLD
from simulator.methods import METHODS
from simulator.state import Keeper
from simulator.webhook import WebhookPoster
from simulator.world import DEFAULT_TOKEN, Settings, World

STATIC = Path(__file__).parent / "static"
WEBHOOK_TIMEOUT = aiohttp.ClientTimeout(total=60)
MAX_BODY = 60 * 1024 * 1024
_SECURITY = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


async def _page(request: web.Request) -> web.StreamResponse:
    return web.FileResponse(STATIC / "index.html", headers=_SECURITY)


async def _asset(request: web.Request) -> web.StreamResponse:
    return web.FileResponse(STATIC / request.match_info["name"], headers=_SECURITY)


async def _index(request: web.Request) -> web.Response:
    return answer(
        {
            "simulator": "A Telegram on your own machine.",
            "bot_api": "/bot<TOKEN>/<method>",
            "files": "/file/bot<TOKEN>/<path>",
            "page": "/",
            "default_token": DEFAULT_TOKEN,
            "methods": sorted(name for name, _ in METHODS.values()),
            "routes": control.INDEX,
        }
    )


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _posting(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(timeout=WEBHOOK_TIMEOUT) as session:
        task = asyncio.create_task(WebhookPoster(app[WORLD], session).run())
        yield
        await _end(task)


async def _keeping(app: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(app[KEEPER].run())
    yield
    await _end(task)


async def _closing(app: web.Application) -> None:
    app[WORLD].bus.close()


def make_app(world: World, keeper: Keeper | None, *, loopback: bool) -> web.Application:
    """The whole simulator as an aiohttp application; `loopback`: only this machine reaches it."""
    app = web.Application(
        client_max_size=MAX_BODY, middlewares=[doors(loopback=loopback), control_errors]
    )
    app[WORLD] = world
    if keeper is not None:
        app[KEEPER] = keeper
        app.cleanup_ctx.append(_keeping)
    app.router.add_get("/", _page)
    app.router.add_get(r"/static/{name:[a-z]+\.(?:css|js)}", _asset)
    app.router.add_get("/sim/", _index)
    app.router.add_get("/sim", _index)
    app.add_routes(control.ROUTES)
    app.add_routes(botapi.routes())
    app.cleanup_ctx.append(_posting)
    app.on_shutdown.append(_closing)
    return app


class Simulator:
    """A running simulator; `async with Simulator() as sim` gives one on a free port.

    With `state`, the world comes out of this file and is kept in it; raises `StateError`.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        settings: Settings | None = None,
        state: Path | None = None,
    ) -> None:
        self.world = World(settings)
        self._keeper = None if state is None else Keeper(state, self.world)
        self.host = host
        self.port = port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The base address, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def start(self) -> None:
        """Listen; raises OSError when the port is taken."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.create_server((self.host, self.port), family=family, backlog=256)
        try:
            if self._keeper is not None:
                self._keeper.load()
        except BaseException:
            listener.close()
            raise
        address, self.port = listener.getsockname()[:2]
        app = make_app(self.world, self._keeper, loopback=is_loopback(address))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.3)
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        """End open polls and streams and close."""
        if self._runner is not None:
            try:
                await self._runner.cleanup()
            finally:
                self._runner = None
                if self._keeper is not None:
                    self._keeper.close()

    async def __aenter__(self) -> Simulator:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

"""Keeps pages of other sites out: a browser would carry their requests to this machine.

A page may send requests anywhere, and its own name may lead here as well (DNS rebinding). Clients
that are no browser name no page that they come from.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from simulator.errors import forbidden


def doors(loopback: bool) -> Middleware:
    """The middleware; with `loopback` only names of this machine are known."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if loopback and not _is_this_machine(request.host):
            return _refusal(request, "Use 127.0.0.1 or localhost; no other name is known here.")
        if _is_foreign(request) and not _is_page(request):
            return _refusal(request, "Requests from another site's page are refused.")
        return await handler(request)

    return guard


def is_loopback(host: str) -> bool:
    """Whether an address reaches this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_this_machine(authority: str) -> bool:
    """Whether a Host header names this machine, whatever the port."""
    try:
        name = urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or is_loopback(name)


def _is_foreign(request: web.Request) -> bool:
    origin = request.headers.get("Origin")
    if origin is not None:
        return origin.partition("://")[2] != request.host
    # What a browser sends without an Origin, such as the GET of an image.
    return request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")


def _is_page(request: web.Request) -> bool:
    """Whether it asks for the page or a file of it, to which any site may have a link."""
    shown = request.path == "/" or request.path.startswith("/static/")
    return shown and request.method in ("GET", "HEAD")


def _refusal(request: web.Request, sentence: str) -> web.Response:
    body = {"error": sentence}
    if request.path.startswith(("/bot", "/file/")):
        body = forbidden(sentence).body()
    return web.json_response(body, status=403)

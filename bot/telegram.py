"""Calls to the Bot API as raw JSON, with errors that say what may have happened.

aiogram parses and routes updates; calls go through here, because intake must keep an update as it
came and the sender must know whether a failed call may have reached Telegram all the same.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import aiohttp

from desk import metrics

PRODUCTION = "https://api.telegram.org"
CALL_SECONDS = 20.0
CONNECT_SECONDS = 5.0
KEPT_SECONDS = 15.0
"""So long an idle connection is kept for the next call."""

TOKEN_REFUSED = (401, 404)
"""How Telegram says, whatever the method, that it does not know the token."""


class TelegramError(Exception):
    """A call failed. The text never holds the address, which holds the token."""

    retry_after: float | None = None
    kind = "error"
    """How it is counted: a Bot API error code, or a word."""

    @property
    def away(self) -> bool:
        """Whether it says nothing of our settings: the same call may succeed later."""
        return True


class RefusedError(TelegramError):
    """The answer is an error: Telegram's own, or with `foreign` that of a proxy on the way."""

    def __init__(
        self,
        code: int,
        description: str,
        retry_after: float | None = None,
        migrate_to: int | None = None,
        *,
        foreign: bool = False,
    ) -> None:
        super().__init__(f"{code} {description}")
        self.code = code
        # What a proxy on the way makes up is not worth a series of its own.
        self.kind = str(code) if 400 <= code < 600 else "other"
        self.description = description
        self.retry_after = retry_after
        self.migrate_to = migrate_to
        self.foreign = foreign

    @property
    def away(self) -> bool:
        return self.foreign or self.code == 429 or self.code >= 500

    def says(self, *words: str) -> bool:
        """Whether the description has one of these phrases, in any case."""
        text = self.description.lower()
        return any(word.lower() in text for word in words)


class UnreachableError(TelegramError):
    """The call did not leave: there was no connection. It is safe to repeat."""

    kind = "unreachable"


class LostAnswerError(TelegramError):
    """The call left and no answer came back: it may have been carried out."""

    kind = "answer_lost"


class Telegram:
    """The Bot API with one token; `async with` opens and closes its connections."""

    def __init__(self, token: str, api_url: str | None = None) -> None:
        self.url = (api_url or PRODUCTION).rstrip("/")
        self._base = f"{self.url}/bot{token}/"
        # A proxy from the environment is for reaching Telegram, not for a server of our own.
        self._trust_env = api_url is None
        self._session: aiohttp.ClientSession | None = None
        self._doubt_until = 0.0

    async def __aenter__(self) -> Self:
        self._session = self._connections()
        return self

    def _connections(self) -> aiohttp.ClientSession:
        tracing = aiohttp.TraceConfig()
        tracing.on_request_headers_sent.append(_leaves)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(keepalive_timeout=KEPT_SECONDS),
            trust_env=self._trust_env,
            trace_configs=[tracing],
        )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(
        self, method: str, params: Mapping[str, Any] | None = None, seconds: float = CALL_SECONDS
    ) -> Any:
        """The `result` of a method; raises `TelegramError`."""
        if self._session is None:
            raise RuntimeError("the Telegram client is not open")
        started = time.perf_counter()
        try:
            if time.monotonic() >= self._doubt_until:
                return await self._call(self._session, method, params, seconds)
            async with self._connections() as own:
                return await self._call(own, method, params, seconds)
        except TelegramError as error:
            if isinstance(error, LostAnswerError):
                # A network that forgot one connection has as a rule forgotten all that idle, and
                # each of them would lose a call: the next ones take connections of their own.
                self._doubt_until = time.monotonic() + KEPT_SECONDS
            metrics.TELEGRAM_ERRORS.labels(error.kind).inc()
            raise
        finally:
            if method != "getUpdates":  # which waits for updates
                metrics.TELEGRAM_SECONDS.labels(method).observe(time.perf_counter() - started)

    async def _call(
        self,
        session: aiohttp.ClientSession,
        method: str,
        params: Mapping[str, Any] | None,
        seconds: float,
    ) -> Any:
        timeout = aiohttp.ClientTimeout(
            total=seconds, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS
        )
        left = asyncio.Event()
        try:
            async with session.post(
                self._base + method,
                json=dict(params or {}),
                timeout=timeout,
                trace_request_ctx=left,
            ) as response:
                status, body = response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # A proxy that refuses or breaks off has the same errors as one that let the call pass.
            if left.is_set():
                raise LostAnswerError(f"no answer to {method}: {_cause(error)}") from None
            raise UnreachableError(f"no connection to {self.url}: {_cause(error)}") from None
        return _result(method, status, body)


async def _leaves(
    _: aiohttp.ClientSession,
    context: SimpleNamespace,
    __: aiohttp.TraceRequestHeadersSentParams,
) -> None:
    """There is a connection to Telegram, and the call goes out: a CONNECT to a proxy is none."""
    context.trace_request_ctx.set()


def _cause(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered with status {error.status}"
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error is not None:
        return error.os_error.strerror or type(error.os_error).__name__
    return type(error).__name__


def _result(method: str, status: int, body: bytes) -> Any:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or "ok" not in answer:
        if status >= 400:
            raise RefusedError(status, f"HTTP status {status}", foreign=True)
        raise LostAnswerError(f"the answer to {method} is not Telegram's")
    if answer["ok"] is True:
        return answer.get("result")
    parameters = answer.get("parameters") or {}
    raise RefusedError(
        int(answer.get("error_code") or status),
        str(answer.get("description") or f"HTTP status {status}"),
        parameters.get("retry_after"),
        parameters.get("migrate_to_chat_id"),
    )

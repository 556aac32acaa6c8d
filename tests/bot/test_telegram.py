"""Calls to the Bot API: what an error says of whether the call has left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bot.telegram import LostAnswerError, Telegram, UnreachableError, _result
from simulator.world import DEFAULT_TOKEN

ANSWERS = {
    "proxy authentication": b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
    "bad gateway": b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
    "unavailable": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "dropped": b"",
    "dropped within": b"HTTP/1.1 200 Connection established\r\n\r\n",
}
"""What a proxy says to CONNECT before it closes the connection."""


@asynccontextmanager
async def refusing_proxy(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """The environment's proxy, which lets nothing through."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        host, port = server.sockets[0].getsockname()
        monkeypatch.setenv("https_proxy", f"http://{host}:{port}")
        yield


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_what_a_proxy_lets_nothing_through_of_has_not_left(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with refusing_proxy(answer, monkeypatch), Telegram(DEFAULT_TOKEN) as telegram:
        with pytest.raises(UnreachableError) as caught:
            await telegram.call("sendMessage", {"chat_id": 1, "text": "hello"})
    if b"407" in answer:
        assert "the proxy answered with status 407" in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>Welcome to our network</html>", b"[]", b"{}", b""])
def test_a_good_status_without_telegrams_answer_says_nothing_of_the_call(body: bytes) -> None:
    with pytest.raises(LostAnswerError, match="is not Telegram's"):
        _result("sendMessage", 200, body)

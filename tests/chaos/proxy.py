"""A TCP proxy that can cut, refuse, delay, be silent, or swallow an answer, and be itself again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

CHUNK = 65536


class Proxy:
    """Stands on a loopback port before a server: a TCP port of this machine or a Unix socket."""

    def __init__(self, target: int | Path) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._pairs: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._delay = 0.0
        self._silent = False
        self._swallow = b""
        self.swallowed = 0
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.restore()

    def restore(self) -> None:
        """Let everything through again. What was met with silence is cut: no answer is left."""
        self._delay, self._swallow = 0.0, b""
        if self._silent:
            self._silent = False
            self.cut()
        self._do(self._open())

    def cut(self) -> None:
        """Drop every connection of now; new ones are welcome."""
        self._do(self._drop())

    def refuse(self) -> None:
        """Drop every connection and refuse new ones, as a server that is down does."""
        self._do(self._shut())

    def delay(self, seconds: float) -> None:
        """Hold back every answer for so long."""
        self._delay = seconds

    def silent(self) -> None:
        """Accept connections and requests, and answer none: a host that drops packets."""
        self._silent = True

    def swallow(self, command: bytes) -> None:
        """The next request with these bytes is passed on, and its connection dies unanswered."""
        self._swallow = command

    def lead_to(self, target: int | Path) -> None:
        """New connections lead to another server; those of now live on, as after a failover."""
        self._target = target

    def close(self) -> None:
        """End it, with all connections."""
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._drop()

    async def _drop(self) -> None:
        pairs = [pair for pair in self._pairs if pair is not asyncio.current_task()]
        for pair in pairs:
            pair.cancel()
        await asyncio.gather(*pairs, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pairs.add(task)
        writers = [writer]
        try:
            if isinstance(self._target, Path):
                answers, requests = await asyncio.open_unix_connection(str(self._target))
            else:
                answers, requests = await asyncio.open_connection("127.0.0.1", self._target)
            writers.append(requests)
            doomed = asyncio.Event()
            ways = [
                asyncio.ensure_future(self._requests(reader, requests, doomed)),
                asyncio.ensure_future(self._answers(answers, writer, doomed)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass  # the server is away, or the test cuts the line: the client sees it closed
        finally:
            self._pairs.discard(task)
            for end in writers:
                end.transport.abort()

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, doomed: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if self._silent:
                    continue
                if self._swallow and self._swallow in data:
                    self._swallow = b""
                    doomed.set()
                writer.write(data)
                await writer.drain()

    async def _answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, doomed: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if doomed.is_set():
                    # The server has answered, so the command went through. Nobody hears of it.
                    self.swallowed += 1
                    return
                if self._silent:
                    continue
                if self._delay:
                    await asyncio.sleep(self._delay)
                writer.write(data)
                await writer.drain()

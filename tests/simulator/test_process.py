"""`python -m simulator`: how it starts, how it refuses to, how it stops."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

ROOT = Path(__file__).parents[2]
Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    processes: list[Process] = []

    async def run(*arguments: str) -> Process:
        command = (sys.executable, "-m", "simulator", *arguments)
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE, stderr=PIPE)
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def listening(process: Process) -> str:
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line.startswith("simulator listening on http://127.0.0.1:"), line
    return line.split()[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_at_once_with_polls_and_streams_open(
    start: Start, session: aiohttp.ClientSession, number: signal.Signals
) -> None:
    process = await start("--port", "0")
    url = await listening(process)
    token = "1:" + "A" * 35
    poll = asyncio.create_task(session.get(f"{url}/bot{token}/getUpdates?timeout=50"))
    async with session.get(f"{url}/sim/events") as stream:
        await stream.content.readline()
        started = time.monotonic()
        process.send_signal(number)
        assert await process.wait() == 0
        assert time.monotonic() - started < 10  # a poll lasts 50
    answer = await poll
    assert await answer.json() == {"ok": True, "result": []}
    assert process.stderr is not None
    assert await process.stderr.read() == b""


async def test_a_port_in_use_is_told_in_one_sentence(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await start("--port", str(port))
        out, err = await process.communicate()
    assert process.returncode == 2
    assert out == b""
    assert err.decode() == (
        f"Port {port} on 127.0.0.1 is in use: "
        "stop the program that holds it, or choose another with --port.\n"
    )


async def test_the_operators_chat_and_the_token_can_be_chosen(
    start: Start, session: aiohttp.ClientSession
) -> None:
    token = "5:" + "B" * 35
    process = await start("--port", "0", "--operators-chat", "-100777", "--token", token)
    url = await listening(process)
    async with session.get(f"{url}/bot{token}/getChat?chat_id=-100777") as response:
        assert (await response.json())["result"]["is_forum"] is True
    async with session.get(f"{url}/bot6:{'B' * 35}/getMe") as response:
        assert response.status == 401


@pytest.mark.parametrize(
    "arguments", [("--token", "x"), ("--operators-chat", "5"), ("--port", "99999")]
)
async def test_faulty_options_are_refused(start: Start, arguments: tuple[str, str]) -> None:
    process = await start("--port", "0", *arguments)
    _, err = await process.communicate()
    assert process.returncode == 2
    assert b"Traceback" not in err

"""From a customer's message to the reply, at idle, beside a bot that only echoes.

    python benchmarks/reply.py [--messages 200] [--json]

Both bots get their messages from a simulator of their own, in turn, one at a time: the desk with
everything it has (inbox, queue, worker with a real model, sender, SQLite), the echo bot with
aiogram's polling alone. Measured is what a customer sees: from handing the message to Telegram
until the reply stands in the chat. Trains a starter model first if MODELS_DIR has none.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).resolve().parents[1]
WARM_UP = 10
TEXTS = (
    "where is my parcel",
    "how do i send these boots back?",
    "do you ship to norway",
    "my discount code wont work at checkout :(",
    "Hi! Could you tell me which size I should take in the linen shirt?",
)


async def measure(desk_url: str, echo_url: str, messages: int) -> dict[str, Any]:
    """Latencies of both bots in milliseconds, message by message in turn."""
    desk, echo = [], []
    async with aiohttp.ClientSession() as session:
        for number in range(messages + WARM_UP):
            text = TEXTS[number % len(TEXTS)]
            # A new customer each time: nobody is waiting for a person, every message is decided.
            for url, seen in ((desk_url, desk), (echo_url, echo)):
                latency = await reply_time(session, url, 700_000 + number, text)
                if number >= WARM_UP:
                    seen.append(latency * 1000)
    return {
        "p50_ms": percentile(desk, 50),
        "p99_ms": percentile(desk, 99),
        "echo_p50_ms": percentile(echo, 50),
        "echo_p99_ms": percentile(echo, 99),
        "messages": messages,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


async def reply_time(session: aiohttp.ClientSession, url: str, customer: int, text: str) -> float:
    """Seconds from a customer's message to the bot's reply."""
    await post(session, f"{url}/sim/customers", {"id": customer, "first_name": "Ada"})
    started = time.perf_counter()
    sent = await post(session, f"{url}/sim/customers/{customer}/send", {"text": text})
    wait = f"{url}/sim/chats/{customer}/wait?after={sent['message_id']}&from=bot&timeout=30"
    async with session.get(wait) as response:
        replies = await response.json()
    if not replies:
        raise SystemExit(f"no reply to {text!r} within 30 s from {url}")
    return time.perf_counter() - started


async def post(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> Any:
    """POST to a simulator's control API; exits with its sentence when it refuses."""
    async with session.post(url, json=body) as response:
        answer = await response.json()
        if response.status >= 400:
            raise SystemExit(f"{url}: {answer}")
        return answer


def percentile(values: list[float], percent: int) -> float:
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 2)


@contextmanager
def process(*command: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process for the length of a block; stopped with SIGTERM."""
    started = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait(20)


@contextmanager
def echo_bot() -> Iterator[str]:
    """A simulator with an echo bot on aiogram's polling; yields the simulator's address."""
    with process("-m", "simulator", "--port", "0") as simulator:
        url = simulator.stdout.readline().split()[-1] if simulator.stdout else ""
        with process("benchmarks/echo_bot.py", url):
            yield url


@contextmanager
def whole_desk(data_dir: str) -> Iterator[str]:
    """Everything, as `frontdesk up` starts it; yields the simulator's address."""
    run_file = Path(data_dir) / "run.json"
    models = os.environ.get("MODELS_DIR", str(ROOT / "models"))
    with process(
        "-m", "cli", "up", "--quiet", "--port", "0", DATA_DIR=data_dir, MODELS_DIR=models
    ) as desk:
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline and desk.poll() is None:
            run = json.loads(run_file.read_text()) if run_file.exists() else {}
            if run.get("ready"):
                yield run["url"]
                return
            time.sleep(0.2)
        raise SystemExit("the desk did not become ready")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=200, help="measured messages to each bot")
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    arguments = parser.parse_args()
    if arguments.messages < 2:
        parser.error("--messages must be at least 2")
    with (
        tempfile.TemporaryDirectory() as data_dir,
        whole_desk(data_dir) as desk,
        echo_bot() as echo,
    ):
        result = asyncio.run(measure(desk, echo, arguments.messages))
    if arguments.json:
        print(json.dumps(result))
        return
    print(f"desk  p50 {result['p50_ms']:7.2f} ms   p99 {result['p99_ms']:7.2f} ms")
    print(f"echo  p50 {result['echo_p50_ms']:7.2f} ms   p99 {result['echo_p99_ms']:7.2f} ms")


if __name__ == "__main__":
    main()

"""`python -m simulator`: run a simulated Telegram until stopped."""

from __future__ import annotations

import argparse
import asyncio
import errno
import signal
import sys
from pathlib import Path

from simulator.app import Simulator
from simulator.state import StateError
from simulator.world import DEFAULT_TOKEN, OPERATORS_CHAT, Settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8081, help="0 picks a free one (%(default)s)")
    parser.add_argument(
        "--operators-chat",
        type=int,
        default=OPERATORS_CHAT,
        metavar="ID",
        help="id of the operators' supergroup (%(default)s)",
    )
    parser.add_argument(
        "--token", default="", help="accept this bot token only (by default any well-formed one)"
    )
    parser.add_argument("--limits", action="store_true", help="enforce Telegram's rate limits")
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="keep the world in this file, so that it survives a restart",
    )
    return parser


async def _serve(simulator: Simulator) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await simulator.start()
    print(f"simulator listening on {simulator.url}", flush=True)
    try:
        await stopped.wait()
    finally:
        await simulator.stop()


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the exit code: 0 after a stop, 2 when it could not begin."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.operators_chat >= 0:
        parser.error("--operators-chat must be negative, like -1001000000001")
    settings = Settings(
        limits=options.limits,
        only_token=options.token,
        operators_chat=options.operators_chat,
    )
    try:
        simulator = Simulator(options.host, options.port, settings, options.state)
    except ValueError:
        parser.error(f"--token must look like {DEFAULT_TOKEN}")
    try:
        asyncio.run(_serve(simulator))
    except OSError as error:
        place = f"{options.host}:{options.port}"
        if error.errno == errno.EADDRINUSE:
            print(
                f"Port {options.port} on {options.host} is in use: "
                "stop the program that holds it, or choose another with --port.",
                file=sys.stderr,
            )
        else:
            print(f"Cannot listen on {place}: {error.strerror or error}.", file=sys.stderr)
        return 2
    except StateError as error:
        print(error, file=sys.stderr)
        return 2
    except OverflowError:
        print(f"Port {options.port} does not exist: choose one below 65536.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

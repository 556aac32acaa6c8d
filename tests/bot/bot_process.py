"""A bot process for the tests, without the command: arguments by JSON on the command line."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from bot.app import BotOptions, run
from desk import logs
from desk import pack as packs
from desk.flow.desk import Desk
from desk.store import Store


def main() -> None:
    told = json.loads(sys.argv[1])
    logs.configure("bot")
    desk = Desk(Store(told["database"]), packs.load(Path(told["pack"])), told["chat"])
    asyncio.run(
        run(BotOptions(desk, told["token"], told["api"], told["redis"], Path(told["data"])))
    )


if __name__ == "__main__":
    main()

"""The table of methods and the one argument each of them takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from simulator.params import Params
from simulator.world import Bot, World


@dataclass
class Call:
    """One call of a method by a bot."""

    world: World
    bot: Bot
    params: Params


Handler = Callable[[Call], "Any | Awaitable[Any]"]
# Keyed in lower case, because Telegram does not mind the case; the value keeps the real name.
METHODS: dict[str, tuple[str, Handler]] = {}


def method(name: str) -> Callable[[Handler], Handler]:
    """Register a function as a Bot API method; it returns `result` or raises ApiError."""

    def register(function: Handler) -> Handler:
        METHODS[name.lower()] = (name, function)
        return function

    return register

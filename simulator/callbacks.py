"""Button presses that wait for answerCallbackQuery."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import Protocol

from simulator.model import Json, Message, User


class HasTimeout(Protocol):
    """Whatever knows how many seconds a callback query may wait for its answer."""

    callback_timeout: float


@dataclass
class Press:
    """One press of an inline button."""

    id: str
    bot_key: int
    user: User
    message: Message
    pressed_at: float
    done: asyncio.Event = field(default_factory=asyncio.Event)
    answer: Json | None = None
    answered_at: float = 0.0

    def json(self) -> Json:
        """What became of the press: whether it was answered, how, and after how long."""
        answered = self.answer is not None
        return {
            "query_id": self.id,
            "answered": answered,
            "seconds": round(self.answered_at - self.pressed_at, 3) if answered else None,
        } | (self.answer or {"text": "", "show_alert": False, "url": ""})


class Callbacks:
    """All presses since the start, by query id."""

    def __init__(self, settings: HasTimeout) -> None:
        self._settings = settings
        self.presses: dict[str, Press] = {}

    def press(self, bot_key: int, user: User, message: Message) -> Press:
        """Open a query for a press."""
        query_id = str(secrets.randbelow(9 * 10**17) + 10**17)
        press = Press(query_id, bot_key, user, message, time.monotonic())
        self.presses[query_id] = press
        return press

    def find(self, bot_key: int, query_id: str) -> Press | None:
        """The bot's open query; None when the id is unknown or the query has expired."""
        press = self.presses.get(query_id)
        if press is None or press.bot_key != bot_key:
            return None
        late = time.monotonic() - press.pressed_at > self._settings.callback_timeout
        return None if late else press

    def drop_all(self) -> None:
        """Let nobody wait any longer."""
        for press in self.presses.values():
            press.done.set()
        self.presses.clear()

"""A bot's queue of updates: numbering, confirmation by offset, long polling, update faults."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from simulator.errors import OTHER_POLLER, WEBHOOK_ACTIVE, ApiError, bad_request, conflict
from simulator.events import Bus
from simulator.model import Json

KINDS = (
    "message", "edited_message", "channel_post", "edited_channel_post", "business_connection",
    "business_message", "edited_business_message", "deleted_business_messages", "guest_message",
    "message_reaction", "message_reaction_count", "inline_query", "chosen_inline_result",
    "callback_query", "shipping_query", "pre_checkout_query", "purchased_paid_media", "poll",
    "poll_answer", "my_chat_member", "chat_member", "chat_join_request", "chat_boost",
    "removed_chat_boost", "managed_bot",
)  # fmt: skip
NOT_BY_DEFAULT = ("chat_member", "message_reaction", "message_reaction_count")
FIRST_UPDATE_ID = 100_000_001
GARBAGE: Json = {"message": {"message_id": "not a number", "date": None, "chat": "nowhere"}}


class HasLifetime(Protocol):
    """Whatever knows how many seconds a press waits to be fetched or posted."""

    callback_lifetime: float


@dataclass
class Webhook:
    """Where updates are posted to, and how that went."""

    url: str
    secret: str = ""
    max_connections: int = 40
    last_error_date: int = 0
    last_error_message: str = ""


@dataclass
class Pending:
    """An update that was not confirmed yet."""

    update_id: int
    chat_key: str
    body: Json
    born: float
    copies: int = 1


@dataclass
class UpdateQueue:
    """Updates of one bot that wait to be fetched, or to be posted to its webhook."""

    bus: Bus
    settings: HasLifetime
    clock: Callable[[], float] = time.monotonic
    pending: list[Pending] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)
    next_id: int = FIRST_UPDATE_ID
    webhook: Webhook | None = None
    duplicates: int = 0
    reorders: int = 0
    reorder_hold: float = 2.0
    _replays: list[Json] = field(default_factory=list)
    _poller: int = 0

    def wants(self, kind: str) -> bool:
        """True when `allowed_updates` lets this kind through."""
        return kind in self.allowed if self.allowed else kind not in NOT_BY_DEFAULT

    def push(self, kind: str, payload: Json, chat_key: str) -> None:
        """Queue an update of the kind, unless the bot did not ask for it."""
        if self.wants(kind):
            copies = 2 if self.duplicates > 0 else 1
            self.duplicates = max(0, self.duplicates - 1)
            # A snapshot: what happens to the message later must not change this update.
            self._append(json.loads(json.dumps({kind: payload})), chat_key, copies)

    def inject(self, body: Json) -> int:
        """Queue any object as an update, however malformed; returns its id."""
        self._append(body, "injected", 1)
        return self.pending[-1].update_id

    def _append(self, body: Json, chat_key: str, copies: int) -> None:
        numbered = {"update_id": self.next_id} | body
        item = Pending(self.next_id, chat_key, numbered, self.clock(), copies)
        self.pending.append(item)
        self.next_id += 1
        self.bus.wake()

    def allow(self, raw: Any) -> None:
        """Remember `allowed_updates`; None keeps what was said before."""
        if raw is None:
            return
        if not isinstance(raw, list):
            raise bad_request("can't parse allowed updates: expected an Array of Strings")
        # Telegram ignores names it does not know.
        self.allowed = [kind for kind in raw if kind in KINDS]

    def confirm(self, offset: int) -> None:
        """Forget updates before the offset; a negative one keeps that many of the last."""
        if offset < 0:
            self.pending = self.pending[offset:]
            return
        for item in self.pending:
            if item.update_id < offset and item.copies > 1:
                self._replays.append(item.body)
        self.pending = [item for item in self.pending if item.update_id >= offset]

    def take(self, limit: int) -> list[Json]:
        """What a getUpdates answers with now, with the active update faults applied."""
        ready = self.ready()[:limit]
        if self.reorders > 0 and len(ready) > 1:
            self.reorders -= 1
            ready.reverse()
        batch, self._replays = self._replays, []
        return (batch + [item.body for item in ready])[:limit]

    def waiting(self) -> list[Pending]:
        """The pending updates; presses whose time is over are forgotten, as nothing else is."""
        oldest = self.clock() - self.settings.callback_lifetime
        self.pending = [
            item
            for item in self.pending
            if item.born >= oldest or "callback_query" not in item.body
        ]
        return self.pending

    def ready(self) -> list[Pending]:
        """The updates that wait, held back a moment while an out-of-order fault needs a second."""
        waiting = self.waiting()
        if self.reorders > 0 and len(waiting) == 1:
            held = self.clock() - waiting[0].born
            if held < self.reorder_hold:
                return []
        return waiting

    def done(self, item: Pending) -> bool:
        """Tell that the webhook took the update; False when a duplicate is still to be sent."""
        item.copies -= 1
        if item.copies > 0:
            return False
        self.pending = [other for other in self.pending if other is not item]
        return True

    def drop_pending(self) -> None:
        """Forget all updates that wait."""
        self.pending.clear()
        self._replays.clear()

    async def poll(self, offset: int, limit: int, timeout: float) -> list[Json]:
        """getUpdates: the batch, or 409 when a webhook or a newer poller takes over."""
        if self.webhook is not None:
            raise conflict(WEBHOOK_ACTIVE)
        self._poller += 1
        ticket = self._poller
        self.bus.wake()
        self.confirm(offset)

        def look() -> list[Json] | ApiError | None:
            if ticket != self._poller:
                return conflict(OTHER_POLLER)
            if self.webhook is not None:
                return conflict(WEBHOOK_ACTIVE)
            return self.take(limit) or None

        found = await self._until(look, timeout)
        if isinstance(found, ApiError):
            raise found
        return found or []

    async def _until(
        self, look: Callable[[], list[Json] | ApiError | None], timeout: float
    ) -> list[Json] | ApiError | None:
        while self.reorders > 0 and self.pending and timeout > 0:
            # An update is being held back, and no event will tell when its time is over.
            step = min(timeout, 0.1)
            if found := await self.bus.until(look, step):
                return found
            timeout -= step
        return await self.bus.until(look, timeout)

"""Presses that could not be stored: Telegram forgets them long before it forgets messages."""

from __future__ import annotations

from collections.abc import Sequence

from desk.boottime import boottime
from desk.domain import Incoming

MOST = 1000
"""What is pressed beyond that waits at Telegram alone."""
SECONDS = 24 * 3600.0
"""As long as Telegram keeps messages; it gives no id again before a week without updates."""


class KeptPresses:
    """Presses that were fetched while the database was away, in memory.

    Telegram has them for two and a half minutes, messages for a day. Nothing here is acknowledged:
    what Telegram still returns comes from there, and the inbox takes each id once.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[float, Incoming]] = {}

    def __bool__(self) -> bool:
        return bool(self._kept)

    def keep(self, fetched: Sequence[Incoming]) -> None:
        """Keep the presses among updates that could not be stored."""
        for update in fetched:
            if "callback_query" in update.payload and len(self._kept) < MOST:
                self._kept.setdefault(update.update_id, (boottime(), update))

    def added_to(self, fetched: Sequence[Incoming]) -> list[Incoming]:
        """What was fetched, and in its place among it each press that Telegram has forgotten."""
        oldest = boottime() - SECONDS
        self._kept = {id_: kept for id_, kept in self._kept.items() if kept[0] >= oldest}
        ids = {update.update_id for update in fetched}
        forgotten = [update for id_, (_, update) in self._kept.items() if id_ not in ids]
        if not forgotten:
            return list(fetched)
        return sorted([*fetched, *forgotten], key=lambda update: update.update_id)

    def clear(self) -> None:
        """All of them are stored."""
        self._kept.clear()

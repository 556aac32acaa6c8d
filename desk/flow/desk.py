"""What every use case needs: the store, the pack, the operators' chat and a clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from desk.pack import Pack
from desk.store import Store
from desk.tables import utcnow


@dataclass(frozen=True, slots=True)
class Desk:
    store: Store
    pack: Pack
    operator_chat_id: int | None = None
    clock: Callable[[], datetime] = utcnow
    flood_per_minute: int | None = None
    """What one customer sends within a minute and the bot answers to; None for all of it."""
    retention_days: int | None = None
    """After so many days what customers said is erased; None for never. They are told so."""

    @property
    def language(self) -> str:
        """The language in which operators read."""
        return self.pack.languages[0]

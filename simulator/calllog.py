"""The ordered log of what bots did: every call, performed or not, with its outcome."""

from __future__ import annotations

from simulator.model import Json


class CallLog:
    """Entries with increasing `seq`; getUpdates is left out unless it fails."""

    def __init__(self) -> None:
        self.entries: list[Json] = []
        # The number of the newest entry ever added.
        self.last_seq = 0

    def add(self, entry: Json) -> Json:
        """Keep an entry and number it."""
        self.last_seq += 1
        numbered = {"seq": self.last_seq} | entry
        self.entries.append(numbered)
        return numbered

    def find(
        self,
        *,
        after: int = 0,
        method: str = "",
        chat_id: int | None = None,
        ok: bool | None = None,
    ) -> list[Json]:
        """Entries with a higher seq that match, oldest first."""
        return [
            entry
            for entry in self.entries
            if entry["seq"] > after
            and (not method or entry["method"].lower() == method.lower())
            and (chat_id is None or entry["chat_id"] == chat_id)
            and (ok is None or entry["ok"] is ok)
        ]

    def clear(self) -> None:
        """Forget the entries; numbers go on."""
        self.entries.clear()

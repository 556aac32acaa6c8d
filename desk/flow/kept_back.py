"""What operators write in a topic for each other, or for the bot: by how it begins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

SLASHES = "/／"
"""What a command begins with. A Chinese or Japanese input method makes the second of the first."""
_NOTE = frozenset(f"{SLASHES}、")
"""Two of these begin a note: `、` stands on the same key, too, but may begin a sentence alone."""

_NAME = re.compile(r"@\w")


def is_note(text: str | None) -> bool:
    """Whether a text or caption is a note for colleagues by its first two characters."""
    return text is not None and len(text) > 1 and set(text[:2]) <= _NOTE


def stays_here(text: str | None) -> bool:
    """Whether a text or caption is a note, or for a bot, ours or another: no customer gets it."""
    return text is not None and (text.startswith(tuple(SLASHES)) or is_note(text))


def is_addressed(text: str | None, marks: Iterable[Mapping[str, Any]] = ()) -> bool:
    """Whether a text or caption begins with somebody's @name, or with the name of one who has none,
    as Telegram has it in its `marks` (entities): so begins a word to a colleague."""
    named = any(mark.get("type") == "text_mention" and mark.get("offset") == 0 for mark in marks)
    return named or (text is not None and _NAME.match(text) is not None)

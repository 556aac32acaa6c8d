"""What operators write in a topic for each other, or for the bot: by how it begins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

SLASHES = "/／"
"""What a command begins with. A Chinese or Japanese input method makes the second of the first."""
_NOTE = frozenset(f"{SLASHES}、")
"""Two of these begin a note: `、` stands on the same key, too, but may begin a sentence alone."""

NOTE = "//"
"""What stands in for the words of a caption that stays, where they are no longer kept."""

_NAME = re.compile(r"@\w")
_WORD = "(?:internal note|note|internal|内部备注|备注|内部)"
_LIKE_NOTE = re.compile(
    rf"{_WORD}(?: (?:to|for) (?:the )?\w+)?\s?[:：]"
    rf"|[\[(（【]\s?{_WORD}\s?[\])）】]"
    rf"|[#＃!！\\]{_WORD}(?![a-z0-9_])",
    re.IGNORECASE,
)
"""How people begin a note by other signs than the desk's: "Note to team:", "[note]", "#note"."""


def is_note(text: str | None) -> bool:
    """Whether a text or caption is a note for colleagues by its first two characters."""
    return text is not None and len(text) > 1 and set(text[:2]) <= _NOTE


def is_like_note(text: str) -> bool:
    """Whether a text or caption begins as people begin notes, or a line in it as a note does."""
    return _LIKE_NOTE.match(text) is not None or any(
        is_note(line.lstrip()) for line in text.splitlines()
    )


def stays_here(text: str | None) -> bool:
    """Whether a text or caption is a note, or for a bot, ours or another: no customer gets it."""
    return text is not None and (text.startswith(tuple(SLASHES)) or is_note(text))


def is_addressed(text: str | None, marks: Iterable[Mapping[str, Any]] = ()) -> bool:
    """Whether a text or caption begins with somebody's @name, or with the name of one who has none,
    as Telegram has it in its `marks` (entities): so begins a word to a colleague."""
    named = any(mark.get("type") == "text_mention" and mark.get("offset") == 0 for mark in marks)
    return named or (text is not None and _NAME.match(text) is not None)

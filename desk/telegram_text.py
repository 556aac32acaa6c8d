"""Plain text as Telegram and the database take it: without markup, of a length, without NUL."""

from __future__ import annotations

import re
from html import unescape


def plain(markup: str) -> str:
    """Telegram HTML without its tags."""
    return unescape(re.sub(r"<[^>]+>", "", markup))


def clean(text: str) -> str:
    """A person's text without what a database or Telegram refuses: NUL, half a surrogate pair."""
    return text.replace("\x00", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def kept_error(error: str) -> str:
    """What is kept of an error: others' words, of which the database might refuse one."""
    return clean(error)[:2000]


def length(text: str) -> int:
    """A text's length as Telegram counts: in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def shorten(text: str, limit: int) -> str:
    """A text cut to so many UTF-16 units."""
    units = text.encode("utf-16-le", "surrogatepass")
    if len(units) <= 2 * limit:
        return text
    return units[: 2 * (limit - 1)].decode("utf-16-le", "ignore").rstrip() + "…"

"""Rich messages: read from Telegram's own JSON, and kept from aiogram.

aiogram's type of a formatted text is a union without a discriminator, so that validating takes
some twenty times longer with each level of formatting. Telegram allows 16 levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from aiogram.types import RichMessage

PARTS = (
    "summary",
    "text",
    "blocks",
    "items",
    "cells",
    "button",
    "buttons",
    "expression",
    "alternative_text",
    "caption",
    "credit",
)
"""Where a block or a piece of text has words, in the order they are read."""

LINES = frozenset({"blocks", "items", "cells", "buttons"})
"""Each of these is a line of its own; the pieces of anything else follow each other."""

READ = "frontdesk_read"
"""Where an emptied rich message has what was read of it: aiogram keeps fields it doesn't know."""


class Read(NamedTuple):
    """What a rich message says, each of its blocks a line, and the addresses behind its words."""

    words: str
    links: list[str]


def emptied(update: dict[str, Any]) -> dict[str, Any]:
    """A copy of a raw update in which each rich message, wherever it stands, has no blocks, only
    what `of` and `of_raw` find. Takes time in proportion to its size, whatever its depth.
    """
    copied = dict(update)
    todo: list[dict[str, Any] | list[Any]] = [copied]
    while todo:
        holder: Any = todo.pop()
        for key, value in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
            if key == "rich_message" and isinstance(value, dict):
                holder[key] = {"blocks": [], READ: read(value)}
            elif isinstance(value, dict | list):
                holder[key] = value.copy()
                todo.append(holder[key])
    return copied


def of(message: RichMessage) -> Read:
    """What was read of a rich message of an emptied update."""
    found: Read = (message.model_extra or {})[READ]
    return found


def of_raw(message: dict[str, Any]) -> Read | None:
    """What was read of the rich message that a raw message of an emptied update has."""
    rich = message.get("rich_message")
    return rich[READ] if isinstance(rich, dict) else None


def hides(words: str, address: str) -> bool:
    """Whether words do not show the address behind them."""
    return words.strip().rstrip("/") != address.strip().rstrip("/")


class _Break:
    """Between two lines."""


class _Covered(NamedTuple):
    """The end of the words before which an address was found: where they began."""

    address: str
    pieces: int
    length: int


class _Part(NamedTuple):
    value: object
    lines: bool = False


def read(rich: dict[str, Any]) -> Read:
    """Read a raw rich message, whose shape nobody has checked, without recursion."""
    pieces: list[str] = []
    links: list[str] = []
    length, broken = 0, False
    todo: list[_Part | _Break | _Covered] = [_Part(rich)]
    while todo:
        match todo.pop():
            case _Part(str(text)) if text:
                text = f"\n{text}" if broken and pieces else text
                pieces.append(text)
                length, broken = length + len(text), False
            case _Part(list(values), lines):
                todo += _reversed([_Part(value, lines) for value in values], lines)
            case _Part(dict(block)):
                todo += [_Covered(url, len(pieces), length) for url in _addresses(block)]
                parts = [_Part(block[name], name in LINES) for name in PARTS if name in block]
                todo += _reversed(parts, lines=True)
            case _Break():
                broken = True
            case _Covered(url, first, before):
                # Words that are longer than the address differ from it: they need not be joined.
                long = length - before > len(url) + _ROOM
                if long or hides("".join(pieces[first:]), url):
                    links.append(url)
    return Read("".join(pieces).strip(), links)


_ROOM = 10
"""For spaces and slashes around an address."""


def _reversed(parts: list[_Part], lines: bool) -> Iterator[_Part | _Break]:
    """In the order in which a stack is to hold them."""
    for number, part in enumerate(reversed(parts)):
        if number and lines:
            yield _Break()
        yield part


def _addresses(block: dict[str, Any]) -> Iterator[str]:
    """Where a tap on a piece of text or a button leads."""
    for each in (block, block.get("login_url"), block.get("web_app")):
        address = each.get("url") if isinstance(each, dict) else None
        if isinstance(address, str) and address:
            yield address
    email = block.get("email_address")
    if isinstance(email, str) and email:
        yield email

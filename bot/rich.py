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

TEXT = frozenset(
    {
        *("paragraph", "heading", "pre", "footer", "divider", "anchor", "list", "details"),
        *("blockquote", "expandable_blockquote", "pullquote", "1", "a", "A", "i", "I"),
        *("bold", "italic", "underline", "strikethrough", "spoiler", "subscript", "superscript"),
        *("marked", "code", "custom_emoji", "date_time", "mention", "text_mention", "hashtag"),
        *("cashtag", "bot_command", "bank_card_number", "url", "email_address", "phone_number"),
        *("anchor_link", "reference", "reference_link"),
    }
)
"""The types of blocks, items of lists and pieces of text of which the words say all. A picture, a
table, a button, or what there is no name for yet, is not among them."""

READ = "frontdesk_read"
"""Where an emptied rich message has what was read of it: aiogram keeps fields it doesn't know."""


class Read(NamedTuple):
    """What a rich message says, each of its blocks a line, the addresses behind its words, and
    whether there is nothing but words in it."""

    words: str
    links: list[str]
    is_text: bool


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


class _Lines(NamedTuple):
    """Parts of which each is a line."""

    parts: list[Any]


class _Covered(NamedTuple):
    """Where the words that an address stands behind began, to be looked at when they end."""

    address: str
    pieces: int
    length: int


_BREAK = object()
"""Between two lines."""
_ADDRESSES = frozenset({"url", "login_url", "web_app", "email_address", "phone_number"})
_ROOM = 10
"""For spaces and slashes around an address."""


def read(rich: dict[str, Any]) -> Read:
    """Read a raw rich message, whose shape nobody has checked, without recursion."""
    pieces: list[str] = []
    links: list[str] = []
    length, broken, is_text = 0, False, True
    todo: list[Any] = [rich]
    while todo:
        part = todo.pop()
        if isinstance(part, str):
            if part:
                pieces.append(f"\n{part}" if broken and pieces else part)
                length, broken = length + len(pieces[-1]), False
        elif isinstance(part, _Covered):
            # Words that are longer than the address differ from it: they need not be joined.
            long = length - part.length > len(part.address) + _ROOM
            if long or hides("".join(pieces[part.pieces :]), part.address):
                links.append(part.address)
        elif part is _BREAK:
            broken = True
        else:
            is_text = is_text and _is_text(part)
            todo += [_Covered(found, len(pieces), length) for found in _addresses(part)]
            todo += reversed(_inside(part))
    return Read("".join(pieces).strip(), links, is_text)


def _is_text(part: object) -> bool:
    """Whether words are all there is to a part, but for what is within it. Whether a box is ticked
    no words say."""
    if not isinstance(part, dict):
        return True
    kind = part.get("type", "list")
    return isinstance(kind, str) and kind in TEXT and "has_checkbox" not in part


def _inside(part: object) -> list[Any]:
    """What has words or may have some, in the order it is read."""
    if isinstance(part, list):
        return part
    if isinstance(part, _Lines):
        # What is a list among them (a row of a table) has lines, too.
        return _lines([_Lines(each) if isinstance(each, list) else each for each in part.parts])
    if isinstance(part, dict):
        named = [(name in LINES, part[name]) for name in PARTS if name in part]
        return _lines(
            [_Lines(each) if lines and isinstance(each, list) else each for lines, each in named]
        )
    return []


def _lines(parts: list[Any]) -> list[Any]:
    return [each for part in parts for each in (_BREAK, part)][1:]


def _addresses(block: object) -> Iterator[str]:
    """Where a tap on a piece of text or a button leads."""
    if not isinstance(block, dict) or _ADDRESSES.isdisjoint(block):
        return
    for each in (block, block.get("login_url"), block.get("web_app")):
        address = each.get("url") if isinstance(each, dict) else None
        if isinstance(address, str) and address:
            yield address
    for address in (block.get("email_address"), block.get("phone_number")):
        if isinstance(address, str) and address:
            yield address

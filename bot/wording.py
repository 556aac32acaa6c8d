"""The words of a message, whichever of its parts they stand in."""

from __future__ import annotations

from aiogram.types import Message, RichText, TelegramObject

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
)
"""Where a block or a piece of text of a rich message has words, in the order they are read."""


def words(message: Message) -> str | None:
    """What a message says: its text or caption, a checklist's title, a poll's question, or all that
    a rich message says, each of its blocks a line; None where there are no words."""
    if message.text or message.caption:
        return message.text or message.caption
    if message.checklist is not None:
        return message.checklist.title
    if message.poll is not None:
        return message.poll.question
    if message.rich_message is not None:
        return _read(message.rich_message).strip() or None
    return None


def _read(part: object) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, list):
        # A text's pieces follow each other; of anything else each is a line of its own.
        pieces = any(isinstance(each, str | RichText) for each in part)
        return ("" if pieces else "\n").join(filter(None, map(_read, part)))
    if isinstance(part, TelegramObject):
        return "\n".join(filter(None, (_read(getattr(part, name, None)) for name in PARTS)))
    return ""

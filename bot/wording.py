"""The words of a message, and the addresses behind them, whichever of its parts they stand in."""

from __future__ import annotations

from collections.abc import Iterator

from aiogram.types import InlineKeyboardButton, Message, MessageEntity, Poll

from bot import rich
from desk.flow.cards import LIMIT
from desk.telegram_text import length

Marked = tuple[str | None, list[MessageEntity] | None]
"""A text and what is marked in it."""


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
        return rich.of(message.rich_message).words or None
    return None


def is_text(message: Message) -> bool:
    """Whether a message is words alone: a text, or a rich message that has nothing else and could
    have been sent as one."""
    if message.rich_message is None:
        return bool(message.text)
    read = rich.of(message.rich_message)
    # As a command it would be read by nobody, as what is longer by nobody whole.
    return read.is_text and length(read.words) <= LIMIT and read.words[:1] not in ("", "/")


def links(message: Message) -> Iterator[str]:
    """The addresses that a message hides behind other words, wherever a copy of it has them."""
    for text, marks in _marked(message):
        yield from _behind(text or "", marks or [])
    if message.poll is not None:
        yield from _behind_pictures(message.poll)
    if message.rich_message is not None:
        yield from rich.of(message.rich_message).links
    if message.reply_markup is not None:
        for row in message.reply_markup.inline_keyboard:
            for button in row:
                yield from _behind_button(button)


def _marked(message: Message) -> Iterator[Marked]:
    yield message.text, message.entities
    yield message.caption, message.caption_entities
    if message.checklist is not None:
        yield message.checklist.title, message.checklist.title_entities
        for task in message.checklist.tasks:
            yield task.text, task.text_entities
    if message.poll is not None:
        yield message.poll.question, message.poll.question_entities
        yield message.poll.description, message.poll.description_entities
        yield message.poll.explanation, message.poll.explanation_entities
        for option in message.poll.options:
            yield option.text, option.text_entities
    if message.game is not None:
        yield message.game.text, message.game.text_entities


def _behind(text: str, marks: list[MessageEntity]) -> Iterator[str]:
    # Telegram counts in UTF-16 units.
    units = text.encode("utf-16-le", "surrogatepass")
    for mark in marks:
        if mark.url is not None:
            covered = units[2 * mark.offset : 2 * (mark.offset + mark.length)]
            if rich.hides(covered.decode("utf-16-le", "replace"), mark.url):
                yield mark.url


def _behind_pictures(poll: Poll) -> Iterator[str]:
    for media in (poll.media, poll.explanation_media, *(option.media for option in poll.options)):
        if media is not None and media.link is not None:
            yield media.link.url


def _behind_button(button: InlineKeyboardButton) -> Iterator[str]:
    for target in (button, button.login_url, button.web_app):
        if target is not None and target.url is not None and rich.hides(button.text, target.url):
            yield target.url

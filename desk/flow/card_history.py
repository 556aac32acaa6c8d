"""What was said before a card's message: the customer's words whole, as far as there is room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from desk.domain import Author
from desk.flow.batch import MOST_SAID, Said
from desk.flow.besides import FORWARDED_SIGN, as_said
from desk.flow.desk import Desk
from desk.inert import defused
from desk.telegram_html import escaped as html
from desk.telegram_text import length, plain, shorten
from desk.texts import say

TEXTS = 10
"""So many of the customer's last texts a card shows, and what was said between them."""
HISTORY = TEXTS + 1
"""So many are looked up: whether there are more."""
LINE = 160
"""What is shown of a line of the bot's or an operator's, in UTF-16 units. A customer's text is cut
to no less either."""
COMPACT = 600
"""A history that is longer, in UTF-16 units, is folded."""
SPEAKERS = {Author.CUSTOMER: "👤", Author.BOT: "🤖", Author.OPERATOR: "🧑‍💼"}


class _Line(NamedTuple):
    author: Author
    words: str
    is_text: bool


class CardHistory:
    """The lines of a card that say what was said before, the oldest of which give way."""

    def __init__(self, desk: Desk, said: Sequence[Said]) -> None:
        reached = len(said)
        if not all(each.is_opening for each in said):
            said = [each for each in said if not each.is_opening]
        texts = [place for place, each in enumerate(said) if each.is_text]
        self._more = len(texts) > TEXTS or reached >= MOST_SAID
        first = texts[-TEXTS] if len(texts) > TEXTS else 0
        self._lines = [_line(desk, each) for each in said[first:]]
        self._gone = int(self._more)
        self._desk = desk

    def fitted(self, assemble: Callable[[list[str]], str], limit: int) -> str:
        """The text that `assemble` makes with these lines (Telegram HTML), in which as many of them
        have given way as it takes to keep to `limit` UTF-16 units."""
        while True:
            text = assemble(self._shown())
            over = length(plain(text)) - limit
            if over <= 0 or not (self._lines or self._gone):
                return text
            self._give_way(over)

    def _shown(self) -> list[str]:
        language = self._desk.language
        lines = [f"{SPEAKERS[line.author]} {html(line.words)}" for line in self._lines]
        if self._gone:
            key = "card-earlier-at-least" if self._more else "card-earlier"
            lines.insert(0, say(key, language, count=self._gone))
        if not lines:
            return []
        text = "\n".join(lines)
        if length(plain(text)) > COMPACT:
            text = f"<blockquote expandable>{text}</blockquote>"
        return [f"\n<i>{say('card-history', language)}</i>", text]

    def _give_way(self, units: int) -> None:
        """Make room for so many units, or for some of them."""
        if not self._lines:
            self._gone = 0
            return
        oldest = self._lines[0]
        left = length(oldest.words) - units
        if oldest.author is Author.CUSTOMER and left >= LINE:
            self._lines[0] = oldest._replace(words=shorten(oldest.words, left))
            return
        del self._lines[0]
        self._gone += oldest.is_text


def _line(desk: Desk, said: Said) -> _Line:
    # In one line, or a customer's could begin as if somebody else had said it.
    words = " ".join(defused(as_said(desk, said.text, was_read=said.was_read)).split())
    if said.forwarded_from is not None:
        words = f"{FORWARDED_SIGN} {defused(said.forwarded_from)}: {words}"
    if said.author is not Author.CUSTOMER:
        words = shorten(words, LINE)
    return _Line(said.author, words, said.is_text)

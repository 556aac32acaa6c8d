"""What stands beside a customer's words, or in their place: what they reply to, who wrote them
first, the addresses behind them, and what was sent without words. People see it; the model doesn't.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from desk.flow.desk import Desk
from desk.inert import inert
from desk.tables import Message
from desk.telegram_text import clean, shorten
from desk.texts import say

QUOTED = 200
"""So much is kept of what a message replies to, in UTF-16 units."""
ORIGIN = 64
"""And so much of the name of whom it was forwarded from."""
LINK = 200
"""And of an address behind its words."""
LINKS = 5
"""So many of these are kept: a card must have room for all of them."""
FORWARDED_SIGN = "↪️"
_KIND = re.compile(r"\[([a-z ]+)\]")
"""The text that stands for what was sent without one: `bot.customers.said`."""


def quote(words: str) -> str:
    """What is kept of what a message replies to."""
    return shorten(clean(words), QUOTED)


def may_quote(quoted: str, words: str) -> bool:
    """Whether these words may be what a message replies to, by what is kept of that (`quote`): it
    is the whole or a part that was marked, and of either the beginning."""
    part = quoted.removesuffix("…")
    return quoted in words or (part != "" and part in words)


def origin(name: str) -> str:
    """What is kept of the name of whom a message was forwarded from, in one line."""
    return shorten(_line(clean(name)), ORIGIN) or "–"


def links(addresses: Sequence[str]) -> str | None:
    """What is kept of the addresses behind a message's words: one a line, each once, and "…" where
    there were more; None where there are none."""
    each = list(dict.fromkeys(shorten(_line(clean(address)), LINK) for address in addresses))
    more = ["…"] if len(each) > LINKS else []
    return "\n".join([*each[:LINKS], *more]) or None


def lines(desk: Desk, message: Message) -> list[str]:
    """What a card or post shows of it below the message, as Telegram HTML."""
    found = []
    if message.forwarded_from is not None:
        name = inert(message.forwarded_from)
        found.append(f"{FORWARDED_SIGN} {say('card-forwarded', desk.language, name=name)}")
    words = _line(message.quoted or "")
    if words:
        found.append(f"↩️ <i>{inert(words)}</i>")
    for address in (message.links or "").splitlines():
        # As code it can be copied, and is not opened by a tap.
        shown = f"<code>{inert(address)}</code>"
        found.append(f"🌐 {say('card-link', desk.language, address=shown)}")
    return found


def kind(desk: Desk, text: str) -> str | None:
    """What was sent without words, by the text that is kept of it, as operators call it: a photo.
    None for words, and for what has no name here."""
    found = _KIND.fullmatch(text)
    if found is None:
        return None
    return say("card-kind", desk.language, kind=found[1].replace(" ", "_")) or None


def as_said(desk: Desk, text: str, *, was_read: bool) -> str:
    """A text as operators read it: what was sent without words is named in their language, but for
    what was put before the model (`was_read`), which is typed."""
    known = None if was_read else kind(desk, text)
    return text if known is None else f"[{known}]"


def _line(text: str) -> str:
    return " ".join(text.split())

"""Strangers' words in the operators' group: they notify nobody there, and none is a command."""

from __future__ import annotations

import re
from html import unescape

from desk.telegram_html import escaped

WORD_JOINER = "\u2060"
# An address is left whole, or one with an @ in its path would lead nowhere; so is an e-mail's. But
# what only looks like one is none for Telegram, or ends earlier, and what stands in it is live: so
# it counts only by itself, with a plain path, and with a host that Telegram takes for one (with
# this other spelling of telegram.org it takes none).
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = (
    r"(?<![^ \n])https?://(?!(?i:teiegram\.org/))"
    rf"(?:{_PART}\.)+[A-Za-z]{{2,63}}/[A-Za-z0-9._~%&=+#?:@/-]*"
)
_LIVE = re.compile(
    rf"(?P<address>{_ADDRESS})"
    r"|(?<![A-Za-z0-9_])@(?=[A-Za-z0-9_])|(?<![A-Za-z0-9_/<>])/(?=[A-Za-z0-9_])"
)

_TAGS = re.compile(r"(<[^>]*>)")


def inert(text: str) -> str:
    """A stranger's text for the operators' group, safe inside HTML: it notifies nobody there, and
    none of its words is a command that a tap would send.

    It is longer by a character for each such word: see `defused`.
    """
    return escaped(defused(text))


def inert_markup(markup: str) -> str:
    """Telegram HTML of a pack's, in which likewise nothing notifies anybody or is a command."""
    parts = _TAGS.split(markup)  # every other one is a tag
    return "".join(part if at % 2 else inert(unescape(part)) for at, part in enumerate(parts))


def defused(text: str) -> str:
    """A text in which a word joiner stands behind the @ of each mention and the / of each command,
    to be seen by nobody but Telegram."""
    return _LIVE.sub(lambda found: found[0] if found["address"] else found[0] + WORD_JOINER, text)

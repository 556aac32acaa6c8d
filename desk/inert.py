"""Strangers' words in the operators' group: they notify nobody there, and none is a command."""

from __future__ import annotations

import re
from html import unescape
from itertools import pairwise

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
    words = [unescape(part) for part in parts[::2]]
    # Telegram looks at the text without its tags, in which a sign may stand apart from its word.
    # What is live by itself counts, too: where a link begins or ends, so may an address.
    live, begins = _live("".join(words)), 0
    for number, word in enumerate(words):
        ends = begins + len(word)
        here = _live(word) | {at - begins for at in live if begins < at <= ends}
        cuts = [0, *sorted(here), len(word)]
        pieces = [word[start:end] for start, end in pairwise(cuts)]
        parts[2 * number] = escaped(WORD_JOINER.join(pieces))
        begins = ends
    return "".join(parts)


def defused(text: str) -> str:
    """A text in which a word joiner stands behind the @ of each mention and the / of each command,
    to be seen by nobody but Telegram."""
    return _LIVE.sub(lambda found: found[0] if found["address"] else found[0] + WORD_JOINER, text)


def _live(text: str) -> set[int]:
    """Where a text needs its word joiners: behind the sign of each live word."""
    return {found.end() for found in _LIVE.finditer(text) if not found["address"]}

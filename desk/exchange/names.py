"""Names of intents out of other systems' names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from hashlib import sha256

from desk.pack import INTENT_NAME
from desk.telegram_html import html_problems

_MOST = 40
_HASHED = re.compile(r".*_[0-9a-f]{8}")


def slug(name: str) -> str:
    """A name that a pack takes: `faq/ask-Hours` becomes `faq_ask_hours`.

    The same name always gives the same slug. Where letters are lost (other scripts) or it is too
    long, part of a hash of the name keeps two names apart.
    """
    if INTENT_NAME.fullmatch(name):
        return name
    # Without accents, which NFKD makes characters of their own: `año` becomes `ano`.
    letters = unicodedata.normalize("NFKD", name)
    folded = "".join(letter for letter in letters if unicodedata.category(letter) != "Mn")
    word = re.sub(r"[^a-z0-9]+", "_", folded.lower()).strip("_")
    if not word[:1].isalpha():
        word = f"intent_{word}".rstrip("_")
    lost = any(c.isalnum() and not c.isascii() for c in folded)
    if lost or len(word) > _MOST or word == "intent":
        word = f"{word[: _MOST - 9].rstrip('_')}_{sha256(name.encode()).hexdigest()[:8]}"
    return word


def title(name: str) -> str:
    """A first title for a button, to be rewritten by hand: `ask_refund` becomes `Ask refund`."""
    words = " ".join(re.sub(r"[_\-/.]+", " ", name).split())
    if not words or html_problems(words) or re.search(r"[{}&]", words):
        words = slug(name).replace("_", " ")
    return words[:1].upper() + words[1:]


def original(name: str, titles: Iterable[str]) -> str:
    """The name that `slug` made one with a hash of, where a title still tells it; else the name.

    So `intent_f1c91e1d` with the title `退款` goes out as `退款`, and comes back with that title.
    """
    for words in titles if _HASHED.fullmatch(name) else ():
        for label in (words, words[:1].lower() + words[1:]):
            for sign in " _-/":
                if slug(label.replace(" ", sign)) == name:
                    return label.replace(" ", sign)
    return name

"""Yes and no, as customers type them where the bot has asked what they mean or
offers a person."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

from classifier.likeness import normalised
from desk.texts import say

MEANT = ("reply-yes", "reply-no")
"""The texts with the words for yes and for no where the bot has asked what is meant."""
OFFER = ("offer-yes", "offer-no")
"""Those where it offers a person: "no thanks" declines one, "wrong" does not."""
_YES, _NO = frozenset("👍👌✅✔☑💯🆗"), frozenset("👎❌✖🚫⛔🙅")
_DRAWN_OUT = re.compile(r"([^\W\d_])\1{2,}")
_LOOKS = re.compile("[\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff]")
"""What only says how the character before it looks, such as the colour of a thumb."""


def plainly(text: str) -> str:
    """A short reply as it counts: case, punctuation, how an emoji looks and how long a letter is
    drawn out ("yesss") say nothing."""
    return normalised(_LOOKS.sub("", _DRAWN_OUT.sub(r"\1", text.casefold())))


def yes_or_no(text: str, languages: Sequence[str], words: tuple[str, str] = MEANT) -> bool | None:
    """Whether a text is one of the words for yes (True) or for no (False) in one of these languages
    (IETF tags), or an emoji for it. None if it is neither, or both, or says any more. Which words
    count depends on the question: those of `MEANT` or of `OFFER`."""
    said = plainly(text)
    symbols = {char for char in said if unicodedata.category(char) == "So"}
    rest = " ".join("".join(" " if char in symbols else char for char in said).split())
    yes, no = (_words(key, tuple(languages)) for key in words)
    if rest and rest not in yes | no:
        return None
    means_yes = rest in yes or not symbols.isdisjoint(_YES)
    means_no = rest in no or not symbols.isdisjoint(_NO)
    return None if means_yes is means_no else means_yes


@cache
def _words(key: str, languages: tuple[str, ...]) -> frozenset[str]:
    return frozenset(plainly(word) for each in languages for word in say(key, each).split(","))

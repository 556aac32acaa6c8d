"""Yes and no, as customers type them where the bot has asked what they mean."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

from classifier.likeness import normalised
from desk.texts import say

_YES, _NO = frozenset("👍👌✅✔☑💯🆗"), frozenset("👎❌✖🚫⛔🙅")
_DRAWN_OUT = re.compile(r"([^\W\d_])\1{2,}")
_LOOKS = re.compile("[\ufe0e\ufe0f\u20e3\U0001f3fb-\U0001f3ff]")
"""What only says how the character before it looks, such as the colour of a thumb."""


def plainly(text: str) -> str:
    """A short reply as it counts: case, punctuation, how an emoji looks and how long a letter is
    drawn out ("yesss") say nothing."""
    return normalised(_LOOKS.sub("", _DRAWN_OUT.sub(r"\1", text.casefold())))


def yes_or_no(text: str, languages: Sequence[str]) -> bool | None:
    """Whether a text is one of the words for yes (True) or for no (False) in one of these languages
    (IETF tags), or an emoji for it. None if it is neither, or both, or says any more."""
    said = plainly(text)
    symbols = {char for char in said if unicodedata.category(char) == "So"}
    words = " ".join("".join(" " if char in symbols else char for char in said).split())
    yes, no = _words("reply-yes", tuple(languages)), _words("reply-no", tuple(languages))
    if words and words not in yes | no:
        return None
    means_yes = words in yes or not symbols.isdisjoint(_YES)
    means_no = words in no or not symbols.isdisjoint(_NO)
    return None if means_yes is means_no else means_yes


@cache
def _words(key: str, languages: tuple[str, ...]) -> frozenset[str]:
    return frozenset(plainly(word) for each in languages for word in say(key, each).split(","))

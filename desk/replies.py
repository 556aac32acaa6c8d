"""What customers type where the bot has asked what they mean, or offers a person: yes, no, or which
of several."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache

from classifier.likeness import normalised
from desk.texts import say

MEANT = ("reply-yes", "reply-no")
"""The texts with the words for yes and for no where the bot has asked what is meant."""
OFFER = ("offer-yes", "offer-no")
"""Those where it offers a person: "no thanks" declines one, "wrong" does not."""
_YES, _NO = frozenset("👍👌✅✔☑💯🆗"), frozenset("👎❌✖🚫⛔🙅")
MOST = 5
"""So many choices a pack may have the bot offer (`Policy.choices`)."""
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


def place(text: str, languages: Sequence[str]) -> int | None:
    """Which of several a text names by its place alone ("I'd like the second one, please": 2). A
    mere number that is wanted is none: "I need two" says how many."""
    framed = told(text, languages)
    said = _without(framed, "reply-want", languages)
    if said != framed and said in _words("reply-count", tuple(languages)):
        return None
    for number in range(1, MOST + 1):
        if said in _words(f"reply-place-{number}", tuple(languages)):
            return number
    return None


def means_both(text: str, languages: Sequence[str]) -> bool:
    """Whether a text says that of two things both are meant."""
    said = _without(told(text, languages), "reply-want", languages)
    return said in _words("reply-both", tuple(languages))


def told(text: str, languages: Sequence[str]) -> str:
    """What a text says of which of several is meant, without what only frames it ("yes", "the",
    "please")."""
    return _without(plainly(text), "reply-frame", languages)


def says_something(words: Iterable[str], languages: Sequence[str]) -> bool:
    """Whether any of these words says what a matter is about, as "why", "my" and "want" do not."""
    known = tuple(languages)
    empty = _words("reply-empty", known) | _words("reply-want", known)
    return not {part for each in empty for part in each.split()}.issuperset(words)


def begins_sentence(words: Sequence[str], languages: Sequence[str]) -> bool:
    """Whether words, at least one, begin a sentence of the customer's own, as "I have" and "want"
    do."""
    known = _words("reply-want", tuple(languages))
    return words[0] in {part for each in known for part in each.split()}


def _without(said: str, key: str, languages: Sequence[str]) -> str:
    return " ".join(_phrases(key, tuple(languages)).sub(" ", said).split())


@cache
def _phrases(key: str, languages: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(_words(key, languages), key=len, reverse=True)
    return re.compile(rf"(?<!\S)(?:{'|'.join(map(re.escape, longest_first))})(?!\S)")


@cache
def _words(key: str, languages: tuple[str, ...]) -> frozenset[str]:
    return frozenset(plainly(word) for each in languages for word in say(key, each).split(","))

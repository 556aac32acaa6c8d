"""What a customer is called, in the single words that tell who they are where they write them."""

from __future__ import annotations

import re
import unicodedata
from itertools import chain

from desk.masking import UNSPACED, unaccented
from desk.pack import Pack
from desk.tables import Customer

_SCRIPTS = re.compile(f"[{UNSPACED}]+|[^{UNSPACED}]+")
_PARTICLES = frozenset(
    {"bin", "dal", "das", "del", "den", "der", "dos", "ibn", "san", "ten", "ter", "van", "von"}
)
"""Words of many names that tell whose it is of none, and are other words besides ("my van")."""
_CHINESE = "\u2e80"
"""From here on stand Chinese, Japanese and Korean, in which a name may have two characters."""


class OwnNames:
    """The names of a desk's customers, without the words of its pack.

    Who is called Refund Please keeps these words in all that they write: they tell nobody who that
    is, and without them the text would teach something else. What a pack says is what the desk is
    about. The words of its examples would be no such measure: there people say what they are
    called. (Bill and Green, which may stand in no answer, are `desk.name_words`.)
    """

    def __init__(self, pack: Pack) -> None:
        texts = chain.from_iterable(text.values() for _, text in pack.texts())
        said = chain.from_iterable(map(_words, chain(texts, pack.values.values())))
        self._text = unaccented(" ".join(said)).casefold()
        self._words = frozenset(self._text.split())

    def of(self, customer: Customer) -> frozenset[str]:
        """The words in what a customer is called, for `desk.masking.mask`; none for one who was
        erased.

        Of their names and username those of three letters or more, in Chinese, Japanese and Korean
        of two, where the family name may stand before or after the other; and the username itself.
        """
        found = [customer.username] if customer.username else []
        for called in (customer.name, customer.first_name, customer.username):
            words = _words(called or "")
            long = [word for word in words if _is_long(word)]
            found += long
            if (
                len(words) > 1
                and all(map(_is_chinese, words))
                and not any(map(self._is_ordinary, long))
            ):
                found += ["".join(words), "".join(reversed(words))]
        return frozenset(name for name in found if not self._is_ordinary(name))

    def _is_ordinary(self, word: str) -> bool:
        plain = unaccented(word).casefold()
        return plain in _PARTICLES or plain in (self._text if _is_chinese(word) else self._words)


def _words(text: str) -> list[str]:
    """Each run of letters, with the marks on them, of one kind of script."""
    parts = "".join(
        letter if letter.isalpha() or unicodedata.category(letter).startswith("M") else " "
        for letter in unicodedata.normalize("NFC", text)
    ).split()
    # What follows an emoji may begin with a mark of its own.
    words = (re.sub(r"^\W+", "", word) for part in parts for word in _SCRIPTS.findall(part))
    return [word for word in words if word]


def _is_chinese(word: str) -> bool:
    # Latin letters have full-width and ornamental forms, which stand further back.
    return unicodedata.normalize("NFKC", word) >= _CHINESE


def _is_long(word: str) -> bool:
    return sum(map(str.isalpha, word)) >= (2 if _is_chinese(word) else 3)

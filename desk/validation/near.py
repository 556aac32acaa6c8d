"""When two texts are the same, and when they are nearly so."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

NEAR = 0.9
"""Texts whose character 4-grams overlap (Jaccard) this much are nearly the same."""
_GRAM = 4


def normalised(text: str) -> str:
    """A text as it counts when texts are compared: case, spaces and punctuation say nothing."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(c if unicodedata.category(c)[0] in "LNMS" else " " for c in folded)
    return " ".join(kept.split()) or " ".join(text.split())  # "??" is a text of its own


class NearTexts:
    """Texts, normalised, by their character n-grams.

    A pair whose Jaccard similarity is s shares at least the part s of either's n-grams. So it
    shares one of the rarest 1-s (and one more) of each: only those are looked up (prefix
    filtering; Chaudhuri, Ganti and Kaushik, 2006).
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._grams = [grams(key) for key in keys]
        self._rarity = Counter(gram for each in self._grams for gram in each)
        self._index: defaultdict[str, list[int]] = defaultdict(list)
        for number, each in enumerate(self._grams):
            for gram in self._prefix(each):
                self._index[gram].append(number)

    def near(self, key: str) -> list[int]:
        """Which of the texts are near enough, the most similar first, else in their order."""
        own = grams(key)
        candidates = {number for gram in self._prefix(own) for number in self._index[gram]}
        found = []
        for number in sorted(candidates):
            shared = len(own & self._grams[number])
            similarity = shared / (len(own) + len(self._grams[number]) - shared)
            if similarity >= NEAR:
                found.append((-similarity, number))
        return [number for _, number in sorted(found)]

    def _prefix(self, own: frozenset[str]) -> Iterator[str]:
        ordered = sorted(own, key=lambda gram: (self._rarity[gram], gram))
        needed = -(-len(own) * 9 // 10)  # NEAR of them, rounded up
        yield from ordered[: len(own) - needed + 1]


def grams(key: str) -> frozenset[str]:
    """The character 4-grams of a normalised text, with a space before and after it."""
    padded = f" {key} "
    return frozenset(padded[i : i + _GRAM] for i in range(max(1, len(padded) - _GRAM + 1)))

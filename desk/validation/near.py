"""When two texts are the same, and when they are nearly so."""

from __future__ import annotations

import unicodedata
from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

NEAR = 0.9
"""Texts whose character 4-grams overlap (Jaccard) this much are nearly the same."""
_GRAM = 4
_HITS = 8
"""Of what is looked up, near texts share so many; with 3 or 20, templated texts take longer."""


def exact_key(text: str) -> str:
    """What two texts share that are the same: all but case, spaces, and full stops and exclamation
    marks at the end. An emoticon or the sign in `c#` tells two texts apart, and so does `?`."""
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return folded.rstrip(" .!。") or folded  # "..." is a text of its own


class NearTexts:
    """Texts, normalised, by their character n-grams.

    A pair whose Jaccard similarity is s shares at least the part s of either's n-grams. So it
    shares one of the rarest 1-s (and one more) of each: only those are looked up (prefix
    filtering; Chaudhuri, Ganti and Kaushik, 2006). Texts of one template share more than that
    without being near. So a few more are looked up, and as many must be shared; how many of them
    are says how many there can be in all, which spares nearly all comparisons in full.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        rarity = Counter(gram for key in keys for gram in grams(key))
        by_rarity = sorted(rarity, key=lambda gram: (rarity[gram], gram))
        self._numbers = {gram: number for number, gram in enumerate(by_rarity)}
        # As numbers a review's n-grams take a twentieth of what they take as strings.
        self._grams = [self._numbered(grams(key)) for key in keys]
        self._index: defaultdict[int, array[int]] = defaultdict(lambda: array("I"))
        for number, own in enumerate(self._grams):
            for gram in own[: len(own) - _rest(len(own))]:
                self._index[gram].append(number)

    def near(self, key: str) -> list[int]:
        """Which of the texts are near enough, the most similar first, else in their order."""
        own = grams(key)
        known = self._numbered(own)
        shared = set(known)
        found = []
        for number, most in self._candidates(known, len(own), len(self._grams)):
            if most >= NEAR:
                similarity = self._similarity(shared, len(own), number)
                if similarity >= NEAR:
                    found.append((-similarity, number))
        return [number for _, number in sorted(found)]

    def nearest_before(self, number: int) -> int | None:
        """Of the texts before one, the most similar (the first of several), if near enough."""
        known = self._grams[number]
        own = set(known)
        best, nearest = NEAR, number
        for other, most in self._candidates(known, len(own), number):
            if most < best or (most == best and other > nearest):
                continue
            similarity = self._similarity(own, len(own), other)
            if similarity > best or (similarity == best and other < nearest):
                best, nearest = similarity, other
        return None if nearest == number else nearest

    def _candidates(self, known: array[int], size: int, end: int) -> Iterator[tuple[int, float]]:
        """Texts before number `end` that may be near one of `size` n-grams, the likeliest first,
        each with the most that its similarity can be; `known` are the n-grams that texts have."""
        rest = _rest(size)
        hits: Counter[int] = Counter()
        # What no text has is the rarest of all, and would be looked up in vain.
        for gram in known[: max(0, len(known) - rest)]:
            if gram in self._index:
                numbers = self._index[gram]
                hits.update(numbers[: bisect_left(numbers, end)])
        least = min(_HITS, _needed(size))
        likely = ((-count, number) for number, count in hits.items() if count >= least)
        for negative, number in sorted(likely):
            other = len(self._grams[number])
            # All else that they share is in the rest of the one whose rest begins first.
            shared = min(size, other, max(rest, _rest(other)) - negative)
            yield number, shared / (size + other - shared)

    def _similarity(self, known: set[int], size: int, number: int) -> float:
        shared = len(known.intersection(self._grams[number]))
        return shared / (size + len(self._grams[number]) - shared)

    def _numbered(self, own: frozenset[str]) -> array[int]:
        return array("I", sorted(self._numbers[gram] for gram in own if gram in self._numbers))


def grams(key: str) -> frozenset[str]:
    """The character 4-grams of a normalised text, with a space before and after it."""
    padded = f" {key} "
    return frozenset(padded[i : i + _GRAM] for i in range(max(1, len(padded) - _GRAM + 1)))


def _needed(size: int) -> int:
    """How many of so many n-grams a text that is near has at least: NEAR of them, rounded up."""
    return -(-size * 9 // 10)


def _rest(size: int) -> int:
    """How many of so many n-grams, the most common ones, are not looked up."""
    return max(0, _needed(size) - _HITS)

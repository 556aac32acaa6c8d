"""Names of intents that are spelt nearly like others."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from classifier.likeness import normalised
from classifier.vocabulary import OUT_OF_SCOPE
from desk.exchange.names import slug

TIMES = 5
"""How many times as many examples, at least, the name has that was meant."""
LONG = 8
"""From so many letters on two of them may be wrong; in fewer, two make another word."""


def spelt(name: str) -> str:
    """What names share that differ by case, spaces, punctuation, invisible signs or the form of
    their letters only."""
    visible = "".join(sign for sign in name if unicodedata.category(sign) != "Cf")
    # Spaces are taken out first, since `slug` hashes other scripts as they stand, but not between
    # numbers: `plan_1_1` is not `plan_11`.
    return slug(re.sub(r"(?<!\d) | (?!\d)", "", normalised(visible)))


def mistyped(counts: Mapping[str, int]) -> dict[str, str]:
    """Rare names, each with the commonest one that a slip or two of the hand make of it.

    `counts` are examples by name; labels for out of scope are one. Names that differ in a number
    are not alike, nor opposites, nor those of scripts of which `slug` keeps no letters.
    """
    outside = sum(counts.get(name, 0) for name in OUT_OF_SCOPE)
    counts = {**counts, **dict.fromkeys(OUT_OF_SCOPE, outside)}
    by_count = sorted(counts, key=counts.__getitem__, reverse=True)
    keys = {name: spelt(name) for name in counts}
    found: dict[str, str] = {}
    for name in counts:
        for other in () if name in OUT_OF_SCOPE else by_count:
            if counts[other] < TIMES * max(1, counts[name]):
                break
            if _slip(keys[name], keys[other]):
                found[name] = other
                break
    return found


def _slip(one: str, two: str) -> bool:
    if one == two or _numbers(one) != _numbers(two):
        return False
    shorter = min(len(one), len(two))
    # Two letters at the beginning make opposites: `lock` and `unlock`, `import` and `export`.
    opposite = one[2:] in (two, two[2:]) or two[2:] == one
    return shorter > 2 and _within(one, two, 2 if shorter >= LONG and not opposite else 1)


def _numbers(name: str) -> list[str]:
    return re.findall(r"\d+", name)


def _within(one: str, two: str, edits: int) -> bool:
    """Whether so many edits make two strings one: a letter more, less or another, or two swapped
    (Damerau and Levenshtein)."""
    same = 0
    while same < min(len(one), len(two)) and one[same] == two[same]:
        same += 1
    one, two = one[same:], two[same:]
    if not (one and two):
        return len(one) + len(two) <= edits
    if not edits or abs(len(one) - len(two)) > edits:
        return False
    swapped = one[1:2] + one[:1] == two[:2]
    return (
        _within(one[1:], two, edits - 1)
        or _within(one, two[1:], edits - 1)
        or _within(one[1:], two[1:], edits - 1)
        or (swapped and _within(one[2:], two[2:], edits - 1))
    )

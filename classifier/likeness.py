"""When two texts count as one, whatever their case, spaces and punctuation."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Iterable


def normalised(text: str) -> str:
    """A text as it counts when likeness is measured: case, spaces and punctuation say nothing.

    So texts can be one here that mean different things, such as `thanks :)` and `thanks :(`.
    Emoji tell texts apart.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(c if unicodedata.category(c)[0] in "LNMS" else " " for c in folded)
    return " ".join(kept.split()) or " ".join(text.split())  # "??" is a text of its own


def seen_first(rows: Iterable[tuple[str, Hashable]]) -> list[bool]:
    """Whether no row before has the text, `normalised`, and the label of each (text, label).

    The exact bounds are of draws that are independent: copies of a text are right or wrong
    together, and prove no more than one of them. Under two labels a text counts as two, since one
    prediction can't be right for both.
    """
    seen: set[tuple[str, Hashable]] = set()
    first = []
    for text, label in rows:
        key = normalised(text), label
        first.append(key not in seen)
        seen.add(key)
    return first

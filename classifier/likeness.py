"""When two texts count as one, whatever their case, spaces and punctuation."""

from __future__ import annotations

import unicodedata


def normalised(text: str) -> str:
    """A text as it counts when likeness is measured: case, spaces and punctuation say nothing.

    So texts can be one here that mean different things, such as `thanks :)` and `thanks :(`.
    Emoji tell texts apart.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(c if unicodedata.category(c)[0] in "LNMS" else " " for c in folded)
    return " ".join(kept.split()) or " ".join(text.split())  # "??" is a text of its own

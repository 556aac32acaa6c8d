"""A message's sentences: many customers ask for several things at once."""

from __future__ import annotations

import re

MOST = 12
"""So many of a message are read one by one; of a whole text the classifier reads the beginning."""
WITHIN = 600
"""So many characters of a message have sentences: who asks for several things does so in 263 at
most (`benchmarks/several.jsonl`), and one person's letters are not to take the model's time from
others: of the whole it reads the beginning, of sentences all."""
_ENDS = re.compile(
    r"""
    (?: (?<=[.!?…؟]) | (?<=[.!?…؟]["'”’»)\]]) ) \s+     # a space after the end, or a quote's end
    | (?<=[。！？]) | (?<=[!?])(?=[\u4e00-\u9fff])        # in Chinese there is none
    | [\r\n]+
    | (?<!\s)\s+ (?=\(?\d{1,2} (?: [.)]\s | 、 ))        # the next point of a list
    """,
    re.VERBOSE,
)
_ASKS = re.compile(r"\?(?!\w)|[？؟]")  # within a word it is one of an address


def sentences(text: str) -> tuple[str, ...]:
    """The first `MOST` sentences and lines with words in them, each once, as far as they end within
    `WITHIN` characters; none where there is only one."""
    ended = _ENDS.split(text[:WITHIN])
    if len(text) > WITHIN:
        ended.pop()  # cut off
    parts = dict.fromkeys(part.strip() for part in ended)
    worded = [part for part in parts if any(map(str.isalpha, part))]
    return tuple(worded[:MOST]) if len(worded) > 1 else ()


def asks(text: str) -> bool:
    """Whether a sentence of a text is a question."""
    return _ASKS.search(text) is not None

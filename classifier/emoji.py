"""Emoji in words, for a tokenizer that knows none.

BERT's English vocabulary has no emoji: all become one unknown token, and "😍" reads as "😡". Their
Unicode names are words that it knows ("smiling face with heart shaped eyes", "pouting face"). That
such descriptions carry the meaning is from Eisner et al. 2016 ("emoji2vec: Learning Emoji
Representations from their Description").
"""

from __future__ import annotations

import re
import unicodedata

from tokenizers import Tokenizer

_PICTURES = "[\u2190-\u2bff\U0001f000-\U0001faff]"
_RUN = re.compile(rf"({_PICTURES})(?:[\ufe0f\u200d\U0001f3fb-\U0001f3ff]|\1)*")
"""One picture, with its repetitions and what only changes how it looks: skin, colour, joiners."""


def spell_out(text: str, tokenizer: Tokenizer) -> str:
    """The text with its emoji as words; one that stands several times in a row is said once.

    What the tokenizer has a token for stays as it is, and so does what has no name in this
    Python's Unicode.
    """
    if text.isascii():
        return text

    def words(found: re.Match[str]) -> str:
        picture = found[1]
        if tokenizer.token_to_id(picture) is not None:
            return found[0]
        name = unicodedata.name(picture, "").lower().replace("-", " ")
        return f" {name.removesuffix(' sign')} " if name else found[0]

    return _RUN.sub(words, text)

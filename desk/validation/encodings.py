"""Texts that were read in the wrong encoding on their way here, and how they were meant.

The usual accident: bytes in UTF-8 were read as Windows-1252 or Latin-1 and saved again, so that
"café" became "cafÃ©". It can be undone where every such character takes part in it.
"""

from __future__ import annotations

import re

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""What stands where a character could not be read: it is lost."""


def _bytes_by_character() -> dict[str, int]:
    known = {chr(byte): byte for byte in range(0x80, 0x100)}  # Latin-1
    for byte in range(0x80, 0xA0):
        character = bytes([byte]).decode("cp1252", "ignore")
        if character:
            known[character] = byte
    return known


_BYTES = _bytes_by_character()


def _characters(first: int, last: int) -> str:
    return re.escape("".join(c for c, byte in _BYTES.items() if first <= byte <= last))


_RUN = re.compile(f"[{_characters(0x80, 0xFF)}]+")
_NEXT = f"[{_characters(0x80, 0xBF)}]"
_SEQUENCE = re.compile(
    f"[{_characters(0xC2, 0xDF)}]{_NEXT}"
    f"|[{_characters(0xE0, 0xEF)}]{_NEXT}{{2}}"
    f"|[{_characters(0xF0, 0xF4)}]{_NEXT}{{3}}"
)
"""What a character of two, three or four bytes in UTF-8 looks like when read as Windows-1252."""
_TYPOGRAPHY = frozenset("‚„…‘’“”–—•‹›«»™®°º²³´·¡¿\u00a0")
"""Characters that may well follow a letter: “CAFÉ” holds the bytes of another letter."""


def garbled(text: str) -> bool:
    """Whether a text was, at least in part, UTF-8 that was read as Windows-1252 or Latin-1."""
    weak = 0
    for found in _SEQUENCE.finditer(text):
        lead, rest = found[0][0], set(found[0][1:])
        before = text[: found.start()][-1:]
        if lead.isupper() and before.islower():
            return True
        if lead in "ÂÃ":
            if not (before.isupper() and rest <= _TYPOGRAPHY):
                return True
        elif not rest <= _TYPOGRAPHY:
            if len(found[0]) > 2:
                return True
            weak += 1
    return weak > 1  # one Ø± may be meant, a word of them is not


def repaired(text: str) -> str | None:
    """A garbled text as it was meant; None where it is not garbled or does not decode cleanly.

    Cleanly: every character that can come from the accident decodes, and nothing that is left
    is garbled. What was read wrongly several times is put right as many times.
    """
    meant = text
    while garbled(meant):
        try:
            meant = _RUN.sub(_decoded, meant)
        except UnicodeDecodeError:
            return None
    odd = any(0x7F <= ord(character) <= 0x9F for character in meant)
    return None if meant == text or odd else meant


def _decoded(run: re.Match[str]) -> str:
    return bytes(_BYTES[character] for character in run[0]).decode("utf-8")

"""Positions in UTF-16 code units, in which Telegram counts lengths and entity offsets."""

from __future__ import annotations


def length(text: str) -> int:
    """The number of UTF-16 code units of the text."""
    return len(text) + sum(ord(char) > 0xFFFF for char in text)


def boundaries(text: str) -> dict[int, int]:
    """Maps each UTF-16 offset between two characters (ends included) to its index in `text`."""
    found = {0: 0}
    units = 0
    for index, char in enumerate(text):
        units += 2 if ord(char) > 0xFFFF else 1
        found[units] = index + 1
    return found


def encodable(value: object) -> bool:
    """False when a string anywhere in the JSON-like value holds half a surrogate pair."""
    if isinstance(value, str):
        return not any(0xD800 <= ord(char) <= 0xDFFF for char in value)
    if isinstance(value, dict):
        return all(encodable(key) and encodable(item) for key, item in value.items())
    if isinstance(value, list):
        return all(encodable(item) for item in value)
    return True

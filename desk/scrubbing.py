"""Secrets taken out of what is written where others read: logs, errors, reports."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus

# A bot token stands in every Bot API address, and libraries put addresses into their errors. An
# address that was itself put into an address has its colon encoded, once or several times.
_TOKEN = re.compile(r"\d{5,}(?::|%(?:25)*3A)[A-Za-z0-9_:-]{20,}", re.IGNORECASE)
# A password may hold "@" and "/", if wrongly: the last "@" before white space or a quote ends it.
_PASSWORD = re.compile(r"(://[^:/@\s\"']*:)[^\s\"']*@")
# A word after a colon is a value only if it has a digit: "BOT_TOKEN: must look like" is a sentence.
_PARAMETER = re.compile(
    r"\b((?:\w*password|\w*secret|\w*token|pwd)"
    r"(?:\s*=\s*[\"']?|[\"']\s*:\s*[\"']?|:\s*(?=[^\s\"'&;,)}\]]*\d)))[^\s\"'&;,)}\]]+",
    re.IGNORECASE,
)
_NAME = re.compile(r"\w*password|\w*secret|\w*token|pwd", re.IGNORECASE)

_known: set[str] = set()


def protect(*secrets: str | None) -> None:
    """Take these very values out of every text from now on, in whatever form they come."""
    for secret in secrets:
        if secret and len(secret) >= 6:  # a shorter one would blot out ordinary words
            _known.update(_forms(secret))


def _forms(secret: str) -> set[str]:
    """A secret as it stands in addresses, in JSON and in the messages of errors."""
    encoded = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    lower = {re.sub("%..", lambda found: found[0].lower(), form) for form in encoded}
    quoted = {json.dumps(secret, ensure_ascii=escaped)[1:-1] for escaped in (True, False)}
    return {secret, repr(secret)[1:-1]} | encoded | lower | quoted


def scrub(text: str) -> str:
    """A text without bot tokens, passwords in addresses and parameters, and protected values."""
    # The longest first: taking out one that is part of another would leave the rest of it.
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, "***")
    text = _TOKEN.sub("***", text)
    text = _PASSWORD.sub(r"\1***@", text)
    return _PARAMETER.sub(r"\1***", text)


def scrub_value(value: Any) -> Any:
    """The same for whatever a line of a log may hold: nested, as bytes, as an exception."""
    if isinstance(value, str):
        return scrub(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {
            scrub_value(key): "***" if _names_a_secret(key, item) else scrub_value(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [scrub_value(item) for item in value]
    if isinstance(value, bytes):
        return scrub(value.decode(errors="replace"))
    return scrub(str(value))


def _names_a_secret(key: Any, value: Any) -> bool:
    """Whether a field is a secret by its name, such as `password`, and has a text."""
    return isinstance(key, str) and bool(_NAME.fullmatch(key)) and isinstance(value, str | bytes)

"""Personal data out of texts before they train a model.

Masked: e-mail and web addresses, phone numbers (libphonenumber), payment cards (Luhn) and bank
accounts (IBAN, ISO 7064 mod 97-10). Order numbers stay: they carry meaning and identify nobody.
Names are not found: no offline library does so reliably.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import phonenumbers

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_URL = re.compile(r"\b(?:https?://|www\.)\S+", re.IGNORECASE)
_HANDLE = re.compile(r"(?<!\w)@\w{4,32}\b")
# Both find more than a number (the words or the date after it); `_mask_runs` looks inside.
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{1,4}){3,12}\b", re.IGNORECASE | re.ASCII)
_DIGITS = re.compile(r"(?<![\w#-])\d(?:[ -]?\d){12,30}(?!\w)")


def mask(text: str, regions: Sequence[str]) -> str:
    """The text with each personal detail replaced by a word such as `[email]`.

    `regions` (ISO 3166, such as GB) are those whose phone numbers are found without a country code
    too; with one they are found anyway.
    """
    text = _EMAIL.sub("[email]", text)
    text = _URL.sub("[link]", text)
    text = _HANDLE.sub("[name]", text)
    text = _mask_runs(text, _IBAN, is_iban, "[account]")
    text = _mask_runs(text, _DIGITS, is_card, "[card]")
    for region in regions or (None,):
        found = list(phonenumbers.PhoneNumberMatcher(text, region))
        for number in reversed(found):
            text = f"{text[: number.start]}[phone]{text[number.end :]}"
    return text


def is_region(name: str) -> bool:
    """Whether a country's phone numbers are known under that name."""
    return name in phonenumbers.SUPPORTED_REGIONS


def _mask_runs(
    text: str, pattern: re.Pattern[str], is_number: Callable[[str], bool], word: str
) -> str:
    """Mask the longest run of whole groups in each match that is such a number."""

    def masked(match: re.Match[str]) -> str:
        parts = re.split("([ -])", match[0])  # groups at even places, what parts them between
        for length in range(len(parts), 0, -2):
            for start in range(0, len(parts) - length + 1, 2):
                if is_number("".join(parts[start : start + length])):
                    after = "".join(parts[start + length :])
                    return "".join(parts[:start]) + word + pattern.sub(masked, after)
        return match[0]

    return pattern.sub(masked, text)


def is_card(text: str) -> bool:
    """Whether the digits of a text are a payment card's number (Luhn, ISO/IEC 7812-1)."""
    digits = [int(character) for character in text if character.isdecimal()][::-1]
    if not 13 <= len(digits) <= 19:
        return False
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether a text is a bank account's number with right check digits (ISO 13616)."""
    compact = text.replace(" ", "").upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", compact, re.ASCII):
        return False
    moved = compact[4:] + compact[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1

"""The desk's own words, in English and Chinese (Fluent); answers are the pack's."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fluent.runtime import FluentBundle, FluentResource

LOCALES = Path(__file__).parent / "locales"
LANGUAGES = ("en", "zh")


@cache
def _bundle(language: str) -> FluentBundle:
    # Telegram shows Fluent's isolation marks as they are, in buttons even as boxes.
    bundle = FluentBundle([language], use_isolating=False)
    source = (LOCALES / f"{language}.ftl").read_text(encoding="utf-8")
    bundle.add_resource(FluentResource(source))
    return bundle


def say(key: str, language: str | None = None, **values: str | int) -> str:
    """The text of that key in the customer's language (an IETF tag), else in English.

    Raises `KeyError` for an unknown key and `ValueError` for a value that is missing.
    """
    short = (language or "en").split("-")[0].lower()
    bundle = _bundle(short if short in LANGUAGES else "en")
    if not bundle.has_message(key):
        raise KeyError(key)
    pattern = bundle.get_message(key).value
    if pattern is None:
        raise KeyError(key)
    text, errors = bundle.format_pattern(pattern, values)
    if errors:
        raise ValueError(f"text {key!r} in {short!r}: {errors[0]}")
    return str(text)

"""Telegram's HTML: which markup a text may have, and a text that has none."""

from __future__ import annotations

import html
import re

TELEGRAM_TAGS = frozenset(
    {"a", "b", "blockquote", "code", "del", "em", "i", "ins", "pre", "s", "strike", "strong", "u"}
)
# An HTML parser forgives what Telegram refuses (a lone <, <br/>, comments): this is stricter.
_TAG = re.compile(
    r"""<(?P<slash>/?)(?P<name>[A-Za-z][A-Za-z0-9-]*)"""
    r"""(?P<attributes>(?:\s+[A-Za-z-]+(?:="[^"<>]*"|='[^'<>]*')?)*)\s*>"""
)


def html_problems(text: str) -> list[str]:
    """What Telegram would not accept in a text with HTML markup."""
    problems: list[str] = []
    opened: list[str] = []
    for start in (found.start() for found in re.finditer("<", text)):
        tag = _TAG.match(text, start)
        if tag is None:
            problems.append(f"{text[start : start + 12]!r} is no tag; write &lt; for a plain <")
            continue
        name = tag["name"].lower()
        if name not in TELEGRAM_TAGS:
            problems.append(f"Telegram knows no <{name}>; write &lt; for a plain <")
        elif not tag["slash"]:
            opened.append(name)
            if "{customer}" in tag[0].replace(" ", ""):
                problems.append("{customer} can't stand inside a tag")
            if name == "a" and "href=" not in tag["attributes"]:
                problems.append('<a> needs an address: <a href="https://…">')
        elif not opened or opened[-1] != name:
            wanted = f"; close <{opened[-1]}> first" if opened else ""
            problems.append(f"</{name}> closes nothing{wanted}")
        else:
            opened.pop()
    if not problems:
        problems += [f"<{name}> is never closed" for name in opened]
    return problems


def escaped(text: str) -> str:
    """A person's text, safe inside Telegram's HTML (never put it into an attribute)."""
    return html.escape(text, quote=False)

"""URLs as Telegram judges them: in text, in links and on buttons."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

_SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]*):(?!\d)")
_HOST = re.compile(r"^(?=.{1,253}$)([\w-]+\.)+[\w-]+$")


def mentioned_user(url: str) -> int | None:
    """The user id of a `tg://user?id=` link, if it is one."""
    try:
        parts = urlsplit(url)
        value = parse_qs(parts.query).get("id", [""])[0]
    except ValueError:
        return None
    if parts.scheme.lower() != "tg" or (parts.netloc or parts.path.strip("/")) != "user":
        return None
    return int(value) if re.fullmatch(r"[1-9]\d{0,17}", value, re.ASCII) else None


def link_error(url: str) -> str | None:
    """Why Telegram refuses the URL on a button or in a link; None when it does not."""
    if not url or re.search(r"\s", url):
        return "Wrong HTTP URL"
    scheme = _SCHEME.match(url)
    if scheme and scheme[1].lower() in ("tg", "ton", "tonsite"):
        return None
    if scheme and scheme[1].lower() not in ("http", "https"):
        return "Unsupported URL protocol"
    try:
        parts = urlsplit(url if scheme else f"http://{url}")
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "Wrong HTTP URL"
    # As on Telegram, "localhost" is no host a link may have: it lacks a dot.
    return None if _HOST.match(host) or ":" in host else "Wrong HTTP URL"


def checked_link(url: str) -> str:
    """The URL as Telegram stores it (with scheme and path), or "" when it refuses it."""
    url = url.strip()
    if link_error(url) is not None:
        return ""
    scheme = _SCHEME.match(url)
    if scheme and scheme[1].lower() not in ("http", "https"):
        return url
    url = url if scheme else f"http://{url}"
    parts = urlsplit(url)
    bare = not (parts.path or parts.query or parts.fragment)
    return f"{url}/" if bare else url

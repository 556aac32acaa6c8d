"""Formatted text: explicit entities checked, parse modes applied, the obvious ones found."""

from __future__ import annotations

import re
from typing import Any, TypeGuard

from simulator import utf16
from simulator.errors import bad_request
from simulator.html_markup import parse_html
from simulator.links import checked_link
from simulator.model import Json

_TYPES = {
    "mention", "hashtag", "cashtag", "bot_command", "url", "email", "phone_number", "bold",
    "italic", "underline", "strikethrough", "spoiler", "blockquote", "expandable_blockquote",
    "code", "pre", "text_link", "text_mention", "custom_emoji", "date_time",
}  # fmt: skip
# Telegram finds these itself: what a bot says about them is ignored.
_FOUND = {"mention", "hashtag", "cashtag", "bot_command", "url", "email", "phone_number"}
_PATTERNS = (
    ("url", re.compile(r"(?<![\w@.])(?:https?://[^\s<>\"]+|(?:[\w-]+\.)+"
                       r"(?:com|org|net|io|dev|me|shop|example|de|uk|eu|ru)\b(?:/[^\s<>\"]*)?)")),
    ("email", re.compile(r"(?<![\w.+-])[\w.+-]+@(?:[\w-]+\.)+[a-zA-Z]{2,}")),
    ("bot_command", re.compile(r"(?<![\w/@#])/[A-Za-z0-9_]{1,64}(?:@\w{3,32})?(?![\w/])")),
    ("mention", re.compile(r"(?<![\w@/])@[A-Za-z][A-Za-z0-9_]{3,31}\b")),
    ("hashtag", re.compile(r"(?<![\w#&/])#\w*[^\W\d]\w*")),
)  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\u2028\u202a-\u202e]")


def find_entities(text: str, taken: list[Json]) -> list[Json]:
    """Entities Telegram annotates by itself, outside code, links and each other."""
    blocked = [
        (e["offset"], e["offset"] + e["length"])
        for e in taken
        if e["type"] in ("code", "pre", "text_link", "text_mention", "custom_emoji")
    ]
    offsets = {index: units for units, index in utf16.boundaries(text).items()}
    found: list[Json] = []
    for kind, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            stop = match.end()
            if kind == "url":
                stop -= len(match[0]) - len(match[0].rstrip(".,;:!?)'"))
            start, end = offsets[match.start()], offsets[stop]
            if any(start < high and low < end for low, high in blocked):
                continue
            blocked.append((start, end))
            found.append({"type": kind, "offset": start, "length": end - start})
    return found


def ordered(entities: list[Json]) -> list[Json]:
    """Entities in Telegram's order: by offset, the longer first."""
    return sorted(entities, key=lambda e: (e["offset"], -e["length"]))


def _trim(text: str, entities: list[Json]) -> tuple[str, list[Json]]:
    """Strip white space at both ends and move the entities along."""
    lead = len(text) - len(text.lstrip())
    shift = utf16.length(text[:lead])
    text = text.strip()
    units = utf16.length(text)
    kept: list[Json] = []
    for entity in entities:
        start = max(0, entity["offset"] - shift)
        end = min(units, entity["offset"] + entity["length"] - shift)
        if end > start:
            kept.append(entity | {"offset": start, "length": end - start})
    return text, kept


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", text.replace("\r", ""))


def _explicit(text: str, raw: Any) -> list[Json]:
    if not isinstance(raw, list):
        raise bad_request("can't parse MessageEntity: expected an Array of MessageEntity")
    places = utf16.boundaries(text)
    found = (_checked(item, places) for item in raw)
    return [entity for entity in found if entity is not None]


def _checked(item: Any, places: dict[int, int]) -> Json | None:
    """One explicit entity; None for those Telegram drops without a word. Raises 400."""
    if not isinstance(item, dict):
        raise bad_request("can't parse MessageEntity: expected an Object")
    kind, offset, length = item.get("type"), item.get("offset"), item.get("length")
    if not isinstance(kind, str):
        raise bad_request('can\'t parse MessageEntity: field "type" must be of type String')
    if not _is_int(offset) or not _is_int(length):
        raise bad_request("can't parse MessageEntity: invalid offset or length")
    if kind not in _TYPES:
        raise bad_request("can't parse MessageEntity: unsupported type specified")
    if offset < 0 or length <= 0 or kind in _FOUND:
        return None
    end = offset + length
    where = f"entity beginning at UTF-16 offset {offset} ends"
    if end > max(places):
        raise bad_request(f"{where} after the end of the text at UTF-16 offset {end}")
    if offset not in places or end not in places:
        raise bad_request(f"{where} in a middle of a UTF-16 symbol")
    return _payload(kind, item, offset, length)


def _payload(kind: str, item: Json, offset: int, length: int) -> Json | None:
    entity: Json = {"type": kind, "offset": offset, "length": length}
    if kind == "text_link":
        url = item.get("url")
        link = checked_link(url) if isinstance(url, str) else ""
        return entity | {"url": link} if link else None
    if kind == "text_mention":
        user = item.get("user")
        user_id = user.get("id") if isinstance(user, dict) else None
        return entity | {"user": {"id": user_id}} if _is_int(user_id) else None
    if kind == "pre" and isinstance(item.get("language"), str) and item["language"]:
        entity["language"] = item["language"]
    if kind == "date_time" and _is_int(item.get("unix_time")):
        entity["unix_time"] = item["unix_time"]
    if kind == "custom_emoji":
        if not str(item.get("custom_emoji_id", "")).isdecimal():
            raise bad_request("invalid custom emoji identifier specified")
        entity["custom_emoji_id"] = str(item["custom_emoji_id"])
    return entity


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def format_text(text: str, parse_mode: str, entities: Any = None) -> tuple[str, list[Json]]:
    """Apply `parse_mode` or `entities` and annotate; returns trimmed text and entities."""
    mode = parse_mode.lower()
    marked: list[Json] = []
    if mode == "html":
        text, marked = parse_html(text)
        cleaned = _clean(text)
        # A dropped carriage return would shift offsets; Telegram's own texts have none.
        text = cleaned if len(cleaned) == len(text) else text.replace("\r", " ")
    elif mode not in ("", "none"):
        known = mode in ("markdown", "markdownv2")
        raise bad_request(
            "the simulator does not read Markdown: use HTML or entities"
            if known
            else "unsupported parse_mode"
        )
    else:
        text = _clean(text)
        if entities is not None:
            marked = _explicit(text, entities)
    text, marked = _trim(text, marked)
    return text, ordered(marked + find_entities(text, marked))

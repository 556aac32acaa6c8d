"""What is kept of a group's update once it is handled: ids, and no words.

Colleagues write about customers in any topic, and what replies or is pressed there has the text at
which it stands: no erasure could find all of that by whom it is about.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from desk.flow.kept_back import NOTE, is_addressed, is_like_note, stays_here

FILES = ("animation", "audio", "document", "photo", "video", "voice")
"""What a message may hold beside its text, where that can be changed."""
WITHIN = ("message", "reply_to_message", "external_reply", "pinned_message")
"""Where a press, a reply or a pinning has the message at which it stands."""
_WORDS = ("caption", "checklist", "location", "rich_message", "text")
_HASH = "hash"
_IDS = ("id", "message_id", "message_thread_id", "media_group_id")


def ids_of(payload: dict[str, Any]) -> dict[str, Any]:
    """What of a group's update is looked at later: ids of messages, topics, albums and files, how a
    caption begins that makes a note, a word to a colleague or a command of its album, and a hash
    that is too short to say what the words were.

    An update of which no more is kept stays as it is.
    """
    return {
        kind: _ids(body) | _file(body) | _caption(body) | _hash(body)
        for kind, body in payload.items()
        if isinstance(body, dict)
    }


def lasting_id(body: dict[str, Any]) -> tuple[str, str] | None:
    """A message's file: its kind, and the id that stays the same; None where it has none."""
    for kind in FILES:
        found = body.get(kind)
        largest = found[-1] if isinstance(found, list) and found else found
        if isinstance(largest, dict):
            return kind, str(largest.get("file_unique_id"))
    return None


def _hash(body: dict[str, Any]) -> dict[str, Any]:
    """16 bits of what an edit may change beside the file, by which one that changes nothing is
    known: countless texts have the same."""
    if _HASH in body:
        return {_HASH: body[_HASH]}
    words = {name: body[name] for name in _WORDS if name in body}
    if isinstance(poll := body.get("poll"), dict):
        words["poll"] = poll.get("question")  # the rest has how many have voted
    if not words:
        return {}
    return {_HASH: sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:4]}


def _ids(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {name: body[name] for name in _IDS if name in body}
    return found | {name: _ids(body[name]) for name in WITHIN if isinstance(body.get(name), dict)}


def _file(body: dict[str, Any]) -> dict[str, Any]:
    found = lasting_id(body)
    return {} if found is None else {found[0]: {"file_unique_id": found[1]}}


def _caption(body: dict[str, Any]) -> dict[str, Any]:
    caption, marks = body.get("caption"), body.get("caption_entities") or ()
    if not isinstance(caption, str):
        return {}
    if not (stays_here(caption) or is_addressed(caption, marks)):
        return {"caption": NOTE} if is_like_note(caption) else {}
    kept: dict[str, Any] = {"caption": caption[:2]}
    if is_addressed("", marks):
        kept["caption_entities"] = [{"type": "text_mention", "offset": 0}]
    return kept

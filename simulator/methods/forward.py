"""copyMessage and forwardMessage."""

from __future__ import annotations

from simulator.errors import bad_request
from simulator.keyboards import Markup, parse_markup
from simulator.methods.registry import Call, method
from simulator.methods.send import post, read_caption
from simulator.methods.target import find_message, readable_chat, writable_chat
from simulator.model import Json
from simulator.view import message_json, user_json


@method("copyMessage")
def copy_message(call: Call) -> Json:
    chat = writable_chat(call)
    source = find_message(call, readable_chat(call, "from_chat_id"), "copy")
    if source.service is not None:
        raise bad_request("message can't be copied")
    text, entities = source.text, source.entities
    if source.media is not None and "caption" in call.params.values:
        text, entities = read_caption(call)
    markup = parse_markup(call.params, private=chat.is_private)
    extra = {name: source.extra[name] for name in _CONTENT if name in source.extra}
    copied = [dict(entity) for entity in entities]
    parts: Json = {"text": text, "entities": copied, "media": source.media, "extra": extra}
    return {"message_id": post(call, chat, markup, **parts).message_id}


_CONTENT = ("voice", "sticker", "location", "contact")


@method("forwardMessage")
def forward_message(call: Call) -> Json:
    chat = writable_chat(call)
    source = find_message(call, readable_chat(call, "from_chat_id"), "forward")
    if source.service is not None or source.extra.get("has_protected_content"):
        raise bad_request("message can't be forwarded")
    origin = source.extra.get("forward_origin") or {
        "type": "user",
        "date": source.date,
        "sender_user": user_json(source.sender),
    }
    extra = {name: source.extra[name] for name in _CONTENT if name in source.extra}
    extra["forward_origin"] = origin
    copied = [dict(entity) for entity in source.entities]
    parts: Json = {"text": source.text, "entities": copied, "media": source.media, "extra": extra}
    return message_json(post(call, chat, Markup(), **parts))

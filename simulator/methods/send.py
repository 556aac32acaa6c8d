"""sendMessage and sendChatAction, and the posting that all sending methods share."""

from __future__ import annotations

from typing import Any

from simulator import utf16
from simulator.entities import format_text
from simulator.errors import bad_request
from simulator.keyboards import Markup, parse_markup
from simulator.methods.registry import Call, method
from simulator.methods.target import (
    GENERAL_THREAD,
    check_open,
    find_quote,
    find_reply,
    find_thread,
    writable_chat,
)
from simulator.model import Chat, Json, Message
from simulator.view import message_json

MAX_TEXT = 4096
MAX_CAPTION = 1024
ACTIONS = (
    "typing",
    "upload_photo",
    "record_video",
    "upload_video",
    "record_voice",
    "upload_voice",
    "upload_document",
    "choose_sticker",
    "find_location",
    "record_video_note",
    "upload_video_note",
)


def read_text(call: Call) -> tuple[str, list[Json]]:
    """`text` with its formatting; raises 400 when empty, too long or badly marked up."""
    params = call.params
    entities = params.json("entities", "entities")
    text, found = format_text(params.text("text"), params.text("parse_mode"), entities)
    if not text:
        raise bad_request("message text is empty")
    if utf16.length(text) > MAX_TEXT:
        raise bad_request("message is too long")
    return text, found


def read_caption(call: Call) -> tuple[str, list[Json]]:
    """`caption` with its formatting, "" when absent; raises 400."""
    params = call.params
    entities = params.json("caption_entities", "caption entities")
    text, found = format_text(params.text("caption"), params.text("parse_mode"), entities)
    if utf16.length(text) > MAX_CAPTION:
        raise bad_request("message caption is too long")
    return text, found


def post(call: Call, chat: Chat, markup: Markup, **parts: Any) -> Message:
    """Post a message by the bot: thread, reply and protection come from the parameters."""
    topic = find_thread(call, chat)
    answered = find_reply(call, chat)
    if topic is None and answered is not None and answered.thread_id is not None:
        topic = chat.topics.get(answered.thread_id)
    check_open(call, chat, topic)
    reply_to = answered.message_id if answered else None
    if reply_to is None and topic is not None:
        # In a topic, Telegram shows every plain message as a reply to the topic's first one.
        reply_to = topic.thread_id
    extra: Json = dict(parts.pop("extra", {}))
    if (quote := find_quote(call, answered)) is not None:
        extra["quote"] = quote
    if call.params.flag("protect_content"):
        extra["has_protected_content"] = True
    return call.world.post(
        chat,
        call.bot.user,
        thread_id=topic.thread_id if topic else None,
        reply_to=reply_to,
        inline_keyboard=markup.inline,
        keyboard=markup.keyboard,
        extra=extra,
        **parts,
    )


@method("sendMessage")
def send_message(call: Call) -> Json:
    text, entities = read_text(call)
    preview = call.params.json("link_preview_options", "link preview options")
    if preview is not None and not isinstance(preview, dict):
        raise bad_request("can't parse link preview options JSON object")
    chat = writable_chat(call)
    markup = parse_markup(call.params, private=chat.is_private)
    kept = ("is_disabled", "url", "prefer_small_media", "prefer_large_media", "show_above_text")
    shown = {name: preview[name] for name in kept if name in preview} if preview else {}
    if call.params.flag("disable_web_page_preview"):
        shown["is_disabled"] = True
    extra = {"link_preview_options": shown} if shown else {}
    message = post(call, chat, markup, text=text, entities=entities, extra=extra)
    return message_json(message)


@method("sendChatAction")
def send_chat_action(call: Call) -> bool:
    action = call.params.text("action")
    if action.lower() not in ACTIONS:
        raise bad_request("wrong parameter action in request")
    chat = writable_chat(call)
    thread_id = call.params.integer("message_thread_id")
    if thread_id and not (chat.is_forum and thread_id == GENERAL_THREAD):
        find_thread(call, chat)
    shown = {"chat_id": chat.id, "bot_key": call.bot.key, "action": action.lower()}
    who = {"user_id": call.bot.user.id, "name": call.bot.user.first_name}
    call.world.bus.publish("chat_action", shown | who | {"thread_id": thread_id or None})
    return True

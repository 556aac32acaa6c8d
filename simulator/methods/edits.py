"""Editing and deleting what was sent, and answering button presses."""

from __future__ import annotations

import time

from simulator.errors import NOT_MODIFIED, QUERY_TOO_OLD, bad_request
from simulator.keyboards import Markup, parse_markup
from simulator.methods.registry import Call, method
from simulator.methods.send import read_caption, read_text
from simulator.methods.target import find_chat, find_message, membership, readable_chat
from simulator.model import Chat, Json, Message
from simulator.view import message_json

MAX_CALLBACK_TEXT = 200
DELETABLE_SECONDS = 48 * 3600


def _own_message(call: Call) -> tuple[Message, Markup]:
    """The message to edit and its new markup; raises 400 when it is not the bot's."""
    if call.params.has("inline_message_id"):
        raise bad_request("MESSAGE_ID_INVALID")
    chat = readable_chat(call)
    message = find_message(call, chat, "edit")
    if message.sender is not call.bot.user or message.service is not None:
        raise bad_request("message can't be edited")
    markup = parse_markup(call.params, private=chat.is_private)
    if markup.keyboard is not None:
        raise bad_request("inline keyboard expected")
    return message, markup


def _apply(call: Call, message: Message, text: str, entities: list[Json], markup: Markup) -> Json:
    same = (message.text, message.entities, message.inline_keyboard or None)
    if same == (text, entities, markup.inline):
        raise bad_request(NOT_MODIFIED)
    message.text, message.entities = text, entities
    message.inline_keyboard = markup.inline
    call.world.changed(message)
    return message_json(message)


@method("editMessageText")
def edit_message_text(call: Call) -> Json:
    text, entities = read_text(call)
    message, markup = _own_message(call)
    if message.media is not None or not message.text:
        raise bad_request("there is no text in the message to edit")
    return _apply(call, message, text, entities, markup)


@method("editMessageCaption")
def edit_message_caption(call: Call) -> Json:
    text, entities = read_caption(call)
    message, markup = _own_message(call)
    if message.media is None:
        raise bad_request("there is no caption in the message to edit")
    return _apply(call, message, text, entities, markup)


@method("editMessageReplyMarkup")
def edit_message_reply_markup(call: Call) -> Json:
    message, markup = _own_message(call)
    return _apply(call, message, message.text, message.entities, markup)


def _check_deletable(call: Call, chat: Chat, message: Message) -> None:
    # Neither a private chat nor any right in a group lets a bot delete what is older.
    if call.world.now >= message.date + DELETABLE_SECONDS:
        everyone = " for everyone" if chat.is_private else ""
        raise bad_request(f"message can't be deleted{everyone}")
    if chat.is_private or message.sender is call.bot.user:
        return
    if not membership(call, chat).can("can_delete_messages"):
        raise bad_request("message can't be deleted")


@method("deleteMessage")
def delete_message(call: Call) -> bool:
    chat = readable_chat(call)
    message = find_message(call, chat, "delete")
    if message.message_id in chat.topics:
        raise bad_request("message can't be deleted")
    _check_deletable(call, chat, message)
    call.world.delete(message)
    return True


@method("deleteMessages")
def delete_messages(call: Call) -> bool:
    chat = readable_chat(call)
    raw = call.params.json("message_ids", "message identifiers")
    if not isinstance(raw, list) or not raw:
        raise bad_request("message identifiers are not specified")
    if len(raw) > 100:
        raise bad_request("too many message identifiers specified")
    numbers = [item for item in raw if isinstance(item, int)]
    found = [message for item in numbers if (message := chat.live(item)) is not None]
    for message in found:
        _check_deletable(call, chat, message)
    for message in found:
        # The same id given twice is deleted once.
        if not message.deleted:
            call.world.delete(message)
    return True


@method("answerCallbackQuery")
def answer_callback_query(call: Call) -> bool:
    press = call.world.callbacks.find(call.bot.key, call.params.text("callback_query_id"))
    if press is None:
        raise bad_request(QUERY_TOO_OLD)
    text = call.params.text("text")
    if len(text) > MAX_CALLBACK_TEXT:
        raise bad_request("MESSAGE_TOO_LONG")
    url = call.params.text("url")
    if url and not url.startswith((f"https://t.me/{call.bot.user.username}?", "tg://")):
        raise bad_request("URL_INVALID")
    if press.answer is None:
        alert = call.params.flag("show_alert")
        press.answer = {"text": text, "show_alert": alert, "url": url}
        press.answered_at = time.monotonic()
        press.done.set()
        where = {"chat_id": press.message.chat.id, "message_id": press.message.message_id}
        shown = press.json() | where | {"user_id": press.user.id}
        call.world.bus.publish("callback_answer", shown)
    return True


@method("pinChatMessage")
def pin_chat_message(call: Call) -> bool:
    chat = readable_chat(call)
    if not chat.is_private and not membership(call, chat).can("can_pin_messages"):
        raise bad_request("not enough rights to manage pinned messages in the chat")
    message = find_message(call, chat, "pin")
    if chat.pinned != message.message_id:
        chat.pinned = message.message_id
        shown = {"pinned_message": message_json(message, replies=False)}
        call.world.post(chat, call.bot.user, service=shown, thread_id=message.thread_id)
    return True


@method("unpinChatMessage")
def unpin_chat_message(call: Call) -> bool:
    chat = find_chat(call)
    if not chat.is_private and not membership(call, chat).can("can_pin_messages"):
        raise bad_request("not enough rights to manage pinned messages in the chat")
    if call.params.has("message_id") and chat.pinned != call.params.integer("message_id"):
        raise bad_request("message to unpin not found")
    chat.pinned = None
    return True

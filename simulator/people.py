"""What people do: write, edit, press, react, block. Bots hear of it as Telegram would tell."""

from __future__ import annotations

import zlib

from simulator import utf16, view
from simulator.callbacks import Press
from simulator.entities import format_text
from simulator.errors import ApiError, ControlError
from simulator.links import checked_link
from simulator.methods.reactions import reaction
from simulator.methods.send import MAX_CAPTION, MAX_TEXT
from simulator.model import Chat, Json, Member, Message, StoredFile, Topic, User
from simulator.world import Bot, World


def add_user(world: World, body: Json, first_id: int) -> User:
    """Create a person out of a control request."""
    first, last, username, language = (str(body.get(name) or "").strip() for name in _FIELDS)
    if not first:
        raise ControlError(400, "first_name is required.")
    asked = body.get("id")
    if asked is not None and (not isinstance(asked, int) or asked <= 0):
        raise ControlError(400, "id must be a positive number.")
    user_id = asked or first_id
    while user_id in world.users and asked is None:
        user_id += 1
    if user_id in world.users:
        raise ControlError(409, f"There is a user {user_id} already.")
    user = world.users[user_id] = User(user_id, first, last, username, language)
    return user


_FIELDS = ("first_name", "last_name", "username", "language_code")


def start(world: World, bot: Bot, user: User, payload: str = "") -> Message:
    """Open the private chat with /start, as the START button does; unblocks as well."""
    chat = world.private_chat(bot, user)
    if chat.blocked:
        set_blocked(world, bot, user, False)
    return write(world, chat, user, text=f"/start {payload}".strip())


def write(
    world: World,
    chat: Chat,
    user: User,
    *,
    text: str = "",
    media: StoredFile | None = None,
    topic: Topic | None = None,
    reply_to: int | None = None,
    extra: Json | None = None,
) -> Message:
    """Send a message as a person; a private chat begins with it. Raises ControlError."""
    if chat.blocked:
        raise ControlError(409, "This customer has blocked the bot: unblock first.")
    text, entities = format_text(text, "")
    if not text and media is None and not extra:
        raise ControlError(400, "The message is empty.")
    _check_length(text, media)
    if reply_to is not None and chat.live(reply_to) is None:
        raise ControlError(404, f"There is no message {reply_to} to reply to.")
    if topic is not None and topic.closed and not chat.members[user.id].can("can_manage_topics"):
        raise ControlError(409, "The topic is closed.")
    if chat.is_private and not chat.started:
        chat.started = True
        world.members_changed(chat)
    if reply_to is None and topic is not None:
        # In a topic, Telegram shows every plain message as a reply to the topic's first one.
        reply_to = topic.thread_id
    return world.post(
        chat,
        user,
        text=text,
        entities=entities,
        media=media,
        thread_id=topic.thread_id if topic else None,
        reply_to=reply_to,
        extra=_preview(text, entities, media) | (extra or {}),
    )


def _preview(text: str, entities: list[Json], media: StoredFile | None) -> Json:
    """What Telegram says of a text with a link: of which one the preview is."""
    links = [entity for entity in entities if entity["type"] == "url" and media is None]
    if not links:
        return {}
    places, start = utf16.boundaries(text), links[0]["offset"]
    url = checked_link(text[places[start] : places[start + links[0]["length"]]])
    return {"link_preview_options": {"url": url}}


def _check_length(text: str, media: StoredFile | None) -> None:
    kind, most = ("text", MAX_TEXT) if media is None else ("caption", MAX_CAPTION)
    if (units := utf16.length(text)) > most:
        raise ControlError(
            400,
            f"A {kind} has {most:,} UTF-16 units at most, and this one has {units:,}: shorten it, "
            "or send it in parts as Telegram's apps do.",
        )


def edit(world: World, chat: Chat, user: User, message_id: int, text: str) -> Message:
    """Change the text or caption of one's own message; one that stays the same changes nothing."""
    if chat.blocked:
        raise ControlError(409, "This customer has blocked the bot: unblock first.")
    message = existing(chat, message_id)
    if message.sender is not user:
        raise ControlError(403, "Only its author can edit a message.")
    text, entities = format_text(text, "")
    if not text and message.media is None:
        raise ControlError(400, "The message is empty.")
    _check_length(text, message.media)
    if (text, entities) == (message.text, message.entities):
        return message
    message.text, message.entities = text, entities
    message.extra.pop("link_preview_options", None)
    message.extra |= _preview(text, entities, message.media)
    world.changed(message)
    return message


def delete(world: World, chat: Chat, user: User, message_id: int) -> Message:
    """Delete a message for all who are in the chat; no bot hears of it, as in Telegram.

    In a private chat any message, in a group one's own and, with the right to, those of others.
    """
    message = existing(chat, message_id)
    if message.message_id in chat.topics:
        raise ControlError(409, "A topic's first message stays: delete the topic.")
    own = chat.is_private or message.sender is user
    if not own and not chat.members[user.id].can("can_delete_messages"):
        raise ControlError(403, f"{user.first_name} may not delete what others wrote.")
    world.delete(message)
    return message


def existing(chat: Chat, message_id: int) -> Message:
    """The message; raises ControlError when there is none."""
    message = chat.live(message_id)
    if message is None:
        raise ControlError(404, f"There is no message {message_id} in chat {chat.id}.")
    return message


def press(
    world: World, chat: Chat, user: User, message_id: int, text: str, data: str
) -> Press | Json:
    """Press an inline button, by its text or its callback data; a link is only returned."""
    message = existing(chat, message_id)
    if chat.blocked:
        raise ControlError(409, "This customer has blocked the bot: unblock first.")
    buttons = [button for row in message.inline_keyboard or [] for button in row]
    found = [b for b in buttons if b.get("callback_data") == data and data]
    found = found or [b for b in buttons if b["text"] == text and text]
    if not found:
        shown = ", ".join(repr(button["text"]) for button in buttons) or "none"
        raise ControlError(404, f"No such button; the message has: {shown}.")
    button = found[0]
    if "callback_data" not in button:
        return {"answered": False, "button": button}
    bot = world.bot_of(message.sender.id)
    if bot is None:
        raise ControlError(409, "The message was not sent by a bot that exists.")
    opened = world.callbacks.press(bot.key, user, message)
    query: Json = {
        "id": opened.id,
        "from": view.user_json(user),
        "message": view.message_json(message),
        "chat_instance": str(zlib.crc32(f"{bot.key}/{chat.key}".encode()) + 10**17),
        "data": button["callback_data"],
    }
    bot.updates.push("callback_query", query, chat.key)
    return opened


def react(world: World, chat: Chat, user: User, message_id: int, emoji: str | None) -> Message:
    """Set (or with None remove) one's reaction to a message."""
    message = existing(chat, message_id)
    try:
        chosen = [reaction(emoji)] if emoji else []
    except ApiError:
        raise ControlError(400, f"Telegram has no reaction {emoji!r}.") from None
    before = message.reactions.get(user.id, [])
    message.reactions[user.id] = chosen
    world.bus.publish("edit", view.sim_message(message))
    if before == chosen:
        return message
    update: Json = {
        "chat": view.chat_json(chat),
        "message_id": message.message_id,
        "user": view.user_json(user),
        "date": world.now,
        "old_reaction": before,
        "new_reaction": chosen,
    }
    for bot in world.bots:
        member = chat.members.get(bot.user.id)
        if chat.bot_key == bot.key or (member is not None and member.is_admin):
            bot.updates.push("message_reaction", update, chat.key)
    return message


def set_blocked(world: World, bot: Bot, user: User, blocked: bool) -> None:
    """Block or unblock the bot; it hears of it as my_chat_member."""
    chat = world.private_chat(bot, user)
    if chat.blocked == blocked:
        return
    chat.blocked = blocked
    states = [Member(bot.user, "member"), Member(bot.user, "kicked")]
    old, new = states if blocked else reversed(states)
    update: Json = {
        "chat": view.chat_json(chat),
        "from": view.user_json(user),
        "date": world.now,
        "old_chat_member": view.member_json(old),
        "new_chat_member": view.member_json(new),
    }
    bot.updates.push("my_chat_member", update, chat.key)
    world.members_changed(chat)

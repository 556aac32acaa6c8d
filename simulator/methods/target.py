"""Where a call is aimed: the chat, the thread, the message replied to, and the rights there."""

from __future__ import annotations

from simulator import utf16
from simulator.errors import bad_request, forbidden
from simulator.methods.registry import Call
from simulator.model import Chat, Json, Member, Message, Topic
from simulator.params import to_integer

GENERAL_THREAD = 1


def find_chat(call: Call, name: str = "chat_id") -> Chat:
    """The chat a parameter names, whether the bot may write there or not; raises 400."""
    raw = call.params.text(name).strip()
    if not raw:
        raise bad_request(f"{name} is empty")
    if raw.startswith("@"):
        # Only public supergroups and channels have names a bot may use; there are none here.
        raise bad_request("chat not found")
    chat_id = to_integer(raw)
    if chat_id in call.world.groups:
        return call.world.groups[chat_id]
    user = call.world.users.get(chat_id)
    if user is None or user is call.bot.user:
        raise bad_request("chat not found")
    return call.world.private_chat(call.bot, user)


def readable_chat(call: Call, name: str = "chat_id") -> Chat:
    """The chat, if the bot is in it; raises 400 or 403."""
    chat = find_chat(call, name)
    if chat.is_private:
        if not chat.started:
            raise bad_request("chat not found")
        return chat
    membership(call, chat)
    return chat


def writable_chat(call: Call) -> Chat:
    """The chat, if the bot may send to it; raises 400 or 403."""
    chat = find_chat(call)
    if chat.is_private:
        if chat.user is not None and chat.user.is_bot:
            raise forbidden("bot can't send messages to bots")
        if not chat.started:
            raise forbidden("bot can't initiate conversation with a user")
        if chat.blocked:
            raise forbidden("bot was blocked by the user")
        return chat
    member = membership(call, chat)
    allowed = member.rights if member.status == "restricted" else chat.permissions
    if not member.is_admin and not allowed.get("can_send_messages", member.status == "member"):
        raise bad_request("not enough rights to send text messages to the chat")
    return chat


def membership(call: Call, chat: Chat) -> Member:
    """The bot's standing in the group; raises 403 when it is not in it."""
    member = chat.members.get(call.bot.user.id)
    if member is not None and member.status == "kicked":
        raise forbidden("bot was kicked from the supergroup chat")
    if member is None or not member.present:
        raise forbidden("bot is not a member of the supergroup chat")
    return member


def find_thread(call: Call, chat: Chat) -> Topic | None:
    """The topic of `message_thread_id`, or None for no topic; raises 400."""
    thread_id = call.params.integer("message_thread_id")
    if not thread_id:
        return None
    # The General topic is addressed by leaving the thread out: its id is refused here.
    topic = chat.topics.get(thread_id) if chat.is_forum else None
    if topic is None:
        raise bad_request("message thread not found")
    return topic


def find_reply(call: Call, chat: Chat) -> Message | None:
    """The message to be replied to, by `reply_parameters` or the older names; raises 400."""
    raw = call.params.json("reply_parameters", "reply parameters")
    if raw is None:
        message_id = call.params.integer("reply_to_message_id")
        optional = call.params.flag("allow_sending_without_reply")
    elif isinstance(raw, dict):
        message_id = to_integer(raw.get("message_id", 0))
        optional = raw.get("allow_sending_without_reply") is True
        other = raw.get("chat_id")
        if other not in (None, "") and to_integer(other) != chat.id:
            raise bad_request("message to be replied not found")
    else:
        raise bad_request("reply parameters must be an Object")
    if not message_id:
        return None
    message = chat.live(message_id)
    if message is None and not optional:
        raise bad_request("message to be replied not found")
    return message


def find_quote(call: Call, answered: Message | None) -> Json | None:
    """The TextQuote that `reply_parameters` ask for; raises 400 where the message has no such part.

    Telegram compares the formatting as well; here that is left out.
    """
    raw = call.params.json("reply_parameters", "reply parameters")
    text = raw.get("quote") if isinstance(raw, dict) else None
    if not isinstance(text, str) or not text or answered is None:
        return None
    at = answered.text.find(text)
    if at < 0:
        raise bad_request("QUOTE_TEXT_INVALID")
    return {"text": text, "position": utf16.length(answered.text[:at]), "is_manual": True}


def check_open(call: Call, chat: Chat, topic: Topic | None) -> None:
    """Raise TOPIC_CLOSED when the topic is closed and the bot may not manage topics."""
    if topic is not None and topic.closed and not membership(call, chat).can("can_manage_topics"):
        raise bad_request("TOPIC_CLOSED")


def find_message(call: Call, chat: Chat, verb: str) -> Message:
    """The message that `message_id` names; raises 400 "message to <verb> not found"."""
    message_id = call.params.integer("message_id")
    if not message_id and not call.params.has("message_id"):
        raise bad_request("message identifier is not specified")
    message = chat.live(message_id)
    if message is None:
        raise bad_request(f"message to {verb} not found")
    return message

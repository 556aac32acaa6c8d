"""Forum topic methods."""

from __future__ import annotations

from unicodedata import category

from simulator import forum
from simulator.errors import bad_request
from simulator.methods.registry import Call, method
from simulator.methods.target import find_chat, membership
from simulator.model import TOPIC_COLORS, Chat, Json, Topic
from simulator.view import topic_json

MAX_NAME = 128
BLANKS = "\u115f\u1160\u2800\u3164\uffa0"
"""Fillers of Hangul and the empty Braille pattern: signs by their category that show nothing."""


def _forum(call: Call) -> Chat:
    chat = find_chat(call)
    if chat.is_private:
        raise bad_request("the chat is not a forum")
    membership(call, chat)
    if not chat.is_forum:
        raise bad_request("the chat is not a forum")
    return chat


def _topic(call: Call, act: str, right: str = "can_manage_topics") -> tuple[Chat, Topic]:
    chat = _forum(call)
    thread_id = call.params.integer("message_thread_id")
    if thread_id <= 0:
        raise bad_request("invalid message thread identifier specified")
    topic = chat.topics.get(thread_id)
    if topic is None:
        raise bad_request("message thread not found")
    own = topic.creator_id == call.bot.user.id and right == "can_manage_topics"
    if not own and not membership(call, chat).can(right):
        raise bad_request(f"not enough rights to {act} the topic")
    return chat, topic


def _name(call: Call) -> str:
    name = call.params.text("name").strip()
    # Telegram does not say what counts as empty; here it is whatever shows nothing.
    if not any(category(sign)[0] in "LNPS" and sign not in BLANKS for sign in name):
        raise bad_request("TOPIC_TITLE_EMPTY")
    if len(name) > MAX_NAME:
        # Telegram cuts a long name instead of refusing it.
        name = name[:MAX_NAME]
    return name


@method("createForumTopic")
def create_forum_topic(call: Call) -> Json:
    name = _name(call)
    chat = _forum(call)
    if not membership(call, chat).can("can_manage_topics"):
        raise bad_request("not enough rights to create a topic")
    color = call.params.integer("icon_color")
    if color and color not in TOPIC_COLORS:
        raise bad_request("invalid icon color specified")
    emoji = call.params.text("icon_custom_emoji_id")
    return topic_json(forum.create(call.world, chat, call.bot.user, name, color, emoji))


@method("editForumTopic")
def edit_forum_topic(call: Call) -> bool:
    chat, topic = _topic(call, "edit")
    name = _name(call) if call.params.has("name") else None
    sent = "icon_custom_emoji_id" in call.params.values
    emoji = call.params.text("icon_custom_emoji_id") if sent else None
    if name in (None, topic.name) and emoji in (None, topic.icon_custom_emoji_id):
        raise bad_request("TOPIC_NOT_MODIFIED")
    forum.edit(call.world, chat, call.bot.user, topic, name, emoji)
    return True


@method("closeForumTopic")
def close_forum_topic(call: Call) -> bool:
    chat, topic = _topic(call, "close")
    if topic.closed:
        raise bad_request("TOPIC_NOT_MODIFIED")
    forum.set_closed(call.world, chat, call.bot.user, topic, True)
    return True


@method("reopenForumTopic")
def reopen_forum_topic(call: Call) -> bool:
    chat, topic = _topic(call, "reopen")
    if not topic.closed:
        raise bad_request("TOPIC_NOT_MODIFIED")
    forum.set_closed(call.world, chat, call.bot.user, topic, False)
    return True


@method("deleteForumTopic")
def delete_forum_topic(call: Call) -> bool:
    chat, topic = _topic(call, "delete", "can_delete_messages")
    forum.delete(call.world, chat, topic)
    return True

"""Bot API objects as JSON, made from the simulator's own."""

from __future__ import annotations

from simulator.files import media_json
from simulator.model import ADMIN_RIGHTS, Chat, Json, Member, Message, Topic, User

PERMISSIONS = (
    "can_send_messages",
    "can_send_audios",
    "can_send_documents",
    "can_send_photos",
    "can_send_videos",
    "can_send_video_notes",
    "can_send_voice_notes",
    "can_send_polls",
    "can_send_other_messages",
    "can_add_web_page_previews",
    "can_react_to_messages",
    "can_edit_tag",
    "can_change_info",
    "can_invite_users",
    "can_pin_messages",
    "can_manage_topics",
)


def user_json(user: User) -> Json:
    """User."""
    found: Json = {"id": user.id, "is_bot": user.is_bot, "first_name": user.first_name}
    for name in ("last_name", "username", "language_code"):
        if value := getattr(user, name):
            found[name] = value
    return found


def chat_json(chat: Chat) -> Json:
    """Chat, as it stands in messages."""
    found: Json = {"id": chat.id, "type": chat.type}
    if chat.user is not None:
        shown = user_json(chat.user)
        kept = ("first_name", "last_name", "username")
        return found | {name: shown[name] for name in kept if name in shown}
    found["title"] = chat.title
    if chat.is_forum:
        found["is_forum"] = True
    return found


def full_chat_json(chat: Chat) -> Json:
    """ChatFullInfo, the answer of getChat."""
    found = chat_json(chat) | {
        "accent_color_id": chat.id % 7,
        "max_reaction_count": 11,
        "accepted_gift_types": dict.fromkeys(
            (
                "unlimited_gifts",
                "limited_gifts",
                "unique_gifts",
                "premium_subscription",
                "gifts_from_channels",
            ),
            False,
        ),
    }
    if chat.user is not None and chat.user.username:
        found["active_usernames"] = [chat.user.username]
    if not chat.is_private:
        found["permissions"] = {name: chat.permissions.get(name, True) for name in PERMISSIONS}
        found["has_visible_history"] = True
    if chat.pinned is not None and (pinned := chat.live(chat.pinned)) is not None:
        found["pinned_message"] = message_json(pinned, replies=False)
    return found


def member_json(member: Member) -> Json:
    """ChatMember of the member's status."""
    found: Json = {"user": user_json(member.user), "status": member.status}
    if member.status == "creator":
        found["is_anonymous"] = False
    elif member.status == "administrator":
        found |= {"can_be_edited": False, "is_anonymous": False}
        found |= {right: member.rights.get(right, False) for right in ADMIN_RIGHTS}
    elif member.status == "kicked":
        found["until_date"] = 0
    elif member.status == "restricted":
        found |= {"is_member": True, "until_date": 0}
        found |= {name: member.rights.get(name, False) for name in PERMISSIONS}
    return found


def topic_json(topic: Topic) -> Json:
    """ForumTopic."""
    found: Json = {
        "message_thread_id": topic.thread_id,
        "name": topic.name,
        "icon_color": topic.icon_color,
    }
    if topic.icon_custom_emoji_id:
        found["icon_custom_emoji_id"] = topic.icon_custom_emoji_id
    return found


def message_json(message: Message, *, replies: bool = True) -> Json:
    """Message; the message it replies to is nested once, as Telegram does."""
    chat = message.chat
    found: Json = {
        "message_id": message.message_id,
        "from": user_json(message.sender),
        "chat": chat_json(chat),
        "date": message.date,
    }
    if message.thread_id is not None and chat.is_forum:
        found |= {"message_thread_id": message.thread_id, "is_topic_message": True}
    if message.edit_date is not None:
        found["edit_date"] = message.edit_date
    if replies and message.reply_to is not None:
        answered = chat.live(message.reply_to)
        if answered is not None:
            found["reply_to_message"] = message_json(answered, replies=False)
    return found | (_content(message) if message.service is None else message.service)


def _content(message: Message) -> Json:
    found = dict(message.extra)
    if message.media is not None:
        found |= media_json(message.media)
        if message.text:
            found["caption"] = message.text
        if message.entities:
            found["caption_entities"] = message.entities
    elif message.text:
        found["text"] = message.text
        if message.entities:
            found["entities"] = message.entities
    if message.inline_keyboard:
        found["reply_markup"] = {"inline_keyboard": message.inline_keyboard}
    return found


def sim_message(message: Message) -> Json:
    """A message as the control API and the page see it: the Bot API's fields and more."""
    return message_json(message) | {
        "chat_id": message.chat.id,
        "thread_id": message.thread_id,
        "from_bot": message.from_bot,
        "deleted": message.deleted,
        "seq": message.seq,
        "keyboard": message.keyboard,
        "reactions": [
            {"user_id": user_id, "reaction": reaction}
            for user_id, reaction in message.reactions.items()
            if reaction
        ],
    }


def sim_topic(topic: Topic) -> Json:
    """A topic as the control API and the page see it."""
    return topic_json(topic) | {"closed": topic.closed, "creator_id": topic.creator_id}


def sim_chat(chat: Chat) -> Json:
    """A chat as the control API and the page see it, without its messages."""
    return chat_json(chat) | {
        "bot_key": chat.bot_key,
        "is_forum": chat.is_forum,
        "started": chat.started,
        "blocked": chat.blocked,
        "last_message_id": chat.last_message_id,
        "members": [member_json(member) for member in chat.members.values()],
        "topics": [sim_topic(topic) for topic in chat.topics.values()],
        "permissions": chat.permissions,
    }

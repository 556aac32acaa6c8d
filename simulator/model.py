"""The things that exist in the simulated Telegram: users, members, topics, messages, chats."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

ADMIN_RIGHTS = (
    "can_manage_chat",
    "can_delete_messages",
    "can_manage_video_chats",
    "can_restrict_members",
    "can_promote_members",
    "can_change_info",
    "can_invite_users",
    "can_post_stories",
    "can_edit_stories",
    "can_delete_stories",
    "can_pin_messages",
    "can_manage_topics",
    "can_manage_tags",
    "can_send_welcome_messages",
)
TOPIC_COLORS = (7322096, 16766590, 13338331, 9367192, 16749490, 16478047)


@dataclass
class User:
    """A person or a bot account."""

    id: int
    first_name: str
    last_name: str = ""
    username: str = ""
    language_code: str = ""
    is_bot: bool = False


@dataclass
class Member:
    """A user's standing in a group: creator, administrator, member, restricted, left, kicked."""

    user: User
    status: str = "member"
    rights: dict[str, bool] = field(default_factory=dict)

    @property
    def present(self) -> bool:
        """True while the user is in the chat."""
        return self.status not in ("left", "kicked")

    @property
    def is_admin(self) -> bool:
        """True for the creator and for administrators."""
        return self.status in ("creator", "administrator")

    def can(self, right: str) -> bool:
        """True when the member holds the administrator's right."""
        return self.status == "creator" or (self.is_admin and self.rights.get(right, False))


@dataclass
class Topic:
    """A forum topic; its id is the id of the service message that created it."""

    thread_id: int
    name: str
    icon_color: int
    icon_custom_emoji_id: str = ""
    closed: bool = False
    creator_id: int = 0


@dataclass
class StoredFile:
    """A file that was uploaded by a bot or by a person."""

    file_id: str
    file_unique_id: str
    path: str
    data: bytes
    name: str
    mime: str
    kind: str
    width: int = 0
    height: int = 0

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)


@dataclass
class Message:
    """One message, as it is now; `service` and `extra` hold ready-made Bot API fields."""

    chat: Chat
    message_id: int
    date: int
    sender: User
    text: str = ""
    entities: list[Json] = field(default_factory=list)
    media: StoredFile | None = None
    thread_id: int | None = None
    reply_to: int | None = None
    inline_keyboard: list[list[Json]] | None = None
    keyboard: Json | None = None
    service: Json | None = None
    extra: Json = field(default_factory=dict)
    edit_date: int | None = None
    deleted: bool = False
    reactions: dict[int, list[Json]] = field(default_factory=dict)
    seq: int = 0

    @property
    def from_bot(self) -> bool:
        """True when a bot sent it."""
        return self.sender.is_bot


@dataclass
class Chat:
    """A private chat of one user with one bot, or a supergroup."""

    id: int
    type: str
    title: str = ""
    user: User | None = None
    bot_key: int = 0
    is_forum: bool = False
    started: bool = False
    blocked: bool = False
    members: dict[int, Member] = field(default_factory=dict)
    topics: dict[int, Topic] = field(default_factory=dict)
    messages: dict[int, Message] = field(default_factory=dict)
    permissions: dict[str, bool] = field(default_factory=dict)
    pinned: int | None = None
    last_message_id: int = 0

    @property
    def is_private(self) -> bool:
        """True for a chat of one person with a bot."""
        return self.type == "private"

    @property
    def key(self) -> str:
        """Identifies the chat among all, where `id` alone repeats between bots."""
        return f"{self.bot_key}:{self.id}" if self.is_private else str(self.id)

    def live(self, message_id: int) -> Message | None:
        """The message, unless it never existed or was deleted."""
        message = self.messages.get(message_id)
        return None if message is None or message.deleted else message

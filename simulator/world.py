"""The whole simulated Telegram: who and what exists, and how news reaches bots and watchers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from simulator import view
from simulator.callbacks import Callbacks
from simulator.calllog import CallLog
from simulator.events import Bus
from simulator.faults import Faults
from simulator.files import FileStore
from simulator.limits import Limits
from simulator.model import ADMIN_RIGHTS, Chat, Json, Member, Message, User
from simulator.updates import UpdateQueue

# Public on purpose: it opens nothing but a simulator.
DEFAULT_TOKEN = "123456:SIMULATOR-frontdesk-local-token-000"  # noqa: S105
OPERATORS_CHAT = -1001000000001
STAFF = ((9001, "Olga", "creator"), (9002, "Omar", "member"))
"""Who is in the operators' group from the start: id, name, and what they are there."""
_TOKEN = re.compile(r"([1-9]\d{0,15}):[A-Za-z0-9_-]{30,50}", re.ASCII)


@dataclass
class Settings:
    """What can be switched: rate limits, expiry of presses, webhook back-off, start values."""

    limits: bool = False
    callback_timeout: float = 15.0
    callback_lifetime: float = 150.0
    webhook_backoff: float = 1.0
    only_token: str = ""
    operators_chat: int = OPERATORS_CHAT

    def json(self) -> Json:
        """The values the control API may show; the token is not among them."""
        return {name: value for name, value in asdict(self).items() if name != "only_token"}


@dataclass
class Bot:
    """A bot account: its token, its queue and what it configured."""

    key: int
    token: str
    user: User
    updates: UpdateQueue
    claimed: bool = False
    private_topics: bool = False
    commands: dict[tuple[str, str], list[Json]] = field(default_factory=dict)
    texts: dict[tuple[str, str], str] = field(default_factory=dict)


class World:
    """All state, in memory. Acts are synchronous, so that each is atomic on the event loop."""

    def __init__(
        self, settings: Settings | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.settings = settings or Settings()
        self.clock = clock
        self.bus = Bus()
        self.log = CallLog()
        self.faults = Faults()
        self.limits = Limits(time.monotonic, self.settings.limits)
        self.start_settings = asdict(self.settings)
        self._fill()

    def _fill(self) -> None:
        self.files = FileStore()
        self.callbacks = Callbacks(self.settings)
        self.users: dict[int, User] = {}
        self.customers: list[int] = []
        self.groups: dict[int, Chat] = {}
        self.privates: dict[tuple[int, int], Chat] = {}
        self.bots: list[Bot] = []
        self.seq = 0
        group = Chat(self.settings.operators_chat, "supergroup", "Support desk", is_forum=True)
        # Id 1 is the message that made the group, so that no topic gets General's id.
        group.last_message_id = 1
        self.groups[group.id] = group
        for user_id, name, status in STAFF:
            user = self.users[user_id] = User(user_id, name, username=f"{name.lower()}_desk")
            rights = dict.fromkeys(ADMIN_RIGHTS, status == "creator")
            group.members[user_id] = Member(user, status, rights)
        self._add_bot(self.settings.only_token or DEFAULT_TOKEN)

    def reset(self) -> None:
        """Everything as at the start: no customers, messages, faults or log entries."""
        hooks = [bot for bot in self.bots if bot.updates.webhook is not None]
        for bot in hooks:
            bot.updates.webhook = None
        for setting in fields(Settings):
            setattr(self.settings, setting.name, self.start_settings[setting.name])
        self.log.clear()
        self.faults.clear()
        self.limits.clear()
        self.limits.enabled = self.settings.limits
        # A bot that polls right now keeps its account and its queue, emptied.
        kept = [bot for bot in self.bots if bot.claimed]
        self.callbacks.drop_all()
        self._fill()
        if kept:
            fresh = self.bots.pop()
            del self.users[fresh.user.id], self.operators.members[fresh.user.id]
        for bot in kept:
            bot.updates.drop_pending()
            bot.updates.duplicates = bot.updates.reorders = 0
            bot.private_topics = False
            bot.commands.clear()
            bot.texts.clear()
            self._enrol(bot)
        self.bus.publish("reset", {})

    @property
    def operators(self) -> Chat:
        """The operators' group."""
        return self.groups[self.settings.operators_chat]

    @property
    def now(self) -> int:
        """Unix time in seconds."""
        return int(self.clock())

    # Bots ---------------------------------------------------------------------------------

    def bot_by_token(self, token: str) -> Bot | None:
        """The bot of a well-formed token, created on first use; None when it is refused."""
        for bot in self.bots:
            if bot.token == token:
                return self._claim(bot)
        if self.settings.only_token or not _TOKEN.fullmatch(token):
            return None
        bot_id = int(token.partition(":")[0])
        if bot_id in self.users and not self.users[bot_id].is_bot:
            return None
        if any(bot.user.id == bot_id for bot in self.bots):
            return None  # The same bot with another secret: its token was "revoked".
        first = self.bots[0]
        if not first.claimed:
            # What customers wrote before the bot came up was meant for whichever bot comes.
            self.operators.members.pop(first.user.id, None)
            self.bots.remove(first)
            self.users.pop(first.user.id, None)
            first.token, first.user.id = token, bot_id
            self._enrol(first)
            bot = first
        else:
            bot = self._add_bot(token)
        return self._claim(bot)

    def _claim(self, bot: Bot) -> Bot:
        if not bot.claimed:
            bot.claimed = True
            self.bus.publish("bot", bot_json(bot))
        return bot

    def _add_bot(self, token: str) -> Bot:
        if not _TOKEN.fullmatch(token):
            raise ValueError("not a bot token")
        bot_id = int(token.partition(":")[0])
        number = len(self.bots)
        name = "Frontdesk" if not number else f"Bot {bot_id}"
        username = "frontdesk_bot" if not number else f"sim{bot_id}_bot"
        user = User(bot_id, name, username=username, is_bot=True)
        bot = Bot(number + 1, token, user, UpdateQueue(self.bus, self.settings))
        self._enrol(bot)
        return bot

    def _enrol(self, bot: Bot) -> None:
        self.bots.append(bot)
        self.users[bot.user.id] = bot.user
        rights = dict.fromkeys(ADMIN_RIGHTS, True) | {
            "can_promote_members": False,
            "can_post_stories": False,
            "can_edit_stories": False,
            "can_delete_stories": False,
        }
        self.operators.members[bot.user.id] = Member(bot.user, "administrator", rights)

    def bot_of(self, user_id: int) -> Bot | None:
        """The bot with this account id."""
        return next((bot for bot in self.bots if bot.user.id == user_id), None)

    # Chats --------------------------------------------------------------------------------

    def private_chat(self, bot: Bot, user: User) -> Chat:
        """The private chat of the two; it has no messages until someone writes."""
        key = (bot.key, user.id)
        if key not in self.privates:
            self.privates[key] = Chat(user.id, "private", user=user, bot_key=bot.key)
        return self.privates[key]

    def chats(self) -> Iterator[Chat]:
        """All chats, groups first."""
        yield from self.groups.values()
        yield from self.privates.values()

    # Messages -----------------------------------------------------------------------------

    def post(self, chat: Chat, sender: User, **parts: Any) -> Message:
        """Add a message to the chat and tell the watchers and the bots that may see it."""
        chat.last_message_id += 1
        self.seq += 1
        message = Message(chat, chat.last_message_id, self.now, sender, seq=self.seq, **parts)
        for entity in message.entities:
            if entity["type"] == "text_mention" and (known := self.users.get(entity["user"]["id"])):
                entity["user"] = view.user_json(known)
        chat.messages[message.message_id] = message
        self.bus.publish("message", view.sim_message(message))
        self.announce("message", message)
        return message

    def changed(self, message: Message) -> None:
        """Mark a message as edited and tell so."""
        message.edit_date = self.now
        self.bus.publish("edit", view.sim_message(message))
        self.announce("edited_message", message)

    def delete(self, message: Message) -> None:
        """Remove a message; bots are not told, as in Telegram."""
        message.deleted = True
        gone = {"chat_id": message.chat.id, "message_id": message.message_id}
        self.bus.publish("delete", gone | {"bot_key": message.chat.bot_key})

    def announce(self, kind: str, message: Message) -> None:
        """Queue the message for every bot that sees it; no bot sees another bot's."""
        if message.from_bot:
            return
        for bot in self.bots:
            if self._sees(bot, message):
                bot.updates.push(kind, view.message_json(message), message.chat.key)

    def _sees(self, bot: Bot, message: Message) -> bool:
        chat = message.chat
        if chat.is_private:
            return chat.bot_key == bot.key and not chat.blocked
        member = chat.members.get(bot.user.id)
        if member is None or not member.present:
            return False
        if member.is_admin or message.service is not None:
            return True
        # Privacy mode: commands, mentions and replies to the bot are all that it sees.
        # In a topic what replies to nothing stands below its first message, and is no reply to it.
        explicit = message.reply_to not in (None, message.thread_id)
        answered = chat.live(message.reply_to or 0) if explicit else None
        return (
            (answered is not None and answered.sender is bot.user)
            or message.text.startswith("/")
            or f"@{bot.user.username}".lower() in message.text.lower()
        )

    def bot_member_changed(self, chat: Chat, before: Member, now: Member) -> None:
        """Tell a bot that it is something else in the group now."""
        creators = (one.user for one in chat.members.values() if one.status == "creator")
        change = {
            "chat": view.chat_json(chat),
            "from": view.user_json(next(creators, now.user)),
            "date": self.now,
            "old_chat_member": view.member_json(before),
            "new_chat_member": view.member_json(now),
        }
        bot = self.bot_of(now.user.id)
        if bot is not None:
            bot.updates.push("my_chat_member", change, chat.key)

    def members_changed(self, chat: Chat) -> None:
        """Tell the page that something about the chat itself is different."""
        self.bus.publish("chat", view.sim_chat(chat))


def bot_json(bot: Bot) -> Json:
    """A bot as the control API shows it; the token stays out."""
    hook = bot.updates.webhook
    return view.user_json(bot.user) | {
        "key": bot.key,
        "claimed": bot.claimed,
        "webhook": hook.url if hook else "",
        "pending_update_count": len(bot.updates.waiting()),
        "allowed_updates": bot.updates.allowed,
    }

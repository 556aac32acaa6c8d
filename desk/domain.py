"""The support desk's vocabulary: states, decisions and the values that cross its use cases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from desk.sentences import sentences

ANONYMOUS_ADMIN = 1_087_968_824
"""Telegram's GroupAnonymousBot: every administrator who writes anonymously has this id."""
CHANNEL_WRITER = 136_817_688
"""Telegram's Channel_Bot: whoever writes in the name of a channel has this id."""
TELEGRAM = 777_000
"""Telegram's own account, by which a group gets what is posted in its channel."""
FLOOD_PER_MINUTE = 20
"""What one customer sends within a minute and the bot answers to, unless a setting says more or
less."""


class InboxState(StrEnum):
    """Where an update is: `NEW` until handled (`DONE`) or given up (`PARKED`)."""

    NEW = "new"
    DONE = "done"
    PARKED = "parked"


class ConversationState(StrEnum):
    """Who answers: the bot, nobody yet (`WAITING` for a person), a person, or nobody any more."""

    BOT = "bot"
    WAITING = "waiting"
    HUMAN = "human"
    RESOLVED = "resolved"


class Author(StrEnum):
    CUSTOMER = "customer"
    BOT = "bot"
    OPERATOR = "operator"


class MessageState(StrEnum):
    """A customer's message waits for its prediction (`PENDING`), then is `DECIDED`."""

    PENDING = "pending"
    DECIDED = "decided"


class DeliveryState(StrEnum):
    """`SENDING` is committed before the call to Telegram, so that a lost answer is noticed."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Action(StrEnum):
    """What a decision does: answer, ask back, hand over, or leave the word to the person."""

    ANSWER = "answer"
    CLARIFY = "clarify"
    ESCALATE = "escalate"
    SILENT = "silent"


class Trial(IntEnum):
    """What is known of a message over which a worker may have died.

    `SUSPECTED` was in the batch of a worker that died: it may be what killed it, and is tried
    alone. `ALONE` is being tried: if a worker dies now, this is why.
    """

    NONE = 0
    SUSPECTED = 1
    ALONE = 2


class FeedbackKind(StrEnum):
    THUMB_UP = "thumb_up"
    THUMB_DOWN = "thumb_down"
    CLARIFIED = "clarified"
    RELABEL = "relabel"
    ONE_TAP_ANSWER = "one_tap_answer"
    MOOD = "mood"
    """An operator's word on the sentiment; each other kind is about the intent."""


class Role(StrEnum):
    ADMIN = "admin"
    AGENT = "agent"


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PROMOTED = "promoted"
    REJECTED = "rejected"
    FAILED = "failed"


class DeskError(Exception):
    """A request the desk refuses; the text says why and what to do, and may be shown."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """An update's envelope as intake stores it; `payload` is Telegram's own JSON."""

    bot_id: int
    update_id: int
    chat_id: int | None
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class InboxRow:
    id: int
    update_id: int
    chat_id: int | None
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """A customer as Telegram describes them."""

    chat_id: int
    name: str
    """The whole name."""
    username: str | None = None
    language: str | None = None
    first_name: str | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What the policy needs to know of a conversation before a message is decided."""

    state: ConversationState
    clarifications: int = 0
    """How often in a row the bot has asked back."""
    negatives: int = 0
    """How many of the customer's last messages in a row, before this one, were negative."""
    last_intents: tuple[str, ...] = ()
    """Intents that the bot answered in this conversation, but for small talk, newest first; those
    that it answered at once are one entry (`desk.policy.answered_as`)."""
    said: tuple[str, ...] = ()
    """What the bot says once in a conversation and has said in this one; the name of an intent
    stands for what to do about it until a person is there."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with one message, and which rule said so.

    `choices` are the intents offered as buttons when the action is `CLARIFY`, and those of a
    message about several, answered together or left to a person. Where a person is called,
    `likely` says whether the message is about the intent, likely enough for what is said of it
    until then, be that nothing.
    """

    action: Action
    rule: str
    intent: str | None = None
    choices: tuple[str, ...] = ()
    likely: bool = True


@dataclass(frozen=True, slots=True)
class Button:
    """An inline button: an action with its argument for the desk, or a web address."""

    text: str
    action: str = ""
    argument: str = ""
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery the sender has taken up; `payload` holds the method's parameters."""

    id: int
    key: str
    chat_id: int
    method: str
    payload: dict[str, Any]
    message_id: int | None
    """The customer's message to which it belongs."""
    topic_of: int | None
    """The customer whose forum topic this goes to, or None."""
    thread_id: int | None
    topic_closed: bool
    """Whether somebody has closed that topic: then it is reopened first."""
    attempts: int
    uncertain: bool


@dataclass(frozen=True, slots=True)
class Before:
    """A customer's message before another one."""

    id: int
    text: str


def whole_text(text: str, before: str | None) -> str:
    """What a customer wrote in two messages, as one text."""
    return f"{before} {text}" if before else text


@dataclass(frozen=True, slots=True)
class PendingMessage:
    """A customer's message that has no decision yet."""

    id: int
    attempt: int
    text: str
    enqueued_at: datetime | None = None
    trial: int = Trial.NONE
    before: Before | None = None
    """What it may go on with: that about which the bot has just asked back."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is read by itself, too; none of what has one sentence, or may have ended a worker,
        which is tried by itself."""
        return () if self.trial else sentences(self.text)

    @property
    def whole(self) -> str:
        """The text together with the words before it."""
        return whole_text(self.text, self.before.text if self.before else None)


@dataclass(frozen=True, slots=True)
class Pressed:
    """What a pressed button answers to the one who pressed it."""

    text: str = ""
    alert: bool = False

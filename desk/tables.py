"""The tables. Every change to them is an Alembic migration under desk/migrations."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TextClause,
    TypeDecorator,
    UniqueConstraint,
    false,
    or_,
    text,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from desk.domain import (
    Action,
    Author,
    ConversationState,
    DeliveryState,
    FeedbackKind,
    InboxState,
    MessageState,
    Role,
    RunState,
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, always timezone-aware in UTC: SQLite would otherwise forget the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a stored moment needs a time zone")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class EnumText(TypeDecorator[Any]):
    """A StrEnum kept as its plain text.

    A new member needs no migration, but a release before it that knows it: older code fails at
    each row that has it (CONTRIBUTING.md).
    """

    impl = String(16)
    cache_ok = True

    def __init__(self, enum: type[StrEnum]) -> None:
        super().__init__()
        self.enum = enum

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.enum(value)


def utcnow() -> datetime:
    return datetime.now(UTC)


# SQLite gives automatic ids to INTEGER keys only.
Id = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[Any]: JSON,
        int: BigInteger,
        Action: EnumText(Action),
        Author: EnumText(Author),
        ConversationState: EnumText(ConversationState),
        DeliveryState: EnumText(DeliveryState),
        FeedbackKind: EnumText(FeedbackKind),
        InboxState: EnumText(InboxState),
        MessageState: EnumText(MessageState),
        Role: EnumText(Role),
        RunState: EnumText(RunState),
    }


# Conditions of partial indexes. A database uses such an index only for a query that it sees to say
# the same: so these stand in both as they are, without parameters.
IS_PENDING = text("state = 'pending'")
IS_CARD = text("substr(key, 1, 5) = 'card:'")
IS_UNFINISHED = text("state IN ('pending', 'sending')")
WAS_SHOWN = text("state = 'sent' AND topic_of IS NOT NULL")
WAS_WITHDRAWN = text("withdrawn_at IS NOT NULL")


def _index_where(name: str, *columns: str, where: TextClause) -> Index:
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


class Inbox(Base):
    """Every update Telegram was told is received, exactly once."""

    __tablename__ = "inbox"
    __table_args__ = (UniqueConstraint("bot_id", "update_id"), Index(None, "state", "id"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    bot_id: Mapped[int]
    update_id: Mapped[int]
    """Negative where Telegram has used the id again since."""
    chat_id: Mapped[int | None]
    payload: Mapped[dict[str, Any]]
    state: Mapped[InboxState] = mapped_column(default=InboxState.NEW)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[str | None] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(default=utcnow)
    done_at: Mapped[datetime | None]


class Lease(Base):
    """Who alone may do a thing for now: handle and send for one bot, or be the scheduler."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(128))
    until: Mapped[datetime]


class PollOffset(Base):
    """One past the newest update stored, by bot: written by earlier versions, and by no code now.

    A later version drops it. This one can't, for a migration runs beside the version before, which
    writes to it with each update.
    """

    __tablename__ = "poll_offsets"

    bot_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    next_update_id: Mapped[int]


class Customer(Base):
    __tablename__ = "customers"
    # A thread's number means something within its chat only.
    __table_args__ = (UniqueConstraint("topic_chat_id", "topic_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    chat_id: Mapped[int] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(String(256))
    """The whole name, for operators."""
    first_name: Mapped[str | None] = mapped_column(String(256))
    """What customers are called by; None until they write to a version that keeps it."""
    username: Mapped[str | None] = mapped_column(String(64))
    language: Mapped[str | None] = mapped_column(String(16))
    topic_chat_id: Mapped[int | None]
    topic_id: Mapped[int | None]
    # The default is the database's: a bot of the version before goes on during an update.
    topic_closed: Mapped[bool] = mapped_column(server_default=false())
    gone: Mapped[bool] = mapped_column(default=False)
    banned_at: Mapped[datetime | None]
    """Since when all that they send is stored and meets silence, by an admin's decision."""
    flooded_at: Mapped[datetime | None]
    """When a message of theirs was last held back because they wrote too many."""
    created_at: Mapped[datetime] = mapped_column(default=utcnow)

    @hybrid_property
    def erased(self) -> bool:
        """Whether nothing of theirs is left: a private chat's id is above 0, and theirs was
        replaced."""
        return self.chat_id < 0


class Conversation(Base):
    """An episode with a customer, from a first message until it is resolved."""

    __tablename__ = "conversations"
    __table_args__ = (
        Index(None, "customer_id", "state"),
        Index(None, "state", "escalated_at"),
        Index(
            "uq_conversations_open",
            "customer_id",
            unique=True,
            sqlite_where=text("state != 'resolved'"),
            postgresql_where=text("state != 'resolved'"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    state: Mapped[ConversationState] = mapped_column(default=ConversationState.BOT)
    operator_id: Mapped[int | None]
    clarifications: Mapped[int] = mapped_column(Integer, default=0)
    negatives: Mapped[int] = mapped_column(Integer, default=0)
    last_intents: Mapped[list[Any]] = mapped_column(default=list)
    # The default is the database's, too: a process of the version before goes on during an update.
    said_once: Mapped[list[Any]] = mapped_column(default=list, server_default=text("'[]'"))
    """What the bot says once in it and has said: see `desk.flow.advising`."""
    opened_at: Mapped[datetime] = mapped_column(default=utcnow)
    escalated_at: Mapped[datetime | None]
    reminded_at: Mapped[datetime | None]
    """When the operators were last reminded of it; a reminder is for one `escalated_at`."""
    taken_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]


class Message(Base):
    """What was said, by whom. A customer's text is `PENDING` until its decision commits, and a file
    that has words until these are read: it has its decision by then."""

    __tablename__ = "messages"
    __table_args__ = (
        Index(None, "state", "created_at"),
        Index(None, "conversation_id", "id"),
        _index_where("ix_messages_pending", "conversation_id", "id", where=IS_PENDING),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversations.id"))
    inbox_id: Mapped[int | None] = mapped_column(ForeignKey("inbox.id"), unique=True)
    author: Mapped[Author]
    text: Mapped[str] = mapped_column(Text)
    telegram_id: Mapped[int | None]
    quoted: Mapped[str | None] = mapped_column(Text)
    """The beginning of what it replies to, where a customer replied to a message by itself."""
    forwarded_from: Mapped[str | None] = mapped_column(Text)
    """The name of who wrote it, where a customer forwarded somebody else's message."""
    links: Mapped[str | None] = mapped_column(Text)
    """The addresses behind a customer's words, one a line."""
    delivery_key: Mapped[str | None] = mapped_column(String(96))
    """The `DeliveryRow.key` under which it goes to the customer, where the bot wrote it."""
    operator_id: Mapped[int | None]
    """Whose word to the customer it is, written or a ready answer; None where a version before
    this one kept it."""
    state: Mapped[MessageState] = mapped_column(default=MessageState.DECIDED)
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    trial: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    """A `desk.domain.Trial`."""
    enqueued_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class PredictionRow(Base):
    __tablename__ = "predictions"

    message_id: Mapped[int] = mapped_column(
        ForeignKey("messages.id"), primary_key=True, autoincrement=False
    )
    intent: Mapped[str | None] = mapped_column(String(64))
    confidence: Mapped[float | None]
    ranking: Mapped[list[Any]]
    sentiment: Mapped[str | None] = mapped_column(String(16))
    sentiment_confidence: Mapped[float | None]
    threshold: Mapped[float | None]
    scope: Mapped[float | None]
    scope_threshold: Mapped[float | None]
    language: Mapped[str | None] = mapped_column(String(16))
    # The default is the database's, too: a worker of the version before goes on during an update.
    neighbours: Mapped[list[Any]] = mapped_column(default=list, server_default=text("'[]'"))
    read_with: Mapped[int | None]
    """The id of the message before, where both were read as one text."""
    model: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class DecisionRow(Base):
    __tablename__ = "decisions"
    __table_args__ = (Index(None, "action", "rule"),)

    message_id: Mapped[int] = mapped_column(
        ForeignKey("messages.id"), primary_key=True, autoincrement=False
    )
    action: Mapped[Action]
    rule: Mapped[str] = mapped_column(String(32))
    intent: Mapped[str | None] = mapped_column(String(64))
    choices: Mapped[list[Any]] = mapped_column(default=list)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class DeliveryRow(Base):
    """One call to Telegram. `key` makes its creation idempotent; ids give the order in a chat
    (in the operators' chat, see `desk.flow.dispatching`)."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index(None, "state", "id"),
        Index(None, "conversation_id", "state"),
        Index(None, "chat_id", "telegram_id"),
        _index_where("ix_deliveries_cards", "conversation_id", "id", where=IS_CARD),
        _index_where("ix_deliveries_unfinished", "chat_id", "id", where=IS_UNFINISHED),
        _index_where("ix_deliveries_shown", "conversation_id", "sent_at", where=WAS_SHOWN),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(String(96), unique=True)
    chat_id: Mapped[int]
    method: Mapped[str] = mapped_column(String(32))
    payload: Mapped[dict[str, Any]]
    conversation_id: Mapped[int | None] = mapped_column(ForeignKey("conversations.id"))
    message_id: Mapped[int | None] = mapped_column(ForeignKey("messages.id"), index=True)
    topic_of: Mapped[int | None] = mapped_column(ForeignKey("customers.id"))
    from_bot: Mapped[bool] = mapped_column(default=False)
    """An answer of the bot, which a person's take-over makes void."""
    state: Mapped[DeliveryState] = mapped_column(default=DeliveryState.PENDING)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    uncertain: Mapped[bool] = mapped_column(default=False)
    not_before: Mapped[datetime | None]
    telegram_id: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    sent_at: Mapped[datetime | None]


def key_begins(starts: Iterable[str]) -> ColumnElement[bool]:
    """Whether the key of a delivery begins with one of these."""
    return or_(*(DeliveryRow.key.startswith(start) for start in starts))


class ButtonRow(Base):
    """What a button means. Telegram, and so the client, sees the opaque token only."""

    __tablename__ = "buttons"

    token: Mapped[str] = mapped_column(String(24), primary_key=True)
    action: Mapped[str] = mapped_column(String(24))
    argument: Mapped[str] = mapped_column(String(64), default="")
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversations.id"))
    message_id: Mapped[int | None] = mapped_column(ForeignKey("messages.id"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Feedback(Base):
    """What somebody's act says about the truth of one message. The newest word of a kind counts."""

    __tablename__ = "feedback"
    __table_args__ = (
        UniqueConstraint("message_id", "kind", "by"),
        Index(None, "created_at"),
        # With all the rest in it, SQLite takes it for what was not withdrawn, and reads every row.
        _index_where("ix_feedback_withdrawn_at", "withdrawn_at", where=WAS_WITHDRAWN),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("messages.id"))
    kind: Mapped[FeedbackKind]
    intent: Mapped[str | None] = mapped_column(String(64))
    sentiment: Mapped[str | None] = mapped_column(String(16))
    """Of the kind `MOOD` alone, which has no intent."""
    by: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    withdrawn_at: Mapped[datetime | None]
    """Since when it teaches no more. It stays what somebody did: on cards, in a customer's data,
    among the thumbs that are counted."""


class Operator(Base):
    __tablename__ = "operators"

    user_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(256), default="")
    username: Mapped[str | None] = mapped_column(String(64))
    """Their @name, without the @; None also until they act in the group."""
    role: Mapped[Role]
    from_chat: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class RunRow(Base):
    """A training run, from the wish to the verdict of the gate."""

    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    state: Mapped[RunState] = mapped_column(default=RunState.QUEUED)
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    requested_by: Mapped[str] = mapped_column(String(64))
    version: Mapped[str | None] = mapped_column(String(64))
    report: Mapped[dict[str, Any]] = mapped_column(default=dict)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

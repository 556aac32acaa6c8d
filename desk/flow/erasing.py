"""What customers left behind is erased: when they ask for it, or were silent for too long.

The rows stay, and what was counted with them; gone are words, names and Telegram's ids. Whoever
writes again is a new customer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, func, or_, select, update
from sqlalchemy.orm import Session

from desk.domain import (
    Author,
    ConversationState,
    DeliveryState,
    DeskError,
    InboxState,
    MessageState,
)
from desk.flow.composing import add_delivery
from desk.flow.desk import Desk
from desk.flow.learning import AUTHORITY
from desk.masking import mask
from desk.tables import Conversation, Customer, DeliveryRow, Feedback, Inbox, Message

CHUNK = 1000
"""So many updates are looked at in one go."""


class UnderWayError(DeskError):
    """Something is being sent to a customer, or written of them; in a moment it no longer is."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What there was of a customer."""

    conversations: int
    messages: int
    """All that was said in them, by whomever."""
    taught_since: datetime | None
    """When something of theirs first became an example to learn from, if anything has."""
    topic: bool
    """Whether the bot is to delete a topic of theirs."""


def erase(desk: Desk, customer_id: int) -> Erased:
    """Erase a customer with all that was said, and have their topic deleted.

    Raises `DeskError` where there is none, while they wait for a person or have one, and for the
    moment in which they write or are answered.
    """
    with desk.store.reading() as session:
        mentions = _Mentions(session, _known(session.get(Customer, customer_id)))
        mentions.look(session)
    with desk.store.writing() as session:
        customer = _known(session.get(Customer, customer_id, with_for_update=True))
        _refuse_awaiting(session, customer)
        # What operators did since the first look, which takes long where there is much.
        mentions.look(session)
        conversations = _lock_conversations(session, customer)
        written = select(Message.inbox_id).where(Message.conversation_id.in_(conversations))
        _empty(session, Inbox.chat_id == customer.chat_id)
        _empty(session, Inbox.id.in_(written))
        for start in range(0, len(mentions.found), CHUNK):
            _empty(session, Inbox.id.in_(mentions.found[start : start + CHUNK]))
        return _forget(session, desk, customer, conversations, keep_taught=False)


def erase_silent(desk: Desk, before: datetime, limit: int) -> int:
    """Erase customers of whom nothing was heard since, nor said to them by a person; returns how
    many.

    What they taught stays, masked. Kept is who waits for a person, and who is banned, for the ban
    would go, too. `empty_updates` is for the updates: theirs are older still.
    """
    silent = select(Customer.id).where(_is_silent(before)).order_by(Customer.id).limit(limit)
    with desk.store.reading() as session:
        found = session.scalars(silent).all()
    number = 0
    for customer_id in found:
        try:
            with desk.store.writing() as session:
                query = select(Customer).where(Customer.id == customer_id, _is_silent(before))
                customer = session.scalar(query.with_for_update(of=Customer))
                if customer is None:
                    continue
                conversations = _lock_conversations(session, customer)
                _forget(session, desk, customer, conversations, keep_taught=True)
        except UnderWayError:
            continue
        number += 1
    return number


def empty_updates(desk: Desk, before: datetime, after: int) -> int | None:
    """Empty the next updates that came before that moment and are handled.

    `after` is the id of the last that was that old, 0 at first; returns the next such, or None at
    the end. The keys stay, by which Telegram's repetitions are known.
    """
    query = select(Inbox.id, Inbox.received_at).where(Inbox.id > after).order_by(Inbox.id)
    with desk.store.reading() as session:
        rows = session.execute(query.limit(CHUNK)).all()
    old = [id_ for id_, received_at in rows if received_at < before]
    if not old:
        return None
    # As a text: PostgreSQL compares no JSON.
    is_full = cast(Inbox.payload, Text) != "{}"
    with desk.store.writing() as session:
        _empty(session, and_(Inbox.id.in_(old), Inbox.state == InboxState.DONE, is_full))
    return old[-1]


class _Mentions:
    """Updates from the operators' chat about a customer: in their topic, or at their cards."""

    def __init__(self, session: Session, customer: Customer) -> None:
        posts = session.execute(
            select(DeliveryRow.chat_id, DeliveryRow.telegram_id).where(
                DeliveryRow.chat_id != customer.chat_id,
                DeliveryRow.conversation_id.in_(
                    select(Conversation.id).where(Conversation.customer_id == customer.id)
                ),
            )
        ).all()
        self._posts = {(chat_id, telegram_id) for chat_id, telegram_id in posts}
        self._topic = (customer.topic_chat_id, customer.topic_id)
        self._chats = {chat_id for chat_id, _ in self._posts}
        if customer.topic_chat_id is not None:
            self._chats.add(customer.topic_chat_id)
        self._looked_until = 0
        self.found: list[int] = []
        """Their inbox ids."""

    def look(self, session: Session) -> None:
        """Look through the updates that came since the last look."""
        query = select(Inbox.id, Inbox.chat_id, Inbox.payload).where(
            Inbox.chat_id.in_(self._chats), Inbox.id > self._looked_until
        )
        for id_, chat_id, payload in session.execute(
            query.order_by(Inbox.id), execution_options={"yield_per": CHUNK}
        ):
            self._looked_until = id_
            if any(self._is_theirs(chat_id, body) for body in payload.values()):
                self.found.append(id_)

    def _is_theirs(self, chat_id: int, body: Any) -> bool:
        """Whether a message, or what stands at one (a press, a reaction, a reply), is theirs."""
        if not isinstance(body, dict):
            return False
        if (chat_id, body.get("message_thread_id")) == self._topic:
            return True
        if (chat_id, body.get("message_id")) in self._posts:
            return True
        return any(
            self._is_theirs(chat_id, body.get(inner)) for inner in ("message", "reply_to_message")
        )


def _known(customer: Customer | None) -> Customer:
    if customer is None or customer.erased:
        raise DeskError("There is no such customer (any more).")
    return customer


def _refuse_awaiting(session: Session, customer: Customer) -> None:
    with_person = select(Conversation.id).where(
        Conversation.customer_id == customer.id,
        Conversation.state.in_([ConversationState.WAITING, ConversationState.HUMAN]),
    )
    if session.scalar(with_person) is not None:
        raise DeskError(
            "This customer waits for a person, or one is in charge of the conversation. Resolve it "
            "first, in their topic."
        )
    new = select(Inbox.id).where(Inbox.state == InboxState.NEW, Inbox.chat_id == customer.chat_id)
    undecided = (
        select(Message.id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(Conversation.customer_id == customer.id, Message.state == MessageState.PENDING)
    )
    if any(session.scalar(query.limit(1)) is not None for query in (new, undecided)):
        raise UnderWayError("This customer has just written. Try again in a moment.")


def _is_silent(before: datetime) -> ColumnElement[bool]:
    theirs = Conversation.customer_id == Customer.id
    talking = (
        select(Message.id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(
            theirs,
            or_(
                and_(Message.created_at >= before, Message.author != Author.BOT),
                Message.state == MessageState.PENDING,
            ),
        )
    )
    under_way = select(Conversation.id).where(
        theirs,
        or_(
            Conversation.opened_at >= before,
            Conversation.taken_at >= before,
            Conversation.state == ConversationState.WAITING,
        ),
    )
    unhandled = select(Inbox.id).where(
        Inbox.state.in_([InboxState.NEW, InboxState.PARKED]), Inbox.chat_id == Customer.chat_id
    )
    return and_(
        ~Customer.erased,
        Customer.banned_at.is_(None),
        Customer.created_at < before,
        ~talking.exists(),
        ~under_way.exists(),
        ~unhandled.exists(),
    )


def _lock_conversations(session: Session, customer: Customer) -> list[int]:
    """The ids of all their conversations."""
    query = select(Conversation).where(Conversation.customer_id == customer.id)
    found = session.scalars(query.order_by(Conversation.id).with_for_update())
    return [conversation.id for conversation in found]


def _empty(session: Session, which: ColumnElement[bool]) -> None:
    session.execute(
        update(Inbox)
        .where(which, Inbox.state != InboxState.NEW)
        # A parked one has nothing left that could be tried again.
        .values(payload={}, chat_id=None, error=None, state=InboxState.DONE)
        .execution_options(synchronize_session=False)
    )


def _forget(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversations: Sequence[int],
    *,
    keep_taught: bool,
) -> Erased:
    """Take words, names and ids out of a customer's rows; they and the conversations are locked."""
    _stop_sending(session, customer, conversations)
    nobody = -customer.id
    messages = session.scalars(
        select(Message).where(Message.conversation_id.in_(conversations))
    ).all()
    of_theirs = Feedback.message_id.in_(
        select(Message.id).where(Message.conversation_id.in_(conversations))
    )
    lessons = (
        select(Feedback.message_id, func.min(Feedback.created_at))
        .where(of_theirs, Feedback.kind.in_(AUTHORITY))
        .group_by(Feedback.message_id)
    )
    taught = dict(session.execute(lessons).all())
    for message in messages:
        kept = keep_taught and message.id in taught and message.attempt > 0
        message.text = mask(message.text, desk.pack.phone_regions) if kept else ""
        message.telegram_id = None
    session.execute(
        update(Feedback)
        .where(of_theirs, Feedback.by == customer.chat_id)
        .values(by=nobody)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(Conversation)
        .where(
            Conversation.customer_id == customer.id,
            Conversation.state != ConversationState.RESOLVED,
        )
        .values(state=ConversationState.RESOLVED, resolved_at=desk.clock())
        .execution_options(synchronize_session=False)
    )
    topic_chat, topic = customer.topic_chat_id, customer.topic_id
    customer.chat_id, customer.name = nobody, ""
    customer.first_name = customer.username = customer.language = None
    customer.topic_chat_id = customer.topic_id = None
    if topic_chat is not None and topic is not None:
        add_delivery(
            session,
            f"erased:{customer.id}",
            topic_chat,
            "deleteForumTopic",
            {"message_thread_id": topic},
        )
    return Erased(
        len(conversations), len(messages), min(taught.values(), default=None), topic is not None
    )


def _stop_sending(session: Session, customer: Customer, conversations: Sequence[int]) -> None:
    """Empty what was sent and cancel what was not; raise `UnderWayError` for what is just sent."""
    theirs = or_(
        DeliveryRow.conversation_id.in_(conversations), DeliveryRow.chat_id == customer.chat_id
    )
    everything = or_(theirs, DeliveryRow.topic_of == customer.id)
    # Those refused, too: they must not be tried again.
    unsent = DeliveryRow.state.in_([DeliveryState.PENDING, DeliveryState.FAILED])
    cancel = update(DeliveryRow).where(everything, unsent).values(state=DeliveryState.CANCELLED)
    session.execute(cancel, execution_options={"synchronize_session": False})
    # Asked after that: what a sender took just before was waited for, and is under way now.
    sending = select(DeliveryRow.id).where(DeliveryRow.state == DeliveryState.SENDING, everything)
    if session.scalar(sending.limit(1)) is not None:
        raise UnderWayError("This customer is being answered. Try again in a moment.")
    empty = update(DeliveryRow).where(theirs).values(payload={}, error=None)
    session.execute(empty, execution_options={"synchronize_session": False})
    move = (
        update(DeliveryRow)
        .where(DeliveryRow.chat_id == customer.chat_id)
        .values(chat_id=-customer.id, telegram_id=None)
    )
    session.execute(move, execution_options={"synchronize_session": False})

"""What customers left behind is erased: when they ask for it, or were silent for too long.

The rows stay, and what was counted with them; gone are words, names and Telegram's ids. Whoever
writes again is a new customer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, Update, and_, cast, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from desk.domain import (
    ConversationState,
    DeliveryState,
    DeskError,
    InboxState,
    MessageState,
    whole_text,
)
from desk.flow.composing import add_delivery
from desk.flow.delivering import DELETE_TOPIC
from desk.flow.desk import Desk
from desk.flow.lessons import AUTHORITY, taught
from desk.flow.mentions import Mentions
from desk.flow.reminding import DIGEST_KEYS
from desk.flow.silence import is_silent
from desk.masking import mask
from desk.store import Store
from desk.tables import (
    IS_UNFINISHED,
    Conversation,
    Customer,
    DeliveryRow,
    Feedback,
    Inbox,
    Message,
    utcnow,
)
from desk.telegram_html import escaped as html

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
    """When they wrote the first text that the model may have learned from, if there is one."""
    topic: bool
    """Whether the bot is to delete a topic of theirs."""
    lessons: frozenset[str] = frozenset()
    """What they taught, masked and as it was written: somebody may have taken it elsewhere."""


def erase(desk: Desk, customer_id: int, *, force: bool = False) -> Erased:
    """Erase a customer with all that was said, and have their topic deleted.

    With `force` one who waits for a person, or has one, too. Raises `DeskError` where there is no
    such customer, without `force` for such a one, and while something of theirs is under way.
    """
    with desk.store.reading() as session:
        mentions = Mentions(session, _known(session.get(Customer, customer_id)))
        mentions.look(session)
    with desk.store.writing() as session:
        customer = _known(session.get(Customer, customer_id, with_for_update=True))
        if not force:
            _refuse_awaiting(session, customer)
        # What came since the first look, which takes long where there is much.
        mentions.look(session)
        _refuse_undone(session, customer, mentions)
        for start in range(0, len(mentions.updates), CHUNK):
            _empty(session, Inbox.id.in_(mentions.updates[start : start + CHUNK]))
        conversations = _lock_conversations(session, customer)
        told = [whole_text(row.text, row.before) for row in taught(session, conversations)]
        masked = [mask(text, desk.pack.phone_regions) for text in told]
        erased = _forget(session, customer, desk.clock(), None)
        return replace(erased, lessons=frozenset(told + masked))


def erase_again(store: Store, customer_id: int) -> Erased:
    """Erase one who was erased and whom a backup has brought back, while no process runs.

    What of theirs was under way at the moment of the backup is over. What they taught goes, too,
    whoever erased them. Raises `DeskError` where there is no such customer.
    """
    with store.writing() as session:
        customer = _known(session.get(Customer, customer_id, with_for_update=True))
        mentions = Mentions(session, customer)
        mentions.look(session)
        for start in range(0, len(mentions.updates), CHUNK):
            which = Inbox.id.in_(mentions.updates[start : start + CHUNK])
            _in_bulk(session, update(Inbox).where(which).values(state=InboxState.DONE))
            _empty(session, which)
        theirs = select(Conversation.id).where(Conversation.customer_id == customer.id)
        undecided = Message.conversation_id.in_(theirs) & (Message.state == MessageState.PENDING)
        _in_bulk(session, update(Message).where(undecided).values(state=MessageState.DECIDED))
        return _forget(session, customer, utcnow(), None, idle=True)


def erase_silent(desk: Desk, before: datetime, limit: int) -> int:
    """Erase customers who have said nothing since, and to whom no person has; returns how many.

    What they taught stays, masked. Kept is who waits for an answer, and who is banned, for the ban
    would go, too. Their updates are left to `empty_updates`. An error over one of them is raised
    once the others are done.
    """
    silent = is_silent(desk, before)
    with desk.store.reading() as session:
        query = select(Customer.id).where(silent).order_by(Customer.id).limit(limit)
        found = session.scalars(query).all()
    number = 0
    trouble: Exception | None = None
    for customer_id in found:
        try:
            with desk.store.writing() as session:
                customer = session.get_one(Customer, customer_id, with_for_update=True)
                # Asked under the lock and apart from it: a query that waits for a lock sees other
                # tables as they were before.
                query = select(Customer.id).where(Customer.id == customer_id, silent)
                if session.scalar(query) is None:
                    continue
                _forget(session, customer, desk.clock(), desk.pack.phone_regions)
        except UnderWayError:
            continue
        except SQLAlchemyError:
            raise
        except Exception as error:  # noqa: BLE001 - those behind don't wait until it is mended
            trouble = error
            continue
        number += 1
    if trouble is not None:
        raise trouble
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
    # As a text: PostgreSQL compares no JSON. One that was emptied when it was handled may say whose
    # it was.
    is_full = or_(cast(Inbox.payload, Text) != "{}", Inbox.chat_id.is_not(None))
    with desk.store.writing() as session:
        _empty(session, and_(Inbox.id.in_(old), Inbox.state == InboxState.DONE, is_full))
    return old[-1]


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
            "first, in their topic; --force erases it as it is."
        )


def _refuse_undone(session: Session, customer: Customer, mentions: Mentions) -> None:
    """Raise `UnderWayError` for what was written, by them or to them, and is not handled yet."""
    new = session.scalars(select(Inbox.id).where(Inbox.state == InboxState.NEW))
    undecided = (
        select(Message.id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(Conversation.customer_id == customer.id, Message.state == MessageState.PENDING)
    )
    written = not set(mentions.updates).isdisjoint(new)
    if written or session.scalar(undecided.limit(1)) is not None:
        raise UnderWayError(
            "This customer has just written, or an operator has written to them. Try again in a "
            "moment, while the bot and a worker run."
        )


def _lock_conversations(session: Session, customer: Customer) -> list[int]:
    """The ids of all their conversations."""
    query = select(Conversation).where(Conversation.customer_id == customer.id)
    found = session.scalars(query.order_by(Conversation.id).with_for_update())
    return [conversation.id for conversation in found]


def _empty(session: Session, which: ColumnElement[bool]) -> None:
    """Empty those of these updates that are handled, or parked: they have nothing left to try."""
    nothing: dict[str, Any] = {
        "payload": {},
        "chat_id": None,
        "error": None,
        "state": InboxState.DONE,
    }
    _in_bulk(session, update(Inbox).where(which, Inbox.state != InboxState.NEW).values(nothing))


def _forget(
    session: Session,
    customer: Customer,
    now: datetime,
    regions: Sequence[str] | None,
    *,
    idle: bool = False,
) -> Erased:
    """Take words, names and ids out of all rows of a customer, who is locked.

    With `regions`, whose phone numbers are masked, what they taught stays; `idle` where no process
    runs, so that nothing is being sent.
    """
    conversations = _lock_conversations(session, customer)
    _unname_digests(session, customer, conversations)
    _stop_sending(session, customer, conversations, idle=idle)
    taught_ids = {
        message_id
        for row in taught(session, conversations)
        for message_id in (row.message_id, row.before_id)
        if message_id is not None
    }
    # What was taken back or withdrawn teaches nothing, so no text of it is kept above; but it may
    # have been learned before.
    since = session.scalar(
        select(func.min(Message.created_at))
        .join(Feedback, Feedback.message_id == Message.id)
        .where(Message.conversation_id.in_(conversations), Feedback.kind.in_(AUTHORITY))
    )
    messages = session.scalars(
        select(Message).where(Message.conversation_id.in_(conversations))
    ).all()
    for message in messages:
        kept = regions is not None and message.id in taught_ids
        message.text = mask(message.text, regions or ()) if kept else ""
        message.telegram_id = message.quoted = None
    _in_bulk(
        session,
        update(Feedback)
        .where(
            Feedback.message_id.in_(
                select(Message.id).where(Message.conversation_id.in_(conversations))
            ),
            Feedback.by == customer.chat_id,
        )
        .values(by=_nobodys_chat(customer)),
    )
    _in_bulk(
        session,
        update(Conversation)
        .where(Conversation.id.in_(conversations), Conversation.state != ConversationState.RESOLVED)
        .values(state=ConversationState.RESOLVED, resolved_at=now),
    )
    topic_chat, topic = customer.topic_chat_id, customer.topic_id
    customer.name = ""
    customer.first_name = customer.username = customer.language = None
    customer.topic_chat_id = customer.topic_id = None
    customer.banned_at = customer.flooded_at = None
    customer.gone = customer.topic_closed = False
    # Last: until here their rows are found by it.
    customer.chat_id = _nobodys_chat(customer)
    if topic_chat is not None and topic is not None:
        add_delivery(
            session,
            f"erased:{customer.id}",
            topic_chat,
            DELETE_TOPIC,
            {"message_thread_id": topic},
        )
    return Erased(len(conversations), len(messages), since, topic is not None)


def _nobodys_chat(customer: Customer) -> int:
    """What stands in place of the id of their chat: the bot sends nothing there, and hears nothing
    from there."""
    return -customer.id


def _unname_digests(session: Session, customer: Customer, conversations: Sequence[int]) -> None:
    """Take their name out of reminders to everybody that still wait: others are meant, too."""
    digests = session.scalars(
        select(DeliveryRow)
        .where(
            DeliveryRow.conversation_id.in_(conversations),
            DeliveryRow.topic_of.is_(None),
            DeliveryRow.state == DeliveryState.PENDING,
            or_(*(DeliveryRow.key.startswith(key) for key in DIGEST_KEYS)),
        )
        .with_for_update()
    )
    for digest in digests.all():
        text = digest.payload["text"].replace(html(customer.name), "…", 1)
        digest.payload, digest.conversation_id = {**digest.payload, "text": text}, None
    session.flush()


def _stop_sending(
    session: Session, customer: Customer, conversations: Sequence[int], *, idle: bool
) -> None:
    """Empty what was sent and cancel what was not; raise `UnderWayError` for what is just sent."""
    theirs = or_(
        DeliveryRow.conversation_id.in_(conversations), DeliveryRow.chat_id == customer.chat_id
    )
    told = [
        row.id
        for row in session.scalars(
            select(DeliveryRow).where(IS_UNFINISHED, DeliveryRow.chat_id == customer.topic_chat_id)
        )
        if row.payload.get("message_thread_id") == customer.topic_id
    ]
    everything = or_(theirs, DeliveryRow.topic_of == customer.id, DeliveryRow.id.in_(told))
    # Those refused, too: they must not be tried again.
    states = [DeliveryState.PENDING, DeliveryState.FAILED]
    unsent = DeliveryRow.state.in_([*states, DeliveryState.SENDING] if idle else states)
    _in_bulk(
        session,
        update(DeliveryRow).where(everything, unsent).values(state=DeliveryState.CANCELLED),
    )
    # Asked after that: what a sender took just before was waited for, and is under way now.
    sending = select(DeliveryRow.id).where(DeliveryRow.state == DeliveryState.SENDING, everything)
    if session.scalar(sending.limit(1)) is not None:
        raise UnderWayError(
            "Something is being sent to this customer, or about them. Try again in a moment, while "
            "the bot runs."
        )
    _in_bulk(session, update(DeliveryRow).where(theirs).values(payload={}, error=None))
    _in_bulk(
        session,
        update(DeliveryRow)
        .where(DeliveryRow.chat_id == customer.chat_id)
        .values(chat_id=_nobodys_chat(customer), telegram_id=None),
    )


def _in_bulk(session: Session, change: Update) -> None:
    session.execute(change, execution_options={"synchronize_session": False})

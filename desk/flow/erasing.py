"""What customers left behind is erased: when they ask for it, or were silent for too long.

The rows stay, and what was counted with them; gone are words, names and Telegram's ids. Whoever
writes again is a new customer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, cast, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from desk.boottime import boottime
from desk.domain import (
    ConversationState,
    DeliveryState,
    DeskError,
    InboxState,
    MessageState,
    whole_text,
)
from desk.flow.composing import has_delivery
from desk.flow.delivering import DELETE_TOPIC
from desk.flow.desk import Desk
from desk.flow.intake import is_stranded, keep_ids
from desk.flow.keys import DIGEST_KEYS, ERASED_KEY, PRIORITY_KEY, SILENT_KEY
from desk.flow.lessons import AUTHORITY, taught, taught_messages
from desk.flow.masked_lessons import MaskedLessons
from desk.flow.mentions import Mentions
from desk.flow.names import LINKED_NAME, MARK
from desk.flow.silence import is_silent
from desk.inert import inert
from desk.masking import mask
from desk.own_names import OwnNames
from desk.store import Store, in_bulk
from desk.tables import (
    IS_UNFINISHED,
    Conversation,
    Customer,
    DeliveryRow,
    Feedback,
    Inbox,
    Message,
    key_begins,
    utcnow,
)
from desk.telegram_text import shorten
from desk.texts import say

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
    # Whatever colleagues wrote of them elsewhere: nothing says of whom it is.
    looked: int | None = 0
    while looked is not None:
        looked = keep_ids(desk, looked)
    with desk.store.reading() as session:
        mentions = Mentions(session, _known(session.get(Customer, customer_id)))
        mentions.look(session)
    with desk.store.writing() as session:
        customer = _known(session.get(Customer, customer_id, with_for_update=True))
        if not force:
            _refuse_awaiting(session, customer)
        # What came since the first look, which takes long where there is much.
        mentions.look(session)
        _refuse_undone(session, desk, customer, mentions)
        _empty_all(session, desk.store, desk.clock(), mentions)
        conversations = _lock_conversations(session, customer)
        told = [whole_text(row.text, row.before) for row in taught(session, conversations)]
        names = OwnNames(desk.pack).of(customer)
        erased = _forget(session, customer, desk.clock(), None, desk.language)
    # Not while others wait for its locks: masking takes milliseconds a text. (A version before left
    # their name in what it exported.)
    regions = desk.pack.phone_regions
    masked = [mask(text, regions, masks) for text in told for masks in ((), names)]
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
        updates = sorted(mentions.updates)
        for start in range(0, len(updates), CHUNK):
            which = Inbox.id.in_(updates[start : start + CHUNK])
            in_bulk(session, update(Inbox).where(which).values(state=InboxState.DONE))
        _empty_all(session, store, utcnow(), mentions)
        theirs = select(Conversation.id).where(Conversation.customer_id == customer.id)
        undecided = Message.conversation_id.in_(theirs) & (Message.state == MessageState.PENDING)
        in_bulk(session, update(Message).where(undecided).values(state=MessageState.DECIDED))
        return _forget(session, customer, utcnow(), None, None)


def erase_silent(
    desk: Desk,
    before: datetime,
    limit: int,
    seconds: float = inf,
    lessons: MaskedLessons | None = None,
) -> int | None:
    """Erase customers who have said nothing since, and to whom no person has; returns how many.

    At most `limit`, and once that took so many `seconds` no other is begun. What they taught stays,
    masked: None where that took all these seconds for the first one, and the next call with the
    same `lessons` goes on. Kept is who waits for an answer, and who is banned, for the ban would
    go, too. Their updates are left to `empty_updates`. An error over one is raised once the others
    are done.
    """
    lessons = lessons or MaskedLessons()
    silent = is_silent(desk, before)
    with desk.store.reading() as session:
        query = select(Customer.id).where(silent).order_by(Customer.id).limit(limit)
        found = session.scalars(query).all()
    number = 0
    trouble: Exception | None = None
    unfinished = False
    until = boottime() + seconds
    for customer_id in found:
        # Not before one is erased: that none was means that none is left.
        if number and boottime() > until:
            break
        try:
            if not lessons.prepare(desk, _conversations(desk, customer_id), until - boottime()):
                unfinished = True
                break
            with desk.store.writing() as session:
                customer = session.get_one(Customer, customer_id, with_for_update=True)
                # Asked under the lock and apart from it: a query that waits for a lock sees other
                # tables as they were before.
                query = select(Customer.id).where(Customer.id == customer_id, silent)
                if session.scalar(query) is None:
                    continue
                _forget(session, customer, desk.clock(), lessons, desk.language)
        except UnderWayError:
            continue
        except SQLAlchemyError:
            raise
        except Exception as error:  # noqa: BLE001 - those behind don't wait until it is mended
            trouble = error
            continue
        number += 1
    if not unfinished:
        lessons.clear()
    if trouble is not None:
        raise trouble
    return number or (None if unfinished else 0)


def empty_updates(desk: Desk, before: datetime, after: int) -> int | None:
    """Empty the next updates that came before that moment and are handled, or never will be.

    `after` is the id of the last that was that old, 0 at first; returns the next such, or None at
    the end. The keys stay, by which Telegram's repetitions are known.
    """
    query = select(Inbox.id, Inbox.received_at).where(Inbox.id > after).order_by(Inbox.id)
    # As a text: PostgreSQL compares no JSON. One that was emptied when it was handled may say whose
    # it was.
    is_full = or_(cast(Inbox.payload, Text) != "{}", Inbox.chat_id.is_not(None))
    over = or_(Inbox.state == InboxState.DONE, is_stranded(desk.store, desk.clock()))
    with desk.store.reading() as session:
        rows = session.execute(query.limit(CHUNK)).all()
        old = [id_ for id_, received_at in rows if received_at < before]
        if not old:
            return None
        which = and_(Inbox.id.in_(old), over, is_full)
        # Rarely, but for those of the last day: all are looked at again each day.
        some = session.scalar(select(Inbox.id).where(which).limit(1)) is not None
    if some:
        with desk.store.writing() as session:
            _empty(session, desk.store, desk.clock(), which)
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


def _refuse_undone(session: Session, desk: Desk, customer: Customer, mentions: Mentions) -> None:
    """Raise `UnderWayError` for what was written, by them or to them, and is not handled yet."""
    new = session.execute(
        select(Inbox.id, Inbox.chat_id).where(
            Inbox.state == InboxState.NEW, ~is_stranded(desk.store, desk.clock())
        )
    )
    undecided = (
        select(Message.id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(Conversation.customer_id == customer.id, Message.state == MessageState.PENDING)
    )
    written = any(
        chat_id == customer.chat_id or id_ in mentions.updates for id_, chat_id in new.all()
    )
    if written or session.scalar(undecided.limit(1)) is not None:
        raise UnderWayError(
            "This customer has just written, or an operator has written to them. Try again in a "
            "moment, while the bot and a worker run."
        )


def _conversations(desk: Desk, customer_id: int) -> list[int]:
    with desk.store.reading() as session:
        query = select(Conversation.id).where(Conversation.customer_id == customer_id)
        return list(session.scalars(query))


def _lock_conversations(session: Session, customer: Customer) -> list[int]:
    """The ids of all their conversations."""
    query = select(Conversation).where(Conversation.customer_id == customer.id)
    found = session.scalars(query.order_by(Conversation.id).with_for_update())
    return [conversation.id for conversation in found]


def _empty_all(session: Session, store: Store, now: datetime, mentions: Mentions) -> None:
    updates = sorted(mentions.updates)
    for start in range(0, len(updates), CHUNK):
        _empty(session, store, now, Inbox.id.in_(updates[start : start + CHUNK]))


def _empty(session: Session, store: Store, now: datetime, which: ColumnElement[bool]) -> None:
    """Empty those of these updates that nobody is to handle any more, parked ones too."""
    nothing: dict[str, Any] = {
        "payload": {},
        "chat_id": None,
        "error": None,
        "state": InboxState.DONE,
    }
    over = or_(Inbox.state != InboxState.NEW, is_stranded(store, now))
    in_bulk(session, update(Inbox).where(which, over).values(nothing))


def _forget(
    session: Session,
    customer: Customer,
    now: datetime,
    lessons: MaskedLessons | None,
    language: str | None,
) -> Erased:
    """Take words, names and ids out of all rows of a customer, who is locked.

    What they taught stays as it is masked in `lessons`; `UnderWayError` is raised if something is
    not there. With None all of it goes. The operators' `language` is None where no process runs:
    nothing is being sent then.
    """
    conversations = _lock_conversations(session, customer)
    _unname_digests(session, customer, conversations, now, language)
    _stop_sending(session, customer, conversations, idle=language is None)
    taught_ids = taught_messages(session, conversations)
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
        kept = None
        if lessons is not None and message.id in taught_ids:
            kept = lessons.of(message.id, message.text)
            if kept is None:
                raise UnderWayError("Something was taught by what this customer wrote, just now.")
        message.text = kept or ""
        message.telegram_id = message.quoted = None
        message.forwarded_from = message.links = None
    in_bulk(
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
    in_bulk(
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
        topic_id = {"message_thread_id": topic}
        # Of who was silent the lessons stay; all else is at somebody's wish.
        key = f"{ERASED_KEY if lessons is None else SILENT_KEY}{customer.id}"
        _have_sent(session, now, key, topic_chat, DELETE_TOPIC, topic_id)
    return Erased(len(conversations), len(messages), since, topic is not None)


def _nobodys_chat(customer: Customer) -> int:
    """What stands in place of the id of their chat: the bot sends nothing there, and hears nothing
    from there."""
    return -customer.id


def _have_sent(
    session: Session, now: datetime, key: str, chat_id: int, method: str, payload: dict[str, Any]
) -> None:
    if not has_delivery(session, key):
        row = DeliveryRow(key=key, chat_id=chat_id, method=method, payload=payload, created_at=now)
        session.add(row)


def _unname_digests(
    session: Session,
    customer: Customer,
    conversations: Sequence[int],
    now: datetime,
    language: str | None,
) -> None:
    """Take their name out of reminders to everybody: of those that still wait the name alone, for
    others are meant, too, if it is the one that they had then; of those in the group all."""
    digests = session.scalars(
        select(DeliveryRow)
        .where(
            DeliveryRow.conversation_id.in_(conversations),
            DeliveryRow.topic_of.is_(None),
            or_(
                DeliveryRow.state == DeliveryState.PENDING,
                and_(DeliveryRow.state == DeliveryState.SENT, DeliveryRow.telegram_id.is_not(None)),
            ),
            key_begins((*DIGEST_KEYS, PRIORITY_KEY)),
        )
        .order_by(DeliveryRow.id)
        .with_for_update()
    )
    for digest in digests.all():
        if digest.state is DeliveryState.SENT:
            # Rewritten by the first erasure, if this is one more. Not deleted: that takes a right,
            # or is too late after two days.
            if language is not None:
                text = "⏰ " + say("digest-erased", language)
                rewritten = {"message_id": digest.telegram_id, "text": text}
                key = f"unnamed:{digest.id}"
                _have_sent(session, now, key, digest.chat_id, "editMessageText", rewritten)
            continue
        if digest.key.startswith(PRIORITY_KEY):
            continue  # about nobody else, and so not sent at all
        text, found = re.subn("<a .*?</a>", "…", digest.payload["text"], count=1)
        # Where nobody had a topic then, or of the version before, their name stands alone.
        for name in (customer.name, shorten(customer.name, LINKED_NAME)):
            if not found:
                whole = rf"(?<!\w){re.escape(inert(name))}(?!\w)(?:{MARK})?"
                text, found = re.subn(whole, "…", text, count=1)
        if not found:
            # What they were called then is not known any more; nor, where nothing runs, in what
            # language that is.
            text = "⏰ " + say("digest-erased", language or "en")
        digest.payload, digest.conversation_id = {**digest.payload, "text": text}, None
    session.flush()


def _stop_sending(
    session: Session, customer: Customer, conversations: Sequence[int], *, idle: bool
) -> None:
    """Empty what was sent and cancel what was not; raise `UnderWayError` for what is just sent."""
    theirs = or_(
        DeliveryRow.conversation_id.in_(conversations), DeliveryRow.chat_id == customer.chat_id
    )
    notices = [
        row.id
        for row in session.scalars(
            select(DeliveryRow).where(IS_UNFINISHED, DeliveryRow.chat_id == customer.topic_chat_id)
        )
        if row.payload.get("message_thread_id") == customer.topic_id
    ]
    everything = or_(theirs, DeliveryRow.topic_of == customer.id, DeliveryRow.id.in_(notices))
    # Those refused, too: they must not be tried again.
    states = [DeliveryState.PENDING, DeliveryState.FAILED]
    unsent = DeliveryRow.state.in_([*states, DeliveryState.SENDING] if idle else states)
    in_bulk(
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
    # Such a notice may quote what a colleague wrote.
    said = or_(theirs, DeliveryRow.id.in_(notices))
    in_bulk(session, update(DeliveryRow).where(said).values(payload={}, error=None))
    in_bulk(
        session,
        update(DeliveryRow)
        .where(DeliveryRow.chat_id == customer.chat_id)
        .values(chat_id=_nobodys_chat(customer), telegram_id=None),
    )

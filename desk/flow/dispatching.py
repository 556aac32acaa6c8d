"""What goes out next: deliveries are taken in order per chat, and checked once more.

The operators' chat, in which all conversations meet, has an order of its own.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import NamedTuple

import structlog
from sqlalchemy import ColumnElement, and_, case, func, or_, select, true
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, aliased

from desk.domain import ConversationState, Delivery, DeliveryState, InboxState
from desk.flow import priority
from desk.flow.albums import is_kept_back
from desk.flow.awaiting import has_word_since, is_called, is_unanswered
from desk.flow.clocks import AHEAD
from desk.flow.delivering import (
    DELETE_TOPIC,
    EDIT_METHODS,
    LONGEST_WAIT,
    WITHDRAWN,
    cancel,
    copy_of,
    deletion_is_void,
    failed_in_any_case,
)
from desk.flow.desk import Desk
from desk.flow.keys import (
    CARD_KEY,
    CHANGE_KEY,
    CUSTOMER_KEYS,
    DELETE_KEY,
    ERASED_KEY,
    PRIORITY_KEY,
    REMIND_KEY,
    UNANSWERED_KEY,
    UNHEARD_KEYS,
    WRITTEN_KEY,
)
from desk.flow.leases import Holding, bot_lease, check
from desk.flow.topics import TO_EVERYBODY, is_astray, readdress
from desk.tables import (
    IS_UNFINISHED,
    WAS_SHOWN,
    Conversation,
    Customer,
    DeliveryRow,
    Inbox,
    Message,
    key_begins,
)

log = structlog.get_logger(__name__)

CALLS = (CARD_KEY, PRIORITY_KEY)
"""How the keys begin of calls for help."""
IN_TURN = 3
"""The rank of customers' words in the operators' chat."""
DELETED_WITHIN = timedelta(minutes=5)
"""So long a topic whose customer somebody has erased stands back behind all else."""


class _Broken(NamedTuple):
    """A delivery over which the code fails, in the attempt that would have sent it."""

    delivery_id: int
    attempt: int
    error: str


def take(
    desk: Desk,
    busy_chats: Collection[int],
    limit: int,
    lease: Holding,
    scarce: Collection[int] = (),
) -> list[Delivery]:
    """Take the next due delivery of each chat that is not busy, and mark it `SENDING`; of what goes
    to an operators' chat that is `scarce` only calls for help.

    This is the last look before sending: a bot's answer to a conversation that a person has
    taken over is cancelled here. Raises `LostLeaseError` when the `lease` is another's.
    """
    if limit < 1:
        return []
    # The oldest unfinished delivery of a chat holds back the younger ones, even while it waits.
    heads = select(func.min(DeliveryRow.id)).where(IS_UNFINISHED).group_by(DeliveryRow.chat_id)
    if desk.operator_chat_id is None:
        # What is for the operators waits for a bot that has a chat of theirs.
        heads = heads.where(DeliveryRow.topic_of.is_(None), ~TO_EVERYBODY)
    with desk.store.reading() as session:
        next_here = (
            None
            if desk.operator_chat_id in busy_chats
            else _next_to_operators(session, desk, only_calls=desk.operator_chat_id in scarce)
        )
        elsewhere = and_(
            DeliveryRow.id.in_(heads),
            DeliveryRow.chat_id.not_in([*busy_chats, desk.operator_chat_id or 0]),
        )
        query = (
            select(DeliveryRow)
            .where(
                or_(DeliveryRow.id == next_here, elsewhere),
                DeliveryRow.state == DeliveryState.PENDING,
                _due(desk),
            )
            .order_by(DeliveryRow.id)
            .limit(limit)
        )
        if session.scalar(query.limit(1)) is None:
            return []
    with desk.store.writing() as session:
        check(session, lease)
        rows = session.scalars(query.with_for_update(skip_locked=True)).all()
        here = [row for row in rows if not is_astray(desk, row)]
        looks = [_take(session, desk, row, lease) for row in here]
        ended = any(row.state is DeliveryState.CANCELLED for row in here)
        if len(here) < len(rows):
            # Written by a process that has another operators' chat: topics are made and known in
            # this one's only, and here the operators are.
            readdress(session, desk)
    broken = [look for look in looks if isinstance(look, _Broken)]
    for delivery_id, attempt, said in broken:
        failed_in_any_case(desk, delivery_id, attempt, said)
    taken = [look for look in looks if isinstance(look, Delivery)]
    if len(here) < len(rows) or ended or broken:
        # What stood behind such a one is due now, not at the next poll.
        busy = {*busy_chats, *(delivery.chat_id for delivery in taken)}
        taken += take(desk, busy, limit - len(taken), lease, scarce)
    return taken


def _next_to_operators(session: Session, desk: Desk, *, only_calls: bool) -> int | None:
    """What goes next to the operators' chat, which takes 20 messages a minute, edits among them.

    Calls for help go first; then what the bot itself has to say, such as its answers to operators,
    who would otherwise wait for them behind a customer's flood (`telling` sees to it that nobody
    else has many); then edits, which show what operators did; then what customers wrote, each
    conversation in its turn, so that no flood holds up the others; then, for which nobody waits,
    edits where the conversation is over, and the deletion of topics. Where somebody has erased
    their customer that goes with what the bot has to say after five minutes: who asked for it does
    not wait for a group that is never quiet. (Of the silent there may be many.)
    Within a conversation their words keep their order; nothing overtakes what is under way, or
    was told to wait, but a deletion that was.
    """
    here = and_(DeliveryRow.chat_id == desk.operator_chat_id, IS_UNFINISHED)
    deletes = DeliveryRow.method == DELETE_TOPIC
    held_up = or_(DeliveryRow.state == DeliveryState.SENDING, and_(~_due(desk), ~deletes))
    if session.scalar(select(DeliveryRow.id).where(here, held_up).limit(1)) is not None:
        return None
    from_customer = key_begins(CUSTOMER_KEYS)
    heads = (
        select(func.min(DeliveryRow.id))
        .where(here, from_customer)
        .group_by(DeliveryRow.conversation_id)
    )
    overdue = DeliveryRow.created_at < desk.clock() - DELETED_WITHIN
    over = (
        select(Conversation.id)
        .where(
            Conversation.id == DeliveryRow.conversation_id,
            Conversation.state == ConversationState.RESOLVED,
        )
        .exists()
    )
    edits = DeliveryRow.method.in_(EDIT_METHODS)
    rank = case(
        (key_begins(CALLS), 0),
        (and_(deletes, key_begins((ERASED_KEY,)), overdue, _due(desk)), 1),
        (or_(deletes, and_(edits, over)), IN_TURN + 1),
        (edits, 2),
        (~from_customer, 1),
        else_=IN_TURN,
    )
    # Its turn is last for whose topic was written into last; an edit there is no turn.
    served = aliased(DeliveryRow)
    last_served = (
        select(func.max(served.sent_at))
        .where(served.conversation_id == DeliveryRow.conversation_id, WAS_SHOWN)
        .scalar_subquery()
    )
    return session.scalar(
        select(DeliveryRow.id)
        .where(
            here,
            or_(~from_customer, DeliveryRow.id.in_(heads)),
            key_begins(CALLS) if only_calls else true(),
        )
        .order_by(rank, case((rank == IN_TURN, last_served)).nulls_first(), DeliveryRow.id)
        .limit(1)
    )


def _due(desk: Desk) -> ColumnElement[bool]:
    now = desk.clock()
    return or_(
        DeliveryRow.not_before.is_(None),
        DeliveryRow.not_before <= now,
        # Nothing is told to wait so long, or written later than now: the clock was put back since.
        DeliveryRow.not_before > now + LONGEST_WAIT,
        DeliveryRow.created_at > now + AHEAD,
    )


def _take(
    session: Session, desk: Desk, row: DeliveryRow, lease: Holding
) -> Delivery | _Broken | None:
    """What is to be sent, marked so; or None: it has to wait, or has ended here."""
    try:
        if _is_edited(session, row, lease):
            return None
        if _overtaken(session, row):
            cancel(session, row)
            if row.key.startswith(DELETE_KEY):
                deletion_is_void(session, desk, row)
            return None
        delivery = _delivery(session, desk, row)
    except SQLAlchemyError:
        raise
    except Exception as error:
        # Looked at again and again, it would hold up the deliveries of all chats.
        log.exception("delivery_broken", delivery=row.id, message=row.message_id)
        row.state, row.attempts = DeliveryState.SENDING, row.attempts + 1
        return _Broken(row.id, row.attempts, repr(error))
    row.state, row.attempts = DeliveryState.SENDING, delivery.attempts
    return delivery


def _is_edited(session: Session, row: DeliveryRow, lease: Holding) -> bool:
    """Whether the operator has edited what is to be copied, and that is still to be handled: it
    may be a note by now, and a copy takes what a message says.

    By the bot of the lease: nobody handles what another bot was told.
    """
    if not row.key.startswith(WRITTEN_KEY):
        return False
    coming = session.execute(
        select(Inbox.bot_id, Inbox.payload).where(
            Inbox.state == InboxState.NEW, Inbox.chat_id == row.payload.get("from_chat_id")
        )
    )
    edited = (
        payload.get("edited_message") or {}
        for bot_id, payload in coming
        if bot_lease(bot_id) == lease.name
    )
    return row.payload.get("message_id") in {body.get("message_id") for body in edited}


def _overtaken(session: Session, row: DeliveryRow) -> bool:
    """Whether a delivery is not to be sent any more: a person has taken over what the bot answers,
    be it resolved since or not, or has spoken where it reminds of one, or since it was written
    where it tells everybody of what can't wait; or has banned the customer to whom it goes, or
    whose words it shows.

    Else it is asked of the state, not of the clock: those of two hosts may differ. In a
    conversation that a person has resolved the bot says nothing new. Nor is anything changed that
    never arrived.
    """
    deletes = row.key.startswith(DELETE_KEY)
    if (deletes or row.key.startswith(CHANGE_KEY)) and _copy_id(session, row) is None:
        return True
    if row.payload.get(WITHDRAWN) or _is_note_by_its_album(session, row):
        return True
    conversation = session.get(Conversation, row.conversation_id) if row.conversation_id else None
    if conversation is None:
        return False
    customer = session.get_one(Customer, conversation.customer_id)
    if customer.banned_at is not None:
        # What names them beside others goes to no topic, and nor does an alarm about them alone.
        in_topic = row.topic_of is not None and row.key.startswith(UNHEARD_KEYS)
        shows = in_topic or row.key.startswith(PRIORITY_KEY)
        # What was said to them before may be taken back.
        return (row.chat_id == customer.chat_id and not deletes) or shows
    if row.key.startswith(PRIORITY_KEY):
        # What a person said before the customer wrote of it is no reply to it.
        with_people = conversation.state in (ConversationState.WAITING, ConversationState.HUMAN)
        return not with_people or has_word_since(session, conversation, row.created_at)
    if row.topic_of is not None and row.key.startswith(REMIND_KEY):
        return not is_called(session, conversation)
    if row.key.startswith(UNANSWERED_KEY) and row.message_id is not None:
        return not is_unanswered(session, conversation, row.message_id)
    if not row.from_bot:
        return False
    resolved = conversation.state is ConversationState.RESOLVED
    return conversation.state is ConversationState.HUMAN or (
        resolved and conversation.taken_at is not None
    )


def _is_note_by_its_album(session: Session, row: DeliveryRow) -> bool:
    """Whether an operator's picture, of which no copy has left, belongs to a note: the caption that
    says so may have come after it."""
    if not row.key.startswith(WRITTEN_KEY) or row.uncertain or row.message_id is None:
        return False
    message = session.get_one(Message, row.message_id)
    if message.inbox_id is None or row.conversation_id is None:
        return False
    conversation = session.get_one(Conversation, row.conversation_id)
    customer = session.get_one(Customer, conversation.customer_id)
    return is_kept_back(session, customer, message.inbox_id, message.operator_id)


def _copy_id(session: Session, row: DeliveryRow) -> int | None:
    """Under which id the customer has the operator's message, or ready answer, of a delivery.

    Whatever is sent there before a change of it has come to its end when that is taken.
    """
    copy = copy_of(session, row)
    return None if copy is None else copy.telegram_id


def _delivery(session: Session, desk: Desk, row: DeliveryRow) -> Delivery:
    """What is to be sent in the attempt that begins."""
    payload = row.payload
    if row.key.startswith((CHANGE_KEY, DELETE_KEY)):
        payload = {**payload, "message_id": _copy_id(session, row)}
    if row.key.startswith(PRIORITY_KEY):
        payload = {**payload, "text": priority.line(session, desk, row)}
    topic = session.get(Customer, row.topic_of) if row.topic_of is not None else None
    if topic is not None and topic.topic_chat_id != row.chat_id:
        topic = None
    return Delivery(
        id=row.id,
        key=row.key,
        chat_id=row.chat_id,
        method=row.method,
        payload=payload,
        message_id=row.message_id,
        topic_of=row.topic_of,
        thread_id=topic.topic_id if topic else None,
        topic_closed=topic is not None and topic.topic_closed,
        attempts=row.attempts + 1,
        uncertain=row.uncertain,
    )

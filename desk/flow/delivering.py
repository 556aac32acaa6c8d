"""Deliveries come to an end: each is sent, tried again, refused, or its customer is gone."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy import String, and_, case, cast, func, literal, not_, or_, select
from sqlalchemy.orm import Session, aliased

from desk import metrics
from desk.domain import Author, ConversationState, DeliveryState
from desk.flow.cards import card_text
from desk.flow.composing import copy_key, operators_text
from desk.flow.conversations import find_customer, find_open
from desk.flow.desk import Desk
from desk.flow.following import show_following
from desk.flow.handoff import call_person
from desk.flow.keys import (
    BARE_KEY,
    CARD_KEY,
    CHANGE_KEY,
    DELETE_KEY,
    FAILED_KEY,
    FILE_KEY,
    GONE_KEY,
    NOTE_KEY,
    POST_KEY,
    QUOTES_KEY,
    TAKEN_BACK_KEY,
    WRITTEN_KEY,
)
from desk.flow.noting import counted, happened
from desk.flow.refreshing import edit_card, refresh_card
from desk.inert import inert
from desk.policy import NOT_DELIVERED
from desk.store import DATABASE_AWAY, after_commit
from desk.tables import Conversation, Customer, DeliveryRow, Message
from desk.telegram_html import escaped as html
from desk.telegram_text import kept_error, shorten
from desk.texts import say

log = structlog.get_logger(__name__)

BARE_TEXT = 1000
"""What is shown of a message whose card Telegram refused."""
BOTS_WORDS_KEEP = timedelta(days=1)
"""So long after it was due, what the bot had to say is still worth sending."""
LONGEST_WAIT = timedelta(hours=1)
"""What is told to wait longer is tried again after that: one refusal an hour costs nothing, and a
moment further ahead than this is known to be from before a clock was put back."""
WITHDRAWN = "withdrawn"
"""In the payload of such a copy: it is not to be sent (again), for its message is a note now."""
PERHAPS_ARRIVED = "it may have arrived"
"""Stands in the error of what was given up because nobody knows whether its second try arrived."""
EDIT_METHODS = frozenset({"editMessageText", "editMessageCaption", "editMessageReplyMarkup"})
DELETE_TOPIC = "deleteForumTopic"
DELETE_MESSAGE = "deleteMessage"
IDEMPOTENT_METHODS = EDIT_METHODS | {DELETE_TOPIC, DELETE_MESSAGE}
"""May be repeated without harm."""

_OF_COPIES = (CHANGE_KEY, DELETE_KEY)

_TWICE_IN_DOUBT = and_(
    DeliveryRow.state == DeliveryState.FAILED,
    DeliveryRow.uncertain.is_(True),
    # One that was uncertain once and then refused has arrived once at most.
    func.coalesce(DeliveryRow.error, "").contains(PERHAPS_ARRIVED),
)
_NOTICE = aliased(DeliveryRow)
_OPERATORS_TOLD = (
    select(_NOTICE.id)
    .where(
        or_(
            _NOTICE.key
            == literal(FAILED_KEY)
            + cast(DeliveryRow.id, String)
            + ":"
            + cast(DeliveryRow.attempts, String),
            # That of a version before the attempt stood in it.
            _NOTICE.key == literal(FAILED_KEY) + cast(DeliveryRow.id, String),
            _NOTICE.key == literal(BARE_KEY) + DeliveryRow.key,
        )
    )
    .exists()
)
"""What `failed` leaves where the operators learn of it."""


def sent(desk: Desk, delivery_id: int, attempt: int, telegram_id: int | None) -> None:
    """Telegram has accepted the delivery; of no effect once a later attempt has begun.

    A card or post that was on its way while its conversation went on is brought up to date. Of what
    was taken back the operators are told.
    """
    with desk.store.writing() as session:
        row = session.get_one(DeliveryRow, delivery_id)
        card = row.key.startswith((CARD_KEY, POST_KEY)) and row.conversation_id is not None
        deleted = row.key.startswith(DELETE_KEY) and row.conversation_id is not None
        customer = _lock_customer(session, row) if deleted else None
        # Who changes the state holds this lock, and so either sees the card sent or is seen here.
        conversation = (
            session.get_one(Conversation, row.conversation_id, with_for_update=True)
            if card
            else None
        )
        # One that was recovered but not taken again has arrived all the same.
        if not _under_way(session, row, attempt, DeliveryState.SENDING, DeliveryState.PENDING):
            return
        _end(row, DeliveryState.SENT)
        row.sent_at, row.error = desk.clock(), None
        counted(session, metrics.DELIVERIES, "sent")
        due = max(row.created_at, row.not_before or row.created_at)
        waited = max(0.0, (row.sent_at - due).total_seconds())
        after_commit(session, lambda: metrics.DELIVERY_SECONDS.observe(waited))
        if telegram_id is not None:
            row.telegram_id = telegram_id
        if customer is not None:
            _taken_back(session, desk, customer, row)
        if conversation is None or row.message_id is None or telegram_id is None:
            return
        customer = session.get_one(Customer, conversation.customer_id)
        message = session.get_one(Message, row.message_id)
        post = row.key.startswith(POST_KEY)
        now = card_text(session, desk, customer, conversation, message, post=post)
        if row.payload["text"] != now:
            edit_card(session, desk, customer, conversation, message, telegram_id)


def again(
    desk: Desk,
    delivery_id: int,
    attempt: int,
    seconds: float,
    error: str,
    *,
    uncertain: bool = False,
) -> None:
    """The delivery goes back and is due again in so many seconds, `LONGEST_WAIT` at most.

    `uncertain` says that it may have arrived already: the answer of Telegram was lost.
    """
    with desk.store.writing() as session:
        row = session.get_one(DeliveryRow, delivery_id)
        if not _under_way(session, row, attempt):
            return
        row.state, row.error = DeliveryState.PENDING, kept_error(error)
        now = desk.clock()
        row.not_before = now + min(timedelta(seconds=seconds), LONGEST_WAIT)
        # Where the clock was put back it would be due at once, and again and again.
        row.created_at = min(row.created_at, now)
        doubtful = uncertain and row.method not in IDEMPOTENT_METHODS
        outcome = "uncertain" if doubtful and not row.uncertain else "again"
        row.uncertain = row.uncertain or doubtful
        counted(session, metrics.DELIVERIES, outcome)


def failed(desk: Desk, delivery_id: int, attempt: int, error: str) -> None:
    """Telegram refuses the delivery for good; the operators learn what nobody else would see.

    What the bot could not say to a customer calls a person. A card that was refused is replaced
    by a bare text, once; of a customer's file that could not be copied they are told.
    """
    with desk.store.writing() as session:
        row = session.get_one(DeliveryRow, delivery_id)
        change = row.key.startswith(_OF_COPIES)
        if row.conversation_id is None or (row.method in IDEMPOTENT_METHODS and not change):
            # A keyboard that could not be changed withholds nothing from the customer.
            if _under_way(session, row, attempt):
                _give_up(session, row, error, "failed")
            return
        customer = _lock_customer(session, row)
        conversation = session.get_one(Conversation, row.conversation_id, with_for_update=True)
        if not _under_way(session, row, attempt):
            return
        _give_up(session, row, error, "failed")
        error = kept_error(error)  # the operators are told of it
        if row.chat_id == desk.operator_chat_id:
            if row.key.startswith((CARD_KEY, POST_KEY)):
                _post_bare(session, desk, customer, conversation, row)
            elif row.key.startswith(FILE_KEY):
                text = "⚠️ " + html(shorten(say("file-lost", desk.language, error=error), 1000))
                # With its conversation, whose turn it was: refused files hold up nobody else.
                operators_text(
                    session,
                    desk,
                    f"{FAILED_KEY}{row.id}:{attempt}",
                    text,
                    customer=customer,
                    conversation=conversation,
                )
        elif row.chat_id == customer.chat_id:
            message = None if change else _undelivered(session, row)
            if conversation.state is ConversationState.BOT and message is not None:
                call_person(
                    session, desk, customer, conversation, message, NOT_DELIVERED, tell=False
                )
                show_following(session, desk, customer, conversation, message)
            elif row.from_bot:
                # The card says that the bot has answered, and does not offer that answer.
                refresh_card(session, desk, customer, conversation)
            text = "⚠️ " + html(shorten(say(_refusal(row), desk.language, error=error), 1000))
            _tell_below(session, desk, customer, row, f"{FAILED_KEY}{row.id}:{attempt}", text)


def customer_gone(
    desk: Desk, delivery_id: int, attempt: int, error: str, *, at: datetime | None = None
) -> None:
    """The customer has blocked the bot: nothing more is sent until they write again.

    Who has written since `at`, when Telegram said so, has done that already.
    The operators learn it once, and of each word of theirs that is refused.
    """
    with desk.store.writing() as session:
        row = session.get_one(DeliveryRow, delivery_id)
        customer = find_customer(session, row.chat_id)
        # Before the delivery is locked, as everywhere.
        conversation = find_open(session, customer) if customer is not None else None
        if not _under_way(session, row, attempt):
            return
        _give_up(session, row, error, "gone")
        if customer is None:
            return
        if row.from_bot and conversation is not None:
            # Its card says that the bot has answered, and does not offer that answer.
            refresh_card(session, desk, customer, conversation)
        told = customer.gone
        customer.gone = not _has_written(session, conversation, at)
        change = row.key.startswith(_OF_COPIES)
        theirs = not row.from_bot and (change or row.method not in IDEMPOTENT_METHODS)
        has_topic = customer.topic_chat_id == desk.operator_chat_id
        waits = conversation is not None and conversation.state is ConversationState.WAITING
        if (has_topic or waits) and (theirs or not told):
            what = "not-taken-back" if row.key.startswith(DELETE_KEY) else "customer-gone"
            text = "⚠️ " + html(say(what, desk.language, error=kept_error(error)))
            _tell_below(session, desk, customer, row, f"{GONE_KEY}{row.id}:{attempt}", text)


def cancel(session: Session, row: DeliveryRow) -> None:
    """The delivery is not to be sent any more; the caller has locked it."""
    _end(row, DeliveryState.CANCELLED)
    counted(session, metrics.DELIVERIES, "cancelled")
    happened(session, "delivery.cancelled", delivery=row.id, message=row.message_id)


def deletion_is_void(session: Session, desk: Desk, row: DeliveryRow) -> None:
    """A copy that was to be deleted has no known id with the customer; the caller has cancelled the
    deletion. The operators, who wait for its end, learn of it where it may have arrived."""
    copy = copy_of(session, row)
    if copy is None or row.conversation_id is None:
        return
    # One that was sent and is cancelled was taken back, and that is told.
    in_doubt = copy.state is DeliveryState.CANCELLED and copy.uncertain and copy.sent_at is None
    if copy.state is DeliveryState.SENT or in_doubt:
        conversation = session.get_one(Conversation, row.conversation_id)
        customer = session.get_one(Customer, conversation.customer_id)
        key = f"{TAKEN_BACK_KEY}perhaps:{row.key.rpartition(':')[2]}"  # once for an album
        text = html(say("taken-back-perhaps", desk.language))
        _tell_below(session, desk, customer, row, key, text)


def sent_barely(desk: Desk, delivery_id: int, attempt: int, telegram_id: int | None) -> None:
    """Note that Telegram has accepted the delivery, and do nothing of what else `sent` does.

    For when that meets an error nobody foresaw: without an end the delivery would hold up its
    chat, and go out again with the next sender.
    """
    with desk.store.writing() as session:
        row = session.get_one(DeliveryRow, delivery_id)
        if not _under_way(session, row, attempt, DeliveryState.SENDING, DeliveryState.PENDING):
            return
        _end(row, DeliveryState.SENT)
        row.sent_at, row.error = desk.clock(), None
        if telegram_id is not None:
            row.telegram_id = telegram_id
        counted(session, metrics.DELIVERIES, "sent")


def failed_barely(desk: Desk, delivery_id: int, attempt: int, error: str) -> None:
    """Note that Telegram refuses the delivery for good, and tell nobody: see `sent_barely`."""
    with desk.store.writing() as session:
        row = session.get_one(DeliveryRow, delivery_id)
        if _under_way(session, row, attempt):
            _give_up(session, row, error, "failed")


def failed_in_any_case(desk: Desk, delivery_id: int, attempt: int, error: str) -> None:
    """As `failed`; where that meets an error nobody foresaw, at least as `failed_barely`."""
    try:
        failed(desk, delivery_id, attempt, error)
    except DATABASE_AWAY:
        raise
    except Exception:
        log.exception("delivery_settled_barely", delivery=delivery_id)
        failed_barely(desk, delivery_id, attempt, error)


def retry_failed(desk: Desk) -> int:
    """Give refused deliveries another round; returns how many there were.

    Whoever has blocked the bot has to write first: theirs would only fail again; who is banned gets
    nothing. What the bot itself had to say is left out where a person has taken over since, and a
    day later. What may have arrived twice by now (`given_up` in `counts`) is not sent a third time.
    """
    gone = select(Customer.chat_id).where(
        or_(Customer.gone.is_(True), Customer.banned_at.is_not(None))
    )
    over = select(Conversation.id).where(
        or_(Conversation.taken_at.is_not(None), Conversation.state == ConversationState.RESOLVED)
    )
    late = and_(
        DeliveryRow.from_bot.is_(True),
        or_(
            DeliveryRow.conversation_id.in_(over),
            DeliveryRow.created_at < desk.clock() - BOTS_WORDS_KEEP,
        ),
    )
    with desk.store.writing() as session:
        rows = session.scalars(
            select(DeliveryRow)
            .where(
                DeliveryRow.state == DeliveryState.FAILED,
                not_(_TWICE_IN_DOUBT),
                DeliveryRow.chat_id.not_in(gone),
                not_(late),
            )
            .order_by(DeliveryRow.id)
            .with_for_update(of=DeliveryRow)
        ).all()
        for row in rows:
            # The attempts go on counting: an older one must not be taken for a new one.
            row.state, row.not_before = DeliveryState.PENDING, desk.clock()  # due anew
        return len(rows)


def counts(desk: Desk) -> dict[str, int]:
    """How many deliveries are in each state, and in any: how many were `uncertain`; were
    `given_up` after a second try of which nobody knows the outcome; and were so `untold`, without
    a word to the operators.
    """
    marks = {
        "uncertain": DeliveryRow.uncertain.is_(True),
        "given_up": _TWICE_IN_DOUBT,
        "untold": and_(_TWICE_IN_DOUBT, not_(_OPERATORS_TOLD)),
    }
    # One statement, so that the numbers are of one moment and can be taken from each other.
    marked = [func.count(case((mark, 1))) for mark in marks.values()]
    query = select(DeliveryRow.state, func.count(), *marked).group_by(DeliveryRow.state)
    found = dict.fromkeys(marks, 0)
    with desk.store.reading() as session:
        for state, number, *of_them in session.execute(query):
            found[str(state)] = number
            for name, some in zip(marks, of_them, strict=True):
                found[name] += some
    return found


def _under_way(session: Session, row: DeliveryRow, attempt: int, *states: DeliveryState) -> bool:
    """Whether this attempt is the delivery's last one and still has no end; locks the row.

    The row's lock comes after the customer's and the conversation's, as everywhere.
    """
    session.refresh(row, with_for_update=True)
    return row.attempts == attempt and row.state in (states or (DeliveryState.SENDING,))


def _lock_customer(session: Session, row: DeliveryRow) -> Customer:
    """The customer of a delivery's conversation, locked."""
    return session.scalars(
        select(Customer)
        .join(Conversation, Conversation.customer_id == Customer.id)
        .where(Conversation.id == row.conversation_id)
        .with_for_update(of=Customer)
    ).one()


def copy_of(session: Session, row: DeliveryRow) -> DeliveryRow | None:
    """The copy of an operator's message, or the ready answer, that a delivery is, changes or
    deletes."""
    return session.scalar(select(DeliveryRow).where(DeliveryRow.key == copy_key(session, row)))


def _about(session: Session, desk: Desk, row: DeliveryRow) -> int | None:
    """The id in the operators' chat of the message that a delivery copies, changes or deletes, or
    of what stands there of a ready answer; None where it does none of that, or with one of a chat
    before."""
    if not row.key.startswith((WRITTEN_KEY, *_OF_COPIES)):
        return None
    copy = copy_of(session, row)
    if copy is not None and not copy.key.startswith(WRITTEN_KEY):
        return session.scalar(
            select(DeliveryRow.telegram_id).where(
                DeliveryRow.key == f"{NOTE_KEY}{copy.key}",
                DeliveryRow.chat_id == desk.operator_chat_id,
            )
        )
    if copy is None or copy.payload.get("from_chat_id") != desk.operator_chat_id:
        return None
    found: int | None = copy.payload.get("message_id")
    return found


def _tell_below(
    session: Session, desk: Desk, customer: Customer, row: DeliveryRow, key: str, text: str
) -> None:
    """Say something of a delivery in the customer's topic, below what the delivery is about."""
    about = _about(session, desk, row)
    operators_text(session, desk, key, text, customer=customer, reply_to=about)


def _refusal(row: DeliveryRow) -> str:
    """How the operators are told that a delivery to the customer is refused: a text's name."""
    if row.key.startswith(DELETE_KEY):
        return "not-taken-back"
    return "change-not-delivered" if row.key.startswith(CHANGE_KEY) else "not-delivered"


def _taken_back(session: Session, desk: Desk, customer: Customer, row: DeliveryRow) -> None:
    """The customer has a copy no more: it counts as one that never was sent."""
    copy = copy_of(session, row)
    if copy is not None:
        copy.state, copy.telegram_id = DeliveryState.CANCELLED, None
    happened(session, "operator.took_back", message=row.message_id)
    key = f"{TAKEN_BACK_KEY}{row.key.rpartition(':')[2]}"  # once for an album
    _tell_below(session, desk, customer, row, key, "🗑 " + html(say("taken-back", desk.language)))


def _has_written(
    session: Session, conversation: Conversation | None, since: datetime | None
) -> bool:
    if conversation is None or since is None:
        return False
    query = select(Message.id).where(
        Message.conversation_id == conversation.id,
        Message.author == Author.CUSTOMER,
        Message.created_at > since,
    )
    return session.scalar(query.limit(1)) is not None


def _give_up(session: Session, row: DeliveryRow, error: str, outcome: str) -> None:
    """End a delivery that can't be sent, and tell nobody; the caller has locked it."""
    # A change is over with that: tried again, it might undo a later one. So is what quotes words:
    # nothing is left of it to be tried again.
    over = row.key.startswith((*_OF_COPIES, QUOTES_KEY)) or row.method in EDIT_METHODS
    _end(row, DeliveryState.CANCELLED if over else DeliveryState.FAILED)
    row.error = kept_error(error)
    # Of such an end nothing is left to be repeated, and so nothing to be looked after.
    ended = "cancelled" if over and outcome == "failed" else outcome
    counted(session, metrics.DELIVERIES, ended)


def _end(row: DeliveryRow, state: DeliveryState) -> None:
    """The delivery's end; with it go words that a notice to colleagues has quoted."""
    row.state = state
    if row.key.startswith(QUOTES_KEY):
        row.payload = {}


def _undelivered(session: Session, row: DeliveryRow) -> Message | None:
    """The customer's message that was left without an answer."""
    if row.message_id is not None:
        return session.get(Message, row.message_id)
    return session.scalar(
        select(Message)
        .where(Message.conversation_id == row.conversation_id, Message.author == Author.CUSTOMER)
        .order_by(Message.id.desc())
        .limit(1)
    )


def _post_bare(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    refused: DeliveryRow,
) -> None:
    message = session.get(Message, refused.message_id) if refused.message_id else None
    said = shorten(message.text, BARE_TEXT) if message else ""
    title = say("card-title", desk.language)
    operators_text(
        session,
        desk,
        f"{BARE_KEY}{refused.key}",
        f"🔔 {title} · {inert(customer.name)}\n<blockquote>{inert(said)}</blockquote>",
        customer=customer,
        conversation=conversation,
        message=message,
    )

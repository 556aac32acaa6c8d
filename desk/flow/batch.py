"""A turn of a batch: what the use cases ask for each message is asked once for all of them, and
what they add is written at once.

`begin` leaves a `Turn` with the session; `composing` and `cards` find it there. Outside a batch
there is none, and they ask and add by themselves. Nobody else may write what was asked meanwhile:
the batch holds the customers' locks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Integer,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    case,
    false,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy.orm import Session, aliased

from desk.domain import Author, Before, DeliveryState
from desk.flow.keys import START_KEY
from desk.tables import IS_CARD, Base, DeliveryRow, Feedback, Message

_KEY = "turn"

LAST_SAID = 20
"""So many of a customer's last messages tell whether another is newer than all."""

_earlier = aliased(Message)
_theirs_before = (
    _earlier.conversation_id == Message.conversation_id,
    _earlier.author == Author.CUSTOMER,
    _earlier.id < Message.id,
)
_last_before = (
    select(_earlier.telegram_id)
    .where(*_theirs_before, _earlier.telegram_id.is_not(None))
    .order_by(_earlier.id.desc())
    .limit(LAST_SAID)
    .correlate(Message)
    .subquery()
)
IS_CHANGE = case(
    # Telegram numbers a chat's messages upwards: of a new one the conversation is not read.
    (
        Message.telegram_id
        > select(func.max(_last_before.c.telegram_id)).correlate(Message).scalar_subquery(),
        false(),
    ),
    else_=select(_earlier.id)
    .where(*_theirs_before, _earlier.telegram_id == Message.telegram_id)
    .correlate(Message)
    .exists(),
)
"""Whether a customer's message is what an earlier one of the conversation has become by an edit."""

MOST_SAID = 60
"""So many lines are looked through for what was said before, however much a customer taps."""


class Said(NamedTuple):
    """What somebody said before a message."""

    author: Author
    text: str
    is_text: bool
    """Whether a customer wrote or sent it, rather than tapped or gave a command."""
    forwarded_from: str | None
    """Who wrote it, where a customer forwarded it."""
    is_opening: bool
    """Whether it is /start, or what the bot says to that: so begin all conversations alike."""
    was_read: bool
    """Whether it was put before the model, as no file is."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What was looked up, by message id or conversation id, and the rows to be written.

    An id that is missing was not asked for.
    """

    deliveries: dict[int, set[str]] = field(default_factory=dict)
    """Keys of each message's deliveries, written or still to be."""
    others: dict[str, bool] = field(default_factory=dict)
    """Whether there is a delivery with that key, or will be, which is no message's."""
    earlier: dict[int, list[Said]] = field(default_factory=dict)
    with_feedback: dict[int, bool] = field(default_factory=dict)
    with_card: dict[int, bool] = field(default_factory=dict)
    changes: dict[int, bool] = field(default_factory=dict)
    """`IS_CHANGE` of each."""
    read_with: Mapping[int, Before] = field(default_factory=dict)
    rows: defaultdict[type[Base], list[dict[str, Any]]] = field(
        default_factory=lambda: defaultdict(list)
    )


_NONE = Turn()


def begin(
    session: Session,
    messages: Sequence[Message],
    *,
    calls: Sequence[Message],
    passed_on: Sequence[Message],
    read_with: Mapping[int, Before],
    others: Collection[str],
    operator_chat_id: int | None,
    history: int,
) -> None:
    """Look up what the deliveries of `messages` need, in at most six queries.

    Operators will see `calls` for help and what is `passed_on` to them, at most one a
    conversation. `read_with` is known, by message id. `others` are keys of deliveries that may
    follow and are no message's. `history` is how many of the customer's texts a card needs of what
    was said before.
    """
    deliveries: dict[int, set[str]] = {message.id: set() for message in messages}
    keys = select(DeliveryRow.message_id, DeliveryRow.key).where(
        DeliveryRow.message_id.in_(deliveries)
    )
    for message_id, key in session.execute(keys):
        if message_id is not None:
            deliveries[message_id].add(key)
    known = dict.fromkeys(others, False)
    if known:
        written = select(DeliveryRow.key).where(DeliveryRow.key.in_(known))
        known.update((key, True) for key in session.scalars(written))
    passed_ids = [message.id for message in passed_on]
    are_changes = select(Message.id).where(Message.id.in_(passed_ids), IS_CHANGE)
    shown = [*(message.id for message in calls), *passed_ids]
    conversations = {message.conversation_id for message in passed_on}
    in_conversation = select(DeliveryRow.conversation_id).where(
        DeliveryRow.conversation_id.in_(conversations),
        DeliveryRow.chat_id == operator_chat_id,
        IS_CARD,
    )
    with_card = _which(session, conversations, in_conversation)
    # What is passed on becomes a card where there is none; a plain post has no history.
    cards = [*calls, *(message for message in passed_on if not with_card[message.conversation_id])]
    session.info[_KEY] = Turn(
        deliveries,
        known,
        said_before(session, [message.id for message in cards], history),
        _which(session, shown, select(Feedback.message_id).where(Feedback.message_id.in_(shown))),
        with_card,
        _which(session, passed_ids, are_changes),
        read_with,
    )


def turn(session: Session) -> Turn:
    """The session's turn; one that knows nothing outside a batch."""
    found: Turn = session.info.get(_KEY, _NONE)
    return found


def add_row(session: Session, table: type[Base], **values: Any) -> None:
    """Add a row that nobody in this transaction reads: at once, or with its batch's others."""
    current = turn(session)
    if current is _NONE:
        session.add(table(**values))
    else:
        current.rows[table].append(values)


def end(session: Session) -> None:
    """Write the rows of the session's turn, in the order in which they were added."""
    for table, rows in session.info.pop(_KEY).rows.items():
        # Without it, rows with a null and rows without one would not share a statement.
        session.execute(insert(table), rows, execution_options={"render_nulls": True})


def said_before(session: Session, message_ids: Sequence[int], texts: int) -> dict[int, list[Said]]:
    """What was said in its conversation before each message, oldest first: from so many of the
    customer's last texts on, with all that was said between.

    Without what was never said, because a person took over before it was sent.
    """
    found: dict[int, list[Said]] = {message_id: [] for message_id in message_ids}
    if not found:
        return found
    rows = session.execute(_said_before(), {"ids": list(message_ids), "texts": texts - 1})
    for message_id, author, words, is_text, origin, is_opening, was_read in rows:
        found[message_id].append(Said(author, words, is_text, origin, is_opening, was_read))
    return found


@cache
def _said_before() -> Select[int, Author, str, bool, str | None, bool, bool]:
    """The query of `said_before`, for messages of these `ids` and from the last but so many `texts`
    on. Made once: that takes ten times as long as to run it."""
    message, earlier = aliased(Message), aliased(Message)
    # Where that begins is looked up by itself, so that the whole conversation is not read.
    line, text = aliased(Message), aliased(Message)
    first_line = func.coalesce(_last_but(MOST_SAID - 1, message, line), 0)
    texts = bindparam("texts", type_=Integer)
    first_text = _last_but(texts, message, text, _is_text(text), text.id >= first_line)
    return (
        select(
            message.id,
            earlier.author,
            earlier.text,
            _is_text(earlier),
            earlier.forwarded_from,
            _is_opening(earlier),
            earlier.attempt > 0,
        )
        .join(earlier, earlier.conversation_id == message.conversation_id)
        .where(
            message.id.in_(bindparam("ids", expanding=True)),
            earlier.id < message.id,
            earlier.id >= func.coalesce(first_text, first_line),
            ~_void(earlier),
        )
        .order_by(earlier.id)
    )


def _last_but(
    number: int | ColumnElement[int],
    message: type[Message],
    said: type[Message],
    *which: ColumnElement[bool],
) -> ScalarSelect[int]:
    """The id of the last but so many that was said before a message."""
    return (
        select(said.id)
        .where(said.conversation_id == message.conversation_id, said.id < message.id, *which)
        .order_by(said.id.desc())
        .limit(1)
        .offset(number)
        .correlate(message)
        .scalar_subquery()
    )


def _is_text(said: type[Message]) -> ColumnElement[bool]:
    return and_(said.author == Author.CUSTOMER, said.telegram_id.is_not(None))


def _is_opening(said: type[Message]) -> ColumnElement[bool]:
    command = and_(said.author == Author.CUSTOMER, said.text == "/start")
    return or_(command, func.coalesce(said.delivery_key, "").startswith(START_KEY))


def _void(said: type[Message]) -> ColumnElement[bool]:
    """Whether a person took over before the bot's text was sent."""
    return (
        select(DeliveryRow.id)
        .where(DeliveryRow.key == said.delivery_key, DeliveryRow.state == DeliveryState.CANCELLED)
        .exists()
    )


def _which(session: Session, asked: Collection[int], query: Select[Any]) -> dict[int, bool]:
    found = set(session.scalars(query.distinct())) if asked else set()
    return {number: number in found for number in asked}

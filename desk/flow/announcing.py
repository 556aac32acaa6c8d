"""The operators' chat is new, or another one: who waits for a person is announced there."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session

from desk.domain import Action, Author
from desk.flow.awaiting import IS_CALLED, LAST_WORD_OF_OPERATOR, has_person
from desk.flow.cards import post_card
from desk.flow.desk import Desk
from desk.flow.following import following, show
from desk.flow.keys import HANDOVER_KEY, OLD_KEY
from desk.flow.leases import Holding, check
from desk.flow.passing_on import show_undecided
from desk.flow.topics import readdress
from desk.policy import CHANGED, FLOOD
from desk.tables import (
    IS_CARD,
    IS_PENDING,
    Conversation,
    Customer,
    DecisionRow,
    DeliveryRow,
    Message,
)

AT_ONCE = 20
"""So many conversations in a transaction, for whose end all writers to a SQLite file wait."""


def announce_waiting(desk: Desk, lease: Holding) -> None:
    """Call the operators for conversations that were handed over, or taken, while they had no chat
    or another one: the card, and what the customer said and sent since. A second call finds none.
    """
    # Who waits stands before what colleagues have in hand: the group takes 20 messages a minute.
    for which in (IS_CALLED, has_person(desk)):
        last: int | None = 0
        while last is not None:
            last = _announce_next(desk, lease, which, last)


def _announce_next(desk: Desk, lease: Holding, which: ColumnElement[bool], last: int) -> int | None:
    """Some of the conversations behind this one; returns the last of them, None after the end."""
    # Asked of each conversation, by its cards: the chat has all that was ever sent there.
    called = exists().where(
        IS_CARD,
        DeliveryRow.conversation_id == Conversation.id,
        DeliveryRow.chat_id == desk.operator_chat_id,
    )
    query = (
        select(Conversation, Customer)
        .join(Customer, Customer.id == Conversation.customer_id)
        .where(which, ~called)
    )
    if desk.operator_chat_id is None:
        return None
    with desk.store.writing() as session:
        # Whoever has it by now may serve another chat.
        check(session, lease)
        readdress(session, desk)
        query = query.where(Conversation.id > last).order_by(Conversation.id).limit(AT_ONCE)
        found = session.execute(query).all()
        for conversation, customer in found:
            message = _to_begin_with(session, conversation)
            if message is None:
                continue
            _forget_posts(session, desk, message)
            post_card(session, desk, customer, conversation, message)
            for said, is_file in following(session, conversation, message):
                _forget_posts(session, desk, said)
                show(session, desk, customer, conversation, said, is_file=is_file)
            for said in _waiting(session, conversation):
                _forget_posts(session, desk, said)
            show_undecided(session, desk, customer, conversation)
        return found[-1].Conversation.id if found else None


def _to_begin_with(session: Session, conversation: Conversation) -> Message | None:
    """The message of a conversation's card: the first that called a person since one has spoken,
    else the last that did before, else what the customer said last, else what an operator opened it
    with."""
    last_word = select(LAST_WORD_OF_OPERATOR).where(Conversation.id == conversation.id)
    decided = (
        select(Message)
        .join(DecisionRow, DecisionRow.message_id == Message.id)  # a mere /start has none
        .where(
            Message.conversation_id == conversation.id,
            Message.author == Author.CUSTOMER,
            DecisionRow.rule.not_in([FLOOD, CHANGED]),
        )
    )
    calls = DecisionRow.action == Action.ESCALATE
    called = decided.where(calls, Message.id > (session.scalar(last_word) or 0))
    # A button may have called a person for a question of an earlier conversation.
    elsewhere = (
        select(Message)
        .join(DeliveryRow, DeliveryRow.message_id == Message.id)
        .where(
            DeliveryRow.conversation_id == conversation.id,
            DeliveryRow.key.startswith(HANDOVER_KEY),
        )
        .order_by(DeliveryRow.id.desc())
    )
    by_operator = (
        select(Message)
        .where(Message.conversation_id == conversation.id, Message.author == Author.OPERATOR)
        .order_by(Message.id.desc())
    )
    said = decided.order_by(calls.desc(), Message.id.desc())
    for query in (called.order_by(Message.id), said, elsewhere, by_operator):
        message = session.scalar(query.limit(1))
        if message is not None:
            return message
    return None


def _waiting(session: Session, conversation: Conversation) -> Sequence[Message]:
    """What still waits for the model: it may have been shown unread in the former chat."""
    query = select(Message).where(Message.conversation_id == conversation.id, IS_PENDING)
    return session.scalars(query.order_by(Message.id)).all()


def _forget_posts(session: Session, desk: Desk, message: Message) -> None:
    """What was shown of a message in another chat keeps it from being shown here no longer."""
    elsewhere = select(DeliveryRow).where(
        DeliveryRow.message_id == message.id,
        DeliveryRow.topic_of.is_not(None),
        DeliveryRow.chat_id != desk.operator_chat_id,
        ~DeliveryRow.key.startswith(OLD_KEY),
    )
    for row in session.scalars(elsewhere).all():
        row.key = f"{OLD_KEY}{row.id}:{row.key}"
    session.flush()

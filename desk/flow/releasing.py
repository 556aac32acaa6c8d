"""Conversations that are given back: by who has them, or since they are no operator any more. Any
colleague may take them then, and their customers see nothing of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from desk.domain import ConversationState
from desk.flow.awaiting import is_called, unanswered_since
from desk.flow.composing import operators_text
from desk.flow.desk import Desk
from desk.flow.handoff import is_in_charge
from desk.flow.intake import claim
from desk.flow.names import operator_name
from desk.flow.noting import happened
from desk.flow.operators import enter_topic
from desk.flow.refreshing import refresh_card
from desk.flow.telling import refused, tell
from desk.tables import Conversation, Customer, Operator
from desk.telegram_html import escaped as html
from desk.texts import say

WITH_NO_OPERATOR = and_(
    Conversation.state == ConversationState.HUMAN,
    Conversation.operator_id.is_not(None),
    Conversation.operator_id.not_in(select(Operator.user_id)),
)
"""Conversations that somebody has who is no operator any more."""


class GivenBack(NamedTuple):
    """How many conversations were given back, and in how many of them the customer waits."""

    conversations: int
    waiting: int


def released(
    desk: Desk, inbox_id: int, user_id: int, thread_id: int, telegram_id: int | None = None
) -> None:
    """/release in a topic, as the message of that id: the answer replies to it."""
    with desk.store.writing() as session:
        found = enter_topic(session, desk, inbox_id, user_id, thread_id)
        if found is None:
            return
        operator, customer, conversation = found
        owner = conversation.operator_id
        name = operator_name(session, user_id)
        if is_in_charge(conversation, operator):
            waits = _give_back(session, desk, customer, conversation)
            text = "released" if waits else "released-answered"
        elif conversation.state is ConversationState.HUMAN and owner is not None:
            text, name = "release-theirs", operator_name(session, owner)
        else:
            text = "release-nobodys"
        words = say(text, desk.language, operator=name)
        tell(session, desk, inbox_id, thread_id, words, telegram_id)


def released_all(desk: Desk, inbox_id: int, user_id: int, telegram_id: int | None = None) -> None:
    """/release in General, as the message of that id: all that its writer has is given back."""
    with desk.store.writing() as session:
        if not claim(session, desk, inbox_id) or refused(session, desk, user_id, None):
            return
        name = operator_name(session, user_id)
        theirs = and_(
            Conversation.state == ConversationState.HUMAN, Conversation.operator_id == user_id
        )
        given = _give_back_all(session, desk, theirs, "released", name)
        words = say(
            "released-all",
            desk.language,
            operator=name,
            count=given.conversations,
            waiting=given.waiting,
        )
        tell(session, desk, inbox_id, None, words, telegram_id)


def give_back_left(desk: Desk, names: Mapping[int, str]) -> GivenBack:
    """Give back what people have who are no operators any more, and tell everybody; `names` says
    how those were called who have just been removed."""
    with desk.store.reading() as session:
        query = select(Conversation.operator_id).where(WITH_NO_OPERATOR).distinct()
        gone = sorted(user_id for user_id in session.scalars(query) if user_id is not None)
    count = waiting = 0
    for user_id in gone:
        name = names.get(user_id) or str(user_id)
        theirs = and_(WITH_NO_OPERATOR, Conversation.operator_id == user_id)
        with desk.store.writing() as session:
            given = _give_back_all(session, desk, theirs, "released-left", name)
            if given.conversations:
                words = say(
                    "released-all-left",
                    desk.language,
                    operator=name,
                    count=given.conversations,
                    waiting=given.waiting,
                )
                key = f"released:of:{user_id}:{desk.clock().timestamp():.0f}"
                operators_text(session, desk, key, html(words))
        count, waiting = count + given.conversations, waiting + given.waiting
    return GivenBack(count, waiting)


def _give_back_all(
    session: Session, desk: Desk, which: ColumnElement[bool], note: str, name: str
) -> GivenBack:
    """Give back these conversations of one operator's. Where the customer waits, the topic says so
    by the text `note`; elsewhere the card alone does."""
    count = waiting = 0
    for customer, conversation in _held(session, which):
        count += 1
        if not _give_back(session, desk, customer, conversation):
            continue
        waiting += 1
        operators_text(
            session,
            desk,
            f"released:{conversation.id}:{desk.clock().timestamp():.0f}",
            html(say(note, desk.language, operator=name)),
            customer=customer,
            conversation=conversation,
        )
    return GivenBack(count, waiting)


def _held(session: Session, which: ColumnElement[bool]) -> Iterator[tuple[Customer, Conversation]]:
    """Each of these conversations that still is one of them once it is locked, with its customer,
    who is locked before it, as everywhere."""
    query = select(Conversation.id, Conversation.customer_id).where(which)
    for id_, customer_id in session.execute(query.order_by(Conversation.customer_id)).all():
        customer = session.get_one(Customer, customer_id, with_for_update=True)
        locked = select(Conversation).where(Conversation.id == id_, which).with_for_update()
        conversation = session.scalar(locked.execution_options(populate_existing=True))
        if conversation is not None:
            yield customer, conversation


def _give_back(
    session: Session, desk: Desk, customer: Customer, conversation: Conversation
) -> bool:
    """Nobody has a conversation any more. Returns whether its customer waits again for any
    colleague: for the first word that was promised, or for a reply since they wrote.

    One that is answered stays with people, though with none of them: the bot must not speak into
    it, nor is there anything to wait for.
    """
    waits = is_called(session, conversation)
    if not waits:
        query = select(unanswered_since(desk.pack)).where(Conversation.id == conversation.id)
        since = session.scalar(query)
        if since is not None:
            conversation.escalated_at, waits = since, True
    if waits:
        conversation.state = ConversationState.WAITING
    conversation.operator_id = None
    happened(session, "conversation.released", conversation=conversation.id)
    refresh_card(session, desk, customer, conversation)
    return waits

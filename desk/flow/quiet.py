"""A conversation in which nobody says anything any more is over, though nobody resolved it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from desk.domain import ConversationState
from desk.flow.awaiting import IS_CALLED, first_unanswered, is_called, wants_reply
from desk.flow.desk import Desk, who_answers
from desk.flow.noting import happened
from desk.flow.refreshing import refresh_card
from desk.tables import IS_PENDING, Conversation, Customer, Message

HOUR = 3600.0


def close_if_quiet(
    session: Session, desk: Desk, customer: Customer, conversation: Conversation
) -> bool:
    """Resolve a conversation that was quiet for the pack's `quiet_hours`; says whether it was.

    Asked when its customer comes back, lest an operator who forgot to resolve it silence the bot
    for ever, and by `close_quiet`. Where a person is in charge and what the customer said last
    wants a reply, only opening hours count: nobody could give it in others. One that waits for a
    person's word, be it taken or not, is never over so, nor is one with a message that has no
    decision yet. Both rows are locked.
    """
    if conversation.state not in (ConversationState.BOT, ConversationState.HUMAN):
        return False
    since, now = _last_act(session, conversation), desk.clock()
    enough = desk.pack.policy.quiet_hours * HOUR
    if (now - since).total_seconds() < enough:
        return False
    if is_called(session, conversation):
        return False
    if (
        conversation.state is ConversationState.HUMAN
        and desk.pack.hours.open_seconds(since, now) < enough
        and wants_reply(session, desk.pack, conversation)
    ):
        return False
    undecided = select(Message.id).where(Message.conversation_id == conversation.id, IS_PENDING)
    if session.scalar(undecided.limit(1)) is not None:
        return False
    conversation.state = ConversationState.RESOLVED
    conversation.operator_id = None  # nobody's act
    conversation.resolved_at = desk.clock()
    happened(session, "conversation.resolved", conversation=conversation.id, quiet=True)
    refresh_card(session, desk, customer, conversation)
    return True


def begin_anew_if_quiet(session: Session, desk: Desk, conversation: Conversation) -> None:
    """Forget what was counted and said in a conversation that waits for a person in vain and was
    quiet for the pack's `quiet_hours`: one with the bot would be over. Its customer goes on
    waiting, for the day on which there is somebody to call. It is locked.
    """
    waits = conversation.state is ConversationState.WAITING
    if not waits or who_answers(desk, conversation) is not ConversationState.BOT:
        return
    quiet = desk.clock() - _last_act(session, conversation)
    if quiet.total_seconds() >= desk.pack.policy.quiet_hours * HOUR:
        conversation.clarifications = conversation.negatives = 0
        conversation.last_intents, conversation.said_once = [], []


def close_quiet(desk: Desk, limit: int) -> int:
    """Resolve conversations that a person answered and nobody resolved; returns how many.

    Else they would be among those in hand for good, and each look at these would read all of them.
    Those in which the customer said something last that wants a reply are left: somebody has yet to
    say that they are settled. An error over one of them is raised once the others are done.
    """
    before = desk.clock() - timedelta(hours=desk.pack.policy.quiet_hours)
    said = (
        select(Message.created_at)
        .where(Message.conversation_id == Conversation.id)
        .order_by(Message.id.desc())
        .limit(1)
        .correlate(Conversation)
        .scalar_subquery()
    )
    quiet = (
        select(Conversation.id)
        .where(
            Conversation.state == ConversationState.HUMAN,
            or_(Conversation.taken_at.is_(None), Conversation.taken_at < before),
            said < before,
            first_unanswered(desk.pack).is_(None),
            ~IS_CALLED,
        )
        .order_by(Conversation.id)
        .limit(limit)
    )
    with desk.store.reading() as session:
        found = session.scalars(quiet).all()
    number = 0
    trouble: Exception | None = None
    for conversation_id in found:
        try:
            number += _close(desk, conversation_id)
        except SQLAlchemyError:
            raise
        except Exception as error:  # noqa: BLE001 - those behind don't wait until it is mended
            trouble = error
    if trouble is not None:
        raise trouble
    return number


def _close(desk: Desk, conversation_id: int) -> bool:
    with desk.store.writing() as session:
        conversation = session.get_one(Conversation, conversation_id)
        customer = session.get_one(Customer, conversation.customer_id, with_for_update=True)
        session.refresh(conversation, with_for_update=True)
        # Its customer may just have come back, or an operator: then it is not quiet any more.
        return close_if_quiet(session, desk, customer, conversation)


def _last_act(session: Session, conversation: Conversation) -> datetime:
    """When anybody last said something in it, or took it without a word."""
    said = session.scalar(
        select(Message.created_at)
        .where(Message.conversation_id == conversation.id)
        .order_by(Message.id.desc())
        .limit(1)
    )
    acts = (conversation.opened_at, conversation.taken_at, said)
    return max(moment for moment in acts if moment is not None)

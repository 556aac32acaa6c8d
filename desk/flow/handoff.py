"""A conversation is handed to people: a person takes it, and resolves it."""

from __future__ import annotations

from sqlalchemy import update
from sqlalchemy.orm import Session

from desk.domain import ConversationState, DeliveryState
from desk.flow.desk import Desk
from desk.flow.noting import happened
from desk.flow.refreshing import refresh_card
from desk.tables import Conversation, Customer, DeliveryRow, Operator
from desk.texts import say


def already_taken(session: Session, desk: Desk, conversation: Conversation) -> str:
    """The words for whoever wants to take a conversation that a person has."""
    owner = session.get(Operator, conversation.operator_id)
    return say("already-taken", desk.language, operator=owner.name if owner else "?")


def take_over(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    operator: Operator,
) -> None:
    """A person is in charge from now on: what the bot had not yet sent is void."""
    if conversation.state is ConversationState.HUMAN:
        return
    conversation.state = ConversationState.HUMAN
    conversation.operator_id = operator.user_id
    conversation.taken_at = desk.clock()
    happened(session, "conversation.taken", conversation=conversation.id)
    session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.conversation_id == conversation.id,
            DeliveryRow.from_bot.is_(True),
            DeliveryRow.state == DeliveryState.PENDING,
        )
        .values(state=DeliveryState.CANCELLED)
    )
    refresh_card(session, desk, customer, conversation)


def resolve(
    session: Session,
    desk: Desk,
    customer: Customer,
    conversation: Conversation,
    operator: Operator,
) -> None:
    """The conversation is over; the customer's next message opens one with the bot."""
    conversation.state = ConversationState.RESOLVED
    conversation.operator_id = operator.user_id
    conversation.resolved_at = desk.clock()
    happened(session, "conversation.resolved", conversation=conversation.id)
    refresh_card(session, desk, customer, conversation)

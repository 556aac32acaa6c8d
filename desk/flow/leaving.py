"""Customers who block the bot while a person is to answer them, and who come back: operators are
told of either, once a call."""

from __future__ import annotations

from sqlalchemy.orm import Session

from desk.domain import ConversationState
from desk.flow.awaiting import is_called
from desk.flow.composing import has_delivery, operators_text
from desk.flow.desk import Desk
from desk.flow.keys import BACK_KEY, LEFT_KEY
from desk.tables import Conversation, Customer
from desk.texts import say


def left(session: Session, desk: Desk, customer: Customer, conversation: Conversation) -> None:
    """Tell the operators of a customer who has blocked the bot while they wait for a person:
    answers would be written in vain."""
    if is_called(session, conversation):
        text = "⚠️ " + say("customer-left", desk.language)
        key = _key(LEFT_KEY, conversation)
        operators_text(session, desk, key, text, customer=customer, conversation=conversation)


def came_back(session: Session, desk: Desk, customer: Customer, conversation: Conversation) -> None:
    """Tell the operators that a customer who waits for a person, or has one, can be reached again;
    of one who waits they are reminded anew."""
    key = _key(BACK_KEY, conversation)
    if conversation.state not in (ConversationState.WAITING, ConversationState.HUMAN):
        return
    if has_delivery(session, key):
        return
    if is_called(session, conversation):
        conversation.reminded_at = None
    text = "👋 " + say("customer-back", desk.language)
    operators_text(session, desk, key, text, customer=customer, conversation=conversation)


def _key(kind: str, conversation: Conversation) -> str:
    called = conversation.escalated_at or conversation.opened_at
    return f"{kind}{conversation.id}:{called.timestamp():.0f}"

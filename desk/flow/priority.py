"""Topics that can't wait, by the pack's `priority`: who waits with one stands first, and everybody
is told at once."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from desk.domain import ConversationState, DeliveryState
from desk.flow.composing import has_delivery, operators_text
from desk.flow.desk import Desk
from desk.flow.keys import PRIORITY_KEY
from desk.flow.names import linked, mark
from desk.flow.wording import intent_title
from desk.pack import Pack
from desk.policy import (
    ATTACHMENT,
    CHANGED,
    IN_DOUBT,
    INTENT_NEEDS_PERSON,
    MAY_NEED_PERSON,
    OTHER_LANGUAGE,
    PERSON_IN_CHARGE,
    WAITING_FOR_PERSON,
)
from desk.tables import Conversation, Customer, DecisionRow, DeliveryRow, Message
from desk.telegram_html import escaped as html
from desk.texts import say

AGAIN = timedelta(hours=2)
"""So long the bot says it of a topic once a call: who has replied since may be gone by then."""
SIGN = "🚨"
_GUESSES = (*IN_DOUBT, MAY_NEED_PERSON, OTHER_LANGUAGE)
"""The rules by which a decision's intent is a guess, and no topic to be named."""
_SURE = (INTENT_NEEDS_PERSON, PERSON_IN_CHARGE, ATTACHMENT, WAITING_FOR_PERSON, CHANGED)
"""Those by which an intent with `priority` can't wait; a file has one by its words alone
(`captions`)."""


def has_priority(pack: Pack, decision: DecisionRow | None) -> bool:
    """Whether a person was called for a message because of a topic that can't wait, or had the
    conversation when it was written."""
    return decision is not None and decision.rule in _SURE and decision.intent in pack.priorities()


def is_first(pack: Pack) -> ColumnElement[bool]:
    """Whether a person was called so in a `Conversation`."""
    return (
        select(Message.id)
        .join(DecisionRow, DecisionRow.message_id == Message.id)
        .where(Message.conversation_id == Conversation.id, _is_urgent(pack))
        .correlate(Conversation)
        .exists()
    )


def topics(session: Session, pack: Pack, conversations: Collection[int]) -> dict[int, str]:
    """What these conversations are about, as an intent by conversation id: one that can't wait, or
    else the last of which the bot was sure. One of which nothing is known is missing."""
    found = session.execute(
        select(Message.conversation_id, DecisionRow.intent)
        .join(DecisionRow, DecisionRow.message_id == Message.id)
        .where(
            Message.conversation_id.in_(conversations),
            DecisionRow.intent.is_not(None),
            DecisionRow.rule.not_in(_GUESSES),
        )
        .order_by(_is_urgent(pack), Message.id)
    )
    return {conversation: intent for conversation, intent in found if intent is not None}


def announce(
    session: Session, desk: Desk, customer: Customer, conversation: Conversation, intent: str
) -> None:
    """Tell everybody, once in a while (`announcement`), that a customer was handed over with a
    topic that can't wait, or has written of one to who has the conversation."""
    key = announcement(desk, conversation, intent)
    if key is None:
        return
    # Not by the message: one before may have told it.
    if has_delivery(session, key):
        _tell_still(session, desk, key)
    else:
        text = _line(desk, customer, intent)
        operators_text(session, desk, key, text, conversation=conversation)


def _tell_still(session: Session, desk: Desk, key: str) -> None:
    """Have a line that nobody has read be told after all: a person's word to what was said before,
    which voids it (`dispatching`), is no reply to what is said now."""
    row = session.scalar(
        select(DeliveryRow)
        .where(DeliveryRow.key == key, DeliveryRow.state != DeliveryState.SENT)
        .with_for_update()
    )
    if row is None:
        return
    row.created_at = desk.clock()
    if row.state in (DeliveryState.CANCELLED, DeliveryState.FAILED):
        # The attempts go on counting: an older one must not be taken for a new one.
        row.state, row.not_before = DeliveryState.PENDING, None


def announcement(desk: Desk, conversation: Conversation, intent: str) -> str | None:
    """The key of what everybody would be told now of such an intent; None where it can wait. One
    for each call, and for each `AGAIN` that has passed since (or, where nobody was called, since
    the conversation was opened). With the bot it is that of a call at this moment."""
    if intent not in desk.pack.priorities():
        return None
    now = desk.clock()
    began = conversation.escalated_at or conversation.opened_at
    if conversation.state is ConversationState.BOT:
        began = now
    # Another host's clock, by which that was noted, may be ahead.
    began += max((now - began) // AGAIN, 0) * AGAIN
    return f"{PRIORITY_KEY}{conversation.id}:{intent}:{began.timestamp():.0f}"


def line(session: Session, desk: Desk, row: DeliveryRow) -> str:
    """What such a delivery says when it is sent: the customer has a topic by then to lead to, and
    is told from others of that name."""
    conversation = session.get_one(Conversation, row.conversation_id)
    customer = session.get_one(Customer, conversation.customer_id)
    return _line(desk, customer, row.key.split(":")[2], mark(session, customer))


def _line(desk: Desk, customer: Customer, intent: str, behind: str = "") -> str:
    title = html(intent_title(desk, intent, desk.language))
    name = linked(desk, customer, behind)
    words = say("priority-call", desk.language, customer=name, title=title)
    return f"{SIGN} {words}"


def _is_urgent(pack: Pack) -> ColumnElement[bool]:
    return and_(DecisionRow.rule.in_(_SURE), DecisionRow.intent.in_(sorted(pack.priorities())))

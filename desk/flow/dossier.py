"""What is kept of a customer: they may ask for it, in the EU by law (GDPR, article 15)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from desk.domain import DeskError
from desk.flow.desk import Desk
from desk.tables import (
    Conversation,
    Customer,
    DecisionRow,
    Feedback,
    Inbox,
    Message,
    PredictionRow,
)

LONGEST_ID = 18
"""Telegram's ids have fewer digits, and a database takes no more."""


def find(desk: Desk, part: str = "") -> list[Customer]:
    """Customers whose name or username has that part in it, or whose id it is; oldest first."""
    wanted = part.removeprefix("@").casefold()
    with desk.store.reading() as session:
        everybody = session.scalars(select(Customer).where(~Customer.erased).order_by(Customer.id))
        # Not by the database: SQLite lowers ASCII alone.
        return [
            customer
            for customer in everybody
            if wanted in customer.name.casefold()
            or wanted in (customer.username or "").casefold()
            or wanted == str(customer.chat_id)
        ]


def the_one(desk: Desk, who: str) -> Customer:
    """The customer with a Telegram id or `@username`; raises `DeskError` unless it is just one."""
    if who.isdecimal() and len(who) <= LONGEST_ID:
        is_meant = Customer.chat_id == int(who)
    else:
        is_meant = func.lower(Customer.username) == who.removeprefix("@").lower()
    with desk.store.reading() as session:
        found = session.scalars(
            select(Customer).where(~Customer.erased, is_meant).order_by(Customer.id)
        ).all()
    if not found:
        raise DeskError(
            f"No customer is “{who}”. Name one by Telegram id or @username; `frontdesk customers "
            "list NAME` finds both."
        )
    if len(found) > 1:
        ids = ", ".join(str(customer.chat_id) for customer in found)
        raise DeskError(f"{who} was the username of several customers: name one by id, of {ids}.")
    return found[0]


def record(desk: Desk, customer_id: int) -> dict[str, Any]:
    """What is kept of a customer, as JSON: who they are, what was said, what was made of it, and
    their updates as Telegram sent them.

    Left out is what is others' or none of theirs: what the model has learned from and found alike
    (`PredictionRow.neighbours`), notes of operators, and who of these it was.
    """
    with desk.store.reading() as session:
        customer = session.get_one(Customer, customer_id)
        conversations = session.scalars(
            select(Conversation)
            .where(Conversation.customer_id == customer.id)
            .order_by(Conversation.id)
        ).all()
        said = _said(session, [conversation.id for conversation in conversations])
        updates = session.scalars(
            select(Inbox.payload).where(Inbox.chat_id == customer.chat_id).order_by(Inbox.id)
        ).all()
        return {
            "telegram_id": customer.chat_id,
            "name": customer.name,
            "first_name": customer.first_name,
            "username": customer.username,
            "language": customer.language,
            "first_seen": _moment(customer.created_at),
            "banned_since": _moment(customer.banned_at),
            "flooded_last": _moment(customer.flooded_at),
            "blocked_the_bot": customer.gone,
            "conversations": [
                {
                    "state": str(conversation.state),
                    "opened": _moment(conversation.opened_at),
                    "resolved": _moment(conversation.resolved_at),
                    "messages": said[conversation.id],
                }
                for conversation in conversations
            ],
            "updates": list(updates),
        }


def _said(session: Session, conversations: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    def of_them(query: Select[Any], message_id: Any) -> Select[Any]:
        return query.join(Message, Message.id == message_id).where(
            Message.conversation_id.in_(conversations)
        )

    feedback = defaultdict(list)
    rows = session.scalars(of_them(select(Feedback), Feedback.message_id).order_by(Feedback.id))
    for row in rows:
        said = {"kind": str(row.kind), "intent": row.intent, "sentiment": row.sentiment}
        said["at"] = _moment(row.created_at)
        if row.withdrawn_at is not None:
            said["withdrawn"] = _moment(row.withdrawn_at)
        feedback[row.message_id].append(said)
    query = (
        select(Message, PredictionRow, DecisionRow)
        .outerjoin(PredictionRow, PredictionRow.message_id == Message.id)
        .outerjoin(DecisionRow, DecisionRow.message_id == Message.id)
        .where(Message.conversation_id.in_(conversations))
        .order_by(Message.id)
    )
    found = defaultdict(list)
    for message, prediction, decision in session.execute(query):
        line: dict[str, Any] = {
            "at": _moment(message.created_at),
            "author": str(message.author),
            "text": message.text,
        }
        line |= _beside(message)
        if prediction is not None:
            line["prediction"] = {
                "intent": prediction.intent,
                "confidence": prediction.confidence,
                "ranking": list(prediction.ranking),
                "threshold": prediction.threshold,
                "scope": prediction.scope,
                "scope_threshold": prediction.scope_threshold,
                "sentiment": prediction.sentiment,
                "sentiment_confidence": prediction.sentiment_confidence,
                "language": prediction.language,
                "model": prediction.model,
            }
            if prediction.read_with is not None:
                line["prediction"]["with_message_before"] = True
        if decision is not None:
            line["decision"] = {
                "action": str(decision.action),
                "rule": decision.rule,
                "intent": decision.intent,
                "offered": list(decision.choices),
            }
        if message.id in feedback:
            line["feedback"] = feedback[message.id]
        found[message.conversation_id].append(line)
    return found


def _beside(message: Message) -> dict[str, Any]:
    found = {
        "replies_to": message.quoted,
        "forwarded_from": message.forwarded_from,
        "links": message.links and message.links.splitlines(),
    }
    return {name: value for name, value in found.items() if value is not None}


def _moment(at: Any) -> str | None:
    return None if at is None else at.isoformat()

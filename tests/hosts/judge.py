"""What must be true when a traffic is over, by both sides: the database and the simulator."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import func, select

from desk.domain import Action, Author, DeliveryState, InboxState, MessageState
from desk.flow.composing import plain
from desk.tables import Conversation, Customer, DecisionRow, DeliveryRow, Inbox, Message
from desk.texts import say
from tests.hosts.fleet import EACH, Fleet, until

DISTURBANCE = say("disturbance", "en")
OPEN = (DeliveryState.PENDING, DeliveryState.SENDING)


def settled(fleet: Fleet) -> None:
    """Wait until nothing of this traffic is on its way any more."""
    customers = fleet.traffic.customers
    expected = len(customers) * EACH
    ours = (
        select(Message.id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .join(Customer, Customer.id == Conversation.customer_id)
        .where(Customer.chat_id.in_(customers), Message.author == Author.CUSTOMER)
    )
    left: dict[str, Any] = {}

    def nothing_left() -> bool:
        with fleet.store.reading() as session:
            count = select(func.count())
            left["not stored"] = expected - (
                session.scalar(count.select_from(ours.subquery())) or 0
            )
            left["inbox"] = session.scalar(count.where(Inbox.state == InboxState.NEW))
            left["undecided"] = session.scalar(
                count.where(Message.id.in_(ours), Message.state == MessageState.PENDING)
            )
            left["unsent"] = session.scalar(
                count.where(DeliveryRow.chat_id.in_(customers), DeliveryRow.state.in_(OPEN))
            )
        return not any(left.values())

    try:
        until(nothing_left, "everything is settled", 120)
    except AssertionError:
        raise AssertionError(f"still on its way: {left}") from None


def check(fleet: Fleet) -> int:
    """Nothing lost, nothing twice but what is marked, order kept; returns how many are marked."""
    settled(fleet)
    uncertain = 0
    with fleet.store.reading() as session:
        parked = session.scalars(select(Inbox.id).where(Inbox.state == InboxState.PARKED)).all()
        assert not parked
        for customer in fleet.traffic.customers:
            rows = session.execute(
                select(Message.id, DecisionRow.action)
                .join(Conversation, Conversation.id == Message.conversation_id)
                .join(Customer, Customer.id == Conversation.customer_id)
                .outerjoin(DecisionRow, DecisionRow.message_id == Message.id)
                .where(Customer.chat_id == customer, Message.author == Author.CUSTOMER)
            ).all()
            assert len(rows) == EACH
            assert all(action is not None for _, action in rows)
            sent = session.scalars(
                select(DeliveryRow)
                .where(
                    DeliveryRow.chat_id == customer,
                    DeliveryRow.state == DeliveryState.SENT,
                    DeliveryRow.method == "sendMessage",
                )
                .order_by(DeliveryRow.id)
            ).all()
            replies = Counter(delivery.message_id for delivery in sent)
            assert set(replies) == {id_ for id_, action in rows if action is not Action.SILENT}
            assert set(replies.values()) <= {1}
            uncertain += sum(delivery.uncertain for delivery in sent)
            _in_order(fleet, customer, sent)
    return uncertain


def _in_order(fleet: Fleet, customer: int, sent: Any) -> None:
    """What the customer sees is what was sent; only an uncertain one may stand there twice."""
    messages = fleet.get(f"/sim/chats/{customer}/messages?from=bot&limit=1000")
    # Told from memory while the database does not answer: that is no delivery.
    received = [message["text"] for message in messages if message["text"] != DISTURBANCE]
    position = 0
    for delivery in sent:
        text = received[position] if position < len(received) else None
        assert text == plain(delivery.payload["text"]), f"delivery {delivery.id} is not next"
        position += 1
        if delivery.uncertain and received[position : position + 1] == [text]:
            position += 1
    assert position == len(received), "a reply stands twice that is not marked uncertain"

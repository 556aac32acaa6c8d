"""kill -9 of any process while 500 messages are on their way: each is answered or handed over once.

One `frontdesk up` serves all of it; its supervisor restarts what was killed. The oracle reads both
sides: the database (what was decided and delivered) and the simulator (what the customers got).
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from itertools import count

import aiohttp
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cli import rundir
from desk.domain import Action, Author, DeliveryState, InboxState, MessageState
from desk.flow.composing import plain
from desk.store import Store
from desk.tables import Conversation, Customer, DecisionRow, DeliveryRow, Inbox, Message
from tests.cli.conftest import Place

CUSTOMERS, EACH = 50, 10
# Two intents in turn: the same answer again and again would call a person.
TEXTS = ("where is my parcel", "refund the lamp")
first_id = count(5_000_000, 1000)


async def write_all(url: str, customers: list[int], kill_after: int, victim: int) -> None:
    """All customers write their messages at once; the victim dies when so many are written."""
    written = 0

    async def write(session: aiohttp.ClientSession, customer: int) -> None:
        nonlocal written
        body = {"id": customer, "first_name": f"C{customer}", "start": False}
        async with session.post(f"{url}/sim/customers", json=body) as response:
            assert response.ok, await response.text()
        for number in range(EACH):
            text = {"text": TEXTS[number % 2]}
            async with session.post(f"{url}/sim/customers/{customer}/send", json=text) as response:
                assert response.ok, await response.text()
            written += 1
            if written == kill_after:
                os.kill(victim, signal.SIGKILL)

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(write(session, customer) for customer in customers))


async def texts_received(url: str, customer: int) -> list[str]:
    """What the bot sent to a customer, in order, as the simulator has it."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/sim/chats/{customer}/messages?from=bot&limit=1000") as response,
    ):
        return [message["text"] for message in await response.json()]


def unfinished(store: Store, customers: list[int]) -> dict[str, int]:
    """How much is still on its way for these customers."""
    ours = (
        select(Message.id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .join(Customer, Customer.id == Conversation.customer_id)
        .where(Customer.chat_id.in_(customers), Message.author == Author.CUSTOMER)
    )
    open_deliveries = [DeliveryState.PENDING, DeliveryState.SENDING]
    with store.reading() as session:
        seen = session.scalar(select(func.count()).select_from(ours.subquery())) or 0
        return {
            "not stored": CUSTOMERS * EACH - seen,
            "inbox": session.scalar(select(func.count()).where(Inbox.state == InboxState.NEW)) or 0,
            "pending": session.scalar(
                select(func.count()).where(
                    Message.id.in_(ours), Message.state == MessageState.PENDING
                )
            )
            or 0,
            "deliveries": session.scalar(
                select(func.count()).where(
                    DeliveryRow.chat_id.in_(customers), DeliveryRow.state.in_(open_deliveries)
                )
            )
            or 0,
        }


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("victim", ["bot", "inference", "redis", "scheduler", "training"])
def test_every_message_is_answered_or_handed_over_once_when_a_process_is_killed(
    shared: Place, victim: str
) -> None:
    url = str(rundir.read(shared.data_dir)["url"])
    store = Store(f"sqlite:///{shared.data_dir / 'simulator.db'}")
    start = next(first_id)
    customers = list(range(start, start + CUSTOMERS))

    asyncio.run(write_all(url, customers, CUSTOMERS * EACH // 3, shared.children()[victim]))
    deadline = time.monotonic() + 180
    while any((left := unfinished(store, customers)).values()):
        assert time.monotonic() < deadline, f"still on its way: {left}"
        time.sleep(0.25)

    with store.reading() as session:
        parked = session.scalars(select(Inbox.id).where(Inbox.state == InboxState.PARKED)).all()
        assert not parked
        for customer in customers:
            _check(session, customer, asyncio.run(texts_received(url, customer)))
    store.dispose()


def _check(session: Session, customer: int, received: list[str]) -> None:
    """One decision a message; what the customer got is what was delivered, in order, once."""
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
    speaking = {id_ for id_, action in rows if action is not Action.SILENT}
    assert set(replies) == speaking
    assert set(replies.values()) <= {1}

    # What Telegram shows must be these, in this order; only an uncertain one may stand twice.
    position = 0
    for delivery in sent:
        text = received[position] if position < len(received) else None
        assert text == plain(delivery.payload["text"]), f"delivery {delivery.id} is not next"
        position += 1
        if delivery.uncertain and received[position : position + 1] == [text]:
            position += 1
    assert position == len(received), "a reply stands twice that is not marked uncertain"

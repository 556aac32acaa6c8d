"""The judge sees what it is there for: each kind of harm, done by hand, is named."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from cli.simulated import Simulator
from desk.store import Store
from simulator.world import OPERATORS_CHAT
from tests.chaos import oracle
from tests.chaos.soak import OPERATOR
from tests.chaos.stack import Stack, until

HARMS = {
    "UPDATE inbox SET chat_id = -chat_id WHERE id = {inbox}": "is stored 0 times",
    "UPDATE inbox SET state = 'new' WHERE id = {inbox}": "Not everything came to an end",
    "UPDATE inbox SET state = 'parked' WHERE id = {inbox}": "is parked without a reason",
    "DELETE FROM decisions WHERE message_id = {message}": "was never decided",
    "UPDATE messages SET inbox_id = NULL WHERE id = {message}": "became no message",
    "UPDATE deliveries SET message_id = NULL WHERE message_id = {message}": "got no reply",
    "UPDATE deliveries SET uncertain = FALSE WHERE chat_id = {chat}": "twice unmarked",
    "UPDATE deliveries SET telegram_id = -1 WHERE chat_id = {chat}": "does not show it",
    "UPDATE deliveries SET state = 'sending' WHERE chat_id = {chat}": "came to an end",
    "UPDATE deliveries SET state = 'failed' WHERE chat_id = {chat}": "failed without a reason",
    "UPDATE deliveries SET state = 'cancelled' WHERE chat_id = {chat}": "no person took over",
    "UPDATE deliveries SET telegram_id = (SELECT sum(telegram_id) FROM deliveries d "
    "WHERE d.chat_id = {chat}) - telegram_id WHERE chat_id = {chat}": "due earlier",
    "UPDATE deliveries SET key = 'operator:x' WHERE message_id = {message}": "follows a person's",
    "UPDATE decisions SET action = 'silent' WHERE message_id = {message}": "no person was called",
    "UPDATE deliveries SET message_id = {message} WHERE chat_id = {chat}": "has 2 replies",
    "UPDATE deliveries SET state = 'failed', error = 'x', uncertain = FALSE "
    "WHERE chat_id = {chat}": "Telegram has not refused it",
    "UPDATE deliveries SET state = 'failed', error = 'x' WHERE chat_id = {chat} "
    "AND message_id = {message}": "failed, and no person was called",
}
AMONG_OPERATORS = {
    "UPDATE deliveries SET key = 'x' WHERE key = 'card:{message}'": "never put before the operat",
    "UPDATE deliveries SET state = 'failed' WHERE key = 'card:{message}'": "nothing came instead",
    "UPDATE deliveries SET method = 'copyMessage', payload = '{{\"from_chat_id\": 1, "
    "\"message_id\": 1}}' WHERE key = 'card:{message}'": "the operators do not see it",
    "UPDATE deliveries SET topic_of = NULL WHERE key = 'card:{message}'": "operators, unmarked",
    "UPDATE messages SET inbox_id = NULL WHERE id = {message}": "became no message",
    "UPDATE messages SET inbox_id = NULL WHERE id > {message}": "became no message",
    "DELETE FROM decisions WHERE message_id > {message}": "was never decided",
}


@pytest.fixture(scope="module")
def told(whole: Stack) -> Iterator[dict[str, int]]:
    """A customer with two replies, of which the first stands twice because an answer was lost."""
    customer = whole.customer()
    whole.fault(kind="lost", method="sendMessage", chat_id=customer)
    # The same answer to both: what stands there may be either's. The same text, since processors
    # train models that differ a little.
    whole.says(customer, "where is my parcel", "where is my parcel")
    verdict = whole.good([customer])
    assert (verdict.uncertain, verdict.doubled, verdict.shown) == (1, 1, 3)
    query = text(
        "SELECT m.inbox_id AS inbox, m.id AS message FROM messages m "
        "JOIN inbox i ON i.id = m.inbox_id WHERE i.chat_id = :chat ORDER BY m.id LIMIT 1"
    )
    with whole.store.reading() as session:
        row = session.execute(query, {"chat": customer}).one()
    yield {"chat": customer, "inbox": row.inbox, "message": row.message}
    whole.calm()


class Inside(Store):
    """A store that looks from inside a transaction of somebody else."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with Session(self._connection, join_transaction_mode="create_savepoint") as session:
            yield session


@pytest.mark.parametrize(("harm", "word"), HARMS.items(), ids=HARMS.values())
def test_harm_is_named(whole: Stack, told: dict[str, int], harm: str, word: str) -> None:
    with whole.store.engine.connect() as connection:
        # Seen by nobody else, and undone.
        connection.execute(text(harm.format(**told)))
        verdict = oracle.judge(Inside(connection), whole.simulator, [told["chat"]])
        connection.rollback()
    assert any(word in sentence for sentence in verdict.violations), verdict.violations


@pytest.fixture(scope="module")
def called(whole: Stack) -> Iterator[dict[str, int]]:
    """A customer who has called a person and sent a photo; both are before the operators."""
    customer = whole.customer()
    whole.says(customer, "/human")
    whole.good([customer])
    whole.simulator.post(f"/sim/customers/{customer}/photo", {})
    query = text(
        "SELECT min(m.id) AS message, count(*) FILTER (WHERE d.state = 'sent') AS sent "
        "FROM messages m JOIN inbox i ON i.id = m.inbox_id JOIN deliveries d "
        "ON d.message_id = m.id AND d.topic_of IS NOT NULL WHERE i.chat_id = :chat"
    )
    deadline = time.monotonic() + 60
    while True:
        with whole.store.reading() as session:
            row = session.execute(query, {"chat": customer}).one()
        if row.sent == 2:
            break
        assert time.monotonic() < deadline, "the operators got no card and no photo"
        time.sleep(0.2)
    whole.good([customer])
    yield {"chat": customer, "message": row.message}
    whole.calm()


@pytest.mark.parametrize(("harm", "word"), AMONG_OPERATORS.items(), ids=range(len(AMONG_OPERATORS)))
def test_harm_among_the_operators_is_named(
    whole: Stack, called: dict[str, int], harm: str, word: str
) -> None:
    with whole.store.engine.connect() as connection:
        connection.execute(text(harm.format(**called)))
        verdict = oracle.judge(Inside(connection), whole.simulator, [called["chat"]])
        connection.rollback()
    assert any(word in sentence for sentence in verdict.violations), verdict.violations


class Forgetful(Simulator):
    """Shows what operators changed as if it had become something else."""

    def get(self, path: str, timeout: float = 5.0) -> Any:
        found = super().get(path, timeout)
        if f"chats/{OPERATORS_CHAT}/messages" in path:
            changed = ({**m, "text": "else"} if "edit_date" in m else m for m in found)
            return list(changed)
        return found


@pytest.fixture(scope="module")
def edited(whole: Stack) -> Iterator[int]:
    """A customer who has changed a message, as an operator has one to them."""
    customer = whole.customer()
    whole.says(customer, "/human", "where is my parcel")
    whole.good([customer])
    name = f"C{customer}"
    topics = f"/sim/chats/{OPERATORS_CHAT}/topics"

    def find() -> list[dict[str, Any]]:
        return [topic for topic in whole.simulator.get(topics) if topic["name"] == name]

    until(find, "the customer has a topic")
    said = {"text": "I look", "thread": find()[0]["message_thread_id"]}
    wrote = whole.simulator.post(f"/sim/operators/{OPERATOR}/send", said)
    until(lambda: "I look" in whole.sent_to(customer), "the copy arrives")
    people = f"/sim/chats/{customer}/messages?from=people"
    for path, number in (
        (f"customers/{customer}", whole.simulator.get(people)[-1]["message_id"]),
        (f"operators/{OPERATOR}", wrote["message_id"]),
    ):
        whole.simulator.post(f"/sim/{path}/edit", {"message_id": number, "text": "it is changed"})
    until(lambda: "it is changed" in whole.sent_to(customer), "the change arrives")
    whole.good([customer])
    yield customer
    whole.calm()


def test_an_edit_of_a_customer_that_is_not_stored_is_named(whole: Stack, edited: int) -> None:
    harm = "DELETE FROM inbox WHERE chat_id = :chat AND payload ->> 'edited_message' IS NOT NULL"
    with whole.store.engine.connect() as connection:
        connection.execute(text("UPDATE messages SET inbox_id = NULL"))
        connection.execute(text(harm), {"chat": edited})
        verdict = oracle.judge(Inside(connection), whole.simulator, [edited])
        connection.rollback()
    assert any("what became of" in sentence for sentence in verdict.violations)


@pytest.mark.parametrize("earlier", [True, False])
def test_a_text_may_become_no_message_only_where_a_change_of_it_came_before(
    whole: Stack, edited: int, earlier: bool
) -> None:
    query = text(
        "SELECT i.id FROM inbox i JOIN inbox e ON e.chat_id = i.chat_id AND "
        "e.payload -> 'edited_message' ->> 'message_id' = i.payload -> 'message' ->> 'message_id' "
        "WHERE i.chat_id = :chat"
    )
    with whole.store.engine.connect() as connection:
        [row] = connection.scalars(query, {"chat": edited}).all()
        unread = text("UPDATE messages SET inbox_id = NULL WHERE inbox_id = :row")
        connection.execute(unread, {"row": row})
        if earlier:
            later = text("UPDATE inbox SET id = id + 1000000 WHERE id = :row")
            connection.execute(later, {"row": row})
        verdict = oracle.judge(Inside(connection), whole.simulator, [edited])
        connection.rollback()
    named = any("became no message" in sentence for sentence in verdict.violations)
    assert named is not earlier, verdict.violations


def test_an_edit_of_an_operator_that_the_customer_does_not_see_is_named(
    whole: Stack, edited: int
) -> None:
    verdict = oracle.judge(whole.store, Forgetful(whole.simulator.url), [edited])
    [sentence] = verdict.violations
    assert "the customer does not see what became of" in sentence

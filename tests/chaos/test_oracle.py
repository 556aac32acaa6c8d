"""The judge sees what it is there for: each kind of harm, done by hand, is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from desk.store import Store
from tests.chaos import oracle
from tests.chaos.stack import Stack

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
}


@pytest.fixture(scope="module")
def told(whole: Stack) -> Iterator[dict[str, int]]:
    """A customer with two replies, of which the first stands twice because an answer was lost."""
    customer = whole.customer()
    whole.fault(kind="lost", method="sendMessage", chat_id=customer)
    # The same answer to both: what stands there may be either's.
    whole.says(customer, "where is my parcel", "where is my lamp")
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

"""After a failover a connection may lead to a server that has become a replica, and lives on."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import make_url, select, text
from sqlalchemy.exc import InternalError

from desk.store import ReadOnlyDatabaseError, Store
from desk.tables import Customer
from tests.databases import PostgresServer


class Replica:
    """A store with a connection to a database that takes no writes, and may be promoted."""

    def __init__(self, server: psycopg.Connection[tuple[object]], url: str) -> None:
        self._server, self._name = server, make_url(url).database
        # A setting of a database holds for new connections: those of now are not cut.
        self._server.execute(f"ALTER DATABASE {self._name} SET default_transaction_read_only = on")
        self.store = Store(url)
        with self.store.reading() as session:
            session.execute(text("SELECT 1"))

    def promote(self) -> None:
        self._server.execute(f"ALTER DATABASE {self._name} RESET default_transaction_read_only")

    def write(self) -> None:
        with self.store.writing() as session:
            session.add(Customer(chat_id=1, name="Ana"))


@pytest.fixture
def replica(postgres_server: PostgresServer, postgres_url: str) -> Iterator[Replica]:
    with postgres_server.connect("postgres") as server:
        made = Replica(server, postgres_url)
        yield made
        made.promote()
        made.store.dispose()


def test_a_connection_that_takes_no_writes_fails_one_and_is_left(replica: Replica) -> None:
    with pytest.raises(InternalError, match="read-only transaction"):
        replica.write()
    replica.promote()
    replica.write()
    with replica.store.reading() as session:
        assert session.scalars(select(Customer.name)).all() == ["Ana"]


def test_a_server_that_takes_no_writes_is_not_ready_until_it_does(replica: Replica) -> None:
    for look in (replica.store.ping, replica.store.check):
        with pytest.raises(ReadOnlyDatabaseError, match="takes no writes: it is a replica"):
            look()
    replica.promote()
    replica.store.ping()
    replica.store.check()


def test_looking_alone_leaves_all_connections_to_a_replica(replica: Replica) -> None:
    with replica.store.reading() as one, replica.store.reading() as other:
        one.execute(text("SELECT 1"))
        other.execute(text("SELECT 1"))
    with pytest.raises(ReadOnlyDatabaseError):
        replica.store.ping()
    replica.promote()
    replica.write()

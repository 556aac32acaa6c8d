"""A desk that began with SQLite moves to PostgreSQL, with all that its people said and taught."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import inspect, select

from desk.domain import DeskError, RunState
from desk.flow import runs
from desk.moving import ROWS, move
from desk.store import Store
from desk.tables import Base, Customer, Lease, PollOffset
from tests.desk.acting import Stage

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def target(empty_postgres_url: str) -> Iterator[Store]:
    store = Store(empty_postgres_url)
    yield store
    store.dispose()


def rows(store: Store, table: Any) -> list[Sequence[Any]]:
    with store.reading() as session:
        found = session.execute(select(table).order_by(*table.primary_key.columns))
        return [tuple(row) for row in found]


def test_every_row_of_every_table_is_there_as_it_was(uma: Stage, target: Store) -> None:
    store = uma.desk.store
    run, attempt = runs.order_run(uma.desk, "test", begin=True)
    runs.finish_run(uma.desk, run, attempt, RunState.REJECTED, report={"p_worse": 0.25})
    with store.writing() as session:
        session.add(Lease(name="scheduler", holder="h", until=datetime.now(UTC)))
        session.merge(PollOffset(bot_id=1, next_update_id=7))
        session.add_all(
            Customer(chat_id=10_000 + number, name=f"Zoë 🌷 {number}") for number in range(ROWS)
        )
    move(store, target)
    for table in Base.metadata.sorted_tables:
        assert rows(target, table) == rows(store, table), table.name
        assert rows(target, table), f"nothing was in {table.name}: it shows nothing"
    target.check()


def test_the_desk_goes_on_there(uma: Stage, target: Store) -> None:
    move(uma.desk.store, target)
    moved = Stage(replace(uma.desk, store=target), first_update=9000)
    before = len(rows(target, Base.metadata.tables["messages"]))
    moved.ask("and where are my tulips")
    assert len(rows(target, Base.metadata.tables["messages"])) > before


def test_a_move_that_fails_leaves_nothing_behind(uma: Stage, target: Store) -> None:
    store = uma.desk.store
    with store.writing() as session:
        # SQLite keeps it; PostgreSQL has room for 256.
        session.scalars(select(Customer).limit(1)).one().name = "x" * 300
    with pytest.raises(DeskError, match="refuses: value too long"):
        move(store, target)
    assert inspect(target.engine).get_table_names() == []

"""A desk that began with SQLite moves to PostgreSQL, with all that its people said and taught."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
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


def copy_of(stage: Stage, folder: Path) -> Path:
    """What a backup has: the database in one file, without a log."""
    copy = folder / "copy.db"
    with (
        closing(sqlite3.connect(str(stage.desk.store.engine.url.database))) as original,
        closing(sqlite3.connect(copy)) as target,
    ):
        original.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")
    return copy


def rows(store: Store, table: Any) -> list[Sequence[Any]]:
    with store.reading() as session:
        found = session.execute(select(table).order_by(*table.primary_key.columns))
        return [tuple(row) for row in found]


def test_every_row_of_every_table_is_there_as_it_was(
    uma: Stage, target: Store, tmp_path: Path
) -> None:
    store = uma.desk.store
    run, attempt = runs.order_run(uma.desk, "test", begin=True)
    runs.finish_run(uma.desk, run, attempt, RunState.REJECTED, report={"p_worse": 0.25})
    with store.writing() as session:
        session.add(Lease(name="scheduler", holder="h", until=datetime.now(UTC)))
        session.merge(PollOffset(bot_id=1, next_update_id=7))
        session.add_all(
            Customer(chat_id=10_000 + number, name=f"Zoë 🌷 {number}") for number in range(ROWS)
        )
    copy = copy_of(uma, tmp_path)
    before = copy.read_bytes()
    move(copy, target)
    for table in Base.metadata.sorted_tables:
        assert rows(target, table) == rows(store, table), table.name
        assert rows(target, table), f"nothing was in {table.name}: it shows nothing"
    target.check()
    assert (copy.read_bytes(), list(tmp_path.iterdir())) == (before, [copy]), "it was only read"


def test_the_desk_goes_on_there(uma: Stage, target: Store, tmp_path: Path) -> None:
    move(copy_of(uma, tmp_path), target)
    moved = Stage(replace(uma.desk, store=target), first_update=9000)
    before = len(rows(target, Base.metadata.tables["messages"]))
    moved.ask("and where are my tulips")
    assert len(rows(target, Base.metadata.tables["messages"])) > before


def test_a_row_that_postgresql_does_not_take_is_named_and_nothing_is_left_behind(
    uma: Stage, target: Store, tmp_path: Path
) -> None:
    with uma.desk.store.writing() as session:
        people = [Customer(chat_id=20_000 + number, name="Ada") for number in range(40)]
        session.add_all(people)
        people[17].name = "x" * 300  # SQLite keeps it; PostgreSQL has room for 256
        session.flush()
        culprit = people[17].id
    told = f"the row of customers with id {culprit}: value too long"
    with pytest.raises(DeskError, match=told):
        move(copy_of(uma, tmp_path), target)
    assert inspect(target.engine).get_table_names() == []


def test_a_damaged_copy_is_told_as_such(uma: Stage, target: Store, tmp_path: Path) -> None:
    copy = copy_of(uma, tmp_path)
    with copy.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4 * 4096)
    with pytest.raises(DeskError, match="can't be read from the backup"):
        move(copy, target)
    assert inspect(target.engine).get_table_names() == []

"""Every migration leaves the version before it able to work, and can be taken back with its rows.

An update migrates first and replaces the processes after that, so old code writes to new tables.
What "able to work" means is read from the database itself, not from how a migration is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, inspect, text

from desk.store import Store

Shape = dict[str, dict[str, Any]]


def revisions() -> list[str]:
    """All revisions, the first one first."""
    store = Store("sqlite://")
    scripts = ScriptDirectory.from_config(store._alembic())
    store.dispose()
    return [script.revision for script in scripts.walk_revisions()][::-1]


STEPS = list(zip(revisions(), revisions()[1:], strict=False))
each_step = pytest.mark.parametrize(("before", "after"), STEPS, ids=lambda revision: revision)


@pytest.fixture
def old_store(empty_database_url: str) -> Iterator[Store]:
    """A database without tables: once SQLite, once PostgreSQL."""
    store = Store(empty_database_url)
    yield store
    store.dispose()


def move(store: Store, act: Any, revision: str) -> None:
    with store.engine.connect() as connection:
        config = store._alembic()
        config.attributes["connection"] = connection
        act(config, revision)
        connection.commit()


def shape_of(connection: Connection) -> Shape:
    """Tables as old code relies on them: columns with their types, and what refuses a row."""
    found: Shape = {}
    inspector = inspect(connection)
    for table in inspector.get_table_names():
        columns = {
            column["name"]: (
                str(column["type"]),
                column["nullable"],
                column["default"] is not None or bool(column.get("autoincrement")),
            )
            for column in inspector.get_columns(table)
        }
        refusing = {
            *(tuple(rule["column_names"]) for rule in inspector.get_unique_constraints(table)),
            *(tuple(i["column_names"]) for i in inspector.get_indexes(table) if i["unique"]),
            *(tuple(rule["constrained_columns"]) for rule in inspector.get_foreign_keys(table)),
            *(rule["sqltext"] for rule in inspector.get_check_constraints(table)),
        }
        found[table] = {"columns": columns, "refusing": refusing}
    return found


def broken(old: Shape, new: Shape) -> list[str]:
    """What code that knows the old tables can no longer do with the new ones."""
    found = []
    for table, was in old.items():
        if table not in new:
            found.append(f"{table} is gone")
            continue
        columns = new[table]["columns"]
        for name, (kind, nullable, _) in was["columns"].items():
            if name not in columns:
                found.append(f"{table}.{name} is gone")
            elif columns[name][0] != kind:
                found.append(f"{table}.{name} was {kind} and is {columns[name][0]}")
            elif nullable and not columns[name][1]:
                found.append(f"{table}.{name} must be given now")
        for name in columns.keys() - was["columns"].keys():
            _, nullable, has_default = columns[name]
            if not nullable and not has_default:
                found.append(f"{table}.{name} is new, must be given and has no default")
        # A column that old code leaves empty can't make one of its rows a second of its kind.
        found += [
            f"{table} refuses more than before: {rule}"
            for rule in new[table]["refusing"] - was["refusing"]
            if isinstance(rule, str) or not set(rule) - was["columns"].keys()
        ]
    return found


def value_for(column: sa.Column[Any], number: int) -> Any:
    """Something that a column of that type takes, another one for each row."""
    if isinstance(column.type, sa.JSON):
        return {"number": number}
    if isinstance(column.type, sa.DateTime):
        return datetime(2026, 1, 1, tzinfo=UTC)
    return {int: number, str: f"v{number}", bool: False, float: 0.5}[column.type.python_type]


def fill(connection: Connection, tables: MetaData, number: int) -> None:
    """A row in every table, with what its columns demand and no more, as their code knows them."""
    for table in tables.sorted_tables:
        if table.name == "alembic_version":
            continue
        given = [c for c in table.columns if c.server_default is None]
        given = [c for c in given if not c.nullable or c.foreign_keys]
        connection.execute(table.insert().values({c.name: value_for(c, number) for c in given}))


def rows_of(connection: Connection, tables: MetaData) -> dict[str, list[Any]]:
    """Every row, with the columns that are known."""
    return {
        table.name: [tuple(row) for row in connection.execute(table.select())]
        for table in tables.sorted_tables
        if table.name != "alembic_version"
    }


def known_tables(connection: Connection) -> MetaData:
    tables = MetaData()
    tables.reflect(connection)
    return tables


@each_step
def test_a_migration_takes_nothing_from_the_version_before(
    old_store: Store, before: str, after: str
) -> None:
    move(old_store, command.upgrade, before)
    with old_store.engine.connect() as connection:
        old = shape_of(connection)
    move(old_store, command.upgrade, after)
    with old_store.engine.connect() as connection:
        assert broken(old, shape_of(connection)) == []


@each_step
def test_old_code_writes_beside_a_migration_and_its_rows_outlive_the_way_back(
    old_store: Store, before: str, after: str
) -> None:
    move(old_store, command.upgrade, before)
    with old_store.engine.begin() as connection:
        old = known_tables(connection)
        fill(connection, old, 1)
    move(old_store, command.upgrade, after)
    with old_store.engine.begin() as connection:
        fill(connection, old, 2)
        written = rows_of(connection, old)
        assert {len(rows) for rows in written.values()} == {2}
    with old_store.engine.begin() as connection:
        fill(connection, known_tables(connection), 3)
    move(old_store, command.downgrade, before)
    with old_store.engine.connect() as connection:
        kept = rows_of(connection, old)
        assert {name: rows[:2] for name, rows in kept.items()} == written
        assert {len(rows) for rows in kept.values()} == {3}
    move(old_store, command.upgrade, "head")
    old_store.check()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DROP TABLE poll_offsets", "poll_offsets is gone"),
        ("ALTER TABLE customers DROP COLUMN username", "customers.username is gone"),
        ("ALTER TABLE customers RENAME COLUMN name TO called", "customers.name is gone"),
        (
            "ALTER TABLE customers ADD COLUMN age INTEGER NOT NULL",
            "customers.age is new, must be given and has no default",
        ),
        ("CREATE UNIQUE INDEX one ON customers (name)", "customers refuses more than before"),
    ],
)
def test_the_rule_finds_what_would_break_the_version_before(
    old_store: Store, change: str, said: str
) -> None:
    old_store.migrate()
    with old_store.engine.begin() as connection:
        old = shape_of(connection)
        connection.execute(text(change))
    with old_store.engine.connect() as connection:
        assert any(line.startswith(said) for line in broken(old, shape_of(connection)))

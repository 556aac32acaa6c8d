"""A desk moves from SQLite to PostgreSQL: the same rows, under the same ids."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, Table, create_engine, func, insert, select
from sqlalchemy.exc import DBAPIError

from desk.domain import DeskError
from desk.store import DATABASE_AWAY, Store, cause
from desk.tables import Base

ROWS = 1000
"""So many are read and written at a time."""


def move(source: Path, target: Store) -> None:
    """Make the tables in an empty PostgreSQL database and fill them with all rows of a SQLite file
    at this version's revision, which nobody writes to.

    In one transaction: where it fails, nothing of it is there. Raises what `Store.migrate` does,
    and `DeskError` for a row that PostgreSQL does not take.
    """
    # A backup stays as it is: no log of SQLite's is made beside it.
    engine = create_engine(f"sqlite:///file:{quote(str(source))}?mode=ro&immutable=1&uri=true")
    try:
        target.migrate(then=partial(_fill, engine))
    finally:
        engine.dispose()


def _fill(source: Engine, connection: Connection) -> None:
    # Sorted, so that what a row refers to is there before it.
    for table in Base.metadata.sorted_tables:
        for rows in _read(source, table):
            _write(connection, table, rows)
        _count_on(connection, table)


def _read(source: Engine, table: Table) -> Iterator[list[dict[str, Any]]]:
    try:
        with source.connect() as connection:
            found = connection.execution_options(yield_per=ROWS).execute(select(table))
            for rows in found.mappings().partitions():
                yield [dict(row) for row in rows]
    except DBAPIError as error:
        raise DeskError(f"{table.name} can't be read from the backup: {cause(error)}") from None


def _write(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    try:
        with connection.begin_nested():
            connection.execute(insert(table), rows)
    except DATABASE_AWAY:
        raise
    except DBAPIError as error:
        if len(rows) == 1:
            [key] = table.primary_key.columns.keys()
            raise DeskError(
                f"PostgreSQL does not take the row of {table.name} with {key} {rows[0][key]}: "
                f"{cause(error)}. Mend that row in the SQLite file and back it up anew."
            ) from None
        # So few halves tell which row it is.
        middle = len(rows) // 2
        _write(connection, table, rows[:middle])
        _write(connection, table, rows[middle:])


def _count_on(connection: Connection, table: Table) -> None:
    """Have the sequence of a table's ids, if it has one, go on behind the greatest that is there.

    Ids that came with their rows have not moved it, and the next row would meet a taken one.
    """
    [column] = table.primary_key.columns
    sequence = connection.scalar(select(func.pg_get_serial_sequence(table.name, column.name)))
    greatest = connection.scalar(select(func.max(column)))
    if sequence is not None and greatest is not None:
        connection.execute(select(func.setval(sequence, greatest)))

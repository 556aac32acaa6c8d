"""A desk moves from SQLite to PostgreSQL: the same rows, under the same ids."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection, func, insert, select

from desk.store import Store
from desk.tables import Base

ROWS = 1000
"""So many are read and written at a time."""


def move(source: Store, target: Store) -> None:
    """Make the tables in an empty PostgreSQL database and fill them with all rows of `source`, a
    SQLite database at this version's revision.

    In one transaction: where it fails, nothing of it is there. Raises what `Store.migrate` does.
    """
    target.migrate(then=partial(_fill, source))


def _fill(source: Store, connection: Connection) -> None:
    with source.reading() as session:
        # Sorted, so that what a row refers to is there before it.
        for table in Base.metadata.sorted_tables:
            found = session.execute(select(table).execution_options(yield_per=ROWS)).mappings()
            for rows in found.partitions():
                connection.execute(insert(table), [dict(row) for row in rows])
            _count_on(connection, table.name, table.primary_key.columns.keys()[0])


def _count_on(connection: Connection, table: str, column: str) -> None:
    """Have the sequence of a table's ids, if it has one, go on behind the greatest that is there.

    Ids that came with their rows have not moved it, and the next row would meet a taken one.
    """
    sequence = connection.scalar(select(func.pg_get_serial_sequence(table, column)))
    greatest = connection.scalar(select(func.max(Base.metadata.tables[table].c[column])))
    if sequence is not None and greatest is not None:
        connection.execute(select(func.setval(sequence, greatest)))

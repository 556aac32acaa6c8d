"""Databases for a test session: SQLite files, and a throw-away PostgreSQL on a Unix socket."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

from desk.store import Store
from desk.tables import Base

_DELETE_ROWS = ";".join(
    f"DELETE FROM {table.name}"  # noqa: S608
    for table in reversed(Base.metadata.sorted_tables)
)
START_SECONDS = 30.0
_PR_SET_PDEATHSIG = 1


class SqliteFiles:
    """Lends migrated SQLite databases, cleaned between one borrower and the next."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._numbers = count(1)
        self._free: list[Path] = []

    @contextmanager
    def database(self) -> Iterator[str]:
        """Lend a database with today's tables and without rows for a block; yields its URL."""
        path = self._free.pop() if self._free else self._create()
        yield f"sqlite:///{path}"
        connection = sqlite3.connect(path, timeout=1)
        try:
            connection.executescript(f"PRAGMA synchronous=OFF; BEGIN; {_DELETE_ROWS}; COMMIT")
        except sqlite3.OperationalError:
            return  # somebody still holds it: let them
        finally:
            connection.close()
        self._free.append(path)

    def _create(self) -> Path:
        path = self.directory / f"test_{next(self._numbers)}.db"
        store = Store(f"sqlite:///{path}")
        store.migrate()
        store.dispose()
        return path


class NoPostgresError(Exception):
    """There is no PostgreSQL here to start; the text says what is missing."""


class PostgresServer:
    """A running cluster that lends databases, cleaned between one borrower and the next.

    Creating a database takes PostgreSQL some tenths of a second, emptying one some milliseconds.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._numbers = count(1)
        self._free: dict[bool, list[str]] = {True: [], False: []}

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database of this server."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.directory}"

    @contextmanager
    def database(self, *, migrated: bool = True) -> Iterator[str]:
        """Lend a database for a block: today's tables without a row in them, or no table at all.

        Yields its URL. Whoever changes the schema must borrow one that is not `migrated`.
        """
        free = self._free[migrated]
        name = free.pop() if free else self._create(migrated=migrated)
        yield self.url(name)
        with self.connect(name) as connection:
            connection.execute(_DISCONNECT)
            connection.execute(_EMPTY if migrated else _DROP_ALL)
        free.append(name)

    def _create(self, *, migrated: bool) -> str:
        name = f"test_{next(self._numbers)}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        if migrated:
            store = Store(self.url(name))
            store.migrate()
            store.dispose()
        return name

    @contextmanager
    def read_only(self, url: str) -> Iterator[None]:
        """Let a database take no writes for a block, as after a failover to a replica."""
        name = make_url(url).database
        with self.connect("postgres") as connection:
            connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            connection.execute(_CUT_OFF, [name])
            try:
                yield
            finally:
                connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
                connection.execute(_CUT_OFF, [name])

    def connect(self, database: str) -> psycopg.Connection[Any]:
        """A plain psycopg connection that commits each statement."""
        return psycopg.connect(
            host=str(self.directory), user="postgres", dbname=database, autocommit=True
        )


@contextmanager
def running_postgres(*settings: str, access: str = "") -> Iterator[PostgresServer]:
    """Start a cluster for the length of a block. Raises `NoPostgresError` where there is none.

    `settings` (`name=value`) go before those of the tests; `access` are further lines of
    pg_hba.conf, for a server that others reach by its address.
    """
    binaries = binaries_of_postgres()
    owner = _owner()
    # Not pytest's tmp_path: a socket's path has at most 107 bytes, and `owner` must reach it.
    directory = Path(tempfile.mkdtemp(prefix="frontdesk-pg-"))
    try:
        if owner:
            shutil.chown(directory, owner["user"], owner["group"])
        data, log = directory / "data", directory / "log"
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
             "--locale=C", "--no-sync", "--no-instructions"],
            check=True,
            capture_output=True,
            cwd=directory,
            **owner,
        )  # fmt: skip
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write(access)
        options = [part for setting in (*_SETTINGS, *settings) for part in ("-c", setting)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-k", directory, *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=directory,
                start_new_session=True,  # Ctrl-C is for pytest, which then stops us in order
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, no lock
                **owner,
            )
        try:
            server = PostgresServer(directory)
            _wait_until_ready(server, process, log)
            yield server
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nothing here is worth a checkpoint
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


# A setting of a database holds for new connections.
_CUT_OFF = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
# Connections at rest in a pool may stay; whoever still holds a lock must go.
_DISCONNECT = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'
"""
_DROP_ALL = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
_EMPTY = ";".join(
    [
        "SET session_replication_role = replica",  # no foreign key checks: everything goes
        _DELETE_ROWS,
        "SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'",
    ]
)
_SETTINGS = (
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "autovacuum=off",
    "timezone=Asia/Kathmandu",  # nothing may depend on the server's zone
    "shared_buffers=64MB",
    "max_connections=60",
    "wal_level=minimal",
    "max_wal_senders=0",
    "deadlock_timeout=200ms",
)


def binaries_of_postgres() -> Path:
    """The folder with initdb, postgres, pg_dump; the newest version. Raises `NoPostgresError`."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"),
        key=lambda path: float(path.parts[-3]),
        reverse=True,
    )
    on_path = shutil.which("postgres")
    for candidate in [*found, *([Path(on_path).resolve()] if on_path else [])]:
        if (candidate.parent / "initdb").exists():
            return candidate.parent
    raise NoPostgresError(
        "no PostgreSQL server under /usr/lib/postgresql/*/bin or on PATH; "
        "install it (Debian: apt-get install postgresql)"
    )


def _owner() -> dict[str, Any]:
    """Whom the server runs as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise NoPostgresError("PostgreSQL can't run as root, and there is no user `postgres` here")


def die_with_parent() -> None:
    """Ask the kernel to end a process of ours even when pytest is killed: for `preexec_fn`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _wait_until_ready(server: PostgresServer, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.connect("postgres").close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"PostgreSQL did not start: {error}\n{tail}") from None
            time.sleep(0.02)

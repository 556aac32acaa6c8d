"""The database: one place that connects, begins transactions and brings the schema up to date."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import ResolutionError
from alembic.util import CommandError
from sqlalchemy import (
    Connection,
    Engine,
    ExceptionContext,
    Update,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from desk.domain import DeskError
from desk.tables import Base

log = structlog.get_logger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 15
SILENT_SECONDS = 15
READ_ONLY = "25006"
"""PostgreSQL's code for a write in a transaction that may not write."""
_AFTER_COMMIT = "after_commit"
MIGRATION_LOCK = 470_112_233  # any number: it keeps two processes from migrating at once
LOCK_SECONDS = 3
"""So long a migration waits for a table that somebody uses, and all others wait behind it."""
PAUSE_SECONDS = 10.0
"""So long it lets them work before it tries again."""
MIGRATE_SECONDS = 300.0
"""After so long it gives up."""
_TABLE_IN_USE = "55P03"
"""PostgreSQL's code for a lock that was not to be had in time."""

# `_blame_statements` takes out of the OperationalErrors what a statement is itself to blame for.
# What was ended for taking too long stays: it may have waited for another's lock.
# An InternalError is also what a server says that has become a replica and takes no writes, and
# that of a transaction that idled longer than `_patience` allows.
DATABASE_AWAY = (OperationalError, InterfaceError, InternalError, PoolTimeoutError)
"""The database can't be used now and may be later: nothing that was asked of it is to blame."""

_TOO_MUCH = "54"
"""How PostgreSQL's codes for a statement that is beyond its limits begin."""
_COLLISIONS = frozenset({"40001", "40P01"})
"""PostgreSQL's codes for a transaction that could not be serialized, and for a deadlock."""


def collided(error: Exception) -> bool:
    """Whether the server is there and has ended a transaction for another's sake: the same once
    more will do."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) in _COLLISIONS


class UnreachableError(DeskError):
    """The database does not answer; it may later."""


class ReadOnlyDatabaseError(UnreachableError):
    """The database answers and takes no writes: that of a replica, most likely."""


def after_commit(session: Session, act: Callable[[], object]) -> None:
    """Have `act` called when the session's `Store.writing` has committed, and never otherwise.

    It must not raise: what it would fail has happened already.
    """
    session.info.setdefault(_AFTER_COMMIT, []).append(act)


def in_bulk(session: Session, change: Update) -> None:
    """Change rows in the database alone: those that the session has read stay as they were read."""
    session.execute(change, execution_options={"synchronize_session": False})


class Store:
    """Transactions on one database. Safe to share between threads; make it after forking."""

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise DeskError(
                # No user and password in it: they would be scrubbed as if they were some.
                "DATABASE_URL is no database address; write sqlite:///data/frontdesk.db, or "
                "postgresql://host/name with user and password as docs/settings.md has them"
            ) from None
        self.url = url
        self.sqlite = parsed.get_backend_name() == "sqlite"
        if self.sqlite and parsed.database not in (None, "", ":memory:"):
            folder = Path(str(parsed.database)).parent
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise DeskError(
                    f"The folder {folder} for the database can't be made ({error.strerror}). "
                    "Set DATA_DIR or DATABASE_URL to a place where you may write."
                ) from None
        try:
            self.engine = create_engine(
                url,
                pool_pre_ping=not self.sqlite,
                connect_args={} if self.sqlite else _patience(parsed.query),
                # An error's text would quote what customers wrote.
                hide_parameters=True,
            )
        except (ArgumentError, ImportError) as error:
            raise DeskError(
                f"DATABASE_URL names {parsed.drivername}, which can't be used here ({error}); "
                "use sqlite or postgresql"
            ) from None
        _blame_statements(self.engine)
        if self.sqlite:
            _prepare_sqlite(self.engine)
        else:
            _leave_replicas(self.engine)
        self._reader = self.engine.execution_options(read_only=True)
        # SQLite has one writer at a time, and those who find it busy sleep and ask again: among
        # eight threads the unlucky one waited for seconds. A lock passes the turn on at once.
        self._turn: AbstractContextManager[Any] = (
            threading.RLock() if self.sqlite else nullcontext()
        )

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that commits at the end of the block and rolls back on any exception."""
        with (
            self._turn,
            Session(self.engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session
        for act in session.info.get(_AFTER_COMMIT, ()):
            act()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction for reading; nothing done in it is kept."""
        with Session(self._reader, expire_on_commit=False) as session:
            yield session

    def insert(self, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
        """An INSERT of this database's own, which takes `on_conflict_do_nothing` and the like."""
        return sqlite.insert(table) if self.sqlite else postgresql.insert(table)

    def check(self) -> None:
        """Raise `DeskError` with what to do unless the database answers and is up to date."""
        try:
            self.ping()
        except SQLAlchemyError as error:
            raise failed(self.url, error) from None
        current = self.revision()
        newest = newest_revision()
        if not is_known(current):
            raise _too_new(current)
        if current != newest:
            raise DeskError(
                f"The database is at revision {current or 'none'}, this version needs {newest}. "
                "Run: frontdesk migrate"
            )

    def revision(self) -> str | None:
        """The revision of its tables; None if it has none. Raises `DeskError` as `check` does."""
        try:
            with self._reader.connect() as connection:
                return MigrationContext.configure(connection).get_current_revision()
        except SQLAlchemyError as error:
            raise failed(self.url, error) from None

    def ping(self) -> None:
        """Raise what the driver raises, or `ReadOnlyDatabaseError`, unless it could be written."""
        with self._reader.connect() as connection:
            if self.sqlite:
                connection.execute(text("SELECT 1"))
                return
            read_only = connection.scalar(text("SHOW transaction_read_only")) == "on"
            if read_only:
                connection.invalidate()
        if read_only:
            # By now the address may lead to another server: the next connection asks there.
            self.engine.dispose()
            raise ReadOnlyDatabaseError(
                f"The database at {_shown(self.url)} takes no writes: it is a replica, or was made "
                "read-only. Check that DATABASE_URL leads to the primary."
            )

    def ends_idle_transactions(self) -> bool:
        """Whether the server ends a transaction whose client says nothing, and with it its locks.

        `_patience` asks for that, but what stands between may not pass it on: PgBouncer, say.
        """
        if self.sqlite:
            return True  # the locks of a file end with their process
        with self._reader.connect() as connection:
            limit = connection.scalar(text("SHOW idle_in_transaction_session_timeout"))
            return bool(limit != "0")

    def migrate(self, then: Callable[[Connection], object] | None = None) -> None:
        """Bring the schema to the newest revision; a second call does nothing.

        `then` is called within the same transaction. On PostgreSQL a table that somebody reads for
        long, such as pg_dump, is tried for some minutes, with pauses in which the desk goes on;
        then `DeskError` is raised.
        """
        until = time.monotonic() + MIGRATE_SECONDS
        while True:
            try:
                self._migrate(then)
                return
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) != _TABLE_IN_USE:
                    raise failed(self.url, error) from None
                if time.monotonic() >= until:
                    raise DeskError(
                        f"The tables at {_shown(self.url)} can't be changed while something uses "
                        "one of them for so long: a backup (pg_dump), most likely, or somebody's "
                        "query. Nothing was changed. Once that is over, run: frontdesk migrate"
                    ) from None
            except CommandError as error:
                if isinstance(error.__cause__, ResolutionError):
                    raise _too_new(str(error.__cause__.argument)) from None
                raise
            log.warning("migration.waits", reason="a table is in use", seconds=PAUSE_SECONDS)
            time.sleep(PAUSE_SECONDS)

    def _migrate(self, then: Callable[[Connection], object] | None) -> None:
        # One transaction for all: unless it finds one open, alembic commits each revision of a
        # SQLite file by itself, and a second process's would come between.
        with self.engine.connect() as connection, connection.begin():
            if not self.sqlite:
                # Another process that migrates may take long, and nobody waits behind this one.
                connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
                connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
            config = self._alembic()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            if then is not None:
                then(connection)

    def clear_log(self, patience: float | None = None) -> bool:
        """Write SQLite's log into the file and empty it: it has what was there before, too.

        False where that can't be done now, since somebody reads: for that it waits so many seconds,
        as long as any writer unless told otherwise. A server's log is its own.
        """
        if not self.sqlite:
            return True
        seconds = BUSY_SECONDS if patience is None else patience
        connection = self.engine.raw_connection()  # within a transaction it would fail
        cursor = connection.cursor()
        try:
            cursor.execute(f"PRAGMA busy_timeout={1000 * seconds:.0f}")
            busy, *_ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error:
            return False
        finally:
            cursor.execute(f"PRAGMA busy_timeout={1000 * BUSY_SECONDS}")
            connection.close()
        return not busy

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _alembic(self) -> Config:
        config = Config()
        # A `%` would begin a placeholder.
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        return config


def _patience(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """How long a silent peer is waited for, save what DATABASE_URL itself says.

    A host that is cut off closes no connection. By default Linux would wait a quarter of an hour
    for such a server, and the server two hours for such a client, whose locks it keeps until then.
    """
    defaults = {
        "connect_timeout": 5,
        "keepalives_idle": 5,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": 1000 * SILENT_SECONDS,
        "options": f"-c idle_in_transaction_session_timeout={SILENT_SECONDS}s",
    }
    return {name: value for name, value in defaults.items() if name not in chosen}


def newest_revision() -> str | None:
    """The revision to which `Store.migrate` brings a database."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def is_known(revision: str | None) -> bool:
    """Whether `Store.migrate` can bring a database at this revision (None: empty) up to date."""
    scripts = ScriptDirectory(str(MIGRATIONS)).walk_revisions()
    return revision is None or revision in {script.revision for script in scripts}


def _too_new(revision: str | None) -> DeskError:
    return DeskError(
        f"The database is at revision {revision}, which this version does not know: a newer "
        "Frontdesk has migrated it. Install that version, or restore a backup."
    )


def failed(url: str, error: Exception) -> DeskError:
    """The sentence for an error of the database: that it is away, or what it says, and what to do.

    Without the password of its address.
    """
    sqlite = make_url(url).get_backend_name() == "sqlite"
    away = isinstance(error, DATABASE_AWAY)
    if sqlite:
        # Its driver has this one class for nearly everything.
        away = away and re.search(r"lock|busy|unable to open", cause(error)) is not None
    if away or not isinstance(error, DBAPIError):
        return unreachable(url, error)
    if sqlite:
        todo = "Name a file of Frontdesk's in DATABASE_URL, or restore a backup"
    else:
        todo = (
            "Its user must be allowed to make and change tables. A backup is restored into an "
            "empty database, never over tables of another version"
        )
    return DeskError(
        f"The database at {_shown(url)} refuses: {cause(error)}. {todo} (docs/operations.md)."
    )


def unreachable(url: str, error: Exception) -> UnreachableError:
    """The sentence for a database that does not answer, without its password."""
    return UnreachableError(
        f"The database at {_shown(url)} does not answer: {cause(error)}. "
        "Check DATABASE_URL and that the server runs and takes writes."
    )


def cause(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().split("\n")[0]


def _shown(url: str) -> str:
    shown = make_url(url).difference_update_query(["password", "sslpassword"])
    return shown.render_as_string(hide_password=True)


def _use_wal(cursor: Any) -> None:
    """Switch to the write-ahead log; without effect where the file has it already."""
    # Where another process switches or writes a new file at that moment, SQLite fails at once
    # instead of waiting out the busy timeout.
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def _blame_statements(engine: Engine) -> None:
    @event.listens_for(engine, "handle_error", retval=True)
    def blame(context: ExceptionContext) -> Exception | None:
        # The drivers have one class for these and for a database that is away. Taken for the
        # latter, what asks for such a thing would ask again for ever, and hold up its chat.
        error = context.original_exception
        if not isinstance(context.sqlalchemy_exception, OperationalError) or not _is_own(error):
            return None
        return ProgrammingError(
            context.statement, context.parameters, error, hide_parameters=engine.hide_parameters
        )


def _is_own(error: BaseException) -> bool:
    """Whether an operational error comes from what was asked, or from the row that was read."""
    if isinstance(error, sqlite3.Error):
        # One without a code is Python's own: of a text that can't be decoded.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        return code & 0xFF == sqlite3.SQLITE_ERROR  # the rest says more exactly what
    return str(getattr(error, "sqlstate", None)).startswith(_TOO_MUCH)


def _leave_replicas(engine: Engine) -> None:
    @event.listens_for(engine, "handle_error")
    def leave(context: ExceptionContext) -> None:
        # After a failover the address leads elsewhere, but a connection to a replica lives on and
        # answers the pool's question: without this it would fail each write for good.
        if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
            context.is_disconnect = True


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "do_connect")
    def make(_dialect: Any, _record: Any, arguments: list[Any], _keywords: Any) -> None:
        # Customers' words will be in it; SQLite would make it readable for all, and gives its log
        # the file's own mode. One that exists must not be opened: closing it drops SQLite's locks.
        name = str(arguments[0])
        if name != ":memory:" and not name.startswith("file:"):
            with suppress(OSError):
                os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        # Python's own transaction handling would begin late and deferred: it is ours to begin.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={1000 * BUSY_SECONDS}")
        _use_wal(cursor)
        cursor.execute("PRAGMA synchronous=FULL")  # an acknowledged update survives a power cut
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA secure_delete=ON")  # what is erased is not left in free pages
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer that starts by reading would fail at its first write if another wrote meanwhile.
        read_only = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

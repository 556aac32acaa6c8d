"""Fixtures for every suite: databases, a pack, a clock that can be moved, a desk.

`store` (and what builds on it, such as `desk`) runs each test twice: on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import event

from desk import pack as packs
from desk.flow.desk import Desk
from desk.pack import Pack
from desk.store import Store
from tests.databases import NoPostgresError, PostgresServer, SqliteFiles, running_postgres
from tests.starter import StarterTraining

# Here, before any test is read: whether a change is good must not hang on chance.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")

FLORIST = Path(__file__).parent / "packs" / "florist"
OPERATOR_CHAT = -1001234567890
NO_FLOOD = 10_000
"""So much in a minute that no test sends it by mistake, while its clock stands still."""


def pytest_configure() -> None:
    # A shell's background jobs ignore SIGINT, and what the tests start would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Clock:
    """A clock that stands still until it is moved. It starts on a Monday at ten, in UTC."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> datetime:
        """Go on by so many `seconds`, `minutes`, `hours` or `days`."""
        self.now += timedelta(**by)
        return self.now

    def set(self, moment: datetime) -> None:
        """Go to a moment (timezone-aware)."""
        self.now = moment


@pytest.fixture
def sleep_host(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Call it to have the host sleep for so many seconds: one of Linux's two clocks goes on."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        pytest.skip("only Linux has two clocks")
    slept, real = 0.0, time.clock_gettime

    def sleep(seconds: float) -> None:
        nonlocal slept
        slept += seconds

    monkeypatch.setattr(
        time,
        "clock_gettime",
        lambda which: real(which) + (slept if which == time.CLOCK_BOOTTIME else 0.0),
    )
    return sleep


@pytest.fixture(scope="session", autouse=True)
def starter_training(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StarterTraining | None]:
    """The starter model's training, begun at once where a test wants it: it takes minutes."""
    if not any(item.path.name == "test_starter.py" for item in request.session.items):
        yield None
        return
    training = StarterTraining.begin(tmp_path_factory.mktemp("starter"))
    yield training
    training.end()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL of this session. Skips where there is none, but fails in CI."""
    try:
        with running_postgres() as server:
            yield server
    except NoPostgresError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI must test on PostgreSQL, but there is {error}")
        pytest.skip(str(error))


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A PostgreSQL database with the newest schema and no rows. Don't change its schema."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def empty_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A fresh PostgreSQL database without any table."""
    with postgres_server.database(migrated=False) as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_files(tmp_path_factory: pytest.TempPathFactory) -> SqliteFiles:
    """The SQLite databases of this session."""
    return SqliteFiles(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture
def sqlite_url(sqlite_files: SqliteFiles) -> Iterator[str]:
    """A SQLite database with the newest schema and no rows. Don't change its schema."""
    with sqlite_files.database() as url:
        yield url


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    """The address of a SQLite database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'empty.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A database with the newest schema and no rows: once SQLite, once PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """A database without any table: once SQLite, once PostgreSQL."""
    url: str = request.getfixturevalue(f"empty_{request.param}_url")
    return url


@pytest.fixture(scope="session")
def _stores() -> Iterator[dict[str, Store]]:
    stores: dict[str, Store] = {}
    yield stores
    for store in stores.values():
        store.dispose()


@pytest.fixture
def store(database_url: str, _stores: dict[str, Store]) -> Store:
    """A store on a migrated database without rows: once SQLite, once PostgreSQL.

    Tests share its engine, whose cache of compiled statements is half the time of a test.
    """
    if database_url not in _stores:
        _stores[database_url] = store = Store(database_url)
        if store.sqlite:
            event.listen(store.engine, "connect", _never_sync)
    return _stores[database_url]


def _never_sync(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")


@pytest.fixture
def pack_folder(tmp_path: Path) -> Path:
    """A copy of the florist's pack that a test may change."""
    return Path(shutil.copytree(FLORIST, tmp_path / "florist"))


@pytest.fixture(scope="session")
def pack() -> Pack:
    """A made-up florist's pack in English and Chinese: tests/packs/florist/pack.yml."""
    return packs.load(FLORIST)


@pytest.fixture
def clock() -> Clock:
    """The desk's clock: Monday 2 March 2026, 10:00 UTC, until a test moves it."""
    return Clock()


@pytest.fixture
def desk(store: Store, pack: Pack, clock: Clock) -> Desk:
    """A desk on a fresh database (SQLite, then PostgreSQL) with the florist's pack."""
    return Desk(store, pack, OPERATOR_CHAT, clock, NO_FLOOD)

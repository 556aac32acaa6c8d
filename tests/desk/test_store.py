"""The database: migrations, transactions, and what is said when it does not work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from desk import store as store_module
from desk.domain import ConversationState, DeskError, Role
from desk.scrubbing import scrub
from desk.store import DATABASE_AWAY, Store, UnreachableError
from desk.tables import (
    Base,
    Conversation,
    Customer,
    Lease,
    Operator,
    PollOffset,
    PredictionRow,
    utcnow,
)
from tests.conftest import PostgresServer


def _tables(store: Store) -> set[str]:
    with store.engine.connect() as connection:
        return set(inspect(connection).get_table_names())


def _customer(chat_id: int = 1) -> Customer:
    return Customer(chat_id=chat_id, name="Ana")


# ---- Migrations ----


def test_migrating_twice_is_migrating_once(empty_database_url: str) -> None:
    store = Store(empty_database_url)
    store.migrate()
    store.migrate()
    store.check()
    assert _tables(store) == {*Base.metadata.tables, "alembic_version"}
    store.dispose()


def test_the_migrations_make_exactly_the_tables_of_the_code(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_a_percent_sign_in_the_path_of_the_installation_is_no_placeholder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(store_module.MIGRATIONS, tmp_path / "100% ours" / "migrations")
    monkeypatch.setattr(store_module, "MIGRATIONS", copy)
    store = Store(f"sqlite:///{tmp_path}/desk.db")
    store.migrate()
    store.check()
    store.dispose()


def test_two_processes_may_migrate_at_once(empty_database_url: str) -> None:
    # Processes, not threads: alembic's context is global to one.
    code = f"from desk.store import Store; Store({empty_database_url!r}).migrate()"
    running = [
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    store = Store(empty_database_url)
    store.check()
    store.dispose()


@pytest.fixture
def read_for_long(postgres_server: PostgresServer) -> Iterator[tuple[Store, Callable[[], None]]]:
    """A database of before, of which somebody reads a table that changed, as pg_dump does; and what
    ends that."""
    with postgres_server.database(migrated=False) as url:
        store = Store(url)
        _upgrade(store, "0001")
        with store.engine.connect() as reader:
            reader.execute(text("LOCK TABLE predictions IN ACCESS SHARE MODE"))
            yield store, reader.rollback
        store.dispose()


def _upgrade(store: Store, revision: str) -> None:
    with store.engine.connect() as connection:
        config = store._alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


def test_a_migration_lets_others_work_while_somebody_reads_a_table_for_long(
    read_for_long: tuple[Store, Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, end = read_for_long
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        with store.engine.connect() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '1s'"))
            connection.execute(text("LOCK TABLE predictions IN ROW EXCLUSIVE MODE"))
        end()

    monkeypatch.setattr(store_module, "LOCK_SECONDS", 1)
    # Not for other tests' threads, which sleep as well.
    own_time = SimpleNamespace(sleep=pause, monotonic=time.monotonic)
    monkeypatch.setattr(store_module, "time", own_time)
    with structlog.testing.capture_logs() as logged:
        store.migrate()
    assert [line["event"] for line in logged] == ["migration.waits"]
    assert pauses == [store_module.PAUSE_SECONDS]
    monkeypatch.undo()
    store.check()


def test_a_migration_that_can_not_have_a_table_says_why_and_has_changed_nothing(
    read_for_long: tuple[Store, Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = read_for_long
    monkeypatch.setattr(store_module, "LOCK_SECONDS", 1)
    monkeypatch.setattr(store_module, "MIGRATE_SECONDS", 0.0)
    with pytest.raises(DeskError, match=r"a backup \(pg_dump\).*run: frontdesk migrate") as raised:
        store.migrate()
    assert not isinstance(raised.value, UnreachableError), "who waits for the server has it"
    assert store.revision() == "0001"


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This also keeps a second process from working between two revisions.
    copy = shutil.copytree(store_module.MIGRATIONS, tmp_path / "migrations")
    newest = ScriptDirectory(str(copy)).get_current_head()
    (copy / "versions" / "9999_fails.py").write_text(
        f"revision, down_revision = '9999', {newest!r}\n"
        "def upgrade():\n    raise RuntimeError('the power went')\n"
    )
    monkeypatch.setattr(store_module, "MIGRATIONS", copy)
    store = Store(empty_database_url)
    with pytest.raises(RuntimeError, match="the power went"):
        store.migrate()
    assert _tables(store) == set()
    store.dispose()


def test_a_migration_can_be_taken_back(empty_database_url: str) -> None:
    store = Store(empty_database_url)
    store.migrate()
    with store.engine.connect() as connection:
        config = store._alembic()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        connection.commit()
    assert _tables(store) == {"alembic_version"}
    store.migrate()
    store.check()
    store.dispose()


OLD_CONVERSATION = """
INSERT INTO customers (id, chat_id, name, gone, created_at)
VALUES (1, 501, 'Ana', false, '2026-01-01 00:00:00');
INSERT INTO conversations
(id, customer_id, state, clarifications, negatives, last_intents, opened_at)
VALUES (1, 1, 'bot', 0, 0, '[]', '2026-01-01 00:00:00')
"""
OLD_PREDICTION = """
INSERT INTO messages (id, conversation_id, author, text, state, attempt, created_at)
VALUES (:id, 1, 'customer', 'roses?', 'decided', 1, '2026-01-01 00:00:00');
INSERT INTO predictions
(message_id, intent, confidence, ranking, threshold, model, created_at)
VALUES (:id, 'order_status', 0.9, '[]', 0.8, 'v1', '2026-01-01 00:00:00')
"""


def _upgrade(store: Store, revision: str) -> None:
    with store.engine.connect() as connection:
        config = store._alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


def _insert(store: Store, statements: str, **values: int) -> None:
    with store.writing() as session:
        for statement in statements.split(";"):
            session.execute(text(statement), values)


def test_predictions_of_the_first_schema_are_kept_and_know_no_reasons(
    empty_database_url: str,
) -> None:
    store = Store(empty_database_url)
    _upgrade(store, "0001")
    _insert(store, OLD_CONVERSATION)
    _insert(store, OLD_PREDICTION, id=1)
    with pytest.raises(DeskError, match="at revision 0001, this version needs"):
        store.check()
    store.migrate()
    store.check()
    # A worker of the version before, still running, writes its predictions as it did.
    _insert(store, OLD_PREDICTION, id=2)
    with store.reading() as session:
        for message_id in (1, 2):
            row = session.get_one(PredictionRow, message_id)
            assert (row.intent, row.confidence, row.threshold) == ("order_status", 0.9, 0.8)
            assert (row.scope, row.scope_threshold, row.language) == (None, None, None)
            assert row.neighbours == []
    store.dispose()


def test_the_reasons_of_predictions_can_be_taken_back_and_the_predictions_stay(
    empty_database_url: str,
) -> None:
    store = Store(empty_database_url)
    store.migrate()
    _insert(store, OLD_CONVERSATION)
    _insert(store, OLD_PREDICTION, id=1)
    with store.engine.connect() as connection:
        config = store._alembic()
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        connection.commit()
    with store.engine.connect() as connection:
        columns = {column["name"] for column in inspect(connection).get_columns("predictions")}
    assert columns.isdisjoint({"scope", "scope_threshold", "language", "neighbours"})
    store.migrate()
    with store.reading() as session:
        assert session.get_one(PredictionRow, 1).intent == "order_status"
    store.dispose()


def test_an_empty_database_asks_to_be_migrated(empty_database_url: str) -> None:
    store = Store(empty_database_url)
    with pytest.raises(DeskError, match=r"at revision none.*Run: frontdesk migrate"):
        store.check()
    store.dispose()


def test_a_database_of_a_newer_version_is_left_alone(empty_database_url: str) -> None:
    store = Store(empty_database_url)
    store.migrate()
    with store.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for act in (store.check, store.migrate):
        with pytest.raises(DeskError, match="9999, which this version does not know"):
            act()
    store.dispose()


# ---- Transactions ----


def test_a_block_that_ends_well_is_kept(store: Store) -> None:
    with store.writing() as session:
        session.add(_customer())
    with store.reading() as session:
        assert session.scalars(select(Customer.name)).all() == ["Ana"]


def test_an_exception_takes_everything_back(store: Store) -> None:
    def act() -> None:
        with store.writing() as session:
            session.add(_customer())
            session.flush()
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        act()
    with store.reading() as session:
        assert session.scalars(select(Customer)).all() == []


def test_nothing_done_while_reading_is_kept(store: Store) -> None:
    with store.reading() as session:
        session.add(_customer())
        session.flush()
    with store.reading() as session:
        assert session.scalars(select(Customer)).all() == []


def test_a_row_that_points_nowhere_is_refused(store: Store) -> None:
    statement = text(
        "INSERT INTO buttons (token, action, argument, conversation_id, created_at)"
        " VALUES ('t', 'a', '', 4711, '2026-01-01 00:00:00')"
    )
    with pytest.raises(IntegrityError), store.writing() as session:
        session.execute(statement)


def test_readers_do_not_wait_for_a_writer(store: Store) -> None:
    with store.writing() as writer:
        writer.add(_customer())
        writer.flush()
        with store.reading() as reader:
            assert reader.scalars(select(Customer)).all() == []


def test_writers_in_threads_lose_no_update(store: Store) -> None:
    with store.writing() as session:
        session.add(PollOffset(bot_id=1, next_update_id=0))

    def add(_: int) -> None:
        with store.writing() as session:
            row = session.get_one(PollOffset, 1, with_for_update=True)
            row.next_update_id += 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(40)))
    with store.reading() as session:
        assert session.get_one(PollOffset, 1).next_update_id == 40


def test_moments_come_back_in_utc_whatever_the_servers_zone(store: Store) -> None:
    tokyo = datetime(2026, 3, 2, 10, 0, tzinfo=timezone(timedelta(hours=9)))
    with store.writing() as session:
        session.add(Operator(user_id=1, name="Olga", role=Role.ADMIN, created_at=tokyo))
    with store.reading() as session:
        kept = session.get_one(Operator, 1).created_at
    assert kept == tokyo
    assert kept.tzinfo is UTC or kept.utcoffset() == timedelta(0)


def test_a_moment_without_a_zone_is_refused(store: Store) -> None:
    naive = datetime(2026, 3, 2, 10, 0)  # noqa: DTZ001 - that is the point
    with pytest.raises(StatementError, match="needs a time zone"), store.writing() as session:
        session.add(Operator(user_id=1, name="Olga", role=Role.ADMIN, created_at=naive))


# ---- Addresses that do not work ----


@pytest.mark.parametrize("url", ["", "nonsense", "/data/frontdesk.db"])
def test_an_address_that_is_none_is_explained(url: str) -> None:
    with pytest.raises(
        DeskError, match="DATABASE_URL is no database address; write sqlite:///"
    ) as e:
        Store(url)
    assert scrub(str(e.value)) == str(e.value)  # advice that can be read


@pytest.mark.parametrize("url", ["oracle://u:p@h/d", "mysql+nosuch://u:p@h/d", "foo://h/d"])
def test_a_database_that_can_not_be_used_is_named(url: str) -> None:
    with pytest.raises(DeskError, match=r"can't be used here .*; use sqlite or postgresql"):
        Store(url)


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeskError, match=r"can't be made .*Set DATA_DIR or DATABASE_URL"):
        Store(f"sqlite:///{tmp_path}/file/sub/desk.db")


def test_the_folder_of_a_new_database_is_made(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/a/b/desk.db")
    store.migrate()
    store.dispose()
    assert (tmp_path / "a" / "b" / "desk.db").exists()


def test_what_customers_wrote_is_readable_for_nobody_else_on_the_machine(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        store = Store(f"sqlite:///{tmp_path}/data/desk.db")
        store.migrate()
        with store.reading() as session:
            session.scalars(select(Customer)).all()
            made = [tmp_path / "data", *(tmp_path / "data").iterdir()]
    finally:
        os.umask(before)
    names = {path.name for path in made}
    open_to_others = [path.name for path in made if path.stat().st_mode & 0o077]
    store.dispose()
    assert names == {"data", "desk.db", "desk.db-wal", "desk.db-shm"}
    assert open_to_others == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://desk:s3cret@127.0.0.1:1/frontdesk",
        "postgresql+psycopg://desk@127.0.0.1:1/frontdesk?password=s3cret",
    ],
)
@pytest.mark.parametrize("act", ["check", "migrate"])
def test_a_server_that_does_not_answer_is_named_without_its_password(url: str, act: str) -> None:
    store = Store(url)
    with pytest.raises(DeskError) as caught:
        getattr(store, act)()
    sentence = str(caught.value)
    assert sentence.startswith("The database at postgresql+psycopg://desk")
    assert "127.0.0.1:1/frontdesk" in sentence
    assert "Check DATABASE_URL and that the server runs and takes writes." in sentence
    assert "s3cret" not in sentence
    assert "\n" not in sentence
    store.dispose()


@pytest.mark.parametrize("act", ["check", "migrate"])
def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path, act: str) -> None:
    path = tmp_path / "desk.db"
    path.write_text("this is a shopping list, and a long one at that\n" * 50)
    store = Store(f"sqlite:///{path}")
    with pytest.raises(DeskError, match="file is not a database"):
        getattr(store, act)()
    store.dispose()


def test_tables_that_are_in_the_way_of_a_migration_are_named_as_the_database_names_them(
    empty_postgres_url: str,
) -> None:
    store = Store(empty_postgres_url)
    _upgrade(store, "0002")
    _insert(store, "CREATE TABLE leases (name text)")  # as a restore over newer tables leaves it
    with pytest.raises(DeskError) as caught:
        store.migrate()
    store.dispose()
    sentence = str(caught.value)
    assert 'refuses: relation "leases" already exists.' in sentence
    assert "restored into an empty database" in sentence
    assert "does not answer" not in sentence


def test_what_sqlite_refuses_is_not_taken_for_a_database_that_is_away(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'desk.db'}")
    _upgrade(store, "0002")
    _insert(store, "CREATE TABLE leases (name text)")
    with pytest.raises(DeskError, match="refuses: table leases already exists") as caught:
        store.migrate()
    assert not isinstance(caught.value, UnreachableError)
    store.dispose()
    gone = Store(f"sqlite:///{tmp_path}")
    with pytest.raises(UnreachableError, match="does not answer: unable to open"):
        gone.migrate()
    gone.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT no_such FROM customers",
        f"SELECT length({', '.join(['1'] * 200)})",
        "SELECT CAST(x'80' AS TEXT)",
    ],
)
def test_what_a_statement_is_to_blame_for_is_not_taken_for_a_database_that_is_away(
    store: Store, statement: str
) -> None:
    if not store.sqlite and "x'" in statement:
        pytest.skip("PostgreSQL stores no such text")
    with pytest.raises(DBAPIError) as refused, store.writing() as session:
        session.execute(text(statement)).all()
    assert not isinstance(refused.value, DATABASE_AWAY)


def test_a_statement_that_waits_for_too_long_meets_a_database_that_is_away(store: Store) -> None:
    slow = Store(store.url)
    with store.writing() as session:
        session.add(Lease(name="a", holder="b", until=utcnow()))
    limit = "PRAGMA busy_timeout=10" if store.sqlite else "SET statement_timeout=10"
    with store.writing() as session, slow.engine.connect() as other:
        session.execute(update(Lease).values(holder="c"))
        other.connection.cursor().execute(limit)
        with pytest.raises(DATABASE_AWAY):
            other.execute(update(Lease).values(holder="d"))
    slow.dispose()


def test_a_customer_has_one_open_conversation_and_any_number_of_resolved_ones(
    store: Store,
) -> None:
    def opened(*states: ConversationState) -> None:
        with store.writing() as session:
            customer = session.scalars(select(Customer)).one()
            session.add_all(Conversation(customer_id=customer.id, state=s) for s in states)

    with store.writing() as session:
        session.add(_customer())
    opened(ConversationState.RESOLVED, ConversationState.RESOLVED, ConversationState.HUMAN)
    with pytest.raises(IntegrityError):
        opened(ConversationState.BOT)


def test_a_topic_belongs_to_one_customer_in_its_chat_and_to_others_elsewhere(
    store: Store,
) -> None:
    def add(chat_id: int, topic_chat_id: int | None, topic_id: int | None) -> None:
        with store.writing() as session:
            customer = _customer(chat_id)
            customer.topic_chat_id, customer.topic_id = topic_chat_id, topic_id
            session.add(customer)

    for number, topic in enumerate([(-1, 77), (-2, 77), (None, None), (None, None)]):
        add(number, *topic)
    with pytest.raises(IntegrityError):
        add(9, -1, 77)


def test_a_silent_client_or_server_is_given_up_unless_the_address_says_otherwise(
    postgres_url: str,
) -> None:
    store = Store(postgres_url + "&keepalives_count=7")
    with store.engine.connect() as connection:
        limit = connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one()
        chosen = connection.connection.driver_connection.info.get_parameters()  # type: ignore[union-attr]
    store.dispose()
    assert limit == "15s"
    assert chosen["keepalives_count"] == "7"
    assert chosen["tcp_user_timeout"] == "15000"


def test_it_is_known_whether_the_server_ends_a_transaction_that_idles(store: Store) -> None:
    assert store.ends_idle_transactions()


def test_what_stands_between_may_have_dropped_that(postgres_url: str) -> None:
    # As PgBouncer does: the server's own default is never to end one.
    store = Store(f"{postgres_url}&options=-c%20idle_in_transaction_session_timeout%3D0")
    assert not store.ends_idle_transactions()
    store.dispose()

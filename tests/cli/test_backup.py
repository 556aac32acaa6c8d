"""Backup and restore, with the real thing on both databases and with what can go wrong."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from alembic import command
from sqlalchemy import make_url, select, update

from cli import rundir
from desk.domain import DeliveryState, InboxState, Incoming
from desk.flow import delivering, intake, leases, recovering
from desk.flow.desk import Desk
from desk.pack import load
from desk.store import Store, newest_revision
from desk.tables import Customer, DeliveryRow, Inbox
from tests.cli.conftest import Place, Result
from tests.conftest import PostgresServer
from tests.databases import binaries_of_postgres, running_postgres
from tests.desk.acting import hold_lease

Command = Callable[..., Result]


@pytest.fixture(params=["sqlite", "postgresql", "from sqlite to postgresql"])
def urls(request: pytest.FixtureRequest, place: Place) -> Iterator[tuple[str, str]]:
    """The address of a migrated database, and that of an empty one to restore to."""
    first, second = (f"sqlite:///{place.folder / name}.db" for name in ("one", "two"))
    if request.param == "sqlite":
        _migrate(first)
        yield first, second
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    if request.param != "postgresql":
        _migrate(first)
        with server.database(migrated=False) as second:
            yield first, second
        return
    with server.database(migrated=False) as first, server.database(migrated=False) as second:
        _migrate(first)
        yield first, second


def _migrate(url: str) -> None:
    store = Store(url)
    store.migrate()
    store.dispose()


@pytest.fixture(autouse=True)
def _postgres_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """pg_dump of the server that the tests start, whatever else is on PATH."""
    if any(Path("/usr/lib/postgresql").glob("*/bin/pg_dump")):
        path = f"{binaries_of_postgres()}{os.pathsep}{os.environ['PATH']}"
        monkeypatch.setenv("PATH", path)


def fill(url: str, place: Place) -> None:
    """A customer, an update, and a delivery in each state."""
    store = Store(url)
    desk = Desk(store, load(Path(place.settings["PACK"])))
    intake.store_updates(desk, [Incoming(1, 7, 5, {"update_id": 7})])
    with store.writing() as session:
        session.add(Customer(chat_id=5, name="Ada"))
        for method in ("sendMessage", "editMessageText"):
            for state in DeliveryState:
                session.add(
                    DeliveryRow(
                        key=f"{method}:{state}", chat_id=5, method=method, payload={}, state=state
                    )
                )
    store.dispose()


def test_a_restored_database_is_the_one_of_the_backup_and_knows_what_may_have_left(
    urls: tuple[str, str], place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = urls
    fill(first, place)
    folder = place.folder / "backups" / "monday"
    monkeypatch.setenv("DATABASE_URL", first)
    made = frontdesk("backup", str(folder), "--json")
    assert made.code == 0, made.err
    about = made.json()
    assert about["database"] == make_url(first).get_backend_name()
    assert about["champion"]
    assert {path.stat().st_mode & 0o077 for path in (folder, *folder.glob("database.*"))} == {0}
    store = Store(first)
    with store.writing() as session:
        session.add(Customer(chat_id=6, name="after the backup"))
    store.dispose()

    monkeypatch.setenv("DATABASE_URL", second)
    restored = frontdesk("restore", str(folder), "--json")
    assert restored.code == 0, restored.err
    assert restored.json() == {"revision": about["revision"], "uncertain": 2, "erased": None}
    assert "no notes of who was erased" in restored.err
    assert frontdesk("migrate").code == 0
    store = Store(second)
    with store.reading() as session:
        assert session.scalars(select(Customer.name)).all() == ["Ada"]
        assert session.scalars(select(Inbox.update_id)).all() == [7]
        marked = session.scalars(select(DeliveryRow.key).where(DeliveryRow.uncertain)).all()
    assert sorted(marked) == ["sendMessage:pending", "sendMessage:sending"]
    # New rows get new numbers.
    desk = Desk(store, load(Path(place.settings["PACK"])))
    assert intake.store_updates(desk, [Incoming(1, 7, 5, {}), Incoming(1, 8, 5, {})]) == 1
    assert delivering.counts(desk)["uncertain"] == 2
    # A bot that starts now sends them, and takes none for one that has killed it twice.
    failed = delivering.counts(desk)["failed"]
    recovering.recover(desk, hold_lease(desk))
    assert delivering.counts(desk)["failed"] == failed
    with store.reading() as session:
        states = session.scalars(select(DeliveryRow.state).where(DeliveryRow.uncertain)).all()
    assert set(states) == {DeliveryState.PENDING}
    store.dispose()

    again = frontdesk("restore", str(folder))
    assert again.code == 1
    assert "already" in again.err


def test_who_was_erased_since_the_backup_is_erased_again(
    urls: tuple[str, str], place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = urls
    fill(first, place)
    monkeypatch.setenv("DATABASE_URL", first)
    folder = place.folder / "before"
    assert frontdesk("backup", str(folder)).code == 0
    store = Store(first)
    with store.writing() as session:
        session.execute(update(DeliveryRow).values(state=DeliveryState.SENT))
        session.execute(update(Inbox).values(state=InboxState.DONE))
    store.dispose()
    erased = frontdesk("customers", "erase", "5", "--yes", "--force")
    assert erased.code == 0, erased.err

    monkeypatch.setenv("DATABASE_URL", second)
    restored = frontdesk("restore", str(folder), "--json")
    assert restored.json()["erased"] == 1, restored.err
    assert frontdesk("customers", "erase", "--again", "--json").json() == {"erased": 0}
    store = Store(second)
    with store.reading() as session:
        assert session.scalars(select(Customer.name)).all() == [""]
        states = session.scalars(select(DeliveryRow.state)).all()
        assert not {DeliveryState.PENDING, DeliveryState.SENDING} & set(states)
    store.dispose()


def _with_older_tables(url: str) -> None:
    """A database of an older version, with a customer."""
    store = Store(url)
    config = store._alembic()
    with store.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0009")
    with store.writing() as session:
        session.add(Customer(chat_id=5, name="Ada"))
    store.dispose()


def test_who_came_back_in_tables_of_an_older_version_is_erased_by_the_migration(
    place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, now = (f"sqlite:///{place.folder / name}.db" for name in ("older", "now"))
    _with_older_tables(older)
    monkeypatch.setenv("DATABASE_URL", older)
    folder = place.folder / "before"
    assert frontdesk("backup", str(folder)).code == 0
    assert frontdesk("migrate").code == 0
    assert frontdesk("customers", "erase", "5", "--yes").code == 0
    monkeypatch.setenv("DATABASE_URL", now)
    restored = frontdesk("restore", str(folder), "--json")
    assert restored.json()["erased"] == 0
    assert "`frontdesk migrate` erases them" in restored.err
    store = Store(now)
    with store.reading() as session:
        assert session.scalars(select(Customer.name)).all() == ["Ada"]
    assert "Erased again" in frontdesk("migrate").err
    with store.reading() as session:
        assert session.scalars(select(Customer.name)).all() == [""]
    assert frontdesk("migrate").err == ""
    store.dispose()


def test_who_is_back_is_seen_by_doctor_and_not_erased_under_a_bot_that_runs(
    place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{place.folder / 'one.db'}"
    _migrate(url)
    monkeypatch.setenv("DATABASE_URL", url)
    store = Store(url)
    with store.writing() as session:
        session.add(Customer(chat_id=5, name="Ada"))
    assert frontdesk("customers", "erase", "5", "--yes").code == 0
    with store.writing() as session:
        session.execute(update(Customer).values(chat_id=5, name="Ada"))  # as from a backup
    desk = Desk(store, load(Path(place.settings["PACK"])))
    holding = leases.Holding("bot:1", "web-1/place:78:1:b")
    assert leases.hold(desk, holding)
    checks = {row["check"]: row for row in frontdesk("doctor", "--json").json()["checks"]}
    assert checks["erased"]["status"] == "fail"
    assert "customers erase --again" in checks["erased"]["hint"]
    running = frontdesk("customers", "erase", "--again")
    assert running.code == 1
    assert "Stop every process" in running.err
    leases.hold(desk, holding, seconds=-1)
    assert frontdesk("customers", "erase", "--again").code == 0
    with store.reading() as session:
        assert session.scalars(select(Customer.name)).all() == [""]
    store.dispose()


def test_a_backup_of_an_older_version_moves_and_is_brought_up_to_date(
    place: Place,
    frontdesk: Command,
    monkeypatch: pytest.MonkeyPatch,
    empty_postgres_url: str,
) -> None:
    older = f"sqlite:///{place.folder / 'older.db'}"
    _with_older_tables(older)
    folder = place.folder / "b1"
    monkeypatch.setenv("DATABASE_URL", older)
    assert frontdesk("backup", str(folder), "--json").json()["revision"] == "0009"
    monkeypatch.setenv("DATABASE_URL", empty_postgres_url)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        refused = frontdesk("restore", str(folder))
    assert refused.code == 1
    assert "No space left on device" in refused.err
    assert "TMPDIR" in refused.err
    restored = frontdesk("restore", str(folder), "--json")
    assert restored.code == 0, restored.err
    assert restored.json()["revision"] == newest_revision()
    moved = Store(empty_postgres_url)
    with moved.reading() as session:
        assert session.scalars(select(Customer.name)).all() == ["Ada"]
    moved.dispose()


def test_a_database_restored_by_other_means_can_be_marked(
    urls: tuple[str, str], place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(urls[0], place)
    monkeypatch.setenv("DATABASE_URL", urls[0])
    assert frontdesk("restore", "--mark", "--json").json()["uncertain"] == 2


def test_nothing_is_marked_while_a_bot_works_on_the_database(
    urls: tuple[str, str], place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(urls[0], place)
    monkeypatch.setenv("DATABASE_URL", urls[0])
    store = Store(urls[0])
    desk = Desk(store, load(Path(place.settings["PACK"])))
    holding = leases.Holding("bot:1", "web-1/place:78:1:b")
    assert leases.hold(desk, holding)
    running = frontdesk("restore", "--mark")
    assert running.code == 1
    assert "The lease bot:1 is held by web-1, process 78. Stop every process" in running.err
    assert delivering.counts(desk)["uncertain"] == 0
    leases.hold(desk, holding, seconds=-1)  # it was killed a while ago
    store.dispose()
    assert frontdesk("restore", "--mark", "--json").json()["uncertain"] == 2


@pytest.mark.parametrize("arguments", [(), ("somewhere", "--mark")])
def test_restore_wants_a_folder_or_mark(frontdesk: Command, arguments: tuple[str, ...]) -> None:
    result = frontdesk("restore", *arguments)
    assert result.code == 2
    assert "--mark alone" in result.err


def test_a_second_backup_does_not_touch_the_first(place: Place, frontdesk: Command) -> None:
    assert frontdesk("migrate").code == 0
    folder = place.folder / "copy"
    assert frontdesk("backup", str(folder)).code == 0
    before = (folder / "backup.json").read_bytes()
    second = frontdesk("backup", str(folder))
    assert second.code == 2
    assert "exists already" in second.err
    assert (folder / "backup.json").read_bytes() == before


def test_a_backup_takes_no_room_for_what_was_emptied_and_waits_for_no_writer(
    place: Place, frontdesk: Command
) -> None:
    source = place.data_dir / "simulator.db"
    assert frontdesk("migrate").code == 0
    store = Store(f"sqlite:///{source}")
    with store.writing() as session:
        session.add_all(
            Inbox(bot_id=1, update_id=number, payload={"text": "roses " * 400})
            for number in range(1000)
        )
    with store.writing() as session:
        session.execute(update(Inbox).values(payload={}))
    store.clear_log()
    folder = place.folder / "copy"
    with store.writing() as session:
        session.add(Customer(chat_id=5, name="not there yet"))
        session.flush()
        made = frontdesk("backup", str(folder))
    store.dispose()
    assert made.code == 0, made.err
    copy = folder / "database.sqlite"
    assert source.stat().st_size > 2_000_000
    assert copy.stat().st_size < 600_000
    assert {path.name for path in folder.iterdir()} == {"database.sqlite", "backup.json"}
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("SELECT count(*) FROM inbox").fetchone() == (1000,)
        assert database.execute("SELECT count(*) FROM customers").fetchone() == (0,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_database_with_a_damaged_index_is_not_backed_up_as_if_it_were_sound(
    place: Place, frontdesk: Command
) -> None:
    source = place.data_dir / "simulator.db"
    assert frontdesk("migrate").code == 0
    store = Store(f"sqlite:///{source}")
    with store.writing() as session:
        session.add(Customer(chat_id=5, name="Ada"))
    store.clear_log()
    store.dispose()
    with closing(sqlite3.connect(source)) as database:
        (size,) = database.execute("PRAGMA page_size").fetchone()
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_customers_1'"
        (page,) = database.execute(query).fetchone()
    with source.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    made = frontdesk("backup", str(place.folder / "copy"))
    assert made.code == 1
    assert "is damaged" in made.err
    assert not (place.folder / "copy").exists()


def test_there_must_be_a_database_to_back_up(place: Place, frontdesk: Command) -> None:
    result = frontdesk("backup", str(place.folder / "copy"))
    assert result.code == 1
    assert "no database at" in result.err
    assert not (place.folder / "copy").exists()
    assert not place.data_dir.exists() or not list(place.data_dir.glob("*.db"))


def test_a_server_that_does_not_answer_leaves_no_half_backup_and_keeps_its_password(
    place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada:s3cret@127.0.0.1:1/desk")
    result = frontdesk("backup", str(place.folder / "copy"))
    assert result.code == 1
    assert "does not answer" in result.err
    assert "s3cret" not in result.err
    assert not (place.folder / "copy").exists()


def test_a_full_disk_leaves_no_half_backup_and_is_named(place: Place, frontdesk: Command) -> None:
    assert frontdesk("migrate").code == 0
    folder = place.folder / "copy"
    # A limit on the size of a file fails a write as a full disk does, and needs no disk.
    script = (
        "import resource, sys\nfrom cli.main import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        f"sys.exit(main(['backup', {str(folder)!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=place.folder,
        env=place.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "can't be copied" in done.stderr
    assert "Make room" in done.stderr
    assert not folder.exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, "pg_dump is not on PATH. Install"),
        ("#!/bin/sh\necho 'server version mismatch' >&2\nexit 1\n", "server version mismatch"),
    ],
)
def test_a_pg_dump_that_is_missing_or_fails_leaves_no_half_backup(
    place: Place,
    frontdesk: Command,
    monkeypatch: pytest.MonkeyPatch,
    postgres_url: str,
    script: str | None,
    said: str,
) -> None:
    programs = place.folder / "bin"
    programs.mkdir()
    if script is not None:
        (programs / "pg_dump").write_text(script)
        (programs / "pg_dump").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    result = frontdesk("backup", str(place.folder / "copy"))
    assert result.code == 1
    assert said in result.err
    assert not (place.folder / "copy").exists()


@pytest.mark.parametrize("how", ["postgres:s3cret@", "postgres@{}?password=s3cret"])
def test_the_password_is_not_among_the_arguments_that_everybody_may_list(
    how: str,
    place: Place,
    frontdesk: Command,
    monkeypatch: pytest.MonkeyPatch,
    postgres_url: str,
) -> None:
    programs = place.folder / "bin"
    programs.mkdir()
    seen = place.folder / "seen"
    (programs / "pg_dump").write_text(f'#!/bin/sh\necho "$@" "/$PGPASSWORD/" > {seen}\n')
    (programs / "pg_dump").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin")
    first, _, rest = postgres_url.partition("postgres@")
    if "{}" in how:
        joined = how.format(rest).replace("?password", "&password" if "?" in rest else "?password")
    else:
        joined = how + rest
    monkeypatch.setenv("DATABASE_URL", first + joined)
    assert frontdesk("backup", str(place.folder / "copy")).code == 0
    said = seen.read_text()
    assert "/s3cret/" in said
    assert said.count("s3cret") == 1
    assert "***" not in said, "a password that is shown so is sent so"


@pytest.mark.usefixtures("postgres_url")  # there is a PostgreSQL, or this is skipped
def test_a_server_that_asks_for_the_password_gets_it_for_backup_and_restore(
    place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_postgres() as server:
        with server.connect("postgres") as connection:
            connection.execute("CREATE ROLE ada LOGIN SUPERUSER PASSWORD 's3c%ret'")
            connection.execute("CREATE DATABASE one")
            connection.execute("CREATE DATABASE other")
            rules = server.directory / "data" / "pg_hba.conf"
            rules.write_text(f"local all ada scram-sha-256\n{rules.read_text()}")
            connection.execute("SELECT pg_reload_conf()")
        address = f"postgresql://ada:{quote('s3c%ret')}@/{{}}?host={server.directory}"
        monkeypatch.setenv("DATABASE_URL", address.format("one"))
        assert frontdesk("migrate").code == 0
        assert frontdesk("backup", str(place.folder / "copy")).code == 0
        monkeypatch.setenv("DATABASE_URL", address.format("other"))
        restored = frontdesk("restore", str(place.folder / "copy"))
        assert restored.code == 0, restored.err


def test_the_password_of_a_client_key_is_in_a_file_that_nobody_else_may_read(
    place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    programs, seen = place.folder / "bin", place.folder / "seen"
    programs.mkdir()
    (programs / "pg_dump").write_text(
        f'#!/bin/sh\n{{ echo "$@"; stat -c %a "$PGSERVICEFILE"; cat "$PGSERVICEFILE"; }} > {seen}\n'
    )
    (programs / "pg_dump").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("DATABASE_URL", postgres_url + "&sslpassword=s3+cret")
    assert frontdesk("backup", str(place.folder / "copy")).code == 0
    arguments, mode, *service = seen.read_text().splitlines()
    assert "cret" not in arguments
    assert "service=frontdesk" in arguments
    assert mode == "600"
    assert service == ["[frontdesk]", "sslpassword=s3 cret"]


def test_a_blank_in_the_address_reaches_the_programs_of_postgresql(
    place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    more = "&options=-c%20statement_timeout%3D60000&sslpassword=unused"
    monkeypatch.setenv("DATABASE_URL", postgres_url + more)
    made = frontdesk("backup", str(place.folder / "copy"))
    assert made.code == 0, made.err


@pytest.fixture
def copy(place: Place, frontdesk: Command) -> Path:
    """A backup of the place's own SQLite database, which is gone by now."""
    assert frontdesk("migrate").code == 0
    folder = place.folder / "copy"
    assert frontdesk("backup", str(folder)).code == 0
    for file in place.data_dir.glob("simulator.db*"):
        file.unlink()
    return folder


def test_a_restore_does_not_overwrite_and_does_not_run_beside_the_desk(
    place: Place, frontdesk: Command, copy: Path
) -> None:
    lock = rundir.take_lock(place.data_dir)
    try:
        running = frontdesk("restore", str(copy))
    finally:
        os.close(lock)
    assert running.code == 1
    assert "stop it before" in running.err
    (place.data_dir / "simulator.db-wal").touch()
    leftover = frontdesk("restore", str(copy))
    assert leftover.code == 1
    assert "simulator.db-wal is there already" in leftover.err
    (place.data_dir / "simulator.db-wal").unlink()
    assert frontdesk("restore", str(copy)).code == 0


def test_a_backup_of_a_newer_version_is_refused_before_anything_is_put_back(
    place: Place, frontdesk: Command, copy: Path
) -> None:
    about = json.loads((copy / "backup.json").read_text())
    newer = about | {"revision": "9999", "frontdesk": "7.0"}
    (copy / "backup.json").write_text(json.dumps(newer))
    result = frontdesk("restore", str(copy))
    assert result.code == 1
    assert "is of Frontdesk 7.0, revision 9999, which this version does not know" in result.err
    assert not (place.data_dir / "simulator.db").exists()
    (copy / "backup.json").write_text(json.dumps(about | {"revision": "0002"}))
    assert frontdesk("restore", str(copy)).code == 0  # an older one is for `migrate`


def test_a_restored_file_is_readable_for_nobody_else_on_the_machine(
    place: Place, frontdesk: Command, copy: Path
) -> None:
    place.data_dir.rename(place.folder / "old")
    before = os.umask(0o022)
    try:
        assert frontdesk("restore", str(copy)).code == 0
    finally:
        os.umask(before)
    made = [place.data_dir, place.data_dir / "simulator.db"]
    assert [path.name for path in made if path.stat().st_mode & 0o077] == []


def test_a_full_disk_leaves_no_half_restored_database_and_is_named(
    place: Place, copy: Path
) -> None:
    before = sorted(place.data_dir.iterdir()) if place.data_dir.exists() else []
    script = (
        "import resource, sys\nfrom cli.main import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        f"sys.exit(main(['restore', {str(copy)!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=place.folder,
        env=place.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "simulator.db (File too large). Make room there" in done.stderr
    assert sorted(place.data_dir.iterdir()) == before


def test_a_damaged_or_foreign_backup_is_refused(
    place: Place, frontdesk: Command, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = json.loads((copy / "backup.json").read_text())
    with (copy / "database.sqlite").open("ab") as file:
        file.write(b"x")
    assert "is damaged or incomplete" in frontdesk("restore", str(copy)).err
    (copy / "backup.json").write_text("{")
    assert "backup.json is damaged" in frontdesk("restore", str(copy)).err
    (copy / "backup.json").write_text(json.dumps(about | {"database": "postgresql"}))
    other = frontdesk("restore", str(copy))
    assert other.code == 2
    assert "a desk moves from sqlite to postgresql alone" in other.err
    (copy / "backup.json").unlink()
    none = frontdesk("restore", str(copy))
    assert none.code == 2
    assert "is no backup" in none.err


def test_a_backup_says_of_which_database_it_is_and_that_a_real_bots_is_beside_it(
    place: Place, frontdesk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, real = (f"sqlite:///{place.data_dir / name}.db" for name in ("simulator", "frontdesk"))
    made = frontdesk("migrate")
    assert made.out == f"The database is up to date: {ours}\n"
    alone = frontdesk("backup", "alone")
    assert f"alone: {ours}, " in alone.out
    assert made.err + alone.err == ""
    with monkeypatch.context() as with_a_token:
        with_a_token.setenv("BOT_TOKEN", "123456789:" + "A" * 35)
        made = frontdesk("migrate")
        assert made.out == f"The database is up to date: {real}\n"
        chosen = frontdesk("backup", "chosen", "--json")
        assert chosen.json()["source"] == real
        assert made.err + chosen.err == ""

    beside = frontdesk("backup", "beside", "--json")
    assert beside.json()["source"] == ours
    assert json.loads(Path("beside/backup.json").read_text())["source"] == ours
    operators = [
        frontdesk("operators", *verb) for verb in (("add", "5"), ("list",), ("remove", "5"))
    ]
    asked = [frontdesk("customers", "list")]
    for result in (beside, frontdesk("migrate"), *operators, *asked):
        assert result.code == 0
        assert "This is the simulator's database" in result.err
        assert str(place.data_dir / "frontdesk.db") in result.err
    assert "set its BOT_TOKEN here, too" in result.err
    restored = frontdesk("restore", "chosen")  # it is there
    unknown = [frontdesk("customers", verb, "@anna") for verb in ("export", "erase")]
    nobody = frontdesk("operators", "remove", "7")
    for result in (restored, *unknown, nobody):
        assert result.code != 0
        assert "This is the simulator's database" in result.err
    place.data_dir.rename(place.folder / "aside")
    assert f"into {ours}, revision" in frontdesk("restore", "chosen").out


def test_an_empty_file_is_no_database_to_back_up(place: Place, frontdesk: Command) -> None:
    assert frontdesk("customers", "list").code == 1  # which leaves such a file behind
    result = frontdesk("backup", "copy")
    assert result.code == 1
    assert "simulator.db has no tables of Frontdesk, so there is nothing to back up" in result.err
    assert not Path("copy").exists()

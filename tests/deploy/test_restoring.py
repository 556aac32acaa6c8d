"""The commands of docs/deploy.md that save and restore: the database on a real PostgreSQL, the
models with real folders in the place of the volume."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import delete, select

from desk.store import Store
from desk.tables import Customer
from tests.conftest import FLORIST, PostgresServer
from tests.databases import binaries_of_postgres
from tests.deploy.files import NEEDED, ROOT, block, services

CONTAINER = "docker compose exec -T postgres "
CRON = "mkdir -p backups"
"""What the lines for cron that make backups have in common."""
OURS = "docker compose run --rm bot "
TAR = "docker compose run --rm -T --no-deps --entrypoint tar training "


@pytest.fixture
def store(postgres_server: PostgresServer) -> Iterator[Store]:
    """A database of the name and user in docker-compose.yml, without any table."""
    with postgres_server.connect("postgres") as connection:
        connection.execute("CREATE ROLE frontdesk SUPERUSER LOGIN")
        connection.execute("CREATE DATABASE frontdesk OWNER frontdesk")
    url = postgres_server.url("frontdesk").replace("postgres@", "frontdesk@")
    made = Store(url)
    yield made
    made.dispose()
    with postgres_server.connect("postgres") as connection:
        connection.execute("DROP DATABASE frontdesk WITH (FORCE)")
        connection.execute("DROP ROLE frontdesk")


def run(line: str, store: Store, server: PostgresServer, folder: Path) -> None:
    """A line of the guide, with this machine's programs in the place of the containers'."""
    line = line.removeprefix(CONTAINER).replace(f"{OURS}frontdesk", f"{sys.executable} -m cli")
    environment = {
        **os.environ,
        "PATH": f"{binaries_of_postgres()}{os.pathsep}{os.environ['PATH']}",
        "PGHOST": str(server.directory),
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": store.url,
        "DATA_DIR": str(folder / "data"),
        "PACK": str(FLORIST),
    }
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{line}: {done.stderr}"


def upgrade(store: Store, revision: str) -> None:
    with store.engine.connect() as connection:
        config = store._alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


def test_the_way_back_over_newer_tables_leaves_a_database_that_can_be_upgraded_again(
    store: Store, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    save, *_ = block(f"{CONTAINER}pg_dump --username=frontdesk --format=custom frontdesk > front")
    back = block("docker compose stop\n    docker compose up --detach --wait")
    upgrade(store, "0001")
    with store.writing() as session:
        session.execute(Customer.__table__.insert().values(chat_id=5, name="Ada", gone=False))
    run(save, store, postgres_server, tmp_path)
    store.migrate()
    for line in back:
        if line.startswith((CONTAINER, OURS)):
            run(line, store, postgres_server, tmp_path)
    words = ("stop", "postgres redis", "flushall", "dropdb", "createdb", "pg_restore", "--mark")
    places = [next(i for i, line in enumerate(back) if word in line) for word in words]
    assert places == sorted(places)
    assert back[-1] == "docker compose up --detach"
    store.migrate()
    store.check()
    with store.reading() as session:
        assert session.scalars(select(Customer.name)).all() == ["Ada"]


def test_cron_makes_backups_that_can_be_restored_and_removes_old_ones_only_then(
    store: Store, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    store.migrate()
    with store.writing() as session:
        session.execute(Customer.__table__.insert().values(chat_id=5, name="Ada", gone=False))
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "customers.jsonl").write_text('{"id": 7}\n')
    backups = tmp_path / "backups"
    backups.mkdir()
    endings = (".dump", "-erased.tgz", "-models.tgz")
    old = {backups / f"2026-01-01{ending}" for ending in endings}
    young = {backups / f"2026-01-04{ending}" for ending in endings}
    for path, days in [*((path, 16) for path in old), *((path, 13) for path in young)]:
        path.write_text("of before")
        os.utime(path, (time.time() - days * 86400,) * 2)
    jobs = cron(tmp_path / "volume")

    for line in jobs:
        broken = line.replace("pg_dump ", "pg_dump --no-such ").replace("tar -", "tar --no-such -")
        with pytest.raises(AssertionError, match="no-such"):
            run(broken, store, postgres_server, tmp_path)
    assert {path for path in backups.iterdir() if path.suffix != ".part"} == old | young

    for line in jobs:
        run(line, store, postgres_server, tmp_path)
    made = set(backups.iterdir()) - young
    assert {path.name[10:] for path in made} == set(endings)
    assert not made & old
    assert not [path for path in made if path.stat().st_mode & 0o077]
    (dump,) = [path for path in made if path.suffix == ".dump"]
    with store.writing() as session:
        session.execute(delete(Customer))
    for line in block("docker compose stop\n    docker compose up --detach --wait"):
        if line.startswith(CONTAINER):
            run(line.replace("frontdesk.dump", str(dump)), store, postgres_server, tmp_path)
    with store.reading() as session:
        assert session.scalars(select(Customer.name)).all() == ["Ada"]
    for path in made - {dump}:
        held = subprocess.run(["tar", "-tzf", path], capture_output=True, text=True)
        assert "./customers.jsonl" in held.stdout.split()


def test_a_backup_of_cron_that_was_cut_off_is_not_taken_for_one(
    store: Store, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    store.migrate()
    (save, *_) = cron(tmp_path)
    with pytest.raises(AssertionError, match="pg_restore"):
        run(save.replace("> backups", "| head -c -200 > backups"), store, postgres_server, tmp_path)
    assert [path.name for path in (tmp_path / "backups").iterdir()] == ["dump.part"]


def cron(volume: Path) -> list[str]:
    """The guide's lines for cron that make backups, as cron gives them to the shell; this machine's
    programs in the place of the containers', and a folder in that of each volume."""
    guide = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    lines = re.findall(rf"^ {{7}}\d+ \d+ \* \* [*\d] (.*{CRON}.*)$", guide, re.M)
    assert len(lines) == 3
    for line in lines:
        assert not re.search(r"(?<!\\)%", line), "the end of the command, for cron"
    lines = [line.replace(r"\%", "%").replace("cd /srv/frontdesk && ", "") for line in lines]
    lines = [line.replace(CONTAINER, "").replace(TAR, "tar ") for line in lines]
    return [re.sub(r"-C (/models|/data/erased)", f"-C {volume}", line) for line in lines]


def test_a_new_major_version_gets_all_that_the_old_one_had(
    store: Store, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    store.migrate()
    with store.writing() as session:
        session.execute(Customer.__table__.insert().values(chat_id=5, name="Ada", gone=False))
    lines = block("docker compose stop bot inference training scheduler")
    words = ("stop bot", "pg_dump", "docker compose stop", "git pull", "--wait", "flushall")
    words += ("pg_restore", "--mark", "up --detach")
    places = [max(i for i, line in enumerate(lines) if word in line) for word in words]
    assert places == sorted(places)
    assert lines.count("docker compose stop") == 1
    for line in lines:
        if "--wait" in line:  # the server on its new volume: no table
            store.dispose()
            with postgres_server.connect("postgres") as connection:
                connection.execute("DROP DATABASE frontdesk WITH (FORCE)")
                connection.execute("CREATE DATABASE frontdesk OWNER frontdesk")
        elif line.startswith((CONTAINER, OURS)) and "flushall" not in line:
            run(line, store, postgres_server, tmp_path)
    store.check()
    with store.reading() as session:
        assert session.scalars(select(Customer.name)).all() == ["Ada"]


def test_the_models_are_saved_and_come_back_with_the_pointer_to_the_one_that_serves(
    tmp_path: Path,
) -> None:
    guide = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    moved, saved, restored = [
        line
        for line in re.findall(rf"^    .*{TAR}.*-C /models.*$", guide, re.M)
        if CRON not in line
    ]
    old, new = tmp_path / "models", tmp_path / "restored"
    (old / "7").mkdir(parents=True)
    (old / "7" / "labels.json").write_text("[]")
    (old / "champion").symlink_to("7")
    for there in (new, tmp_path / "moved"):
        there.mkdir()
        (there / "champion").symlink_to("of before")
    pipe(saved, tmp_path, old)
    pipe(restored, tmp_path, new)
    pipe(moved.replace("cd /srv/frontdesk", "true"), tmp_path, tmp_path / "moved")
    for there in (new, tmp_path / "moved"):
        assert (there / "champion").readlink() == Path("7")
        assert (there / "champion" / "labels.json").read_text() == "[]"


def test_the_notes_of_who_was_erased_are_saved_and_come_back(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    (saved,) = [
        line
        for line in re.findall(rf"^    .*{TAR}.*-C /data/erased.*$", guide, re.M)
        if CRON not in line
    ]
    (restored,) = re.findall(rf"`({TAR}[^`]*-C /data/erased[^`]*)`", guide)
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    (old / "customers.jsonl").write_text('{"id": 7}\n')
    pipe(saved, tmp_path, old)
    pipe(restored, tmp_path, new)
    assert (new / "customers.jsonl").read_text() == '{"id": 7}\n'


def test_the_models_are_moved_by_a_service_that_may_write_them_and_starts_nothing_else() -> None:
    guide = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    .*docker compose run (.*--entrypoint tar .*)$", guide, re.M)
    assert len(lines) == 6
    for line in lines:
        before, _, after = line.partition("--entrypoint tar ")
        options, service = before.split(), after.split()[0]
        volume = "models:/models" if "-C /models" in line else "erased:/data/erased"
        assert volume in services(NEEDED)[service]["volumes"]
        assert "--no-deps" in options, "it would start what was stopped for the restore"
        assert "-T" in options, "a terminal would change the bytes"


def pipe(line: str, folder: Path, volume: Path) -> None:
    """A line of the guide, with tar in place of the service's and a folder as the volume."""
    line = re.sub(r"-C (/models|/data/erased)", f"-C {volume}", line.replace(TAR, "tar "))
    done = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{line}: {done.stderr}"

"""A restore, and traffic that goes on afterwards: what docs/operations.md promises of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from tests.chaos import oracle
from tests.chaos import stack as stacks
from tests.chaos.stack import ROOT, Stack
from tests.databases import NoPostgresError, binaries_of_postgres

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgresql"])
def own(
    request: pytest.FixtureRequest, settings: dict[str, str], tmp_path: Path
) -> Iterator[Stack]:
    """A Frontdesk of this test's own: the others' customers must not be lost."""
    sqlite = tmp_path / "desk.db" if request.param == "sqlite" else None
    folder = tmp_path / "stack"
    folder.mkdir()
    try:
        with stacks.running(folder, settings, sqlite=sqlite) as made:
            yield made
    except NoPostgresError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI must restore PostgreSQL too, but there is {error}")
        pytest.skip(str(error))


def test_the_desk_goes_on_from_a_backup_and_repeats_and_loses_only_what_came_after(
    own: Stack, tmp_path: Path
) -> None:
    known, undecided, after, waiting, new = (own.customer() for _ in range(5))
    own.says(known, "where is my parcel")
    own.good([known])
    own["inference"].end()
    own.says(undecided, "where is my parcel")
    stacks.until(
        lambda: oracle.under_way(own.store, own.simulator, [undecided])["undecided"],
        "it waits for its decision",
    )
    frontdesk(own, "backup", str(tmp_path / "backup"))
    own["inference"].start()
    own.says(after, "refund the lamp")
    own.good([undecided, after])

    names = ("bot", "inference", "scheduler")
    for name in names:
        own[name].end()
    own.says(waiting, "refund the lamp")
    own.redis.flushall()
    empty(own)
    frontdesk(own, "restore", str(tmp_path / "backup"))
    frontdesk(own, "migrate")
    for name in names:
        own[name].start()
    own.wait_ready()
    own.says(known, "refund the lamp", "where is my parcel")
    own.says(new, "where is my parcel", "refund the lamp")

    verdict = own.good([known, waiting, new])
    assert verdict.updates == verdict.decisions.total() == 6
    own.answered(undecided, 2)  # as before the restore, and once more
    assert len(own.sent_to(after)) == 1
    own.says(after, "refund the lamp")
    own.answered(after, 2)
    own.settle([undecided, after])
    assert [len(own.sent_to(customer)) for customer in (undecided, after)] == [2, 2]


def frontdesk(stack: Stack, *arguments: str) -> None:
    """A command on the desk's own database."""
    programs = f"{binaries_of_postgres()}{os.pathsep}" if not stack.store.sqlite else ""
    environment = stack["bot"].environment
    done = subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=stack.folder,
        env=environment | {"PYTHONPATH": str(ROOT), "PATH": programs + os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def empty(stack: Stack) -> None:
    """Put an empty database in the place of the desk's, under the same address."""
    stack.store.dispose()
    url = make_url(stack["bot"].environment["DATABASE_URL"])
    if stack.store.sqlite:
        for end in ("", "-wal", "-shm"):
            Path(f"{url.database}{end}").unlink(missing_ok=True)
        return
    server = url.set(database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{url.database}" WITH (FORCE)'.encode())
        connection.execute(f'CREATE DATABASE "{url.database}"'.encode())

"""`frontdesk backup` and `frontdesk restore`: the database as it was at one moment."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlencode

import typer

from cli.compose import load_settings, open_store, tell_simulators
from cli.errors import CommandError, MisconfiguredError
from cli.screen import JsonOption, print_json, results

if TYPE_CHECKING:
    from sqlalchemy import URL

    from desk.settings import Settings
    from desk.store import Store

ABOUT = "backup.json"
NEEDED = {"database": str, "sha256": str, "created": str, "revision": str | None}
"""What a restore reads there; an empty database has no revision."""
FILES = {"sqlite": "database.sqlite", "postgresql": "database.dump"}


def backup(
    folder: Annotated[Path, typer.Argument(help="A folder to make; it must not exist yet.")],
    json_: JsonOption = False,
) -> None:
    """Copy the database as it is at this moment into a new folder, while everything runs.

    SQLite is copied by itself; for PostgreSQL pg_dump is run, of the server's version or newer.
    Models, packs and `.env` are files: copy them as such (docs/operations.md).
    """
    settings = load_settings()
    store = open_store(settings)
    try:
        tell_simulators(store)
        about = _back_up(store, settings, folder)
    finally:
        store.dispose()
    if json_:
        print_json({"folder": str(folder), **about})
    else:
        said = (
            f"{folder}: {about['source']}, {about['bytes']:,} bytes, revision {about['revision']}."
        )
        results().print(said, markup=False)


def restore(
    folder: Annotated[
        Path | None, typer.Argument(help="A folder that `frontdesk backup` made.")
    ] = None,
    mark: Annotated[
        bool,
        typer.Option("--mark", help="Only mark what was on its way: restored by other means."),
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Put a backup into an empty database, and mark replies that may have left since then.

    Stop every process first and empty Redis; docs/operations.md says what is lost and why. Replies
    that were on their way at the moment of the backup are sent again and count as uncertain. Who
    was erased since then is erased again, by the notes in DATA_DIR.

    A backup of SQLite may go into PostgreSQL as well: that is how a desk moves.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from cli import erased
    from desk.flow.restoring import mark_uncertain
    from desk.scrubbing import scrub
    from desk.store import failed, newest_revision

    if (folder is None) != mark:
        raise MisconfiguredError("Name the folder of a backup, or give --mark alone.")
    settings = load_settings()
    about = _about(folder) if folder is not None else None
    _refuse_running(settings)
    store = open_store(settings)
    tell_simulators(store)
    if folder is not None and about is not None:
        _put_back(folder, about, settings)
    try:
        if mark:
            erased.refuse_held(store, "then mark")
        uncertain, revision = mark_uncertain(store), store.revision()
        # Erasing needs the tables of today.
        again = erased.after_restore(store, settings, is_new=revision == newest_revision())
    except SQLAlchemyError as error:
        raise failed(store.url, error) from None
    finally:
        store.dispose()
    if json_:
        print_json({"revision": revision, "uncertain": uncertain, "erased": again})
        return
    console = results()
    if about is not None:
        said = f"Restored as of {about['created']} into {scrub(store.url)}, revision {revision}."
        console.print(said, markup=False)
    console.print(f"{uncertain} replies were on their way then: they are sent again, uncertain.")
    console.print("Next: frontdesk migrate, then start the processes.")


def _back_up(store: Store, settings: Settings, folder: Path) -> dict[str, Any]:
    """Fill a new folder; returns what its backup.json says."""
    from desk.scrubbing import scrub

    url = store.engine.url
    kind = url.get_backend_name()
    if kind == "sqlite" and not Path(str(url.database)).is_file():
        raise CommandError(f"There is no database at {url.database} to back up.")
    started, revision, source = datetime.now(UTC), store.revision(), scrub(store.url)
    if revision is None:
        raise CommandError(
            f"{source} has no tables of Frontdesk, so there is nothing to back up. Is it the "
            "database that you mean? DATABASE_URL, DATA_DIR and BOT_TOKEN say which it is."
        )
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise MisconfiguredError(f"{folder} exists already; name a folder to be made.") from None
    try:
        copy = folder / FILES[kind]
        copy.touch(mode=0o600)  # customers' words are in it
        if kind == "sqlite":
            _copy_sqlite(Path(str(url.database)), copy)
        else:
            _run("pg_dump", url, "--format=custom", "--no-owner", f"--file={copy}")
        about = {
            "frontdesk": version("frontdesk"),
            "created": started.isoformat(timespec="seconds"),
            "database": kind,
            "source": source,
            "revision": revision,
            "bytes": copy.stat().st_size,
            "sha256": _sha256(copy),
            "champion": _champion(settings),
        }
        # Written last: a folder without it is no backup.
        (folder / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    except BaseException:
        shutil.rmtree(folder)
        raise
    return about


def _put_back(folder: Path, about: dict[str, Any], settings: Settings) -> None:
    from sqlalchemy import make_url

    from desk.store import is_known

    url = make_url(settings.database)
    kind = url.get_backend_name()
    if about["database"] not in FILES or (kind, about["database"]) == ("sqlite", "postgresql"):
        raise MisconfiguredError(
            f"The backup is of a {about['database']} database and DATABASE_URL names a {kind} "
            "one; a desk moves from sqlite to postgresql alone."
        )
    if not is_known(about["revision"]):
        raise CommandError(
            f"{folder} is of Frontdesk {about.get('frontdesk')}, revision {about['revision']}, "
            "which this version does not know. Restore it with that version or a newer one."
        )
    copy = folder / FILES[about["database"]]
    if not copy.is_file() or _sha256(copy) != about["sha256"]:
        raise CommandError(f"{copy} is damaged or incomplete; take another backup.")
    if kind == "sqlite":
        _restore_sqlite(copy, Path(str(url.database)))
        return
    _refuse_tables(url, settings)
    if about["database"] == "sqlite":
        _move(copy, about["revision"], settings)
    else:
        options = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
        _run("pg_restore", url, *options, str(copy))


def _refuse_running(settings: Settings) -> None:
    from cli import rundir

    if rundir.is_locked(settings.data_dir):
        raise CommandError(
            f"Frontdesk runs on DATA_DIR {settings.data_dir}; stop it before a restore."
        )


def _copy_sqlite(source: Path, target: Path) -> None:
    try:
        with closing(sqlite3.connect(source, timeout=15)) as original:
            # Asked here, too: the copy's indexes are written anew.
            sound = _is_sound(original)
            if sound:
                # Without the room that emptied rows have left. A writer goes on meanwhile.
                original.execute("VACUUM INTO ?", (str(target),))
        with closing(sqlite3.connect(target)) as copy:
            # The copy is one file: no write-ahead log of its own to forget.
            copy.execute("PRAGMA journal_mode=DELETE")
            sound = sound and _is_sound(copy)
        with target.open("rb") as file:
            os.fsync(file.fileno())  # which VACUUM INTO leaves out
    except sqlite3.Error as error:
        raise CommandError(
            f"{source} can't be copied to {target} ({error}). Make room there or name a folder on "
            "another disk; `frontdesk doctor` looks at the database itself."
        ) from None
    if not sound:
        raise CommandError(f"{source} is damaged: it does not pass SQLite's check.")


def _is_sound(database: sqlite3.Connection) -> bool:
    return bool(database.execute("PRAGMA quick_check").fetchone() == ("ok",))


def _restore_sqlite(copy: Path, target: Path) -> None:
    for leftover in (target, Path(f"{target}-wal"), Path(f"{target}-shm")):
        if leftover.exists():
            raise CommandError(f"{leftover} is there already; move it away first.")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    half = target.with_name(target.name + ".restoring")
    half.unlink(missing_ok=True)
    try:
        half.touch(mode=0o600)  # customers' words are in it
        shutil.copyfile(copy, half)
        with half.open("rb") as file:
            os.fsync(file.fileno())
        half.replace(target)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        advice = "Make room there." if full else "May it be read, and that folder be written?"
        raise CommandError(
            f"{copy} can't be copied to {target} ({error.strerror}). {advice}"
        ) from None
    finally:
        with suppress(OSError):
            half.unlink(missing_ok=True)


def _refuse_tables(url: URL, settings: Settings) -> None:
    from sqlalchemy import inspect
    from sqlalchemy.exc import SQLAlchemyError

    from desk.store import failed

    store = open_store(settings)
    try:
        tables = inspect(store.engine).get_table_names()
    except SQLAlchemyError as error:
        raise failed(store.url, error) from None
    finally:
        store.dispose()
    if tables:
        raise CommandError(
            f"The database {url.database} has tables already; create an empty one "
            "(createdb NAME) and set DATABASE_URL to it."
        )


def _move(copy: Path, revision: str, settings: Settings) -> None:
    from desk.moving import move
    from desk.settings import sqlite_url
    from desk.store import Store, newest_revision

    target = open_store(settings)
    try:
        if revision == newest_revision():
            move(copy, target)
            return
        # Of another version: a copy is brought up to date, since a backup stays as it is.
        with tempfile.TemporaryDirectory() as folder:
            own = Path(folder) / copy.name
            try:
                shutil.copyfile(copy, own)
            except OSError as error:
                raise CommandError(
                    f"{copy} can't be copied to {folder} ({error.strerror}), where it would be "
                    "brought up to date. Set TMPDIR to a folder with room for it."
                ) from None
            store = Store(sqlite_url(own))
            try:
                store.migrate()
            finally:
                store.dispose()
            move(own, target)
    finally:
        target.dispose()


def _run(program: str, url: URL, *arguments: str) -> None:
    """Run a program of PostgreSQL against a database. Raises `CommandError` with its complaint."""
    found = shutil.which(program)
    if found is None:
        raise CommandError(
            f"{program} is not on PATH. Install PostgreSQL's client programs, of the server's "
            "version or newer (Debian: apt-get install postgresql-client)."
        )
    # Whoever lists processes sees arguments, but neither the environment nor this folder.
    with tempfile.TemporaryDirectory() as folder:
        address, secret = _for_libpq(url, Path(folder))
        done = subprocess.run(
            [found, f"--dbname={address}", *arguments],
            env={**os.environ, **secret},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        said = " ".join(done.stderr.split())
        raise CommandError(f"{program} failed: {said[:500] or f'exit code {done.returncode}'}")


def _for_libpq(url: URL, folder: Path) -> tuple[str, dict[str, str]]:
    """An address without passwords, and the environment that has these; may write into `folder`."""
    from desk.settings import PASSWORDS

    query = {name: value for name, value in url.query.items() if name not in PASSWORDS}
    secret = {}
    if (password := url.password or url.query.get("password")) is not None:
        secret["PGPASSWORD"] = str(password)
    if (of_the_key := url.query.get("sslpassword")) is not None:
        if "service" in query:
            raise CommandError(
                "DATABASE_URL has both a service and an sslpassword. Write the sslpassword into "
                "the service's own section."
            )
        # For this one libpq has no variable, only a file of services.
        services = folder / "services.conf"
        services.touch(mode=0o600)
        services.write_text(f"[frontdesk]\nsslpassword={of_the_key}\n", encoding="utf-8")
        secret["PGSERVICEFILE"] = str(services)
        query = {"service": "frontdesk", **query}
    # `set` would keep the password, and show it as `***`, which libpq then takes for it.
    bare = url.difference_update_query(url.query)._replace(drivername="postgresql", password=None)
    address = bare.render_as_string()
    # Not by SQLAlchemy, whose `+` for a blank libpq takes for a plus.
    options = urlencode(query, doseq=True, quote_via=quote)
    return f"{address}?{options}" if options else address, secret


def _about(folder: Path) -> dict[str, Any]:
    if not (folder / ABOUT).is_file():  # a pipe would be waited for, and a device never ends
        raise MisconfiguredError(
            f"{folder} is no backup: it has no {ABOUT}. Name a folder of `frontdesk backup`."
        )
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict) or not all(
        key in about and isinstance(about[key], kind) for key, kind in NEEDED.items()
    ):
        raise CommandError(f"{folder / ABOUT} is damaged; take another backup.")
    return about


def _champion(settings: Settings) -> str | None:
    from classifier import registry
    from classifier.artifact import ModelError

    try:
        return registry.champion(settings.models_dir)
    except ModelError:
        return None  # `frontdesk doctor` speaks of that; the database is what is saved here


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Settings into objects: what every verb begins with."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.errors import CommandError, MisconfiguredError

if TYPE_CHECKING:
    from desk.flow.desk import Desk
    from desk.pack import Pack
    from desk.settings import ModelSettings, PackSettings, Part, Settings
    from desk.store import Store


def load_settings(**overrides: Any) -> Settings:
    """The settings in force. Raises `MisconfiguredError` with a line for each wrong one.

    Beside a `frontdesk up` that keeps its SQLite database in DATA_DIR, that is the database: it
    may have been started with a BOT_TOKEN that is not set here.
    """
    from cli.rundir import running

    settings = read_settings(**overrides)
    if settings.database_url is None and (run := running(settings.data_dir)):
        return settings.model_copy(update={"database_url": run.get("database")})
    return settings


def read_settings(**overrides: Any) -> Settings:
    """The settings as they are set, whatever runs. Raises as `load_settings` does."""
    from desk.scrubbing import protect
    from desk.settings import Settings

    settings = _read(Settings, **overrides)
    protect(*settings.secrets())
    return settings


def read_pack_settings() -> PackSettings:
    """Which pack and models, for verbs that need no more: no other setting can stop these."""
    from desk.settings import PackSettings

    return _read(PackSettings)


def read_model_settings(**overrides: Any) -> ModelSettings:
    """And on which device, for verbs that know no desk. Raises as `load_settings` does."""
    from desk.settings import ModelSettings

    return _read(ModelSettings, **overrides)


def _read(part: type[Part], **overrides: Any) -> Part:
    from desk.domain import DeskError
    from desk.settings import load_part

    try:
        return load_part(part, **overrides)
    except DeskError as error:
        raise MisconfiguredError(str(error)) from None


def load_pack(settings: PackSettings) -> Pack:
    """The pack in force. Raises `MisconfiguredError` listing all its problems."""
    from desk.pack import PackError, load

    try:
        return load(settings.pack_dir)
    except PackError as error:
        raise MisconfiguredError(str(error)) from None


def open_store(settings: Settings) -> Store:
    """The database, not yet connected.

    Raises `MisconfiguredError` for an address that is none, or that is not known here (yet:
    `CommandError`).
    """
    from desk.domain import DeskError
    from desk.store import Store

    check_known(settings)
    try:
        return Store(settings.database)
    except DeskError as error:
        raise MisconfiguredError(str(error)) from None


def tell_simulators(store: Store) -> None:
    """Say so where this is the simulator's database, and that of a real bot lies beside it: the
    verb may have been meant for that one, whose BOT_TOKEN its process alone may have."""
    file = Path(str(store.engine.url.database))
    other = file.with_name("frontdesk.db")
    if store.sqlite and file.name == "simulator.db" and other.exists():
        from cli.screen import notices

        notices().print(
            f"This is the simulator's database, {file}. Beside it lies a real bot's, {other}: for "
            "that one set its BOT_TOKEN here, too, in the environment or in .env.",
            markup=False,
        )


def check_known(settings: Settings) -> None:
    """Raise `MisconfiguredError` where the desk that runs here has a database we don't know, and
    `CommandError` while it has not said yet which one."""
    from cli.rundir import running

    if settings.database_url is not None:
        return
    run = running(settings.data_dir)
    if run is None:
        return
    if not run:
        raise CommandError(
            f"Frontdesk is just starting on DATA_DIR {settings.data_dir}. Try again in a moment."
        )
    # An address may hold a password, so run.json has it for a file alone.
    if "database" not in run:
        raise MisconfiguredError(
            f"Frontdesk runs on DATA_DIR {settings.data_dir} with a DATABASE_URL that is not "
            "set here. Set DATABASE_URL to the same, in the environment or in .env."
        )


def open_desk(settings: Settings, *, wait: float = 0.0) -> Desk:
    """Pack and database, the latter up to date; waits up to `wait` seconds for its migrations."""
    from desk.flow.desk import Desk

    pack, store = load_pack(settings), open_store(settings)
    check_store(store, wait)
    return Desk(
        store,
        pack,
        settings.operator_chat_id,
        flood_per_minute=settings.flood_per_minute,
        retention_days=settings.retention_days,
    )


def check_store(store: Store, wait: float = 0.0) -> None:
    """Return when the database answers and is up to date; raise `CommandError` with what to do."""
    from desk.domain import DeskError

    deadline = time.monotonic() + wait
    while True:
        try:
            store.check()
            return
        except DeskError as error:
            if time.monotonic() >= deadline:
                waited = f" (waited {wait:g} s)" if wait else ""
                raise CommandError(f"{error}{waited}") from None
        time.sleep(0.3)


def redis_url(settings: Settings) -> str:
    """REDIS_URL, or the address of the embedded server that runs for this DATA_DIR.

    Raises `MisconfiguredError` where there is neither.
    """
    if settings.redis_url is not None:
        return settings.redis_url
    from cli.rundir import running

    run = running(settings.data_dir)
    if run is not None and run.get("redis_url"):
        return str(run["redis_url"])
    raise MisconfiguredError(
        "REDIS_URL is not set and no embedded Redis runs here. Set REDIS_URL to a server that "
        "runs, or let `frontdesk up` start everything."
    )

"""`frontdesk migrate`: the database in order."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from cli.compose import load_settings, open_store, tell_simulators
from cli.options import finite
from cli.screen import results


def migrate(
    wait: Annotated[
        float, typer.Option(callback=finite, help="Seconds to wait for the database to answer.")
    ] = 0.0,
) -> None:
    """Bring the database's tables up to date; nothing is lost, and a second call does nothing.

    Who was erased and came back with a backup is erased again.
    """
    from cli.erased import after_migration
    from desk.scrubbing import scrub
    from desk.store import UnreachableError

    settings = load_settings()
    store = open_store(settings)
    tell_simulators(store)
    deadline = time.monotonic() + wait
    while True:
        try:
            store.migrate()
            break
        except UnreachableError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(0.5)
    after_migration(store, settings)
    store.dispose()
    results().print(f"The database is up to date: {scrub(store.url)}", markup=False)

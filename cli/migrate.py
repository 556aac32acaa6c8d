"""`frontdesk migrate`: the database in order."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from cli.compose import load_settings, open_store
from cli.screen import results


def migrate(
    wait: Annotated[float, typer.Option(help="Seconds to wait for the database to answer.")] = 0.0,
) -> None:
    """Bring the database's tables up to date; nothing is lost, and a second call does nothing."""
    from desk.store import UnreachableError

    store = open_store(load_settings())
    deadline = time.monotonic() + wait
    while True:
        try:
            store.migrate()
            break
        except UnreachableError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(0.5)
    store.dispose()
    results().print("The database is up to date.")

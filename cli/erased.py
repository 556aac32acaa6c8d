"""Whoever was erased and stands in the database again, out of a backup, is erased once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.errors import CommandError
from cli.screen import notices

if TYPE_CHECKING:
    from desk.settings import Settings
    from desk.store import Store

AGAIN = "frontdesk customers erase --again"


class UnreadableError(CommandError):
    """The notes can't be read."""


def note(store: Store, settings: Settings) -> None:
    """Note who was erased; where that fails, say so: the erasure itself is done."""
    from desk.erased import Erasures

    erasures = Erasures(settings.data_dir)
    try:
        erasures.note(store)
    except OSError as error:
        notices().print(
            f"That they were erased can't be noted in {erasures.file} ({error.strerror}), and a "
            "backup of before would bring them back. The scheduler notes it within a minute "
            "where it may write there.",
            markup=False,
        )


def back(store: Store, settings: Settings) -> list[int]:
    """The ids of customers who were erased and are back. Raises `UnreadableError`."""
    from desk.erased import Erasures

    erasures = Erasures(settings.data_dir)
    try:
        return erasures.back(store)
    except OSError as error:
        raise UnreadableError(
            f"Who was erased can't be read in {erasures.file} ({error.strerror}). Let this user "
            f"read it, then: {AGAIN}"
        ) from None


def erase_again(store: Store, settings: Settings, *, is_idle: bool = False) -> int:
    """Erase those who are back, in a database that is up to date and while nothing runs; returns
    how many. It may be repeated. Raises `CommandError`, without `is_idle` where something runs."""
    from desk.flow.erasing import erase_again

    found = back(store, settings)
    if not found:
        return 0
    if not is_idle:
        refuse_held(store, f"then: {AGAIN}")
    for customer_id in found:
        erase_again(store, customer_id)
    clear_log(store)
    return len(found)


def clear_log(store: Store) -> None:
    """Empty SQLite's log, which has what was erased; where that can't be done now, say so."""
    if not store.clear_log():
        notices().print(
            "SQLite's log could not be emptied, since somebody reads just now, a backup perhaps; "
            "it has the old pages until it is written over."
        )


def after_migration(store: Store, settings: Settings) -> None:
    """Erase those whom a backup brought back, and say so; with nobody back, say nothing."""
    try:
        number = erase_again(store, settings)
    except UnreadableError as error:
        # The tables are in order, and whoever waits for that must not wait for this.
        notices().print(str(error), style="bold yellow", markup=False)
        return
    if number:
        notices().print(f"Erased again, since a backup had brought them back: {number}.")


def after_restore(store: Store, settings: Settings, *, is_new: bool) -> int | None:
    """Erase those whom a backup brought back, where the tables are of this version; returns how
    many, None where nobody knows. Says what is left to do."""
    from desk.erased import Erasures

    file = Erasures(settings.data_dir).file
    try:
        if not file.exists():
            notices().print(
                f"There are no notes of who was erased ({file}). Whoever was erased since the "
                "backup is in this database again: find them with `frontdesk customers list` and "
                "erase them before you start.",
                style="bold yellow",
                markup=False,
            )
            return None
        number = len(back(store, settings))
        if is_new:
            # A backup of a moment ago has the leases of then, which nobody holds.
            number = erase_again(store, settings, is_idle=True)
    except UnreadableError as error:
        notices().print(str(error), style="bold yellow", markup=False)
        return None
    except OSError as error:
        notices().print(
            f"Who was erased can't be read in {file} ({error.strerror}). If somebody was erased "
            f"since the backup, run {AGAIN} as a user who may read it, before you start.",
            style="bold yellow",
            markup=False,
        )
        return None
    if number and not is_new:
        notices().print(
            f"{number} who were erased since the backup are back. `frontdesk migrate` erases "
            "them; don't start anything without it.",
            style="bold yellow",
            markup=False,
        )
        return 0
    notices().print(f"Erased again, since the backup had brought them back: {number}.")
    return number


def refuse_held(store: Store, then: str) -> None:
    """Raise `CommandError` while a process holds a lease: it sends what is to be marked, or
    erased. `then` is what to do once it has stopped."""
    from desk.flow.leases import SECONDS, describe
    from desk.flow.restoring import lease_in_force

    if (lease := lease_in_force(store)) is not None:
        name, holder = lease
        raise CommandError(
            f"The lease {name} is held by {describe(holder)}. Stop every process, {then} (the "
            f"lease of one that was killed ends {SECONDS:.0f} seconds later)."
        )

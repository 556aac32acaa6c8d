"""A new file with customers' words, which its owner alone may read."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from cli.errors import CommandError, MisconfiguredError


def check_new(out: Path) -> None:
    """Raise `MisconfiguredError` unless a file may be made there: asked before the work for it."""
    if out.exists():
        raise MisconfiguredError(f"{out} exists already; name a file to be made.")
    if not out.parent.is_dir():
        raise MisconfiguredError(f"{out} can't be made: there is no folder {out.parent}.")


def write_new(out: Path, text: str) -> None:
    """Write it; it appears whole. Raises `CommandError`.

    Half a surrogate, which Telegram's JSON may hold, becomes its escape, as JSON writes it.
    """
    from desk.exchange.files import partial_of, told
    from desk.exchange.material import ExchangeError

    partial = partial_of(out)
    try:
        with told(out):
            partial.unlink(missing_ok=True)  # of one that was killed
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode("utf-8", "backslashreplace"))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(out)
    except ExchangeError as error:
        raise CommandError(str(error)) from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)

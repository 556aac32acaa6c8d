"""What goes wrong, as one clear sentence and an honest exit code (2: settings or usage)."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

FAILED = 1
MISCONFIGURED = 2

LEARNING = "'.[cpu]' (or [gpu])"
TELEGRAM = "'.[bot]'"
EXTRAS = {
    "aiogram": TELEGRAM,
    "aiohttp": TELEGRAM,
    "huggingface_hub": LEARNING,
    "matplotlib": LEARNING,
    "numpy": LEARNING,
    "onnx": LEARNING,
    "onnxruntime": LEARNING,
    "safetensors": LEARNING,
    "scipy": LEARNING,
    "threadpoolctl": LEARNING,
    "tokenizers": LEARNING,
    "torch": LEARNING,
}
"""By module, what to install for those that not every process needs."""


class CommandError(Exception):
    """A verb can't do its work; the text says why and what to do next."""

    code = FAILED


class MisconfiguredError(CommandError):
    """Settings or arguments are wrong: trying again would not help."""

    code = MISCONFIGURED


@contextmanager
def wrong_settings() -> Iterator[None]:
    """Around what computes: a device or a base model that is not there, data that can't be learned
    from, or a recipe that is none, is the caller's to mend, and becomes a `MisconfiguredError`."""
    try:
        yield
    except ValueError as error:
        if isinstance(error, _away()):
            raise
        raise MisconfiguredError(str(error)) from None


@contextmanager
def wrong_argument() -> Iterator[None]:
    """Around the look at what an argument names: where that is not there, or not what it must be,
    another is the caller's to name."""
    from classifier.artifact import ModelError
    from classifier.data import DataError
    from desk.exchange.material import ExchangeError
    from desk.pack import PackError

    try:
        yield
    except (DataError, ModelError, ExchangeError, PackError) as error:
        raise MisconfiguredError(str(error)) from None


@contextmanager
def wrong_name() -> Iterator[None]:
    """Around what looks in the database for whom or what an argument names."""
    from desk.domain import DeskError

    try:
        yield
    except DeskError as error:
        raise MisconfiguredError(str(error)) from None


@contextmanager
def ended_in_order() -> Iterator[None]:
    """SIGTERM as an exception, so that what is half done is removed as after Ctrl-C."""
    before = signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def explain(error: Exception) -> tuple[str, int] | None:
    """(sentence, exit code) for an error that has an explanation; None for a bug of ours."""
    if isinstance(error, CommandError):
        return str(error), error.code
    if isinstance(error, ModuleNotFoundError):
        missing = (error.name or "").partition(".")[0]
        if missing not in EXTRAS:
            return None
        sentence = (
            f"{missing} is not installed here. In the folder of the code, run: "
            f"pip install --editable {EXTRAS[missing]}"
        )
        return sentence, MISCONFIGURED
    for known in _known():
        if isinstance(error, known):
            return str(error), FAILED
    if isinstance(error, MemoryError):
        said = "There is not enough memory for this: is a file of it endless, or far too large?"
        return said, FAILED
    # Only the modules that were imported can have raised theirs; importing more costs seconds.
    module = type(error).__module__.partition(".")[0]
    if module == "sqlalchemy":
        from desk.store import cause

        return f"The database failed: {cause(error)}. `frontdesk doctor` looks into it.", FAILED
    if module == "redis":
        return f"Redis failed: {error}. Check REDIS_URL and that the server runs.", FAILED
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}", FAILED
    return None


def _away() -> tuple[type[Exception], ...]:
    """What may be had later; whoever has not imported it has not met it."""
    base = sys.modules.get("classifier.base")
    return () if base is None else (base.HubError,)


def _known() -> tuple[type[Exception], ...]:
    from classifier.artifact import ModelError
    from classifier.data import DataError
    from desk.domain import DeskError
    from workers.embedded import EmbeddedRedisError

    known = (DeskError, ModelError, DataError, EmbeddedRedisError)
    # It needs a library that the bot lacks; and what was not imported has raised nothing.
    base = sys.modules.get("classifier.base")
    return known if base is None else (*known, base.BaseModelError)

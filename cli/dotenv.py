"""Lines in `.env` that nobody reads: a misspelled setting would be missed by its effect alone."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dotenv.parser import Binding

OTHERS = frozenset(
    {
        *("POSTGRES_PASSWORD", "REDIS_PASSWORD", "TORCH_INDEX_URL"),
        *("PROMETHEUS_PORT", "GRAFANA_PORT"),
    }
)
"""What the files of Compose take from `.env` beside the settings."""
HANDED_ON = frozenset({"HTTPS_PROXY", "NO_PROXY", "OMP_NUM_THREADS"})
"""What libraries read from the environment, into which Compose alone puts it from `.env`."""
OF_COMPOSE = ("COMPOSE_", "DOCKER_", "BUILDKIT_")
"""How the names begin that docker compose itself reads."""
NAME = re.compile(r"[A-Z][A-Z0-9_]*")
SETTINGS = "docs/settings.md has the settings"


def say_it_ourselves() -> None:
    """Keep the library quiet about lines that `unread` tells."""
    logging.getLogger("dotenv.main").setLevel(logging.ERROR)


@contextmanager
def told_beside_an_error(*, by_up: bool) -> Iterator[None]:
    """Around what reads the settings: where that fails, what `unread` finds is told as well, for a
    misspelled line may be why a setting is missing."""
    from cli.errors import MisconfiguredError
    from cli.screen import notices

    say_it_ourselves()
    try:
        yield
    except MisconfiguredError:
        with suppress(UnicodeDecodeError):  # that is what the error tells
            for detail, hint in unread(by_up=by_up):
                notices().print(f"{detail}. {hint}", markup=False)
        raise


def unread(*, by_up: bool) -> list[tuple[str, str]]:
    """What is wrong with the lines of `.env`, each with what to do; nothing without that file.

    `by_up`: `frontdesk up` uses it, so Compose does not. No value is shown, and no name that may be
    one: a password alone on a line, say.
    """
    from dotenv.parser import parse_stream

    from desk.settings import Settings

    file = Path(str(Settings.model_config.get("env_file")))
    if not file.is_file():
        return []
    with file.open(encoding="utf-8") as stream:
        found = [_problem(binding, file, by_up) for binding in parse_stream(stream)]
    return [problem for problem in found if problem is not None]


def _problem(binding: Binding, file: Path, by_up: bool) -> tuple[str, str] | None:
    from desk.settings import Settings

    name = binding.key
    if binding.error:
        hint = "Write it as NAME=value, with a quote at both ends of the value or at none"
        return f"{_lines(binding)} of {file} can't be read and is ignored", hint
    if name is None:
        return None  # a comment, or the end
    if name.upper() in HANDED_ON:
        hint = "Put it into the environment of the process: docs/operations.md"
        return (f"{name} in {file} does nothing without Compose", hint) if by_up else None
    known = sorted(OTHERS | {field.upper() for field in Settings.model_fields})
    if name.upper() in known or name.startswith(OF_COMPOSE):
        return None
    if binding.value is None:
        return f"{_lines(binding)} of {file} is no NAME=value and is ignored", "Write it so"
    near = get_close_matches(name.upper(), known, n=1, cutoff=0.7)
    if not (near or NAME.fullmatch(name)):
        return f"{_lines(binding)} of {file} is ignored: no setting is called so", SETTINGS
    hint = f"Did you mean {near[0]}?" if near else SETTINGS
    return f"{name} in {file} is no setting and is ignored", hint


def _lines(binding: Binding) -> str:
    text = binding.original.string
    # The empty lines before it belong to it.
    first = binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
    last = first + text.strip().count("\n")
    return f"line {first}" if first == last else f"what stands from line {first} to {last}"

"""What people and scripts see: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from cli.console import Console

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
_ACTED_ON = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal acts on instead of showing it, but for tabs and the ends of lines: escapes, and
what turns the order of a line around; and halves of pairs, which can't be written."""


def print_json(value: Any) -> None:
    """The one thing that a verb with --json writes to standard output."""
    print(as_json(value, indent=2))


def as_json(value: Any, indent: int | None = None) -> str:
    """A value as JSON that standard output can take."""
    # Where the output can't take every character, JSON has a way to write them all the same.
    narrow = not (sys.stdout.encoding or "").lower().startswith("utf")
    text = json.dumps(value, ensure_ascii=narrow, indent=indent, default=str)
    # Of these JSON itself has escaped the first 32 alone.
    return _ACTED_ON.sub(lambda sign: f"\\u{ord(sign[0]):04x}", text)


def notices() -> Console:
    """Where progress and remarks go."""
    from cli.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def escape(text: str) -> str:
    """A text that is shown as it is within markup, its square brackets too."""
    from rich import markup

    return markup.escape(text)


def harmless(text: str) -> str:
    """A text, of several lines perhaps, that can't do anything to the terminal which shows it."""
    return _ACTED_ON.sub("�", text)


def shown(text: str) -> str:
    """Somebody's name or words, which stay within the line, or the cell, in which they stand."""
    return re.sub(r"[\t\n]", "�", harmless(text))


def results() -> Console:
    """Where results for people go."""
    from cli.console import Console

    return Console(highlight=False, soft_wrap=True, emoji=False)


def complain(sentence: str) -> None:
    """The sentence that a verb ends with when it fails; nothing where standard error is closed."""
    from desk.scrubbing import scrub

    if sys.stderr is None:  # as Python has it then; `print` would take standard output instead
        return
    red, plain = ("\x1b[31m", "\x1b[0m") if sys.stderr.isatty() else ("", "")
    print(f"{red}Error:{plain} {scrub(harmless(sentence))}", file=sys.stderr, flush=True)


def agreed(question: str) -> bool:
    """Whether whoever sits there says yes; no answer (Ctrl-D) is none."""
    try:
        return typer.confirm(question, err=True)
    except typer.Abort as error:
        # typer makes one of both; Ctrl-C ends a verb here as it does everywhere.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        return False


def percent(value: object) -> str:
    """A share; a dash for what is none, as in a file of the wrong shape."""
    # A whole number in a file may be larger than any float.
    if isinstance(value, float | int) and abs(value) <= sys.float_info.max:
        return f"{value:.1%}"
    return "–"


def percent_at_most(value: float) -> str:
    """A bound, rounded up: one of 5.04 % does not keep to 5."""
    from classifier.rounding import rounded_up

    return percent(rounded_up(value, 3))


@contextmanager
def training_progress(title: str) -> Iterator[Callable[[str, int, int, float], None]]:
    """A progress bar for `classifier.training`, as the function to be called after each step."""
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = notices()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None)
        last_tenth = -1

        def step(where: str, done: int, of: int, loss: float) -> None:
            nonlocal last_tenth
            progress.update(task, completed=done, total=of)
            if not console.is_terminal and 10 * done // of != last_tenth:
                # In a file or a pipe a bar is noise; a line at each tenth says enough.
                console.print(f"{title}: {done / of:.0%}, {where}, loss {loss:.2f}")
            last_tenth = 10 * done // of

        yield step

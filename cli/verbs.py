"""The verbs of the command `frontdesk`, and what becomes of their errors."""

from __future__ import annotations

import errno
import inspect
import io
import os
import re
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated

import typer

from cli import (
    backup,
    chat,
    classify,
    compare,
    doctor,
    evaluate,
    exchange,
    migrate,
    processes,
    report,
    thresholds,
    train,
    up,
    validate,
)
from cli.customers import customers
from cli.errors import FAILED, MISCONFIGURED, explain
from cli.feedback import feedback
from cli.models import models
from cli.operators import operators
from cli.screen import complain

app = typer.Typer(
    name="frontdesk",
    help="Customer service for Telegram that answers what it is sure of and hands over the rest.",
    epilog="Begin with: frontdesk up",
    no_args_is_help=True,
    add_completion=False,
    # A traceback is for developers: FRONTDESK_TRACEBACK=1 shows it.
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"frontdesk {version('frontdesk')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


def _verb(function: Callable[..., None], *examples: str, name: str | None = None) -> None:
    # Lines of a docstring are wrapped for the source; a terminal wraps its own way.
    paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    epilog = "\n\n".join(f"Example: {each}" for each in examples)
    app.command(name, help=text, epilog=epilog)(function)


_verb(up.up, "frontdesk up")
_verb(processes.bot, "BOT_TOKEN=123456789:AA… frontdesk bot")
app.add_typer(processes.worker, name="worker", epilog="Example: frontdesk worker inference")
_verb(chat.chat, 'frontdesk chat "where is my parcel?" --json')
_verb(
    train.train,
    "frontdesk train --data texts.csv --out my-model",
    "frontdesk train --from-feedback",
)
_verb(
    evaluate.evaluate,
    "frontdesk evaluate --model models/champion --data test.jsonl --out report",
    "frontdesk evaluate --cross-validate 5 --json",
)
_verb(compare.compare, "frontdesk compare champion 20261123-143000-ab12cd --data test.jsonl")
_verb(thresholds.thresholds, "frontdesk thresholds --target 0.03")
_verb(classify.classify, 'frontdesk classify "where is my parcel?" --explain')
_verb(
    validate.validate,
    "frontdesk validate packs/retail",
    "frontdesk validate texts.csv --test test.csv --fix",
)
_verb(
    exchange.import_,
    "frontdesk import my-rasa-bot --into packs/mine",
    "frontdesk import texts.csv canned.csv --into packs/mine --dry-run",
    "frontdesk import texts.csv --test test.csv --into packs/mine",
    name="import",
)
_verb(
    exchange.export,
    "frontdesk export --from packs/retail --format rasa my-rasa-bot/data",
    "frontdesk export --from packs/retail/test.jsonl --format csv test.csv",
)
_verb(report.report, "frontdesk report --days 30", "frontdesk report --json")
app.add_typer(feedback, name="feedback", epilog="Example: frontdesk feedback list --since 30")
app.add_typer(models, name="models", epilog="Example: frontdesk models list")
app.add_typer(operators, name="operators", epilog="Example: frontdesk operators list")
app.add_typer(customers, name="customers", epilog="Example: frontdesk customers list ana")
_verb(migrate.migrate, "frontdesk migrate")
_verb(backup.backup, "frontdesk backup backups/2026-03-02")
_verb(backup.restore, "frontdesk restore backups/2026-03-02")
_verb(doctor.doctor, "frontdesk doctor")


def run(arguments: list[str] | None) -> int:
    """Run a verb; returns the exit code. KeyboardInterrupt is left to the caller."""
    if sys.stdout is None:  # as Python has it where the shell closed it: >&-
        complain("Standard output is closed; to throw a result away, say >/dev/null.")
        return MISCONFIGURED
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A result with a character that the output can't take is still a result.
        sys.stdout.reconfigure(errors="replace")
    code = _run(arguments)
    try:
        sys.stdout.flush()
    except OSError as error:
        # What is left would be tried once more at the end of Python, and told with noise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if code == 0 and error.errno != errno.EPIPE:  # whoever closed a pipe wanted no more
            complain(f"Standard output can't be written ({error.strerror}).")
        return code or FAILED
    return code


def _run(arguments: list[str] | None) -> int:
    try:
        app(arguments, prog_name="frontdesk")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except Exception as error:
        explained = explain(error)
        if os.environ.get("FRONTDESK_TRACEBACK"):
            raise
        if explained is None and isinstance(error, UnicodeEncodeError):
            given = sys.argv[1:] if arguments is None else arguments
            # A file may be called so; nothing else can be.
            if re.search(r"[\ud800-\udfff]", " ".join(given)):
                complain("An argument is not in UTF-8: write it in that encoding.")
                return MISCONFIGURED
        if explained is None:
            complain(
                f"Something unforeseen happened ({type(error).__name__}: {error}). "
                "Set FRONTDESK_TRACEBACK=1 to see where, and tell the developers."
            )
            return FAILED
        complain(explained[0])
        return explained[1]
    return 0

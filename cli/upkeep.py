"""`frontdesk migrate` and `frontdesk validate`: the database and the pack in order."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.compose import load_settings, open_store
from cli.errors import FAILED, CommandError
from cli.screen import JsonOption, print_json, results


def migrate(
    wait: Annotated[float, typer.Option(help="Seconds to wait for the database to answer.")] = 0.0,
) -> None:
    """Bring the database's tables up to date; nothing is lost, and a second call does nothing."""
    from desk.domain import DeskError

    store = open_store(load_settings())
    deadline = time.monotonic() + wait
    while True:
        try:
            store.migrate()
            break
        except DeskError as error:
            if time.monotonic() >= deadline:
                raise CommandError(str(error)) from None
        time.sleep(0.5)
    results().print("The database is up to date.")


def validate(
    pack: Annotated[
        Path | None, typer.Argument(help="A pack's folder (default: PACK).", metavar="[PACK]")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Check a pack: answers, buttons, rules, examples, and that no test text is trained on."""
    from desk.validation import validate as check

    folder = pack or load_settings().pack_dir
    findings: list[Any] = list(check(folder))
    errors = sum(str(finding.severity) == "error" for finding in findings)
    if json_:
        rows = [{key: _plain(value) for key, value in asdict(f).items()} for f in findings]
        print_json({"ok": not errors, "pack": str(folder), "findings": rows})
    else:
        console = results()
        for finding in findings:
            place = f"{finding.file}:{finding.line}" if finding.line else str(finding.file)
            colour = "red" if str(finding.severity) == "error" else "yellow"
            console.print(f"[{colour}]{finding.severity}[/] ", end="")
            console.print(f"{place}: {finding.message}", markup=False)
        warnings = len(findings) - errors
        verdict = f"{errors} errors, {warnings} warnings" if findings else "clean"
        console.print(f"{folder}: {verdict}")
    if errors:
        raise typer.Exit(FAILED)


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, int) else str(value)

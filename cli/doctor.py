"""`frontdesk doctor`: what is right, what is wrong, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli import dotenv
from cli.compose import load_settings, open_desk
from cli.errors import FAILED, MisconfiguredError, wrong_name
from cli.feedback import LARGEST_ID
from cli.processes import PROCESSES
from cli.screen import JsonOption, notices, print_json, results

if TYPE_CHECKING:
    from cli.findings import Finding
    from desk.settings import Settings

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    process: Annotated[
        str | None,
        typer.Option(help="Only whether this process lives: bot, inference, training, scheduler."),
    ] = None,
    retry: Annotated[
        bool,
        typer.Option("--retry", help="Give parked updates and refused deliveries another round."),
    ] = False,
    dismiss: Annotated[
        list[int] | None,
        typer.Option("--dismiss", metavar="ID", help="Close a parked update: it is never handled."),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Check everything that Frontdesk needs, and say what to do about what is wrong.

    Exits with 1 if anything fails. `--process NAME` looks at one sign of life only: made for the
    health check of a container.
    """
    if process is not None and (retry or dismiss):
        raise MisconfiguredError("--process looks, and mends nothing: leave --retry and such out.")
    settings = _settings()
    if process is not None:
        if process not in PROCESSES:
            names = ", ".join(PROCESSES)
            raise MisconfiguredError(f"There is no process {process!r}; choose one of {names}.")
        from cli.lives import sign_of_life

        findings = [sign_of_life(settings, process, expected=True)]
    else:
        _mend(settings, retry, dismiss or [])
        findings = []
        from cli.checks import all_checks

        for finding in all_checks(settings):
            findings.append(finding)
            if not json_:
                _print(finding)
    failed = any(finding.status == "fail" for finding in findings)
    if json_:
        rows = [
            {"check": f.check, "status": str(f.status), "detail": f.detail, "hint": f.hint}
            for f in findings
        ]
        print_json({"ok": not failed, "checks": rows})
    elif process is not None:
        _print(findings[0])
    if failed:
        raise typer.Exit(FAILED)


def _settings() -> Settings:
    with dotenv.told_beside_an_error(by_up=False):
        return load_settings()


def _print(finding: Finding) -> None:
    console = results()
    colour = COLOURS[finding.status]
    console.print(f"[{colour}]{finding.status:<4}[/] {finding.check:<10} ", end="")
    console.print(finding.detail, markup=False)
    if finding.hint:
        console.print(f"{'':<16}→ {finding.hint}", markup=False)


def _mend(settings: Settings, retry: bool, dismiss: list[int]) -> None:
    """Another round for parked updates and refused deliveries, or an end to parked updates."""
    if retry and dismiss:
        raise MisconfiguredError("Either --retry or --dismiss: try again first, then close.")
    if not retry and not dismiss:
        return
    from desk.flow import delivering, intake

    if beyond := [
        id_ for id_ in dismiss if abs(id_) > LARGEST_ID
    ]:  # a database takes none of these
        raise MisconfiguredError(f"no such parked update: {beyond[0]}; see doctor")
    desk = open_desk(settings)
    if dismiss:
        with wrong_name():
            intake.dismiss_parked(desk, dismiss)
        notices().print(f"Closed: {', '.join(map(str, dismiss))}.")
        return
    updates, deliveries = intake.retry_parked(desk), delivering.retry_failed(desk)
    notices().print(f"Another round: {updates} updates, {deliveries} deliveries.")
    if left_out := delivering.counts(desk)["given_up"]:
        notices().print(
            f"Left out: {left_out} deliveries that were tried twice and may have arrived; "
            "a third try could show them a third time. Look into the chats."
        )

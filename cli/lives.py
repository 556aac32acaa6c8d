"""Which of the desk's processes live, by their signs of life and by what `frontdesk up` says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cli import rundir
from cli.findings import Finding, Status
from cli.processes import PROCESSES

if TYPE_CHECKING:
    from desk.settings import Settings

SLOW_START = 90.0
"""Seconds after which `frontdesk up` goes on without the model: what starts longer hangs."""
OFTEN = 3
"""From that start on, or that restart, it is no accident any more."""


def signs_of_life(settings: Settings) -> Iterator[Finding]:
    """A finding for each process, whether `frontdesk up` runs here or not."""
    run = rundir.running(settings.data_dir)
    children = (run or {}).get("children", {})
    for name in PROCESSES:
        child = children.get(name)
        if child is None or child["ready"]:
            yield sign_of_life(settings, name, expected=child is not None)
            continue
        # An `up` of the version before writes neither of the two.
        restarts, started = child.get("restarts", 0), child.get("started", time.time())
        if child["pid"] is None:
            yield _waiting(settings, name, restarts)
        else:
            yield _starting(settings, name, restarts + 1, time.time() - started)


def _waiting(settings: Settings, name: str, restarts: int) -> Finding:
    status = Status.FAIL if restarts >= OFTEN else Status.WARN
    detail = "waits for its next start"
    if restarts > 1:
        detail += f", the {_ordinal(restarts)} in a row"
    return Finding(name, status, detail, f"See {_log(settings, name)}")


def _starting(settings: Settings, name: str, start: int, seconds: float) -> Finding:
    detail = "is starting" if seconds <= SLOW_START else f"has been starting for {_span(seconds)}"
    if start > 1:
        detail += f", for the {_ordinal(start)} time"
    fails = start >= OFTEN or seconds > SLOW_START
    return Finding(
        name, Status.FAIL if fails else Status.WARN, detail, f"See {_log(settings, name)}"
    )


def _ordinal(number: int) -> str:
    teens = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def sign_of_life(settings: Settings, name: str, *, expected: bool) -> Finding:
    """Whether a process works; where it is `expected` to, silence is a failure."""
    from desk import heartbeat

    age = heartbeat.age(settings.data_dir, name)
    if age is not None and age <= heartbeat.STALE_SECONDS:
        return Finding(name, Status.OK, f"a sign of life {age:.0f} s ago")
    detail = "never gave a sign of life" if age is None else f"silent for {_span(age)}"
    hint = f"See {_log(settings, name)}" if expected else ""
    if not expected:
        return Finding(name, Status.OK, "does not run" if age is None else f"stopped, {detail}")
    return Finding(name, Status.FAIL, detail, hint)


def _log(settings: Settings, name: str) -> str:
    return str(settings.data_dir / "logs" / f"{name}.log")


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(time.time() - seconds))
    return f"{seconds / 3600:.0f} h (since {since})"

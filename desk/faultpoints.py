"""Fault points: named lines at which a test may kill, freeze or trouble the process.

Off unless `FRONTDESK_FAULTS` is set, and then `point` is a function that does nothing. The variable
holds what is to happen where, separated by semicolons:

    FRONTDESK_FAULTS="worker.after_take=kill; sender.before_send=sleep:2@3"

`NAME=ACTION[:SECONDS][@N]`: the N-th time that the process comes by (the first by default), once.
With `FRONTDESK_FAULTS_FUSES`, a folder, a fault happens once even if the process is started again:
a file named like the fault, its fuse, is made there just before. A fault whose fuse is there from
the start happens when a test takes it away, from the N-th time on.

    kill           SIGKILL, as by the kernel out of memory
    stop           SIGSTOP: frozen until somebody sends SIGCONT
    hang           the main thread stands still for good, deaf to every signal but SIGKILL,
                   as in a driver's call that does not return
    sleep          so many seconds
    raise          `FaultInjectedError`
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FAULTS = "FRONTDESK_FAULTS"
FUSES = "FRONTDESK_FAULTS_FUSES"

NAMES = frozenset(
    {
        "intake.before_commit",
        "intake.after_commit",
        "lane.before_enqueue",
        "lane.after_enqueue",
        "worker.after_take",
        "worker.before_forward",
        "worker.before_commit",
        "worker.after_commit",
        "worker.before_finish",
        "worker.in_retry",
        "sender.after_take",
        "sender.before_send",
        "sender.after_send",
        "training.begun",
        "training.before_promote",
        "training.after_promote",
        "training.after_verdict",
        "scheduler.tick",
    }
)
"""Every point there is; a fault at another one is a mistake of the test."""


class FaultInjectedError(Exception):
    """What the action `raise` raises."""


@dataclass
class _Fault:
    name: str
    action: str
    seconds: float
    nth: int
    fuse: Path | None
    passed: int = 0

    def come_by(self) -> None:
        self.passed += 1
        if self.fuse is None:
            if self.passed != self.nth:
                return
        elif self.passed < self.nth or not self._burn(self.fuse):
            return
        _ACTIONS[self.action](self.seconds)

    @staticmethod
    def _burn(fuse: Path) -> bool:
        """Make the fuse's file; False if it is there already."""
        try:
            fuse.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def _kill(_seconds: float) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # the signal may take a moment to arrive; nothing more may happen meanwhile


def _stop(_seconds: float) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _hang(_seconds: float) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while True:
        time.sleep(3600)


def _raise(_seconds: float) -> None:
    raise FaultInjectedError("injected by FRONTDESK_FAULTS")


_ACTIONS: dict[str, Callable[[float], None]] = {
    "kill": _kill,
    "stop": _stop,
    "hang": _hang,
    "sleep": time.sleep,
    "raise": _raise,
}


def parse(text: str, fuses: Path | None = None) -> dict[str, list[_Fault]]:
    """The faults of a value of `FRONTDESK_FAULTS` by point; ValueError for one that is none."""
    found: dict[str, list[_Fault]] = {}
    for item in filter(None, (part.strip() for part in text.split(";"))):
        name, _, what = item.partition("=")
        what, _, nth = what.partition("@")
        action, _, seconds = what.partition(":")
        if name not in NAMES or action not in _ACTIONS:
            raise ValueError(f"{FAULTS}: {item!r} is no fault; see desk/faultpoints.py")
        fuse = None if fuses is None else fuses / item.replace("/", "-")
        fault = _Fault(name, action, float(seconds or 0), int(nth or 1), fuse)
        found.setdefault(name, []).append(fault)
    return found


def _nothing(name: str) -> None:
    """Where no fault is asked for."""


def _point() -> Callable[[str], None]:
    text = os.environ.get(FAULTS)
    if not text:
        return _nothing
    fuses = os.environ.get(FUSES)
    faults = parse(text, Path(fuses) if fuses else None)

    def come_by(name: str) -> None:
        for fault in faults.get(name, ()):
            fault.come_by()

    return come_by


point: Callable[[str], None] = _point()
"""Called with its name at each point. Decided at import: a process is troubled from its start."""

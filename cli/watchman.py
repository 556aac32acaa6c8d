"""Ends the children of a supervisor that was killed. A script, on the standard library alone.

It reads lines from its standard input: `+<stage> <pid> <grace>` for a child that was started,
`-<pid>` for one that ended, `bye` when the supervisor has ended everything itself. An end of input
without `bye` means that the supervisor is gone. The children are then stopped as the supervisor
would, in the order of their stages: SIGTERM first, and SIGKILL to those of a stage that still live
after its grace, in seconds. Each child leads a process group, so what it started ends with it.
"""

from __future__ import annotations

import os
import signal
import sys
import time


def main() -> None:
    children: dict[int, int] = {}
    graces: dict[int, float] = {}
    for line in sys.stdin:
        word = line.strip()
        if word == "bye":
            return
        if word.startswith("+"):
            stage, pid, grace = word[1:].split()
            children[int(pid)] = int(stage)
            graces[int(stage)] = float(grace)
        elif word.startswith("-"):
            children.pop(int(word[1:]), None)
    for stage in sorted(set(children.values())):
        _end([pid for pid, its in children.items() if its == stage], graces[stage])


def _end(pids: list[int], grace: float) -> None:
    for pid in pids:
        _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and any(_signal(pid, 0) for pid in pids):
        time.sleep(0.05)
    for pid in pids:
        _signal(pid, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()

"""Children of a supervisor, as tests start them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cli.supervisor import (
    Child,
    Stage,
    Supervisor,
)

SLEEPS = "import time; time.sleep(60)"


STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {ready}; time.sleep(60)"
)


def child(
    script: str,
    name: str = "child",
    stage: Stage = Stage.WORKERS,
    ready: Callable[[Child], bool] = lambda _: True,
) -> Child:
    return Child(name, [sys.executable, "-c", script], os.environ, stage, ready)


def never(_: Child) -> bool:
    return False


def turn_until(
    supervisor: Supervisor, condition: Callable[[], object], seconds: float = 15
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        supervisor.turn()
        time.sleep(0.01)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False

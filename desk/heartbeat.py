"""A sign of life: a file that a process touches while it works, for supervisors and probes."""

from __future__ import annotations

import time
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

STALE_SECONDS = 30.0

_started = time.monotonic()
_turned: float | None = None


class Heartbeat:
    """The sign of life of one process; `beat` is cheap enough for every turn of a loop."""

    def __init__(self, data_dir: Path, process: str) -> None:
        self._path = path(data_dir, process)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._last = 0.0
        self._failing = False

    def wait(self) -> None:
        """The loop turns, but what it works with is not there yet: no sign of life in the file,
        by which `up` and `doctor` take a process for one that works."""
        global _turned  # noqa: PLW0603 - a process has one loop
        _turned = time.monotonic()

    def beat(self) -> None:
        """Touch the file, at most once a second.

        One that can't be touched grows old, and says by that what it is for: nobody's work ends.
        """
        self.wait()
        now = time.monotonic()
        if now - self._last < 1.0:
            return
        self._last = now
        try:
            self._path.touch()
        except OSError as error:
            if not self._failing:
                log.error("heartbeat_not_written", path=str(self._path), error=error.strerror)
            self._failing = True
        else:
            self._failing = False


def path(data_dir: Path, process: str) -> Path:
    """Where the sign of life of a process stands."""
    return data_dir / "alive" / process


def age(data_dir: Path, process: str) -> float | None:
    """Seconds since the last sign of life, or None if there never was one."""
    try:
        return max(0.0, time.time() - path(data_dir, process).stat().st_mtime)
    except FileNotFoundError:
        return None


def turned() -> bool:
    """Whether the loop of this process has turned at all."""
    return _turned is not None


def turned_ago() -> float:
    """Seconds since the loop of this process last turned; before that, since the start."""
    return time.monotonic() - (_started if _turned is None else _turned)

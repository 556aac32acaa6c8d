"""DATA_DIR while `frontdesk up` runs: its lock, run.json for other verbs, and what a crash left."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cli.errors import CommandError

LOCK = "up.lock"
RUN = "run.json"
PARENT = "FRONTDESK_SUPERVISOR"
"""Tells a child who started it: it ends itself if that one is gone already."""


def take_lock(data_dir: Path) -> int:
    """Take DATA_DIR for this process; the lock dies with it. Returns the descriptor to keep open.

    Raises `CommandError` while another `frontdesk up` has it.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CommandError(
            f"DATA_DIR {data_dir} cannot be written ({error.strerror}). "
            "Set DATA_DIR to a folder of yours."
        ) from None
    deadline = time.monotonic() + 0.5
    while not _flock(descriptor, fcntl.LOCK_EX):
        # A verb that only asks whether somebody has the lock holds it for an instant.
        if time.monotonic() < deadline:
            time.sleep(0.02)
            continue
        os.close(descriptor)
        run = running(data_dir) or {}
        where = f" (process {run['pid']}, {run.get('url') or 'starting'})" if run.get("pid") else ""
        raise CommandError(
            f"Frontdesk already runs on DATA_DIR {data_dir}{where}. Stop that one with Ctrl-C "
            "first, or set DATA_DIR and SIMULATOR_PORT to others."
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def is_locked(data_dir: Path) -> bool:
    """Whether a `frontdesk up` runs on this DATA_DIR."""
    try:
        descriptor = os.open(data_dir / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _flock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write(data_dir: Path, content: Mapping[str, Any]) -> None:
    """Replace run.json; a reader sees the old one or the new one."""
    temporary = data_dir / f".{RUN}.{os.getpid()}"
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    temporary.chmod(0o600)
    temporary.replace(data_dir / RUN)


def read(data_dir: Path) -> dict[str, Any]:
    """What run.json says, whether or not its writer lives; {} without one."""
    try:
        content = json.loads((data_dir / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def running(data_dir: Path) -> dict[str, Any] | None:
    """run.json of the `frontdesk up` that runs now ({} until it has written one), or None."""
    if not is_locked(data_dir):
        return None
    run = read(data_dir)
    # One that was killed leaves its run.json to its successor.
    return run if str(run.get("pid")) == (data_dir / LOCK).read_text(encoding="utf-8") else {}


def remove(data_dir: Path) -> None:
    (data_dir / RUN).unlink(missing_ok=True)


def await_watchman(
    data_dir: Path, seconds: float, tell: Callable[[], None], check_stop: Callable[[], None]
) -> None:
    """Wait, so long at most, until the watchman of a supervisor that was killed has let its
    children end what they are at: a reply under way would be sent twice. Needs the lock.

    `tell` is called where there is something to wait for, `check_stop` all the while: it raises
    where nobody wants to wait.
    """
    run = read(data_dir)
    if (watchman := run.get("watchman")) is None:
        return
    pid, supervisor, command = int(watchman["pid"]), int(run["pid"]), str(watchman["command"])
    if _is_child(pid, supervisor, command):
        tell()
    _wait(pid, supervisor, command, seconds, check_stop)


def end_leftovers(data_dir: Path) -> list[str]:
    """Kill what a supervisor that was killed left behind; returns the names. Needs the lock."""
    run = read(data_dir)
    ended = []
    for name, child in reversed(run.get("children", {}).items()):
        if child["pid"] is None:  # it waited for its next start
            continue
        pid, command = int(child["pid"]), str(child["command"])
        if _is_child(pid, int(run["pid"]), command):
            kill_group(pid, signal.SIGKILL)
            ended.append(str(name))
            _wait(pid, int(run["pid"]), command, 3)
    remove(data_dir)
    return ended


def _wait(
    pid: int, supervisor: int, command: str, seconds: float, look: Callable[[], None] = lambda: None
) -> None:
    """Return when that child of that supervisor has ended, or so many seconds are over; `look` is
    called all the while."""
    deadline = time.monotonic() + seconds
    while _is_child(pid, supervisor, command) and time.monotonic() < deadline:
        look()
        time.sleep(0.02)


def _is_child(pid: int, supervisor: int, command: str) -> bool:
    """Whether that process is a child of that supervisor: numbers of processes are used again."""
    if Path("/proc/self").exists():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False
        return f"{PARENT}={supervisor}".encode() in environment.split(b"\0")
    found = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)],  # noqa: S607 - macOS has it in /bin
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() == command


def kill_group(pid: int, number: signal.Signals) -> None:
    """Signal a child and what it started; one that is gone is no error."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)

"""Child processes under one roof: started, watched, restarted when they die, stopped in order.

Each child leads a session and process group of its own: a Ctrl-C in the terminal reaches the
supervisor only, which then stops the children in the order of their stages.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from types import FrameType
from typing import NoReturn

from cli.errors import MISCONFIGURED, CommandError, MisconfiguredError
from cli.rundir import PARENT, kill_group

TICK = 0.05
FIRST_BACKOFF = 0.2
LAST_BACKOFF = 10.0
HEALTHY_AFTER = 60.0
LOG_LIMIT = 10_000_000
"""Bytes of a log from which on it is put aside."""
LOG_SECONDS = 60.0
"""How often the size of a log is looked at."""
WATCHMAN = [sys.executable, "-I", "-S", str(Path(__file__).with_name("watchman.py"))]


class Stage(IntEnum):
    """The order in which children are stopped; those of one stage together."""

    BOT = 0
    WORKERS = 1
    REDIS = 2


GRACE = {Stage.BOT: 10.0, Stage.WORKERS: 3.0, Stage.REDIS: 1.5}
"""Seconds between SIGTERM and SIGKILL. Nothing is lost by the latter, SQL is the truth; but what a
bot was sending would be marked uncertain."""


class StopRequestedError(Exception):
    """Somebody asked the supervisor to stop while it was waiting for something."""


class NotReadyError(CommandError):
    """A child was not ready in time."""


@dataclass
class Child:
    """One process. `ready` says whether it does its work (called until it is true)."""

    name: str
    argv: list[str]
    env: Mapping[str, str]
    stage: Stage
    ready: Callable[[Child], bool]
    pass_fds: tuple[int, ...] = ()
    on_ready: Callable[[], None] | None = None
    when_killed: str = "did not stop in time: killed"
    """What is told where it does not end at a stop."""
    process: subprocess.Popen[bytes] | None = None
    log: Path | None = None
    log_start: int = 0
    log_due: float = 0.0
    """When its size is looked at next, on the clock of time.monotonic()."""
    started: float = 0.0
    """When it was started last, on the clock of time.time()."""
    is_ready: bool = False
    was_ready: bool = False
    """Whether any of its lives was ready."""
    restarts: int = 0
    """How often it died since it was last well for a while."""
    backoff: float = FIRST_BACKOFF
    due: float | None = None
    """When it is to be started again, on the clock of time.monotonic()."""

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None else None


@dataclass
class Supervisor:
    """`tell(name, what, good)` is called with what happens; `changed` when pids have changed."""

    logs: Path
    tell: Callable[[str, str, bool], None]
    changed: Callable[[], None] = lambda: None
    children: list[Child] = field(default_factory=list)
    stop_requests: int = 0
    parent: int | None = None
    """A process whose end is a request to stop."""
    watchman: subprocess.Popen[bytes] | None = None
    """Runs `WATCHMAN` as long as there are children."""
    _command: Child | None = None

    def known(self) -> list[Child]:
        """The children, also those that wait for their next start, and the command that `run_once`
        runs."""
        return [*self.children, *([self._command] if self._command is not None else [])]

    def living(self) -> list[Child]:
        """Those of them that have a process."""
        return [child for child in self.known() if child.pid is not None]

    def stop_on_signals(self) -> None:
        """SIGINT, SIGTERM and SIGHUP ask for a stop; a second one ends everything at once."""

        def handle(_number: int, _frame: FrameType | None) -> None:
            self.stop_requests += 1

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, handle)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup says to live on
            signal.signal(signal.SIGHUP, handle)

    def start(self, child: Child) -> None:
        """Start a child; its output goes to its file below `logs`."""
        if child not in self.children:
            self.children.append(child)
        self._watch()
        self.logs.mkdir(parents=True, exist_ok=True)
        child.log = self.logs / f"{child.name}.log"
        _bound_log(child)
        with child.log.open("ab") as log:
            child.log_start = log.tell()
            child.started, child.due, child.is_ready = time.time(), None, False
            child.process = subprocess.Popen(
                child.argv,
                env={**child.env, PARENT: str(os.getpid())},
                pass_fds=child.pass_fds,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._tell_watchman_of(child)
        self.changed()

    def wait_ready(self, children: Iterable[Child], timeout: float) -> None:
        """Return when all of them are ready, restarting what dies meanwhile.

        Raises `NotReadyError` with the end of the log of one that isn't in time,
        `MisconfiguredError` for one that says that its settings are wrong and was never ready,
        `StopRequestedError` on a request to stop.
        """
        deadline = time.monotonic() + timeout
        waiting = list(children)
        while waiting := [child for child in waiting if not child.is_ready]:
            self.turn()
            if time.monotonic() > deadline:
                late = waiting[0]
                raise NotReadyError(
                    f"{late.name} was not ready within {timeout:.0f} s. {last_words(late)}"
                )
            time.sleep(TICK)

    def run(self) -> NoReturn:
        """Keep the children alive until a request to stop. Raises as `wait_ready` does."""
        while True:
            self.turn()
            time.sleep(TICK)

    def run_once(self, argv: list[str], env: Mapping[str, str], name: str) -> int:
        """Run a command to its end in the terminal, the children kept alive meanwhile; returns its
        exit status.

        Raises as `wait_ready` does but for time; the command is then killed.
        """
        self._watch()
        command = Child(name, argv, env, Stage.WORKERS, ready=lambda _: False)
        command.process = process = subprocess.Popen(
            argv,
            env={**env, PARENT: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        command.started = time.time()
        self._command = command
        self._tell_watchman_of(command)
        try:
            self.changed()
            while (status := process.poll()) is None:
                self.turn()
                time.sleep(TICK)
            return status
        finally:
            if process.poll() is None:
                self.tell(name, "stopping", False)
                kill_group(process.pid, signal.SIGKILL)
                process.wait()
            self._command = None
            self._tell_watchman(f"-{process.pid}")
            self.changed()

    def turn(self) -> None:
        """One look at everything: who died, who is due, who became ready."""
        self.check_stop()
        # A machine without room for one more process or file must not end those that run.
        with suppress(OSError):
            self._watch()
        now = time.monotonic()
        for child in self.children:
            if now >= child.log_due:
                child.log_due = now + LOG_SECONDS
                _bound_log(child)
            if child.due is not None:
                if now >= child.due:
                    try:
                        self.start(child)
                    except OSError as error:
                        self._start_later(child, f"can't be started ({error.strerror})")
            elif child.process is not None:
                if child.process.poll() is not None:
                    self._died(child, child.process)
                elif not child.is_ready and child.ready(child):
                    self._became_ready(child)
                elif child.is_ready and time.time() - child.started > HEALTHY_AFTER:
                    child.backoff, child.restarts = FIRST_BACKOFF, 0

    def stop(self) -> None:
        """End all children, stage by stage; returns when none is left."""
        for stage in Stage:
            alive = [
                (child, child.process)
                for child in self.children
                if child.stage is stage and child.process is not None and _lives(child.process)
            ]
            for _, process in alive:
                kill_group(process.pid, signal.SIGTERM)
            deadline = time.monotonic() + GRACE[stage]
            while any(_lives(process) for _, process in alive) and time.monotonic() < deadline:
                if self.stop_requests > 1:
                    deadline = 0.0
                time.sleep(0.02)
            for child, process in alive:
                if _lives(process):
                    self.tell(child.name, child.when_killed, False)
                # The whole group: a child that ended may have left one of its own.
                kill_group(process.pid, signal.SIGKILL)
                process.wait()
                child.process = None
        if self.watchman is not None:
            self._tell_watchman("bye")
            if self.watchman.stdin is not None:
                with suppress(OSError):
                    self.watchman.stdin.close()
            self.watchman.wait()
            self.watchman = None

    def check_stop(self) -> None:
        """Raise `StopRequestedError` on a request to stop."""
        if self.parent is not None and os.getppid() != self.parent:
            self.stop_requests = max(1, self.stop_requests)
        if self.stop_requests:
            raise StopRequestedError

    def _became_ready(self, child: Child) -> None:
        if child.on_ready is not None:
            try:
                child.on_ready()
            except CommandError:
                return  # something it needs is away; the next turn tries again
        child.is_ready = child.was_ready = True
        self.changed()
        again = "again, " if child.restarts else ""
        self.tell(child.name, f"ready {again}{time.time() - child.started:.1f} s", True)

    def _died(self, child: Child, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        self._tell_watchman(f"-{process.pid}")
        # What it started must not live on beside its successor.
        kill_group(process.pid, signal.SIGKILL)
        child.process = None
        what = f"died of {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"
        if status == MISCONFIGURED:
            if not child.was_ready:
                raise MisconfiguredError(f"{child.name} can't run. {last_words(child)}")
            # The others run by the settings of before: what was spoilt since must not end them.
            what, child.backoff = f"can't run: {last_words(child)}", LAST_BACKOFF
        self._start_later(child, what)

    def _start_later(self, child: Child, what: str) -> None:
        child.restarts += 1
        child.due = time.monotonic() + child.backoff
        self.tell(child.name, f"{what}; starting again in {child.backoff:.1f} s", False)
        child.backoff = min(child.backoff * 2, LAST_BACKOFF)
        self.changed()

    def _watch(self) -> None:
        before = self.watchman
        if before is not None and before.poll() is None:
            return
        self.watchman = subprocess.Popen(
            WATCHMAN,
            env={**os.environ, PARENT: str(os.getpid())},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for child in self.living():
            self._tell_watchman_of(child)
        if before is not None:
            self.changed()

    def _tell_watchman_of(self, child: Child) -> None:
        self._tell_watchman(f"+{int(child.stage)} {child.pid} {GRACE[child.stage]}")

    def _tell_watchman(self, line: str) -> None:
        if self.watchman is not None and self.watchman.stdin is not None:
            # One that died is started again at the next turn, and told everything.
            with suppress(OSError):
                self.watchman.stdin.write(f"{line}\n".encode())
                self.watchman.stdin.flush()


def _bound_log(child: Child) -> None:
    """Put a log that has grown large aside, while its process goes on writing at the end of it.

    What it writes between the copy and the cut is lost; where there is no room, the log grows on.
    """
    if child.log is None:
        return
    half = child.log.with_suffix(".log.half")
    try:
        if child.log.stat().st_size > LOG_LIMIT:
            shutil.copyfile(child.log, half)
            half.replace(child.log.with_suffix(".log.1"))
            os.truncate(child.log, 0)
            child.log_start = 0
    except OSError:
        with suppress(OSError):
            half.unlink(missing_ok=True)


def last_words(child: Child) -> str:
    """What a child said last: its error's sentence, or else where to read on."""
    if child.log is None:
        return ""
    try:
        with child.log.open("rb") as log:
            log.seek(child.log_start)
            said = log.read()[-65536:].decode(errors="replace")
    except OSError:
        said = ""
    # Only where a line begins so: logs name errors in the middle of theirs.
    _, found, sentence = f"\n{said}".rpartition("\nError: ")
    if found:
        return sentence.strip()
    last = next(filter(None, map(_complaint, reversed(said.splitlines()))), "")
    return f"It said: {last} (see {child.log})" if last else f"See {child.log}"


def _complaint(line: str) -> str:
    """What a line of a log complains of: of JSON the errors, of anything else all."""
    if not line.startswith("{"):
        return line.strip()
    try:
        event = json.loads(line)
    except ValueError:
        return line.strip()
    if event.get("level") not in ("error", "critical"):
        return ""
    reason = event.get("reason") or event.get("error") or event.get("exception") or ""
    words = [part for part in str(reason).splitlines() if part.strip()]
    # Of a traceback the last line says what, of a reason the first.
    told = words[-1 if "exception" in event else 0] if words else ""
    return f"{event.get('event', '')}: {told}".strip(": ")


def _lives(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None

"""What a supervisor that was killed leaves behind, and the lock that it held."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli import rundir
from cli.errors import CommandError
from cli.supervisor import (
    GRACE,
    Stage,
    StopRequestedError,
)
from tests.cli.children import SLEEPS, STUBBORN, lives
from tests.cli.conftest import ROOT
from tests.conftest import FLORIST


@pytest.mark.parametrize("watchman", ["as it was", "killed and replaced"])
def test_children_do_not_outlive_a_supervisor_that_is_killed(tmp_path: Path, watchman: str) -> None:
    script = f"""
import os, signal, sys, time
from pathlib import Path
from cli.supervisor import Child, Stage, Supervisor
one = Supervisor(Path({str(tmp_path)!r}), lambda *_: None)
stubborn = {STUBBORN.format(ready="pass")!r}
for name, code in (("meek", {SLEEPS!r}), ("stubborn", stubborn)):
    one.start(Child(name, [sys.executable, "-c", code], os.environ, Stage.REDIS, lambda _: True))
if {watchman != "as it was"}:
    os.kill(one.watchman.pid, signal.SIGKILL)
    one.watchman.wait()
    one.turn()
print(*(child.pid for child in one.children), one.watchman.pid, flush=True)
while True:
    one.turn()
    time.sleep(0.05)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 3
        assert all(map(lives, pids))
        process.kill()
    deadline = time.monotonic() + 15
    while any(map(lives, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(lives, pids))


@pytest.mark.parametrize("watchman", ["as it was", "killed and replaced"])
def test_what_a_killed_up_left_ends_what_it_is_at_before_the_next_start_goes_on(
    tmp_path: Path, watchman: str
) -> None:
    journal = tmp_path / "journal"
    # A bot with a reply on its way, which takes longer than a worker is given.
    bot = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        f"    time.sleep({GRACE[Stage.WORKERS] + 0.5})\n"
        f"    open({str(journal)!r}, 'a').write('sent ')\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"open({str(journal)!r}, 'a').write('sending ')\n"
        "time.sleep(60)\n"
    )
    script = f"""
import os, signal, sys, time
from pathlib import Path
from cli.compose import load_pack, read_settings
from cli.supervisor import Child, Stage
from cli.up import Run
settings = read_settings(_env_file=None, data_dir=Path({str(tmp_path)!r}), pack={str(FLORIST)!r})
run = Run(settings, load_pack(settings), quiet=True)
is_ready = lambda _: Path({str(journal)!r}).exists()
bot = Child("bot", [sys.executable, "-c", {bot!r}], os.environ, Stage.BOT, is_ready)
run.supervisor.start(bot)
run.supervisor.wait_ready([bot], 20)
if {watchman != "as it was"}:
    os.kill(run.supervisor.watchman.pid, signal.SIGKILL)
    run.supervisor.watchman.wait()
    run.supervisor.turn()
print("up", flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.kill()
    told: list[str] = []
    rundir.await_watchman(
        tmp_path, sum(GRACE.values()), lambda: told.append("waiting"), lambda: None
    )
    assert told == ["waiting"]
    assert journal.read_text() == "sending sent "
    assert rundir.end_leftovers(tmp_path) == []


def test_who_asks_for_a_stop_need_not_wait_for_what_was_left(tmp_path: Path) -> None:
    def stop() -> None:
        raise StopRequestedError

    command = [sys.executable, "-c", SLEEPS]
    with subprocess.Popen(command, env={**os.environ, rundir.PARENT: "4242"}) as watchman:
        told = {"pid": watchman.pid, "command": " ".join(command)}
        rundir.write(tmp_path, {"pid": 4242, "watchman": told})
        deadline = time.monotonic() + 10
        while b"4242" not in Path(f"/proc/{watchman.pid}/environ").read_bytes():
            assert time.monotonic() < deadline
        with pytest.raises(StopRequestedError):
            rundir.await_watchman(tmp_path, 60.0, lambda: None, stop)
        watchman.kill()


@pytest.mark.parametrize("watchman", ["as it was", "killed and replaced"])
def test_a_command_that_runs_once_does_not_outlive_a_supervisor_that_is_killed(
    tmp_path: Path, watchman: str
) -> None:
    script = f"""
import os, signal, sys
from pathlib import Path
from cli.supervisor import Child, Stage, Supervisor
one = Supervisor(Path({str(tmp_path)!r}), lambda *_: None)
first = None
def look(_):
    global first
    if {watchman != "as it was"} and first is None:
        first = one.watchman
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    elif one.watchman is not first:
        print(*(child.pid for child in one.living()), one.watchman.pid, flush=True)
        return True
    return False
sleeps = [sys.executable, "-c", {SLEEPS!r}]
one.start(Child("child", sleeps, os.environ, Stage.BOT, look))
one.run_once(sleeps, os.environ, "once")
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        process.kill()
    assert len(pids) == 3
    deadline = time.monotonic() + 15
    while any(map(lives, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(lives, pids))


def test_the_next_start_ends_what_a_killed_one_left_and_nobody_else(tmp_path: Path) -> None:
    def sleeper(**environment: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", SLEEPS],
            env={**os.environ, **environment},
            start_new_session=True,
        )

    ours, stranger = sleeper(**{rundir.PARENT: "4242"}), sleeper()
    try:
        deadline = time.monotonic() + 10
        while b"4242" not in Path(f"/proc/{ours.pid}/environ").read_bytes():
            assert time.monotonic() < deadline
        children = {
            "bot": {"pid": ours.pid, "command": "x"},
            "inference": {"pid": stranger.pid, "command": "x"},
            "training": {"pid": None, "command": "x"},
        }
        rundir.write(tmp_path, {"pid": 4242, "children": children})
        assert rundir.end_leftovers(tmp_path) == ["bot"]
        assert ours.wait(5) == -signal.SIGKILL
        assert stranger.poll() is None
        assert rundir.read(tmp_path) == {}
    finally:
        for process in (ours, stranger):
            process.kill()
            process.wait()


def test_a_new_data_dir_is_open_to_nobody_else_on_the_machine(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        os.close(rundir.take_lock(tmp_path / "data"))
    finally:
        os.umask(before)
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_asking_who_has_the_lock_does_not_keep_a_start_from_taking_it(tmp_path: Path) -> None:
    assert not rundir.is_locked(tmp_path)
    first = rundir.take_lock(tmp_path)
    assert rundir.is_locked(tmp_path)
    with pytest.raises(CommandError, match="already runs on DATA_DIR"):
        rundir.take_lock(tmp_path)
    rundir.write(tmp_path, {"pid": os.getpid() + 1, "ready": True})  # of one that was killed
    assert rundir.running(tmp_path) == {}
    os.close(first)
    assert not rundir.is_locked(tmp_path)
    os.close(rundir.take_lock(tmp_path))

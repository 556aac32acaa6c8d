"""Fault points: off they are nothing, and each name stands somewhere in the code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from desk import faultpoints
from desk.faultpoints import FaultInjectedError, parse

ROOT = Path(__file__).parents[2]
PLACED = re.compile(r"faultpoints\.point\(\s*\"([^\"]+)\"\s*\)")


def come_by(faults: str, times: int = 1, *, fuses: Path | None = None) -> int:
    """The exit status of a process that comes by `scheduler.tick` so often."""
    code = (
        "from desk import faultpoints\n"
        f"for _ in range({times}): faultpoints.point('scheduler.tick')\n"
    )
    environment = {**os.environ, faultpoints.FAULTS: faults, "PYTHONPATH": str(ROOT)}
    if fuses is not None:
        environment[faultpoints.FUSES] = str(fuses)
    return subprocess.run([sys.executable, "-c", code], env=environment, stderr=-3).returncode


def test_every_placed_point_has_a_name_and_every_name_a_place() -> None:
    packages = ("bot", "classifier", "cli", "desk", "workers")
    files = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    placed = [name for path in files for name in PLACED.findall(path.read_text())]
    assert set(placed) == faultpoints.NAMES
    assert len(placed) == len(set(placed)), "a name stands for one place"


def test_without_faults_a_point_does_nothing() -> None:
    assert faultpoints.FAULTS not in os.environ
    assert faultpoints.point is faultpoints._nothing


@pytest.mark.parametrize("wrong", ["nowhere=kill", "scheduler.tick=explode", "scheduler.tick"])
def test_what_is_no_fault_is_refused_with_a_sentence(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no fault; see desk"):
        parse(wrong)


def test_a_fault_has_an_action_seconds_and_a_turn() -> None:
    faults = parse("worker.after_take=sleep:2.5@3; ;sender.before_send=kill")
    (sleep,), (kill,) = faults["worker.after_take"], faults["sender.before_send"]
    assert (sleep.action, sleep.seconds, sleep.nth) == ("sleep", 2.5, 3)
    assert (kill.action, kill.seconds, kill.nth, kill.fuse) == ("kill", 0.0, 1, None)


def test_the_nth_pass_is_struck_and_no_other() -> None:
    (fault,) = parse("scheduler.tick=raise@2")["scheduler.tick"]
    fault.come_by()
    with pytest.raises(FaultInjectedError):
        fault.come_by()
    fault.come_by()


def test_with_a_fuse_it_happens_once_in_all_processes(tmp_path: Path) -> None:
    fault = "scheduler.tick=kill@2"
    assert come_by(fault, 1, fuses=tmp_path) == 0
    assert come_by(fault, 2, fuses=tmp_path) == -signal.SIGKILL
    assert (tmp_path / fault).exists()
    assert come_by(fault, 3, fuses=tmp_path) == 0


def test_a_fuse_that_is_taken_away_arms_a_running_process(tmp_path: Path) -> None:
    fuse = tmp_path / "scheduler.tick=raise"
    fuse.touch()
    (fault,) = parse("scheduler.tick=raise", tmp_path)["scheduler.tick"]
    fault.come_by()
    fuse.unlink()
    with pytest.raises(FaultInjectedError):
        fault.come_by()
    fault.come_by()


def test_kill_is_sigkill() -> None:
    assert come_by("scheduler.tick=kill") == -signal.SIGKILL


def test_a_wrong_fault_ends_the_process_at_its_start() -> None:
    assert come_by("nowhere=kill") == 1

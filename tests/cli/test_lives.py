"""Doctor reads how the children of a running desk live."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import rundir
from cli.compose import load_pack, read_settings
from cli.findings import Status
from cli.lives import signs_of_life
from cli.supervisor import (
    Supervisor,
)
from cli.up import Run
from tests.cli.children import SLEEPS, child, never, turn_until
from tests.conftest import FLORIST


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A `frontdesk up` that has started nothing yet."""
    monkeypatch.setattr(Supervisor, "stop_on_signals", lambda _: None)
    settings = read_settings(_env_file=None, data_dir=tmp_path, pack=str(FLORIST))
    lock = rundir.take_lock(tmp_path)
    made = Run(settings, load_pack(settings), quiet=True)
    yield made
    made.supervisor.stop_requests = 2
    made.supervisor.stop()
    os.close(lock)


def doctor_on_inference(run: Run) -> tuple[str, str, str]:
    [found] = [each for each in signs_of_life(run.settings) if each.check == "inference"]
    return found.status, found.detail, found.hint


def test_doctor_says_how_often_a_child_was_started_in_vain_and_fails_from_the_third_time_on(
    run: Run,
) -> None:
    one = child("raise SystemExit(1)", "inference", ready=never)
    log = f"See {run.data_dir / 'logs' / 'inference.log'}"
    run.supervisor.start(one)
    assert doctor_on_inference(run) == (Status.WARN, "is starting", log)
    waits = "waits for its next start"
    for restarts, waiting, starting in (
        (1, (Status.WARN, waits), (Status.WARN, "2nd")),
        (2, (Status.WARN, f"{waits}, the 2nd in a row"), (Status.FAIL, "3rd")),
        (3, (Status.FAIL, f"{waits}, the 3rd in a row"), (Status.FAIL, "4th")),
    ):
        turn_until(run.supervisor, lambda often=restarts: one.restarts == often)
        assert one.pid is None
        assert doctor_on_inference(run) == (*waiting, log)
        turn_until(run.supervisor, lambda: one.pid)
        status, time_ = starting
        assert doctor_on_inference(run) == (status, f"is starting, for the {time_} time", log)


def test_doctor_does_not_take_one_that_served_for_hours_for_one_that_starts_for_so_long(
    run: Run,
) -> None:
    one = child(SLEEPS, "inference")
    run.supervisor.start(one)
    turn_until(run.supervisor, lambda: one.is_ready)
    one.started -= 3 * 3600
    assert one.process is not None
    one.process.kill()
    turn_until(run.supervisor, lambda: one.pid is None)
    status, detail, _ = doctor_on_inference(run)
    assert (status, detail) == (Status.WARN, "waits for its next start")


def test_doctor_reads_what_an_up_of_the_version_before_wrote(run: Run) -> None:
    child_ = {"pid": os.getpid(), "command": "x", "ready": False}
    rundir.write(run.data_dir, {"pid": os.getpid(), "children": {"inference": child_}})
    status, detail, _ = doctor_on_inference(run)
    assert (status, detail) == (Status.WARN, "is starting")


def test_doctor_does_not_take_what_hangs_for_what_is_starting(run: Run) -> None:
    one = child(SLEEPS, "inference", ready=never)
    run.supervisor.start(one)
    one.started -= 600
    run.supervisor.changed()
    status, detail, _ = doctor_on_inference(run)
    assert (status, detail) == (Status.FAIL, "has been starting for 10 min")

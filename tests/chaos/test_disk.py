"""The disk with the SQLite file is full: updates stay with Telegram until there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos import stack as stacks
from tests.chaos.stack import until


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB. Only root may mount one: skips for others."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no `mount` here")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_disk_full_for_sqlite(settings: dict[str, str], small_disk: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    folder.mkdir()
    with stacks.running(folder, settings, sqlite=small_disk / "desk.db") as stack:
        bot = stack["bot"]
        customers = [stack.customer() for _ in range(5)]
        stack.says(customers[0], "where is my parcel")
        stack.answered(customers[0])
        ballast = _fill(small_disk)
        for customer in customers:
            # Long, so that no free page of the file has room for it.
            stack.says(customer, "refund the lamp " + "and the kettle " * 200)
        until(lambda: bot.said("updates_not_stored") > 0, "an update can't be stored")
        ballast.unlink()
        verdict = stack.good(customers)
        assert verdict.decisions.total() == 6


def _fill(place: Path) -> Path:
    """Leave no byte free."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as out, suppress(OSError):
        while True:
            out.write(os.urandom(4096))
    return ballast

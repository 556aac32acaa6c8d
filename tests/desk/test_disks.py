"""The room that is left, and whether what is written there lasts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from desk import disks

SHARED_MEMORY = Path("/dev/shm")


def test_the_room_for_a_folder_that_is_not_there_yet_is_that_of_the_nearest_above(
    tmp_path: Path,
) -> None:
    there = disks.free(tmp_path / "not" / "yet")
    assert abs(there - shutil.disk_usage(tmp_path).free) < 5e9  # others write there, too
    assert disks.nearest(tmp_path / "not" / "yet") == tmp_path.resolve()


@pytest.mark.skipif(not os.path.ismount(SHARED_MEMORY), reason="no tmpfs is known here")
def test_a_folder_in_memory_is_told_from_one_on_a_disk() -> None:
    assert disks.in_memory(SHARED_MEMORY / "not" / "yet")
    assert not disks.in_memory(Path(__file__))

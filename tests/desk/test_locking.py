"""One process at a time changes a folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from desk.locking import locked


def is_held(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # A lock that others share would let this one in.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def test_a_folder_is_held_as_long_as_it_is_changed(tmp_path: Path) -> None:
    with locked(tmp_path):
        assert is_held(tmp_path)
    assert not is_held(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_made_while_one_waits_is_held_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "packs" / "new"
    flock = fcntl.flock

    def made_meanwhile(descriptor: int, kind: int) -> None:
        flock(descriptor, kind)
        folder.mkdir(parents=True, exist_ok=True)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", made_meanwhile)
        lock = locked(folder)
        lock.__enter__()
    assert is_held(folder)
    assert not is_held(tmp_path)
    lock.__exit__(None, None, None)


def test_where_folders_take_no_lock_the_change_is_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(descriptor: int, kind: int) -> None:
        raise OSError(9, "Bad file descriptor")  # as NFS says

    monkeypatch.setattr(fcntl, "flock", refused)
    with locked(tmp_path):
        (tmp_path / "pack.yml").write_text("x")

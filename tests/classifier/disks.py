"""A disk that is full, for a program that has to live with it."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import pytest


def fill_disk(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Let the disk be full from the `at`-th file on (from 1) that is opened for writing.

    These are written to /dev/full: so it is the kernel that says ENOSPC, and when it would.
    """
    real, opened = Path.open, 0

    def open_(self: Path, mode: str = "r", *arguments: Any, **more: Any) -> IO[Any]:
        nonlocal opened
        if "w" in mode:
            opened += 1
            if opened >= at:
                return real(Path("/dev/full"), mode, *arguments, **more)
        return real(self, mode, *arguments, **more)

    monkeypatch.setattr(Path, "open", open_)

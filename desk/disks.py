"""The room that is left where the desk writes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

MEMORY = frozenset({"tmpfs", "ramfs"})


def nearest(folder: Path) -> Path:
    """The folder, or while it is not there the nearest above it, where it would be made."""
    place = folder.resolve()
    while not place.exists():
        place = place.parent
    return place


def free(folder: Path) -> int:
    """Bytes that may still be written there. Raises `OSError`."""
    return shutil.disk_usage(nearest(folder)).free


def in_memory(folder: Path) -> bool:
    """Whether what is written there is gone with the host or the container; False where the system
    does not tell."""
    device = nearest(folder).stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return False
    for line in mounts.splitlines():
        mount, _, source = line.partition(" - ")
        if mount.split()[2] == wanted:
            return source.split()[0] in MEMORY
    return False

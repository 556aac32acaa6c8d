"""One process at a time changes the files of a folder, each after it has read them."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from desk.disks import nearest


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait until nobody else holds the folder, then hold it; the lock dies with its holder.

    One that is not there yet is held by the nearest above it: nothing is made for the lock.
    Raises OSError where the folder may not be read.
    """
    while True:
        place = nearest(folder)
        descriptor = os.open(place, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # NFS locks no folders: there it goes without
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if nearest(folder) == place:  # else it was made while we waited
                yield
                return
        finally:
            os.close(descriptor)

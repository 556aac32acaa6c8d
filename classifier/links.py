"""Symbolic links, the same with each version of Python."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def resolved(path: Path) -> Path:
    """The path behind all links, whether or not something is there yet.

    Raises OSError where a link leads back to itself. There `Path.resolve` raises RuntimeError
    before Python 3.13, and nothing from then on.
    """
    target = Path(os.path.realpath(path))
    if any(each.is_symlink() for each in (target, *target.parents)):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target

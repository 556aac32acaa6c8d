"""How many threads compute, and how they wait: asleep. Imported before torch and numpy, if it can.

OpenMP threads by default spin while they wait for each other. Where another process wants the same
cores (a worker beside a training run on a laptop), a spinning thread keeps the very thread from
running that it waits for. On two cores that others were using, the same epoch took 25.8 s spinning
and 4.2 s sleeping, and in a second pair of runs, under more load, 78.6 s and 6.6 s.
What numpy multiplies here is too small for a second thread: with two, a lone text in twenty took
twice as long (p99 7.4 against 3.9 ms beside other work), and since numpy's threads spin too, 1,540
texts in batches of 64 as well. Numpy reads its setting when it is loaded; where somebody has loaded
it before, `lone_numpy` makes up for that.
A setting that the environment already has is left as it is.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

_LATE = "numpy" in sys.modules and "OPENBLAS_NUM_THREADS" not in os.environ
_lock = threading.Lock()
_within = 0
_before: list[tuple[Any, int]] = []

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def count_threads() -> int:
    """How many threads an engine may compute with: OMP_NUM_THREADS where it is set, as torch
    reads it too, else one for each core that this process may run on."""
    setting = os.environ.get("OMP_NUM_THREADS", "")
    if setting.isdecimal() and int(setting) > 0:
        return int(setting)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _begin_in_child() -> None:
    global _lock  # noqa: PLW0603 - nobody is left who would release the one of before
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_begin_in_child)


@contextmanager
def lone_numpy() -> Iterator[None]:
    """Within it numpy multiplies with one thread, for the whole process; afterwards as before."""
    if not _LATE:
        yield
        return
    _limit(1)
    try:
        yield
    finally:
        _limit(-1)


def _limit(more: int) -> None:
    """One more that needs numpy alone, or one less; the first sets it so and the last back."""
    global _within  # noqa: PLW0603 - the libraries' threads are the process's, too
    with _lock:
        if _within == 0:
            _before.extend((library, library.get_num_threads()) for library in _numpys())
        _within += more
        for library, threads in _before:
            library.set_num_threads(1 if _within else threads)
        if _within == 0:
            _before.clear()


@cache
def _numpys() -> list[Any]:
    """What numpy multiplies with: torch and scipy have their own."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return [
        library
        for library in ThreadpoolController().lib_controllers
        if any(part.startswith("numpy") for part in Path(library.filepath).parts)
    ]

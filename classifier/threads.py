"""How many threads compute, and how they wait: asleep. Imported before torch and numpy are.

OpenMP threads by default spin while they wait for each other. Where another process wants the same
cores (a worker beside a training run on a laptop), a spinning thread keeps the very thread from
running that it waits for. On two cores that others were using, the same epoch took 25.8 s spinning
and 4.2 s sleeping, and in a second pair of runs, under more load, 78.6 s and 6.6 s.
What numpy multiplies here is too small for a second thread: with two, a lone text in twenty took
twice as long (p99 7.4 against 3.9 ms beside other work).
A setting that the environment already has is left as it is.
"""

from __future__ import annotations

import os

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

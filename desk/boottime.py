"""A clock for lengths of time between two looks of one process, a sleep of its host included."""

from __future__ import annotations

import time

# On Linux the monotonic clock stands still while the host sleeps; that of others goes on.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boottime() -> float:
    """Seconds since some moment before the process began; never set back."""
    return time.clock_gettime(_CLOCK)

"""What a worker does when its GPU fails."""

from __future__ import annotations

import os

import structlog

from classifier.devices import device_broke

log = structlog.get_logger(__name__)


def end_if_broken(error: Exception) -> None:
    """End this process at once if its GPU failed: whatever it took up would fail, too.

    As if it were killed: whoever started it starts it again, and the scheduler finds what it had in
    hand. An ordinary exit would call the broken device to tidy up, and may never end.
    """
    if device_broke(error):
        log.critical("device.broken", reason=str(error))
        os._exit(1)

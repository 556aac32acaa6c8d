"""How many messages a worker takes at once, so that they are done while they are still its own."""

from __future__ import annotations

BATCH_SECONDS = 2.0
"""What a batch should take at most. The scheduler looks after twice as long what became of it."""


class Pace:
    """What a message costs with one model, in seconds: its share of forward passes and commits.

    It begins with a guess. What is slower is believed at once, what is faster by halves: a batch of
    short texts says little about the next one.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def learn(self, messages: int, seconds: float) -> None:
        """So many messages have taken so long together."""
        each = seconds / messages
        self._seconds = max(each, (self._seconds + each) / 2)

    def fits(self, most: int) -> int:
        """How many messages are done in `BATCH_SECONDS`: one at least, and at most `most`."""
        if self._seconds * most <= BATCH_SECONDS:
            return most
        return max(1, int(BATCH_SECONDS / self._seconds))

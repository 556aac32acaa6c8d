"""How many messages a worker takes at once, so that they are done while they are still its own."""

from __future__ import annotations

import math

BATCH_SECONDS = 2.0
"""What a batch should take. The scheduler looks after twice as long what became of it."""
PROBE_SECONDS = 2.5
"""What a larger batch may take, if each message costs as much as so far. One more message is tried
in any case, since where a commit takes most of the time it costs next to nothing; if it does cost
as much, such a batch takes up to twice `BATCH_SECONDS`."""
REMEMBERED_BATCHES = 20
"""After so many a size that was too slow is tried again, though each message costs as much."""


class Pace:
    """How many messages are done in `BATCH_SECONDS`: by the batches so far, and what they took.

    A limit and not a cost of each message: part of a batch's time is its own, however many are in
    it (its statements and its commit), and where the database is slow that is most of it.
    """

    def __init__(self, seconds: float) -> None:
        """A first guess: one message takes so long."""
        self._limit = BATCH_SECONDS / seconds if seconds else math.inf
        self._too_slow = 0
        """The size of the last batch of several that took too long."""
        self._remembered = 0
        """For how many more batches that counts."""

    def learn(self, messages: int, seconds: float) -> None:
        """So many messages have taken so long together.

        What is slower is believed at once, what is faster by doubling: a batch of short texts says
        little about the next one. A fast batch that was not full says nothing about larger ones.
        """
        each = seconds / messages
        self._remembered -= 1
        if seconds > BATCH_SECONDS:
            self._limit = BATCH_SECONDS / each
            if messages > 1:
                self._too_slow, self._remembered = messages, REMEMBERED_BATCHES
        elif messages > self._limit - 1:  # as many as fit
            larger = max(messages + 1, PROBE_SECONDS / each if each else math.inf)
            if self._remembered > 0 and self._too_slow * each > BATCH_SECONDS:
                larger = min(larger, (messages + self._too_slow) // 2)
            self._limit = min(2 * messages, larger)

    def fits(self, most: int) -> int:
        """How many messages to take: one at least, and at most `most`."""
        return max(1, int(min(most, self._limit)))

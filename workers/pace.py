"""How many messages a worker takes at once, so that they are done while they are still its own."""

from __future__ import annotations

import math

BATCH_SECONDS = 2.0
"""What a batch should take at most. The scheduler looks after twice as long what became of it."""
PROBE_SECONDS = 2.5
"""What a larger batch may take than any before it, if each message costs as much as so far."""


class Pace:
    """How many messages are done in `BATCH_SECONDS`: by the batches so far, and what they took.

    A limit and not a cost of each message: part of a batch's time is its own, however many are in
    it (its statements and its commit), and where the database is slow that is most of it.
    """

    def __init__(self, seconds: float) -> None:
        """A first guess: one message takes so long."""
        self._limit = BATCH_SECONDS / seconds if seconds else math.inf

    def learn(self, messages: int, seconds: float) -> None:
        """So many messages have taken so long together.

        What is slower is believed at once, what is faster by doubling: a batch of short texts says
        little about the next one. A fast batch that was not full says nothing about larger ones.
        """
        each = seconds / messages
        if seconds > BATCH_SECONDS:
            self._limit = BATCH_SECONDS / each
        elif messages >= int(self._limit):
            more = PROBE_SECONDS / each if each else math.inf
            self._limit = min(2 * messages, max(messages + 1, more))

    def fits(self, most: int) -> int:
        """How many messages to take: one at least, and at most `most`."""
        return max(1, int(min(most, self._limit)))

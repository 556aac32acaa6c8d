"""What a desk keeps no longer: customers' words past their time, and what
a version before kept of colleagues'."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import structlog

from desk.boottime import boottime
from desk.erased import Erasures
from desk.flow import emptying, erasing, intake
from desk.flow.desk import Desk
from desk.flow.masked_lessons import MaskedLessons

log = structlog.get_logger(__name__)

ERASE_SECONDS = 86400.0
NOTE_SECONDS = 60.0
ERASE_AT_ONCE = 20
"""So many customers in a tick: a second of work where each has thousands of messages."""
MOST_SECONDS = 2.0
"""After so long the rest waits for the next tick, which must come before the lease is over."""


class Retention:
    """The scheduler's chores of erasing; each does a little in a tick, and knows where it was.

    `days` is `RETENTION_DAYS`, None to keep everything; `wake_sender` is called where something is
    to be sent, such as the end of a customer's topic.
    """

    def __init__(
        self,
        desk: Desk,
        days: timedelta | None,
        erasures: Erasures | None,
        wake_sender: Callable[[], None],
    ) -> None:
        self._desk = desk
        self._days = days
        self._erasures = erasures
        self._wake_sender = wake_sender
        self._lessons = MaskedLessons()
        self._erase_from = self._note_from = self._reduce_from = 0.0
        self._emptied_until: int | None = 0
        """The last update that was emptied in this round; None at the end of them."""
        self._worded_until: int | None = 0
        """The same of conversations."""
        self._erased_all = False
        self._reduced_until = 0

    def erase_old(self) -> None:
        """Once a day what is older than `days` is erased, a little in each tick."""
        if self._days is None or boottime() < self._erase_from:
            return
        before = self._desk.clock() - self._days
        if self._emptied_until is not None:
            self._emptied_until = erasing.empty_updates(self._desk, before, self._emptied_until)
        if self._worded_until is not None:
            self._worded_until = emptying.empty_conversations(
                self._desk, before, self._worded_until, MOST_SECONDS, self._lessons
            )
        if self._emptied_until is not None or self._worded_until is not None:
            return
        if not self._erased_all:
            erased = erasing.erase_silent(
                self._desk, before, ERASE_AT_ONCE, MOST_SECONDS, self._lessons
            )
            if erased:
                log.info("customers.erased", customers=erased)
                self._wake_sender()
            if erased != 0:
                return
            self._erased_all = True  # and if somebody reads the log just now, not looked for again
        if self._desk.store.clear_log(patience=0.0):
            # From the first one again: one that was parked may be handled by then.
            self._erase_from, self._erased_all = boottime() + ERASE_SECONDS, False
            self._emptied_until = self._worded_until = 0

    def note_erased(self) -> None:
        """Once a minute: who was erased, by whomever, is noted outside the database, for the day on
        which a backup brings them back. Not in each tick that erases some: it reads all of them."""
        if self._erasures is None or boottime() < self._note_from:
            return
        self._erasures.note(self._desk.store)
        self._note_from = boottime() + NOTE_SECONDS  # not before: what failed is due at once

    def keep_ids(self) -> None:
        """From its start on, a little in each tick, and once a day again: a version before, which
        may go on beside this one for a while, keeps what colleagues wrote."""
        if boottime() < self._reduce_from:
            return
        reduced_until = intake.keep_ids(self._desk, self._reduced_until)
        if reduced_until is None:
            self._reduce_from = boottime() + ERASE_SECONDS
        self._reduced_until = reduced_until or 0

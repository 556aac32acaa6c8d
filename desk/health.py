"""Whether this process lives and whether it can do its work, as far as it knows itself.

Facts (a model is loaded, Telegram knows us) are told by those who establish them. What may break
at any time (database, Redis) is looked at again and again by a thread each, so that a probe reads
an answer and never waits for one: a database that hangs makes its answer old, and old means no.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from desk import metrics

CHECK_SECONDS = 5.0
STALE_SECONDS = 15.0
"""An answer of that age no longer counts: the check hangs."""


@dataclass(frozen=True, slots=True)
class _Answer:
    problem: str | None
    at: float
    lasting: bool


class Health:
    """What a process needs, and what of it is missing. Safe to use from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._needs: tuple[str, ...] = ()
        self._answers: dict[str, _Answer] = {}
        self.standby = False

    def leads(self, lease: str, *, mine: bool) -> None:
        """Whether this process holds a lease; one that stands by for another is ready."""
        self.standby = not mine
        metrics.LEASE.labels(lease).set(mine)

    @property
    def needs(self) -> tuple[str, ...]:
        return self._needs

    def need(self, names: Iterable[str]) -> None:
        """Name what has to be there before the process is ready."""
        self._needs = tuple(names)

    def have(self, name: str) -> None:
        """A fact is established, and stays so until `lack`."""
        self._answers[name] = _Answer(None, self._clock(), lasting=True)

    def lack(self, name: str, problem: str) -> None:
        """A fact does not hold; `problem` says why and is shown to whoever asks."""
        self._answers[name] = _Answer(problem, self._clock(), lasting=True)

    def missing(self) -> dict[str, str]:
        """What is missing for the work, each with its reason; empty when ready."""
        found: dict[str, str] = {}
        for name in self._needs:
            answer = self._answers.get(name)
            if answer is None:
                found[name] = "not there yet"
            elif answer.problem is not None:
                found[name] = answer.problem
            elif not answer.lasting and self._clock() - answer.at > STALE_SECONDS:
                found[name] = f"has not answered for {self._clock() - answer.at:.0f} s"
        return found

    def watch(self, name: str, check: Callable[[], object], seconds: float = CHECK_SECONDS) -> None:
        """Call `check` every so many seconds in a thread; what it raises is the problem."""

        def loop() -> None:
            while True:
                self._look(name, check)
                time.sleep(seconds)

        threading.Thread(target=loop, name=f"check {name}", daemon=True).start()

    def _look(self, name: str, check: Callable[[], object]) -> None:
        problem = None
        try:
            check()
        except Exception as error:  # noqa: BLE001 - whatever a driver raises is the finding
            # The text may hold an address with a password: the kind says enough here.
            problem = f"does not answer ({type(error).__name__})"
        self._answers[name] = _Answer(problem, self._clock(), lasting=False)


PROCESS = Health()
"""The health of this process."""

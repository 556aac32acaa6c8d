"""Telegram's limits on sending, kept on our side so that 429 stays the exception.

A chat may get one message a second with a short burst, a group besides that 20 a minute, and all
chats together 30 a second. An edit counts as a message does, and so does a topic that is made or
opened again, for Telegram says so in it. The two counts per span are sliding windows: a token
bucket of the same size would let through twice as many in the first span, which Telegram punishes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

CHAT_PER_SECOND = 1.0
CHAT_BURST = 5
GROUP_COUNT, GROUP_SECONDS = 20, 60.0
GROUP_AT_ONCE = 2
"""A group has to have room for so many: a topic is made before its first message."""
KEPT_FOR_CALLS = 4
"""So much of a group's count is left to calls for help: two, each with its topic."""
OVERALL_COUNT, OVERALL_SECONDS = 30, 1.0


class Bucket:
    """Tokens that come back at a steady rate, up to a burst."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._since = float("-inf")

    def wait(self, now: float, tokens: int = 1) -> float:
        """Seconds until there are so many tokens; 0 when there are."""
        return max(0.0, (tokens - self._at(now)) / self._rate)

    def spend(self, now: float) -> None:
        self._tokens, self._since = self._at(now) - 1.0, now

    def full(self, now: float) -> bool:
        return self._at(now) >= self._burst

    def _at(self, now: float) -> float:
        return min(float(self._burst), self._tokens + (now - self._since) * self._rate)


class Window:
    """At most `count` within any span of so many seconds."""

    def __init__(self, count: int, seconds: float) -> None:
        self._count = count
        self._seconds = seconds
        self._times: deque[float] = deque()

    def room(self, now: float) -> int:
        while self._times and self._times[0] <= now - self._seconds:
            self._times.popleft()
        return self._count - len(self._times)

    def wait(self, now: float, wanted: int = 1) -> float:
        """Seconds until there is room for so many; 0 when there is."""
        missing = wanted - self.room(now)
        return 0.0 if missing <= 0 else self._times[missing - 1] + self._seconds - now

    def spend(self, now: float) -> None:
        self._times.append(now)


class Limits:
    """What may be sent right now: overall, and to which chats not."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._overall = Window(OVERALL_COUNT, OVERALL_SECONDS)
        self._chats: dict[int, Bucket] = {}
        self._groups: dict[int, Window] = {}
        self._under_way = 0

    def seed(self, sent: Iterable[tuple[int, float]]) -> None:
        """Count what others have sent: (chat, seconds ago) pairs, the oldest first."""
        now = self._clock()
        for chat_id, ago in sent:
            self._count(chat_id, now - ago)

    def room(self) -> int:
        """How many messages may leave now, whatever their chats."""
        return self._overall.room(self._clock()) - self._under_way

    def exhausted(self) -> set[int]:
        """The chats that have to wait."""
        now = self._clock()
        for chat_id in [chat for chat, bucket in self._chats.items() if bucket.full(now)]:
            del self._chats[chat_id]
        return {chat for chat, wait in self._waits(now) if wait > 0}

    def scarce(self) -> set[int]:
        """The groups that have room for calls for help alone."""
        now = self._clock()
        return {chat for chat, window in self._groups.items() if window.room(now) <= KEPT_FOR_CALLS}

    def wait(self) -> float | None:
        """Seconds until something that had to wait may go; None when nothing has to."""
        now = self._clock()
        waits = [wait for _, wait in self._waits(now)]
        waits += [window.wait(now, KEPT_FOR_CALLS + 1) for window in self._groups.values()]
        waits.append(self._overall.wait(now))
        return min((wait for wait in waits if wait > 0), default=None)

    def begin(self) -> None:
        """A call is on its way: it holds a place until it ends."""
        self._under_way += 1

    def end(self, chat_id: int) -> None:
        """A call is over. It counts from now, for Telegram has counted it before that."""
        self._under_way -= 1
        self.spend(chat_id)

    def spend(self, chat_id: int) -> None:
        """Count a message, or what counts as one."""
        self._count(chat_id, self._clock())

    def _waits(self, now: float) -> list[tuple[int, float]]:
        """For how long each chat has to wait, by each of its limits."""
        found = [
            (chat, bucket.wait(now, GROUP_AT_ONCE if chat < 0 else 1))
            for chat, bucket in self._chats.items()
        ]
        return found + [
            (chat, window.wait(now, GROUP_AT_ONCE)) for chat, window in self._groups.items()
        ]

    def _count(self, chat_id: int, at: float) -> None:
        self._overall.spend(at)
        self._chats.setdefault(chat_id, Bucket(CHAT_PER_SECOND, CHAT_BURST)).spend(at)
        if chat_id < 0:
            self._groups.setdefault(chat_id, Window(GROUP_COUNT, GROUP_SECONDS)).spend(at)

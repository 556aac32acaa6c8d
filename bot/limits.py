"""Telegram's limits on sending, kept on our side so that 429 stays the exception.

A chat may get one message a second with a short burst, a group besides that 20 a minute, and all
chats together 30 a second. The two counts per span are sliding windows: a token bucket of the
same size would let through twice as many in the first span, which Telegram punishes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

CHAT_PER_SECOND = 1.0
CHAT_BURST = 5
GROUP_COUNT, GROUP_SECONDS = 20, 60.0
OVERALL_COUNT, OVERALL_SECONDS = 30, 1.0


class Bucket:
    """Tokens that come back at a steady rate, up to a burst."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._since = float("-inf")

    def wait(self, now: float) -> float:
        """Seconds until there is a token; 0 when there is one."""
        return max(0.0, (1.0 - self._at(now)) / self._rate)

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

    def wait(self, now: float) -> float:
        """Seconds until there is room; 0 when there is."""
        return 0.0 if self.room(now) > 0 else self._times[0] + self._seconds - now

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
            self._overall.spend(now - ago)
            self._count(chat_id, now - ago)

    def room(self) -> int:
        """How many messages may leave now, whatever their chats."""
        return self._overall.room(self._clock()) - self._under_way

    def exhausted(self) -> set[int]:
        """The chats that have to wait."""
        now = self._clock()
        for chat_id in [chat for chat, bucket in self._chats.items() if bucket.full(now)]:
            del self._chats[chat_id]
        found = {chat for chat, bucket in self._chats.items() if bucket.wait(now) > 0}
        return found | {chat for chat, window in self._groups.items() if window.wait(now) > 0}

    def wait(self) -> float | None:
        """Seconds until something that had to wait may go; None when nothing has to."""
        now = self._clock()
        waits = [bucket.wait(now) for bucket in self._chats.values()]
        waits += [window.wait(now) for window in self._groups.values()]
        waits.append(self._overall.wait(now))
        return min((wait for wait in waits if wait > 0), default=None)

    def begin(self) -> None:
        """A call is on its way: it holds a place until it ends."""
        self._under_way += 1

    def end(self, chat_id: int, *, edit: bool = False) -> None:
        """A call is over. It counts from now, for Telegram has counted it before that."""
        self._under_way -= 1
        self._overall.spend(self._clock())
        if not edit:
            self.spend(chat_id)

    def spend(self, chat_id: int) -> None:
        """Count a message against its chat. An edit weighs on the overall limit only."""
        self._count(chat_id, self._clock())

    def _count(self, chat_id: int, at: float) -> None:
        self._chats.setdefault(chat_id, Bucket(CHAT_PER_SECOND, CHAT_BURST)).spend(at)
        if chat_id < 0:
            self._groups.setdefault(chat_id, Window(GROUP_COUNT, GROUP_SECONDS)).spend(at)

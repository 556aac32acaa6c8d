"""Telegram's rate limits for messages, their edits among them; off unless switched on."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable

from simulator.errors import too_many_requests

GROUP_PER_MINUTE = 20
OVERALL_PER_SECOND = 30
CHAT_BURST = 5
SENDS = {"sendmessage", "sendphoto", "senddocument", "copymessage", "forwardmessage"}
EDITS = {"editmessagetext", "editmessagecaption", "editmessagereplymarkup"}
SERVICE = {"createforumtopic", "editforumtopic", "closeforumtopic", "reopenforumtopic"}
"""What Telegram says in a topic itself, as a message."""
COUNTED = SENDS | EDITS | SERVICE
"""They share one limit."""


class Limits:
    """Counts calls per bot and chat and refuses the ones that are too many."""

    def __init__(self, clock: Callable[[], float], enabled: bool) -> None:
        self.enabled = enabled
        self._clock = clock
        self._overall: defaultdict[int, deque[float]] = defaultdict(deque)
        self._groups: defaultdict[tuple[int, int], deque[float]] = defaultdict(deque)
        self._tokens: dict[tuple[int, int], tuple[float, float]] = {}

    def clear(self) -> None:
        """Forget what was counted."""
        self._overall.clear()
        self._groups.clear()
        self._tokens.clear()

    def check(self, method: str, bot_key: int, chat_id: int | None) -> None:
        """Count one call; raises 429 ApiError and counts nothing when it is one too many."""
        if not self.enabled or chat_id is None or method.lower() not in COUNTED:
            return
        now = self._clock()
        overall, group = self._overall[bot_key], self._groups[bot_key, chat_id]
        _forget(overall, now - 1)
        _forget(group, now - 60)
        if len(overall) >= OVERALL_PER_SECOND:
            raise too_many_requests(1)
        if chat_id < 0 and len(group) >= GROUP_PER_MINUTE:
            raise too_many_requests(max(1, math.ceil(group[0] + 60 - now)))
        tokens, since = self._tokens.get((bot_key, chat_id), (float(CHAT_BURST), now))
        tokens = min(float(CHAT_BURST), tokens + now - since)
        if tokens < 1:
            raise too_many_requests(max(1, math.ceil(1 - tokens)))
        self._tokens[bot_key, chat_id] = (tokens - 1, now)
        overall.append(now)
        group.append(now)


def _forget(times: deque[float], before: float) -> None:
    while times and times[0] <= before:
        times.popleft()

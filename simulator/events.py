"""What happens, told to whoever listens: the page's event stream and the waiting requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from simulator.model import Json

T = TypeVar("T")


class Bus:
    """Publishes events to subscribers and wakes requests that wait for a change."""

    def __init__(self) -> None:
        self.closing = False
        self.last_id = 0
        # Grows with all that happens until the end, whether it is an event or not.
        self.changes = 0
        self._subscribers: set[asyncio.Queue[Json | None]] = set()
        self._waiters: set[asyncio.Future[None]] = set()

    def publish(self, kind: str, data: Json) -> None:
        """Send one event to all subscribers and wake the waiters."""
        self.last_id += 1
        event = {"id": self.last_id, "type": kind, "data": data}
        for queue in self._subscribers:
            queue.put_nowait(event)
        self.wake()

    def wake(self) -> None:
        """Let every waiter look again."""
        if not self.closing:
            self.changes += 1
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def close(self) -> None:
        """End all streams and waits, so that the server stops at once."""
        self.closing = True
        for queue in self._subscribers:
            queue.put_nowait(None)
        self.wake()

    def subscribe(self) -> asyncio.Queue[Json | None]:
        """A queue of events from now on; None ends it."""
        queue: asyncio.Queue[Json | None] = asyncio.Queue()
        self._subscribers.add(queue)
        if self.closing:
            queue.put_nowait(None)
        return queue

    def unsubscribe(self, queue: asyncio.Queue[Json | None]) -> None:
        """Stop sending to the queue."""
        self._subscribers.discard(queue)

    async def until(self, look: Callable[[], T], timeout: float) -> T:
        """Return the first truthy `look()`, or what it gives when `timeout` seconds are over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            found = look()
            left = deadline - loop.time()
            if found or left <= 0 or self.closing:
                return found
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiters.add(waiter)
            try:
                await asyncio.wait_for(waiter, left)
            except TimeoutError:
                pass
            finally:
                self._waiters.discard(waiter)

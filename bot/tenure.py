"""The bot's lease: of the processes that serve one bot, one handles and sends; the others wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.waiting import pause, unless
from desk import health
from desk.boottime import boottime
from desk.flow import leases
from desk.flow.desk import Desk
from desk.flow.leases import Holding, LostLeaseError

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.5
"""How often a standby looks whether it is its turn: a rolling restart hands over in that time."""


class Tenure:
    """Waits for the lease, keeps it and gives it back.

    `begin` is run once it is held and before anything that waits in `while_held` starts.
    """

    def __init__(
        self, desk: Desk, bot_id: int, begin: Callable[[Holding], Coroutine[Any, Any, None]]
    ) -> None:
        self._desk = desk
        self._begin = begin
        self._held = asyncio.Event()
        self._until = 0.0
        self.lease = Holding(leases.bot_lease(bot_id), leases.new_holder())

    async def while_held(
        self, work: Callable[[asyncio.Event], Coroutine[Any, Any, None]], stop: asyncio.Event
    ) -> None:
        """Run `work(stop)` as soon as the lease is held; nothing if `stop` comes first."""
        if await unless(stop, self._held.wait()):
            await work(stop)

    def is_held(self) -> bool:
        """Whether this process has had the lease and not heard of another holder."""
        return self._held.is_set()

    def sure(self) -> bool:
        """Whether nobody can have taken the lease over yet, by this process's own clock.

        For a process that was frozen, or whose host slept: it asks before each step that can't be
        taken back.
        """
        # The lease runs on while the host sleeps.
        return boottime() < self._until

    async def run(self, stop: asyncio.Event) -> None:
        """Hold the lease from when it is free until `stop`.

        Raises `LostLeaseError` when another process has taken it over: this one was frozen or
        cut off, and ends, so that nothing it still believes outlives its turn.
        """
        try:
            waiting = False
            while not await self._try():
                if not waiting:
                    log.info("standby", lease=self.lease.name)
                    health.PROCESS.leads("bot", mine=False)
                    waiting = True
                if await pause(stop, LOOK_SECONDS):
                    return
            log.info("lease_taken", lease=self.lease.name)
            health.PROCESS.leads("bot", mine=True)
            self._held.set()
            while not await pause(stop, leases.RENEW_SECONDS):
                await self._renew()
        finally:
            health.PROCESS.leads("bot", mine=False)
            await self._release()

    async def _try(self) -> bool:
        try:
            return await self._hold() and await self._begun()
        except SQLAlchemyError as error:
            log.warning("lease_not_taken", error=type(error).__name__)
            return False
        except LostLeaseError:
            return False

    async def _begun(self) -> bool:
        """Do what comes first; says whether the lease is still this process's after that.

        It may take longer than the lease lasts, so that is renewed beside it.
        """
        beginning = asyncio.create_task(self._begin(self.lease))
        kept = True
        try:
            while not (await asyncio.wait([beginning], timeout=leases.RENEW_SECONDS))[0]:
                try:
                    kept = kept and await self._hold()
                except SQLAlchemyError as error:
                    log.warning("lease_not_renewed", error=type(error).__name__)
        finally:
            beginning.cancel()  # where this is cancelled itself
        beginning.result()
        return kept and await self._hold()

    async def _hold(self) -> bool:
        until = boottime() + leases.SECONDS
        if not await asyncio.to_thread(leases.hold, self._desk, self.lease):
            return False
        self._until = until
        return True

    async def _renew(self) -> None:
        try:
            kept = await self._hold()
        except SQLAlchemyError as error:
            # While the database is away nobody can take it over either.
            log.warning("lease_not_renewed", error=type(error).__name__)
            return
        if not kept:
            raise LostLeaseError(
                f"Another process has taken over the lease {self.lease.name}: this one was frozen "
                "or cut off from the database. Start it again; it then waits for its turn."
            )

    async def _release(self) -> None:
        try:
            await asyncio.to_thread(leases.release, self._desk, self.lease)
        except SQLAlchemyError as error:
            log.warning("lease_not_released", error=type(error).__name__)

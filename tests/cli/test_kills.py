"""kill -9 of any process while 500 messages are on their way: each is answered or handed over once.

One `frontdesk up` serves all of it; its supervisor restarts what was killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
from itertools import count

import aiohttp
import pytest

from cli import rundir
from cli.simulated import Simulator
from desk.store import Store
from tests.chaos import oracle
from tests.cli.conftest import Place

CUSTOMERS, EACH = 50, 10
# Two intents in turn: the same answer again and again would call a person.
TEXTS = ("where is my parcel", "refund the lamp")
first_id = count(5_000_000, 1000)


async def write_all(url: str, customers: list[int], kill_after: int, victim: int) -> None:
    """All customers write their messages at once; the victim dies when so many are written."""
    written = 0

    async def write(session: aiohttp.ClientSession, customer: int) -> None:
        nonlocal written
        body = {"id": customer, "first_name": f"C{customer}", "start": False}
        async with session.post(f"{url}/sim/customers", json=body) as response:
            assert response.ok, await response.text()
        for number in range(EACH):
            text = {"text": TEXTS[number % 2]}
            async with session.post(f"{url}/sim/customers/{customer}/send", json=text) as response:
                assert response.ok, await response.text()
            written += 1
            if written == kill_after:
                os.kill(victim, signal.SIGKILL)

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(write(session, customer) for customer in customers))


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("victim", ["bot", "inference", "redis", "scheduler", "training"])
def test_every_message_is_answered_or_handed_over_once_when_a_process_is_killed(
    shared: Place, victim: str
) -> None:
    url = str(rundir.read(shared.data_dir)["url"])
    store = Store(f"sqlite:///{shared.data_dir / 'simulator.db'}")
    start = next(first_id)
    customers = list(range(start, start + CUSTOMERS))

    asyncio.run(write_all(url, customers, CUSTOMERS * EACH // 3, shared.children()[victim]))
    verdict = oracle.settle(store, Simulator(url), customers, 180)
    store.dispose()

    assert not verdict.violations, "\n".join(verdict.violations)
    assert verdict.parked == 0
    assert verdict.updates == verdict.decisions.total() == CUSTOMERS * EACH

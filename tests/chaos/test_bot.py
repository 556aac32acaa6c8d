"""The bot is killed, stopped, doubled and lied to: every update is stored once and answered."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from desk.domain import InboxState
from desk.tables import Inbox
from simulator.world import DEFAULT_TOKEN
from tests.chaos.conftest import LONG
from tests.chaos.proxy import Proxy
from tests.chaos.stack import Stack, pause, until

WHERE, REFUND = "where is my parcel", "refund the lamp"


@pytest.mark.parametrize(
    "point",
    [
        "intake.before_commit",
        "intake.after_commit",
        "lane.before_enqueue",
        "sender.after_send",
        *(["lane.after_enqueue", "sender.after_take", "sender.before_send"] if LONG else []),
    ],
)
def test_bot_killed_at(stack: Stack, point: str) -> None:
    bot = stack["bot"]
    deaths, customer = bot.deaths, stack.customer()
    stack.arm(f"{point}=kill")
    stack.says(customer, WHERE, REFUND)
    stack.comes_to_pass(f"{point}=kill")
    until(lambda: bot.deaths > deaths, "the bot is killed")
    verdict = stack.good([customer])
    # Only what was being sent may have arrived already.
    assert (verdict.uncertain > 0) == point.startswith("sender."), str(verdict)
    assert verdict.doubled == (point == "sender.after_send")


def test_bot_stopped_in_a_batch(stack: Stack) -> None:
    customers = [stack.customer() for _ in range(20)]
    stack["bot"].end()
    for customer in customers:
        stack.says(customer, WHERE, REFUND)
    stack["bot"].start()
    until(lambda: any(map(stack.sent_to, customers)), "the first replies")
    stack["bot"].end()
    stack["bot"].start()
    verdict = stack.good(customers)
    assert verdict.doubled == verdict.uncertain == 0


def test_unparseable_update_among_100(stack: Stack) -> None:
    customers = [stack.customer() for _ in range(50)]
    parked = _parked(stack)
    stack["bot"].end()
    for number, customer in enumerate(customers):
        stack.says(customer, WHERE)
        if number == 25:
            stack.fault(kind="garbage_update")
        stack.says(customer, REFUND)
    stack["bot"].start()
    stack.good(customers)
    assert _parked(stack) == parked + 1


def _parked(stack: Stack) -> int:
    with stack.store.reading() as session:
        return session.scalar(select(func.count()).where(Inbox.state == InboxState.PARKED)) or 0


def test_two_bots(stack: Stack) -> None:
    customers = [stack.customer() for _ in range(10)]
    second = stack.twin("bot")
    try:
        for customer in customers:
            stack.says(customer, WHERE)
        stack.good(customers)
        stack["bot"].end(0)
        for customer in customers:
            stack.says(customer, REFUND)
        # By the one that stood by: it has seen that the other is dead.
        verdict = stack.good(customers)
        assert verdict.updates == verdict.shown == 20
    finally:
        stack["bot"].start()
        stack.wait_ready("bot")
        stack.remove(second)


@pytest.mark.skipif(not LONG, reason="it waits for leases and polls: a minute and a half")
def test_bot_cut_off(stack: Stack) -> None:
    first = stack["bot"]
    assert stack.postgres is not None
    assert stack.database_proxy is not None
    proxy = Proxy(stack.postgres / ".s.PGSQL.5432")
    url = first.environment["DATABASE_URL"]
    url = url.replace(f":{stack.database_proxy.port}/", f":{proxy.port}/")
    second = stack.twin("bot", DATABASE_URL=url)
    try:
        first.end()
        until(lambda: second.said("lease_taken"), "the second bot takes over")
        taken = first.said("lease_taken")
        first.start()
        stack.wait_ready("bot")
        proxy.refuse()
        until(lambda: first.said("lease_taken") > taken, "the first bot takes over")
        customers = []
        for _ in range(5):
            customers.append(stack.customer())
            stack.says(customers[-1], WHERE)
            # The other one, which still reaches Telegram, only looks from time to time.
            until(lambda: stack.sent_to(customers[-1]), "a reply", 10)
            pause(2)
        deaths = second.deaths
        proxy.restore()
        until(lambda: second.deaths > deaths, "the bot that was cut off ends")
        assert stack.good(customers).disturbances == 0
    finally:
        stack.remove(second)
        proxy.close()


def test_two_pollers(stack: Stack) -> None:
    customers = [stack.customer() for _ in range(5)]
    told = stack["bot"].said("another_poller")

    def poll_beside() -> None:
        # Another program with the same token, which acknowledges nothing.
        stack.simulator.get(f"/bot{DEFAULT_TOKEN}/getUpdates?limit=1")

    def met() -> bool:
        poll_beside()  # the first ones may come before the bot polls
        return stack["bot"].said("another_poller") > told

    for customer in customers:
        poll_beside()
        stack.says(customer, WHERE)
    until(met, "the bot meets the other one")
    stack.good(customers)


def test_same_update_three_times(stack: Stack) -> None:
    customer = stack.customer()
    # Twice by the simulator; and once more because the bot dies before it acknowledges.
    stack.fault(kind="duplicate_update", times=2)
    stack.arm("intake.after_commit=kill")
    stack.says(customer, WHERE, REFUND)
    stack.comes_to_pass("intake.after_commit=kill")
    stack.good([customer])


def test_update_id_goes_backwards(stack: Stack) -> None:
    customer = stack.customer()
    stack.says(customer, WHERE)
    stack.answered(customer)
    # Telegram does so after an idle week, when all that came before is acknowledged: a poll that
    # began before stands open.
    stack.fault(kind="reset_update_id")
    stack.says(customer, REFUND)
    stack.good([customer])


def test_updates_out_of_order(stack: Stack) -> None:
    customers = [stack.customer() for _ in range(5)]
    stack.fault(kind="out_of_order", times=3)
    for customer in customers:
        stack.says(customer, WHERE)
    stack.good(customers)

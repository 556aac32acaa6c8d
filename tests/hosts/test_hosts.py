"""Beyond one machine: hosts that are cut off and come back, and processes replaced one by one.

Two hosts each for bot (by webhook), inference and scheduler share one PostgreSQL and one Valkey.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from desk.store import Store
from tests.hosts.fleet import Fleet, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_both_of_every_two_hosts_have_a_part_in_the_work(fleet: Fleet) -> None:
    before = fleet.balanced()
    with fleet.traffic.flowing():
        fleet.traffic.wait(60)
    assert fleet.judge().uncertain == 0
    for name in ("bot-a", "bot-b"):
        assert fleet.balanced()[name] > before[name]
    for name in ("worker-a", "worker-b"):
        assert fleet.services[name].said("batch.decided")


def test_a_workers_host_is_cut_off_and_comes_back(fleet: Fleet) -> None:
    with fleet.traffic.flowing():
        fleet.traffic.wait(30)
        with fleet.network.cut(fleet.hosts["worker-a"]):
            fleet.traffic.wait(60)
        fleet.traffic.wait(30)
    assert fleet.judge().uncertain == 0


def test_the_other_bot_takes_over_when_the_active_ones_host_is_cut_off_in_a_transaction(
    fleet: Fleet,
) -> None:
    active = fleet.holder("bot:%")
    other = {"bot-a": "bot-b", "bot-b": "bot-a"}[active]
    host, lost = fleet.hosts[active], fleet.services[active]
    ends = lost.ends
    with fleet.traffic.flowing(), in_transaction(fleet, active):
        fleet.traffic.wait(20)
        with fleet.network.cut(host):
            until(lambda: fleet.holder("bot:%") == other, f"{other} takes over")
            fleet.traffic.wait(40)
        until(lambda: lost.ends > ends, "the bot that was cut off finds that it lost its lease")
        until(lost.works, "started again, it works as a standby")
        fleet.traffic.wait(20)
    fleet.judge()
    assert fleet.holder("bot:%") == other


def test_a_standby_bots_host_is_cut_off_and_the_active_one_takes_all_updates(
    fleet: Fleet,
) -> None:
    active = fleet.holder("bot:%")
    standby = {"bot-a": "bot-b", "bot-b": "bot-a"}[active]
    ends = fleet.services[active].ends
    with fleet.traffic.flowing():
        fleet.traffic.wait(20)
        with fleet.network.cut(fleet.hosts[standby]):
            before = fleet.balanced()
            fleet.traffic.wait(40)
            during = fleet.balanced()
        until(
            lambda: fleet.balanced()[standby] > during[standby],
            f"{standby} takes updates again",
        )
    assert fleet.judge().uncertain == 0
    assert during[standby] == before[standby]
    assert during[active] > before[active]
    assert fleet.holder("bot:%") == active
    assert fleet.services[active].ends == ends


@contextmanager
def in_transaction(fleet: Fleet, name: str) -> Iterator[None]:
    """Somebody on that host looks at the bot's lease, as a process does before it acts."""
    host = fleet.hosts[name]
    store = host.call(Store, fleet.settings["DATABASE_URL"].replace("://", "+psycopg://"))
    connection = host.call(store.engine.connect)
    look = text("SELECT holder FROM leases WHERE name LIKE 'bot:%' FOR SHARE")
    host.call(connection.execute, look)
    try:
        yield
    finally:
        connection.invalidate()
        store.dispose()


def test_one_scheduler_at_a_time_does_the_chores_when_a_host_is_cut_off(fleet: Fleet) -> None:
    active = fleet.holder("scheduler")
    other = {"sched-a": "sched-b", "sched-b": "sched-a"}[active]
    first, second = fleet.services[active], fleet.services[other]
    stood_by = len(first.said("scheduler.standby"))
    found = len(second.said("messages.enqueued_again"))
    with fleet.traffic.flowing():
        fleet.traffic.wait(20)
        with fleet.network.cut(fleet.hosts[active]):
            until(lambda: fleet.holder("scheduler") == other, f"{other} takes over")

            def found_again() -> bool:
                fleet.redis.flushall()  # what is under way is forgotten: only a scheduler finds it
                return len(second.said("messages.enqueued_again")) > found

            until(found_again, f"{other} finds what Redis has forgotten")
        fleet.traffic.wait(20)
    fleet.judge()
    until(lambda: len(first.said("scheduler.standby")) > stood_by, f"{active} stands by")
    assert fleet.holder("scheduler") == other


def test_the_databases_host_is_cut_off_and_comes_back(fleet: Fleet) -> None:
    refused = fleet.refused()
    with fleet.traffic.flowing():
        fleet.traffic.wait(20)
        with fleet.network.cut(fleet.hosts["postgres"]):
            until(lambda: fleet.traffic.disturbed, "a customer is told that something is wrong")
            until(lambda: fleet.refused() > refused, "Telegram hears that an update is not stored")
        fleet.traffic.wait(40)
    assert fleet.judge().disturbances


def test_redis_host_is_cut_off_until_people_are_called_and_comes_back(fleet: Fleet) -> None:
    before = fleet.late()
    with fleet.traffic.flowing():
        fleet.traffic.wait(20)
        with fleet.network.cut(fleet.hosts["valkey"]):
            until(
                lambda: fleet.late() > before,
                "a person is called for a message that waits too long",
            )
        fleet.traffic.wait(40)
    fleet.judge()


def test_every_process_is_replaced_under_traffic_without_loss_or_repetition(fleet: Fleet) -> None:
    with fleet.traffic.flowing():
        for half in ("-a", "-b"):
            fleet.traffic.wait(20)
            services = [fleet.services[kind + half] for kind in ("bot", "worker", "sched")]
            fleet.slow_sends(8)
            assert [service.stop() for service in services] == [0, 0, 0]
            for service in services:
                service.start()
            for service in services:
                until(service.works, f"{service.name} works again")
        fleet.traffic.wait(20)
    assert fleet.judge().uncertain == 0

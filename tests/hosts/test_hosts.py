"""Beyond one machine: hosts that are cut off and come back, and processes replaced one by one.

Two hosts each for bot (by webhook), inference and scheduler share one PostgreSQL and one Valkey.
"""

from __future__ import annotations

import pytest

from tests.hosts.fleet import Fleet
from tests.hosts.judge import check

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]


def test_both_of_every_two_hosts_have_a_part_in_the_work(fleet: Fleet) -> None:
    before = fleet.balanced()
    with fleet.traffic.flowing():
        fleet.traffic.wait(60)
    assert check(fleet) == 0
    for name in ("bot-a", "bot-b"):
        assert fleet.balanced()[name] > before[name]
    for name in ("worker-a", "worker-b"):
        assert fleet.services[name].said("batch.decided")


def test_a_workers_host_is_cut_off_and_comes_back(fleet: Fleet) -> None:
    with fleet.traffic.flowing():
        fleet.traffic.wait(30)
        fleet.network.cut(fleet.hosts["worker-a"])
        fleet.traffic.wait(60)
        fleet.network.restore(fleet.hosts["worker-a"])
        fleet.traffic.wait(30)
    assert check(fleet) == 0

"""Several schedulers: one does the chores at a time."""

from __future__ import annotations

from desk.flow import leases
from desk.flow.desk import Desk
from desk.health import PROCESS
from workers.scheduler import Turn


def test_a_second_scheduler_waits_until_the_first_gives_its_turn_back(desk: Desk) -> None:
    first, second = Turn(desk), Turn(desk)
    assert first.is_mine()
    assert not PROCESS.standby
    assert not second.is_mine()
    assert PROCESS.standby
    assert first.is_mine()
    first.give_back()
    assert second.is_mine()
    assert not first.is_mine()
    assert [name for name, _, _ in leases.held(desk)] == [leases.SCHEDULER]

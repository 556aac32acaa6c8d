"""Several schedulers: one does the chores at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import pytest
from redis import Redis
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from desk import queues
from desk.domain import Person
from desk.flow import deciding, leases, watching
from desk.flow.desk import Desk
from desk.health import PROCESS
from tests.conftest import Clock
from tests.desk.acting import Stage, predict
from tests.workers.test_scheduler import queued
from workers.scheduler import Scheduler, Turn

T = TypeVar("T")


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


def test_a_scheduler_that_can_not_ask_whose_turn_it_is_does_nothing_and_goes_on_asking(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> bool:
        raise OperationalError("select", {}, Exception("away"))

    turn = Turn(desk)
    with monkeypatch.context() as patch:
        patch.setattr(leases, "hold", away)
        assert not turn.is_mine()
        assert PROCESS.standby
    assert turn.is_mine()
    monkeypatch.setattr(leases, "release", away)
    turn.give_back()


def test_schedulers_whose_turns_overlap_do_nothing_twice(
    stage: Stage, connection: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As when Redis keeps the holder waiting for longer than its lease: both have looked what is
    # to be done before either does it.
    together = Barrier(2)

    def wait_for_the_other(act: Callable[..., T]) -> Callable[..., T]:
        def late(*args: object) -> T:
            together.wait(30)
            return act(*args)

        return late

    monkeypatch.setattr(deciding, "give_up", wait_for_the_other(deciding.give_up))
    monkeypatch.setattr(watching, "next_attempts", wait_for_the_other(watching.next_attempts))
    for number in range(3):
        late, lost = Person(600 + number, "Lena"), Person(700 + number, "Luis")
        first = stage.write("is anybody there?", late)
        clock.move(seconds=16)
        second = stage.write("where is it?", lost)
        assert first is not None
        assert second is not None
        clock.move(seconds=5)
        with capture_logs() as logs, ThreadPoolExecutor(2) as pool:
            schedulers = [Scheduler(stage.desk, connection, 20, None) for _ in range(2)]
            list(pool.map(Scheduler.tick, schedulers))
        assert not [entry for entry in logs if entry["event"] == "database_away"]
        assert stage.decision(first[0]).rule == "late"
        assert len(stage.heard(late)) == 1
        newest = stage.message(second[0]).attempt
        assert queues.classify_job_id(second[0], newest) in queued(connection)
        for attempt in range(newest + 1):
            stage.decide(((second[0], attempt), predict("where is it?")))
        assert len(stage.heard(lost)) == 1
    assert sum("is anybody there?" in text for text in stage.told()) == 3

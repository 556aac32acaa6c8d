"""Leases: one holder at a time, a hand-over at once, and a fence that time can't open."""

from __future__ import annotations

import subprocess
import sys
from threading import Barrier, Thread

import pytest
from sqlalchemy import select

from desk.domain import DeliveryState
from desk.flow import customers, delivering, dispatching, intake, leases, recovering
from desk.flow.desk import Desk
from desk.flow.leases import Holding, LostLeaseError
from desk.tables import DeliveryRow, Lease
from tests.desk.acting import ANA, BOT, Stage

NAME = "bot:77"


def somebody() -> Holding:
    return Holding(NAME, leases.new_holder())


def taken_over(desk: Desk) -> Holding:
    """A holder whose lease has ended and been taken by another."""
    first = somebody()
    assert leases.hold(desk, first, seconds=-1)
    assert leases.hold(desk, somebody())
    return first


def test_one_holds_a_lease_and_renews_it_while_others_wait(desk: Desk) -> None:
    first, second = somebody(), somebody()
    assert leases.hold(desk, first)
    assert not leases.hold(desk, second)
    assert leases.hold(desk, first)
    ((name, holder, seconds),) = leases.held(desk)
    assert (name, holder) == (NAME, first.holder)
    assert 0 < seconds <= leases.SECONDS


def test_a_lease_that_is_given_back_is_free_at_once(desk: Desk) -> None:
    first, second = somebody(), somebody()
    assert leases.hold(desk, first)
    leases.release(desk, first)
    assert leases.hold(desk, second)
    leases.release(desk, first)
    assert not leases.hold(desk, first), "only the holder can give it back"


def test_a_lease_that_has_ended_goes_to_the_next_and_not_back(desk: Desk) -> None:
    first = taken_over(desk)
    assert not leases.hold(desk, first)


def test_an_ended_lease_that_nobody_wanted_is_renewed(desk: Desk) -> None:
    first = somebody()
    assert leases.hold(desk, first, seconds=-1)
    assert leases.hold(desk, first)


def test_a_lease_of_before_the_clock_was_put_back_has_ended(desk: Desk) -> None:
    first, second = somebody(), somebody()
    assert leases.hold(desk, first, seconds=3600)
    with desk.store.reading() as session:
        assert session.scalar(select(Lease.name).where(leases.in_force(desk.store))) is None
    assert leases.hold(desk, second)
    with desk.store.reading() as session:
        assert session.scalar(select(Lease.name).where(leases.in_force(desk.store))) == NAME
    assert not leases.hold(desk, first)


def test_of_many_that_want_a_lease_at_once_one_gets_it(desk: Desk) -> None:
    got: list[Holding] = []
    together = Barrier(6)

    def want() -> None:
        holding = somebody()
        together.wait()
        if leases.hold(desk, holding):
            got.append(holding)

    threads = [Thread(target=want) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [holding.holder for holding in got] == [leases.held(desk)[0][1]]


def test_the_lease_of_a_process_of_this_machine_that_is_dead_is_free_at_once(desk: Desk) -> None:
    code = "from desk.flow import leases; print(leases.new_holder())"
    child = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    dead = Holding(NAME, child.stdout.strip())
    if "/:" in dead.holder:
        pytest.skip("this system does not tell where a process id is valid")
    assert leases.hold(desk, dead)
    assert leases.hold(desk, somebody())


def test_the_lease_of_a_process_elsewhere_is_waited_for(desk: Desk) -> None:
    host, _, rest = leases.new_holder().partition("/")
    place, _, rest = rest.partition(":")
    gone = rest.replace(rest.split(":")[0], "4194999", 1)  # above the largest process id
    elsewhere = Holding(NAME, f"{host}/{place}9:{gone}")
    assert leases.hold(desk, elsewhere)
    assert not leases.hold(desk, somebody())


def test_a_process_id_that_was_given_anew_does_not_keep_a_lease(desk: Desk) -> None:
    host_and_place, pid, started, token = leases.new_holder().split(":")
    if not started:
        pytest.skip("this system does not tell when a process started")
    before = Holding(NAME, f"{host_and_place}:{pid}:{int(started) - 1}:{token}")
    assert leases.hold(desk, before)
    assert leases.hold(desk, somebody())


def test_who_has_lost_the_lease_takes_nothing_to_send_and_nothing_to_handle(stage: Stage) -> None:
    stage.update(501)
    stage.ask("where is it?")
    lost = taken_over(stage.desk)
    with pytest.raises(LostLeaseError, match="taken over"):
        dispatching.take(stage.desk, (), 10, lost)
    with pytest.raises(LostLeaseError):
        recovering.recover(stage.desk, lost)
    with pytest.raises(LostLeaseError):
        recovering.put_back(stage.desk, [], lost)
    with pytest.raises(LostLeaseError):
        intake.new_rows(stage.desk, BOT, [], lost)
    assert {row.state for row in stage.deliveries()} == {DeliveryState.PENDING}


def test_what_was_taken_before_the_lease_was_lost_ends_once(stage: Stage) -> None:
    update = stage.update(501)
    stage.ask("where is it?")
    first = somebody()
    assert leases.hold(stage.desk, first, seconds=-1)
    (before,) = dispatching.take(stage.desk, (), 10, first)
    second = somebody()
    assert leases.hold(stage.desk, second)
    recovering.recover(stage.desk, second)
    (again,) = dispatching.take(stage.desk, (), 10, second)
    assert customers.wrote(stage.desk, update, ANA, 1, "hello?") is not None
    assert customers.wrote(stage.desk, update, ANA, 1, "hello?") is None, "the other has done it"
    delivering.failed(stage.desk, before.id, before.attempts, "too late")
    assert stage.row(DeliveryRow, before.id).state is DeliveryState.SENDING
    delivering.sent(stage.desk, again.id, again.attempts, 7)
    assert stage.row(DeliveryRow, before.id).telegram_id == 7


def test_a_holder_is_shown_by_host_and_process() -> None:
    assert leases.describe("web-1/f42f-1:77:1234:ab") == "web-1, process 77"
    assert leases.describe("something else") == "something else"

"""What is old is erased, a little in each tick of the scheduler, and noted for a restore."""

from __future__ import annotations

import subprocess
from pathlib import Path
from time import monotonic

import pytest
from redis import Redis
from sqlalchemy import make_url, select, update

from desk.domain import InboxState, Person
from desk.erased import Erasures
from desk.flow import clocks, erasing, intake, masked_lessons
from desk.store import BUSY_SECONDS
from desk.tables import Customer, Inbox, Message
from tests.conftest import OPERATOR_CHAT, Clock
from tests.desk.acting import ANA, BEN, Stage
from workers import retention as module
from workers.scheduler import Scheduler


def eraser(stage: Stage, connection: Redis, erasures: Erasures | None = None) -> Scheduler:
    return Scheduler(
        stage.desk,
        connection,
        reply_deadline=20,
        retrain_at=None,
        retention_days=30,
        erasures=erasures,
    )


def test_when_the_days_erasure_is_over_sqlites_log_has_nothing_of_it_either(
    stage: Stage, connection: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stage.desk.store
    if not store.sqlite:
        pytest.skip("a server's log is its own")
    now = 0.0
    monkeypatch.setattr(module, "boottime", lambda: now)
    scheduler = eraser(stage, connection)
    database = str(make_url(store.url).database)

    def found() -> bool:
        # By another process: one that closes a file loses all its locks on it, SQLite's too, and
        # the next test's processes would take the log away from under this one's connections.
        files = [path for path in (database, f"{database}-wal") if Path(path).exists()]
        return b"peonies" in subprocess.run(["cat", *files], capture_output=True, check=True).stdout

    stage.ask("where are my peonies?", ANA)
    stage.send_all()
    clock.move(seconds=86400 * 31)
    began = monotonic()
    with store.reading() as session:
        session.scalars(select(Message)).all()
        for _ in range(3):
            scheduler.tick()
            assert found(), "while somebody reads the log stays"
    assert monotonic() - began < BUSY_SECONDS, "nobody is waited for"
    assert names(stage) == [""]
    scheduler.tick()
    assert not found()


def test_what_a_version_before_kept_of_the_operators_chat_is_reduced_a_little_in_each_tick(
    stage: Stage, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = Scheduler(stage.desk, connection, reply_deadline=20, retrain_at=None)
    monkeypatch.setattr(intake, "CHUNK", 2)
    for _ in range(3):
        stage.update(OPERATOR_CHAT)
    words = {"payload": {"message": {"message_id": 1, "text": "Ana"}}, "state": InboxState.DONE}
    with stage.desk.store.writing() as session:
        session.execute(update(Inbox).values(words))
    left = []
    for _ in range(3):
        scheduler.tick()
        left.append(str([row.payload for row in stage.all(select(Inbox))]).count("Ana"))
    assert left == [1, 0, 0]


def test_the_silent_are_erased_once_a_day_and_their_updates_emptied(
    stage: Stage, connection: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(module, "boottime", lambda: now)
    keeping = Scheduler(stage.desk, connection, reply_deadline=20, retrain_at=None)
    scheduler = eraser(stage, connection)
    for number in range(3):
        stage.ask("roses?", Person(chat_id=700 + number, name=f"P{number}"))
    stage.send_all()
    with stage.desk.store.writing() as session:
        session.execute(update(Inbox).values(received_at=clock()))
    monkeypatch.setattr(module, "ERASE_AT_ONCE", 2)
    clock.move(seconds=86400 * 31)
    keeping.tick()
    assert names(stage) == ["P0", "P1", "P2"]
    for _ in range(2):  # first come the updates and the conversations, and their ends
        scheduler.tick()
    assert names(stage) == ["", "", "P2"], "a little in each tick"
    scheduler.tick()
    assert names(stage) == ["", "", ""]
    assert [row.payload for row in stage.all(select(Inbox))] == [{}, {}, {}]
    scheduler.tick()
    stage.ask("tulips?", Person(chat_id=800, name="P3"))
    stage.send_all()
    clock.move(seconds=86400 * 31)
    parked = stage.row(Inbox, 1)
    with stage.desk.store.writing() as session:
        handled_at_last = {"payload": {"text": "roses?"}, "received_at": parked.received_at}
        session.execute(update(Inbox).where(Inbox.id == 1).values(handled_at_last))
    now = 86390.0
    scheduler.tick()
    assert names(stage)[-1] == "P3", "a day has not passed"
    now = 86410.0
    for _ in range(2):
        scheduler.tick()
    assert names(stage)[-1] == ""
    assert stage.row(Inbox, 1).payload == {}


def test_customers_who_take_long_to_erase_are_left_to_the_next_tick(
    stage: Stage, connection: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = eraser(stage, connection)
    for number in range(3):
        stage.ask("roses?", Person(chat_id=700 + number, name=f"P{number}"))
    stage.send_all()
    clock.move(seconds=86400 * 31)
    monkeypatch.setattr(module, "MOST_SECONDS", 0.0)
    scheduler.tick()  # first come the updates and the conversations
    left = []
    for _ in range(4):
        scheduler.tick()
        left.append(len([name for name in names(stage) if name]))
    assert left == [2, 1, 0, 0]


def test_one_who_taught_much_is_erased_though_it_takes_several_ticks_to_mask(
    stage: Stage, connection: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masked_lessons, "CHUNK", 1)
    scheduler = eraser(stage, connection)
    for number in range(3):
        stage.ask(f"roses {number}? ana@example.org")
        stage.press(stage.token("up", message_id=stage.said()[-1].id))
    stage.send_all()
    clock.move(seconds=86400 * 31)
    monkeypatch.setattr(module, "MOST_SECONDS", -1.0)
    scheduler.tick()  # first come the updates and the conversations
    left = []
    for _ in range(3):
        scheduler.tick()
        left.append(names(stage))
    assert left == [["Ana"], ["Ana"], [""]]
    texts = [row.text for row in stage.all(select(Message).order_by(Message.id)) if row.text]
    assert texts == [f"roses {number}? [email]" for number in range(3)]


def test_what_was_said_long_ago_to_who_is_still_there_is_emptied_once_a_day(
    stage: Stage, connection: Redis, clock: Clock
) -> None:
    scheduler = eraser(stage, connection)
    stage.ask("roses?", intent="complaint")
    stage.topic()
    stage.send_all()
    stage.resolve()
    stage.send_all()
    clock.move(seconds=86400 * 31)
    stage.ask("tulips?")
    stage.send_all()
    for _ in range(3):
        scheduler.tick()
    assert [row.text for row in stage.said()] == ["", "tulips?"]
    assert names(stage) == ["Ana"]


def test_who_is_erased_by_whomever_is_noted_outside_the_database_within_a_minute(
    stage: Stage,
    connection: Redis,
    clock: Clock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(module, "boottime", lambda: now)
    erasures = Erasures(tmp_path)
    scheduler = eraser(stage, connection, erasures)
    scheduler.tick()
    assert erasures.notes() == set()
    stage.ask("roses?", ANA)
    stage.send_all()
    clock.move(seconds=86400 * 31)
    scheduler._retention._erase_from = 0.0
    for _ in range(2):
        scheduler.tick()
    assert names(stage) == [""]
    assert erasures.notes() == set(), "all of them are read for it, so not in each tick"
    now = 61.0
    scheduler.tick()
    assert len(erasures.notes()) == 1
    stage.ask("tulips?", BEN)
    stage.send_all()
    erasing.erase(stage.desk, stage.customer(BEN).id)
    Scheduler(stage.desk, connection, 20, None, erasures=Erasures(tmp_path)).tick()
    assert len(erasures.notes()) == 2


def test_nothing_is_erased_by_a_clock_that_is_wrong(
    stage: Stage, connection: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = eraser(stage, connection)
    stage.ask("roses?", ANA)
    stage.send_all()
    clock.move(seconds=86400 * 31)
    monkeypatch.setattr(clocks, "offset", lambda _: 86400.0 * 31)
    scheduler.tick()
    assert names(stage) == ["Ana"]


def names(stage: Stage) -> list[str]:
    return [customer.name for customer in stage.all(select(Customer).order_by(Customer.id))]

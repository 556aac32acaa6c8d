"""The scheduler finds in SQL what Redis has lost, and calls people for what is late."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, time
from pathlib import Path

import pytest
import structlog
from redis import Redis
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from desk import metrics, queues
from desk.domain import Action, ConversationState, Person, Trial
from desk.erased import Erasures
from desk.flow import clocks, customers, quiet, runs, watching
from desk.tables import Message
from tests.conftest import Clock
from tests.desk.acting import ANA, BEN, Stage
from workers import scheduler as module
from workers.batching import BatchWorker
from workers.connection import client
from workers.retention import Retention
from workers.scheduler import Scheduler


@pytest.fixture
def scheduler(stage: Stage, connection: Redis) -> Scheduler:
    return Scheduler(stage.desk, connection, reply_deadline=20, retrain_at=time(3, 0))


def queued(connection: Redis) -> list[str]:
    return queues.queue(queues.CLASSIFY, connection).job_ids


def test_a_message_whose_job_is_gone_is_enqueued_again_under_a_new_attempt(
    stage: Stage, scheduler: Scheduler, connection: Redis, clock: Clock
) -> None:
    job = stage.write("where is it?")
    assert job is not None
    queues.enqueue_classify(connection, [job])
    connection.flushall()
    clock.move(seconds=5)
    scheduler.tick()
    assert queued(connection) == [queues.classify_job_id(job[0], job[1] + 1)]


def test_a_message_whose_job_still_waits_in_a_long_queue_is_left_alone(
    stage: Stage, scheduler: Scheduler, connection: Redis, clock: Clock
) -> None:
    job = stage.write("where is it?")
    assert job is not None
    queues.enqueue_classify(connection, [job])
    clock.move(seconds=15)
    scheduler.tick()
    assert queued(connection) == [queues.classify_job_id(*job)]


def test_a_message_that_has_only_just_come_is_left_to_the_bot(
    stage: Stage, scheduler: Scheduler, connection: Redis, clock: Clock
) -> None:
    stage.write("where is it?")
    clock.move(seconds=1)
    scheduler.tick()
    assert queued(connection) == []


def test_a_job_that_hangs_in_a_dead_worker_gets_another_attempt(
    stage: Stage, scheduler: Scheduler, connection: Redis, clock: Clock
) -> None:
    job = stage.write("where is it?")
    assert job is not None
    queues.enqueue_classify(connection, [job])
    key = f"rq:job:{queues.classify_job_id(*job)}"
    connection.lpop("rq:queue:classify")
    started = clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    connection.hset(key, mapping={"status": "started", "started_at": started})
    clock.move(seconds=2)
    scheduler.tick()
    assert queued(connection) == []
    clock.move(seconds=5)
    scheduler.tick()
    assert queued(connection) == [queues.classify_job_id(job[0], job[1] + 1)]


def test_a_job_of_a_worker_that_is_still_connected_has_twice_as_long(
    stage: Stage, scheduler: Scheduler, connection: Redis, redis_url: str, clock: Clock
) -> None:
    alive, dead = stage.write("where is it?", ANA), stage.write("are you open?", BEN)
    assert alive is not None
    assert dead is not None
    queues.enqueue_classify(connection, [alive, dead])
    connection.delete("rq:queue:classify")
    started = clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    for job, worker in ((alive, "slow"), (dead, "killed")):
        found = {"status": "started", "started_at": started, "worker_name": worker}
        connection.hset(f"rq:job:{queues.classify_job_id(*job)}", mapping=found)
    worker = BatchWorker(
        queues.CLASSIFY, connection=connection, run_batch=list, max_batch=1, name="slow"
    )
    worker.subscribe()
    try:
        clock.move(seconds=5)
        scheduler.tick()
        assert stage.message(dead[0]).trial == Trial.SUSPECTED
        assert stage.message(alive[0]).attempt == alive[1]
        clock.move(seconds=4)
        scheduler.tick()
        assert stage.message(alive[0]).trial == Trial.SUSPECTED
    finally:
        worker.unsubscribe()


def test_where_redis_does_not_say_who_listens_a_late_worker_counts_as_dead_and_all_goes_on(
    stage: Stage, connection: Redis, clock: Clock, redis_url: str
) -> None:
    connection.acl_setuser(
        "desk",
        enabled=True,
        nopass=True,
        keys=["*"],
        channels=["*"],
        commands=["+@all", "-pubsub|numsub"],
    )
    managed = Redis.from_url(redis_url, username="desk", password="any")
    scheduler = Scheduler(stage.desk, managed, reply_deadline=20, retrain_at=None)
    hangs, lost = stage.write("where is it?", ANA), stage.write("are you open?", BEN)
    assert hangs is not None
    assert lost is not None
    queues.enqueue_classify(connection, [hangs])
    connection.delete("rq:queue:classify")
    started = clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    found = {"status": "started", "started_at": started, "worker_name": "killed"}
    connection.hset(f"rq:job:{queues.classify_job_id(*hangs)}", mapping=found)
    clock.move(seconds=5)
    with structlog.testing.capture_logs() as logs:
        scheduler.tick()
    again = [queues.classify_job_id(number, attempt + 1) for number, attempt in (hangs, lost)]
    assert sorted(queued(connection)) == sorted(again)
    assert [log["event"] for log in logs].count("numsub.refused") == 1
    assert "redis_away" not in [log["event"] for log in logs]
    managed.close()


def test_a_job_that_is_queued_but_in_no_queue_is_enqueued_again(
    stage: Stage, scheduler: Scheduler, connection: Redis, clock: Clock
) -> None:
    job = stage.write("where is it?")
    assert job is not None
    queues.enqueue_classify(connection, [job])
    run_id, _ = runs.order_run(stage.desk, "Olga")
    queues.enqueue_train(connection, run_id, 1)
    connection.delete("rq:queue:classify", "rq:queue:train")
    clock.move(seconds=5)
    scheduler.tick()
    assert queued(connection) == [queues.classify_job_id(job[0], job[1] + 1)]
    assert stage.message(job[0]).trial == Trial.NONE
    assert queues.queue(queues.TRAIN, connection).job_ids == [f"train-{run_id}-1"]


def test_of_a_queue_that_is_too_long_to_read_no_job_counts_as_missing(
    stage: Stage,
    scheduler: Scheduler,
    connection: Redis,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = [job for person in (ANA, BEN) if (job := stage.write("where is it?", person))]
    queues.enqueue_classify(connection, jobs)
    monkeypatch.setattr(watching, "MOST", 1)
    others = ["another", "one more"]
    connection.lpush("rq:queue:classify", *reversed(others))
    clock.move(seconds=5)
    scheduler.tick()
    assert queued(connection) == [*others, *(queues.classify_job_id(*job) for job in jobs)]


@pytest.mark.parametrize("started", ["yesterday", b"\xff\xfe", "2026-13-45T00:00:00Z"])
def test_a_job_whose_start_is_unreadable_counts_as_one_of_a_dead_worker(
    stage: Stage, scheduler: Scheduler, connection: Redis, clock: Clock, started: str | bytes
) -> None:
    job = stage.write("where is it?")
    assert job is not None
    queues.enqueue_classify(connection, [job])
    connection.lpop("rq:queue:classify")
    key = f"rq:job:{queues.classify_job_id(*job)}"
    connection.hset(key, mapping={"status": "started", "started_at": started})
    clock.move(seconds=5)
    scheduler.tick()
    assert queued(connection) == [queues.classify_job_id(job[0], job[1] + 1)]
    assert stage.message(job[0]).trial == Trial.SUSPECTED


@pytest.mark.parametrize(
    "error", [ValueError("nobody foresaw this"), IntegrityError("insert", {}, Exception("odd"))]
)
def test_a_chore_that_fails_over_its_data_keeps_no_other_from_its_work(
    stage: Stage,
    scheduler: Scheduler,
    connection: Redis,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def fails(*_: object) -> None:
        raise error

    run_id, attempt = runs.order_run(stage.desk, "Olga")
    monkeypatch.setattr(watching, "waiting_longer", fails)
    with structlog.testing.capture_logs() as logs:
        scheduler.tick()
    assert [
        (entry["event"], entry["chore"]) for entry in logs if entry["log_level"] == "error"
    ] == [("chore.failed", "enqueue_stuck")]
    assert queues.queue(queues.TRAIN, connection).job_ids == [f"train-{run_id}-{attempt}"]


def test_a_scheduler_whose_clock_differs_does_nothing_by_age_until_it_agrees(
    stage: Stage, scheduler: Scheduler, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = stage.write("where is it?")
    assert job is not None
    clock.move(seconds=25)
    monkeypatch.setattr(clocks, "offset", lambda _: 25.0)
    with structlog.testing.capture_logs() as logs:
        scheduler.tick()
        scheduler.tick()
    assert stage.pending_count() == 1
    assert [entry["seconds"] for entry in logs if entry["event"] == "chores.refused"] == [25.0]
    monkeypatch.setattr(clocks, "offset", lambda _: 1.0)
    scheduler.tick()
    assert stage.decision(job[0]).rule == "late"


def test_the_metric_knows_each_chore_before_it_fails() -> None:
    known = {sample.labels["chore"] for sample in metrics.CHORES_FAILED.collect()[0].samples}
    public = {*vars(Scheduler), *vars(Retention)}
    assert known == {name for name in public if not name.startswith("_")} - {"tick", "hesitate"}


def test_a_chore_that_goes_on_failing_is_counted_each_time_and_logged_once_for_each_error(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ticks(number: int, error: str = "") -> list[str]:
        """The errors logged in so many ticks."""

        def overdue(*_: object) -> list[int]:
            if error:
                raise ValueError(error)
            return []

        monkeypatch.setattr(watching, "overdue", overdue)
        with structlog.testing.capture_logs() as logs:
            for _ in range(number):
                scheduler.tick()
        return [str(log["exc_info"]) for log in logs if log["event"] == "chore.failed"]

    counter = metrics.CHORES_FAILED.labels("give_up_late")
    before = counter._value.get()
    assert ticks(3, "odd") == ["odd"]
    assert ticks(2, "odd") == []
    assert ticks(2, "even") == ["even"]
    assert counter._value.get() - before == 7
    assert ticks(1) == []
    assert ticks(1, "even") == ["even"], "it had worked in between"


def test_a_chore_of_every_minute_that_fails_is_due_at_once_counted_each_time_and_logged_once(
    stage: Stage, connection: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "erased").write_text("no folder: nothing can be noted in it")

    def fails(*_: object) -> None:
        raise ValueError("nobody foresaw this")

    monkeypatch.setattr(quiet, "close_quiet", fails)
    scheduler = Scheduler(stage.desk, connection, 20, None, erasures=Erasures(tmp_path))
    counters = [metrics.CHORES_FAILED.labels(name) for name in ("close_quiet", "note_erased")]
    before = [counter._value.get() for counter in counters]
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            scheduler.tick()
    assert [counter._value.get() for counter in counters] == [number + 5 for number in before]
    failed = [log["chore"] for log in logs if log["event"] == "chore.failed"]
    assert failed == ["close_quiet", "note_erased"]
    (tmp_path / "erased").unlink()
    scheduler.tick()
    assert Erasures(tmp_path).file.exists(), "as soon as it can be done it is"


def test_two_desks_that_share_a_database_of_redis_are_both_told_so_until_one_has_left(
    stage: Stage, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SIGN_SECONDS", 0.0)
    one, other = (Scheduler(stage.desk, connection, 20, retrain_at=None) for _ in "ab")
    with structlog.testing.capture_logs() as logs:
        for _ in range(4):
            one.tick()
            other.tick()
    told = [log for log in logs if log["event"] == "chore.failed"]
    assert [log["chore"] for log in told] == ["share_no_redis"] * 2
    assert "another desk uses this database of Redis" in str(told[0]["exc_info"])
    assert queues.is_shared(connection)
    assert 0 < connection.ttl("rq:frontdesk:others") <= 60
    connection.delete("rq:frontdesk:others")  # as after a minute
    with structlog.testing.capture_logs() as logs:
        for _ in range(4):
            one.tick()
    assert not queues.is_shared(connection)
    assert [log["event"] for log in logs] == []


def test_schedulers_of_one_desk_that_take_turns_are_no_other_desks(
    stage: Stage, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SIGN_SECONDS", 0.0)
    one, other = (Scheduler(stage.desk, connection, 20, retrain_at=None) for _ in "ab")
    for _ in range(4):
        for active, standby in ((one, other), (other, one)):
            active.tick()
            active.tick()
            standby.hesitate()
    assert not queues.is_shared(connection)


def test_an_overdue_message_goes_to_a_person_and_the_customer_is_told_once(
    stage: Stage, scheduler: Scheduler, clock: Clock
) -> None:
    job = stage.write("is anybody there?")
    assert job is not None
    clock.move(seconds=21)
    scheduler.tick()
    scheduler.tick()
    assert stage.decision(job[0]).action is Action.ESCALATE
    assert stage.decision(job[0]).rule == "late"
    assert stage.conversation(ANA).state is ConversationState.WAITING
    assert len(stage.heard(ANA)) == 1


def test_what_a_customer_writes_after_that_is_shown_to_people_and_told_no_more(
    stage: Stage, scheduler: Scheduler, clock: Clock
) -> None:
    for number in range(4):
        stage.write(f"hello {number}?")
        clock.move(seconds=21)
        scheduler.tick()
    assert stage.pending_count() == 0
    assert len(stage.heard(ANA)) == 1
    for number in range(4):
        assert any(f"hello {number}?" in text for text in stage.told())


def test_a_late_prediction_changes_nothing_any_more(
    stage: Stage, scheduler: Scheduler, clock: Clock
) -> None:
    job = stage.write("is anybody there?")
    assert job is not None
    clock.move(seconds=21)
    scheduler.tick()
    assert watching.waiting_longer(stage.desk, 0) == []
    with stage.desk.store.reading() as session:
        assert session.get_one(Message, job[0]).state == "decided"


def test_a_queued_training_run_whose_job_is_gone_is_enqueued_again(
    stage: Stage, scheduler: Scheduler, connection: Redis
) -> None:
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    scheduler.tick()
    scheduler.tick()
    assert queues.queue(queues.TRAIN, connection).job_ids == [f"train-{run_id}-{attempt}"]


def test_redis_being_away_does_not_keep_late_messages_from_a_person(
    stage: Stage, clock: Clock
) -> None:
    nowhere = Redis.from_url("unix:///nonexistent/redis.sock")
    job = stage.write("hello?")
    assert job is not None
    clock.move(seconds=21)
    Scheduler(stage.desk, nowhere, reply_deadline=20, retrain_at=None).tick()
    assert stage.decision(job[0]).rule == "late"


def test_a_queued_training_run_whose_job_failed_gets_another_attempt_at_once(
    stage: Stage, scheduler: Scheduler, connection: Redis
) -> None:
    run_id, attempt = runs.order_run(stage.desk, "Olga")
    scheduler.tick()
    connection.lpop("rq:queue:train")
    connection.hset(f"rq:job:train-{run_id}-{attempt}", "status", "failed")
    scheduler.tick()
    scheduler.tick()
    assert queues.queue(queues.TRAIN, connection).job_ids == [f"train-{run_id}-{attempt + 1}"]
    assert not runs.start_run(stage.desk, run_id, attempt)
    assert runs.start_run(stage.desk, run_id, attempt + 1)


def test_a_run_that_the_command_line_carries_out_is_never_enqueued(
    stage: Stage, scheduler: Scheduler, connection: Redis, clock: Clock
) -> None:
    run_id, attempt = runs.order_run(stage.desk, "cli", begin=True)
    for _ in range(5):
        clock.move(seconds=50)
        assert runs.still_running(stage.desk, run_id, attempt)
        scheduler.tick()
    assert queues.queue(queues.TRAIN, connection).job_ids == []


def test_a_run_whose_process_was_killed_is_begun_anew_when_it_has_been_silent_for_a_minute(
    stage: Stage, scheduler: Scheduler, connection: Redis, clock: Clock
) -> None:
    run_id, attempt = runs.order_run(stage.desk, "cli", begin=True)
    clock.move(seconds=59)
    scheduler.tick()
    assert queues.queue(queues.TRAIN, connection).job_ids == []
    clock.move(seconds=1)
    scheduler.tick()
    scheduler.tick()
    assert queues.queue(queues.TRAIN, connection).job_ids == [f"train-{run_id}-{attempt + 1}"]
    assert not runs.still_running(stage.desk, run_id, attempt)


@pytest.mark.parametrize(
    "error",
    [OperationalError("select", {}, Exception("away")), PoolTimeoutError("no connection is free")],
)
def test_a_run_that_could_give_no_sign_in_an_outage_is_not_begun_anew_at_once(
    error: Exception,
    stage: Stage,
    scheduler: Scheduler,
    connection: Redis,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: object) -> None:
        raise error

    run_id, attempt = runs.order_run(stage.desk, "cli", begin=True)
    with monkeypatch.context() as outage:
        outage.setattr(watching, "overdue", away)
        scheduler.tick()
    clock.move(seconds=70)
    scheduler.tick()
    assert runs.still_running(stage.desk, run_id, attempt), "it may go on"
    clock.move(seconds=70)
    monkeypatch.setattr("workers.scheduler.HESITATE_SECONDS", 0.0)
    scheduler.hesitate()
    scheduler.tick()
    assert not runs.still_running(stage.desk, run_id, attempt), "this one is dead"


def test_a_run_that_gave_no_sign_while_the_host_slept_is_not_begun_anew(
    stage: Stage, scheduler: Scheduler, clock: Clock, sleep_host: Callable[[float], None]
) -> None:
    run_id, attempt = runs.order_run(stage.desk, "cli", begin=True)
    scheduler.tick()
    sleep_host(3600)
    clock.move(hours=1)
    scheduler.tick()
    assert runs.still_running(stage.desk, run_id, attempt), "it sleeps as the scheduler does"


def test_people_are_called_for_late_messages_while_redis_answers_nothing(
    stage: Stage, connection: Redis, redis_url: str, clock: Clock
) -> None:
    silent = client(redis_url, answer_within=0.5)
    scheduler = Scheduler(stage.desk, silent, reply_deadline=20, retrain_at=None)
    stage.write("where is it?")
    clock.move(seconds=21)
    server = connection.info("server")["process_id"]
    os.kill(server, signal.SIGSTOP)
    try:
        scheduler.tick()
    finally:
        os.kill(server, signal.SIGCONT)
    assert stage.conversation().state is ConversationState.WAITING
    silent.close()


def test_in_a_round_a_redis_that_answers_nothing_is_waited_for_once_and_sql_goes_on(
    stage: Stage, connection: Redis, redis_url: str, clock: Clock
) -> None:
    silent = client(redis_url, answer_within=1.0)
    scheduler = Scheduler(stage.desk, silent, reply_deadline=20, retrain_at=time(3, 0))
    customers.asked_for_person(
        stage.desk, stage.update(), Person(chat_id=700, name="Carl"), "/human"
    )
    clock.move(minutes=16)
    stage.write("where is it?", ANA)
    clock.move(seconds=21)
    stage.write("are you open?", BEN)
    clock.move(seconds=5)
    runs.order_run(stage.desk, "Olga")
    server = connection.info("server")["process_id"]
    os.kill(server, signal.SIGSTOP)
    try:
        with structlog.testing.capture_logs() as logs:
            scheduler.tick()
    finally:
        os.kill(server, signal.SIGCONT)
    away = [entry["chore"] for entry in logs if entry["event"] == "redis_away"]
    assert away == ["give_up_late"]
    assert any(text.startswith("⏰") for text in stage.told()), "a reminder needs no Redis"
    scheduler.tick()
    assert queued(connection), "the next round asks it again"
    silent.close()


def test_operators_are_reminded_of_who_waits_for_a_person_by_one_of_two_schedulers(
    stage: Stage, scheduler: Scheduler, connection: Redis, clock: Clock
) -> None:
    other = Scheduler(stage.desk, connection, reply_deadline=20, retrain_at=None)
    wakes = connection.pubsub()
    wakes.subscribe(queues.WAKE_SENDER)
    wakes.get_message(timeout=5)
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    clock.move(minutes=16)
    for each in (scheduler, other, scheduler):
        each.tick()
    reminders = [text for text in stage.told() if text.startswith("⏰")]
    assert reminders == ["⏰ Ana has been waiting for a person for 16 minutes."]
    woken = wakes.get_message(timeout=5)
    assert woken is not None
    assert woken["type"] == "message"
    wakes.close()


def test_everybody_is_told_again_and_before_closing_by_one_of_two_schedulers(
    stage: Stage, scheduler: Scheduler, connection: Redis, clock: Clock
) -> None:
    other = Scheduler(stage.desk, connection, reply_deadline=20, retrain_at=None)
    customers.asked_for_person(stage.desk, stage.update(), ANA, "/human")
    for minutes in (16, 44, 30):
        clock.move(minutes=minutes)
        for each in (scheduler, other, scheduler):
            each.tick()
    assert [text for text in stage.told() if text.startswith("⏰")] == [
        "⏰ Ana has been waiting for a person for 16 minutes.",
        "⏰ A customer is waiting for a person: Ana, for an hour.",
        "⏰ A customer is waiting for a person: Ana, for 90 minutes. The desk closes at 12:00.",
    ]


def test_who_was_answered_and_stays_away_is_no_longer_in_hand_a_minute_after_the_quiet_time(
    stage: Stage, connection: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(module, "boottime", lambda: now)
    clock.set(datetime.now(UTC))  # what operators write is dated by the real clock
    scheduler = Scheduler(stage.desk, connection, reply_deadline=20, retrain_at=None)
    stage.ask("you are rude", intent="complaint")
    stage.topic()
    stage.send_all()
    stage.reply("I am sorry, Ana")
    stage.send_all()
    scheduler.tick()
    clock.move(hours=25)
    now = 59.0
    scheduler.tick()
    assert stage.conversations()[0].state is ConversationState.HUMAN, "looked at once a minute"
    now = 61.0
    scheduler.tick()
    assert stage.conversations()[0].state is ConversationState.RESOLVED

"""A message that kills whoever computes it, or makes it raise, harms no other and reaches a
person."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import Popen

import pytest
import torch
from redis import Redis
from sqlalchemy.exc import OperationalError

from classifier.engine import Timings
from classifier.vocabulary import Prediction
from desk import queues
from desk.domain import (
    Action,
    ConversationState,
    MessageState,
    PendingMessage,
    Person,
    Trial,
)
from desk.flow import deciding, watching
from desk.flow.desk import Desk
from tests.conftest import Clock
from tests.desk.acting import ANA, BEN, Stage, predict
from tests.workers import poison_process
from tests.workers.batch_process import stop, until
from workers.batching import BatchWorker
from workers.inference import Champion, Inference
from workers.scheduler import Scheduler


@contextmanager
def running(stage: Stage, redis_url: str, *more: str) -> Iterator[Popen[bytes]]:
    process = poison_process.start(stage.desk.store.url, redis_url, *more)
    try:
        yield process
    finally:
        stop(process)
        assert process.stderr is not None
        process.stderr.close()


def suspect(stage: Stage, connection: Redis) -> tuple[int, int]:
    """(id, attempt) of a queued message that was in the batch of a worker that died"""
    job = stage.write("where is it")
    assert job is not None
    (again,) = watching.next_attempts(stage.desk, [job[0]], suspected=[job[0]])
    queues.enqueue_classify(connection, [again])
    return again


@pytest.mark.parametrize(
    ("text", "end"),
    [("the poison", -signal.SIGKILL), ("an illegal access of the device", 1)],
)
def test_a_message_that_kills_the_worker_does_so_twice_at_most_and_all_others_are_answered(
    stage: Stage, connection: Redis, redis_url: str, clock: Clock, text: str, end: int
) -> None:
    clock.set(datetime.now(UTC))
    people = [Person(chat_id=700 + n, name=f"Person {n}", language="en") for n in range(12)]
    texts = [f"where is order {n}" for n in range(12)]
    texts[5] = text
    jobs = [stage.write(text, person) for text, person in zip(texts, people, strict=True)]
    ids = [job[0] for job in jobs if job]
    queues.enqueue_classify(connection, [job for job in jobs if job])
    scheduler = Scheduler(stage.desk, connection, reply_deadline=1000, retrain_at=None)

    for death in (1, 2):
        with running(stage, redis_url) as process:
            assert process.wait(120) == end
        clock.set(datetime.now(UTC) + timedelta(seconds=10 * death))
        scheduler.tick()
    with running(stage, redis_url) as process:
        until(lambda: all(stage.message(id_).state is MessageState.DECIDED for id_ in ids))
        assert process.poll() is None

    rules = [stage.decision(id_).rule for id_ in ids]
    assert rules == ["unprocessable" if n == 5 else "confident" for n in range(12)]
    assert watching.unprocessable(stage.desk) == [ids[5]]
    assert stage.conversation(people[5]).state is ConversationState.WAITING
    assert [len(stage.heard(person)) for person in people] == [1] * 12


def test_a_device_that_breaks_once_ends_its_worker_and_the_next_one_answers_every_message(
    stage: Stage, connection: Redis, redis_url: str, clock: Clock
) -> None:
    clock.set(datetime.now(UTC))
    people = [Person(chat_id=700 + n, name=f"Person {n}", language="en") for n in range(6)]
    jobs = [job for person in people if (job := stage.write("where is it", person))]
    queues.enqueue_classify(connection, jobs)
    with running(stage, redis_url, "broken") as process:
        assert process.wait(120) == 1
        assert process.stderr is not None
        assert b"device.broken" in process.stderr.read()
    assert stage.pending_count() == 6
    clock.set(datetime.now(UTC) + timedelta(seconds=10))
    Scheduler(stage.desk, connection, reply_deadline=1000, retrain_at=None).tick()
    with running(stage, redis_url):
        until(lambda: stage.pending_count() == 0)
    assert [stage.decision(id_).rule for id_, _ in jobs] == ["confident"] * 6
    assert [len(stage.heard(person)) for person in people] == [1] * 6


def test_a_message_that_is_tried_elsewhere_is_left_alone(
    stage: Stage, connection: Redis, clock: Clock
) -> None:
    again = suspect(stage, connection)
    waiting = queues.queue(queues.CLASSIFY, connection).jobs
    one, other = (
        Inference(stage.desk, connection, champion(Model(stage, fails="where"))) for _ in "ab"
    )
    with pytest.raises(RuntimeError):
        one.run_batch(waiting)
    assert stage.message(again[0]).trial == Trial.ALONE
    assert other.run_batch(waiting) == ["stale"]
    assert stage.message(again[0]).state is MessageState.PENDING
    with pytest.raises(RuntimeError):  # whoever tries it may try again
        one.run_batch(waiting)


def test_a_trial_that_somebody_began_since_the_message_was_read_is_begun_by_nobody_else(
    stage: Stage, connection: Redis
) -> None:
    again = suspect(stage, connection)
    (waiting,) = deciding.pending(stage.desk, [again]).values()
    assert deciding.begin_trial(stage.desk, waiting)
    assert not deciding.begin_trial(stage.desk, waiting)


def test_a_trial_that_another_worker_has_begun_meanwhile_stays_its_own_at_the_next_try(
    stage: Stage, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = suspect(stage, connection)
    waiting = queues.queue(queues.CLASSIFY, connection).jobs
    begin_trial = deciding.begin_trial

    def second(desk: Desk, message: PendingMessage) -> bool:
        assert begin_trial(desk, message)  # the other one's
        return begin_trial(desk, message)

    monkeypatch.setattr(deciding, "begin_trial", second)
    worker = Inference(stage.desk, connection, champion(Model(stage, fails="where")))
    assert worker.run_batch(waiting) == ["stale"]
    monkeypatch.setattr(deciding, "begin_trial", begin_trial)
    assert worker.run_batch(waiting) == ["stale"]
    assert stage.message(again[0]).state is MessageState.PENDING


def test_a_message_whose_trial_redis_forgot_is_suspected_again_and_not_given_up(
    stage: Stage, connection: Redis, clock: Clock
) -> None:
    job = stage.write("where is it")
    assert job is not None
    watching.next_attempts(stage.desk, [job[0]], suspected=[job[0]])
    with stage.desk.store.writing() as session:
        session.get_one(type(stage.message(job[0])), job[0]).trial = Trial.ALONE
    clock.move(seconds=9)
    Scheduler(stage.desk, connection, reply_deadline=100, retrain_at=None).tick()
    assert stage.message(job[0]).trial == Trial.SUSPECTED
    assert stage.message(job[0]).state is MessageState.PENDING


def test_a_trial_whose_beginning_was_committed_and_not_confirmed_goes_on_in_the_retry(
    stage: Stage, connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = suspect(stage, connection)
    begin_trial = deciding.begin_trial

    def unconfirmed(desk: Desk, message: PendingMessage) -> bool:
        monkeypatch.setattr(deciding, "begin_trial", begin_trial)
        begin_trial(desk, message)
        raise OperationalError("commit", {}, Exception("server closed the connection"))

    monkeypatch.setattr(deciding, "begin_trial", unconfirmed)
    work_off(stage, connection, Model(stage))
    assert stage.decision(again[0]).rule == "confident"


@pytest.mark.parametrize("status", ["finished", "failed"])
def test_a_trial_that_ended_without_a_death_is_no_proof_and_the_message_is_tried_again(
    stage: Stage, connection: Redis, clock: Clock, status: str
) -> None:
    # As where the database went away in it, and another worker got the retry.
    clock.set(datetime.now(UTC))
    again = suspect(stage, connection)
    (waiting,) = deciding.pending(stage.desk, [again]).values()
    assert deciding.begin_trial(stage.desk, waiting)
    connection.lpop("rq:queue:classify")
    connection.hset(f"rq:job:{queues.classify_job_id(*again)}", "status", status)
    clock.move(seconds=9)
    Scheduler(stage.desk, connection, reply_deadline=100, retrain_at=None).tick()
    assert stage.message(again[0]).trial == Trial.SUSPECTED
    work_off(stage, connection, Model(stage))
    assert stage.decision(again[0]).rule == "confident"


def test_the_retry_of_a_trial_that_the_database_cut_short_is_no_death_while_it_waits_for_it(
    stage: Stage, connection: Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.set(datetime.now(UTC))
    again = suspect(stage, connection)
    scheduler = Scheduler(stage.desk, connection, reply_deadline=100, retrain_at=None)
    pending, decide_batch = deciding.pending, deciding.decide_batch
    looks: list[int] = []

    def away(*_: object) -> list[tuple[int, int]]:
        monkeypatch.setattr(deciding, "decide_batch", decide_batch)
        raise OperationalError("commit", {}, Exception("server closed the connection"))

    def second_is_late(desk: Desk, wanted: Sequence[tuple[int, int]]) -> dict[int, PendingMessage]:
        looks.append(len(wanted))
        if len(looks) == 2:  # it has waited for a second when the scheduler is served first
            clock.move(seconds=9)
            second_ago = (clock() - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            key = f"rq:job:{queues.classify_job_id(*again)}"
            assert connection.hget(key, "status") == b"started"
            connection.hset(key, "started_at", second_ago)
            scheduler.tick()
        return pending(desk, wanted)

    monkeypatch.setattr(deciding, "decide_batch", away)
    monkeypatch.setattr(deciding, "pending", second_is_late)
    work_off(stage, connection, Model(stage))
    assert looks == [1, 1]
    assert stage.decision(again[0]).rule == "confident"


@pytest.mark.parametrize(
    ("slow", "rule"),
    [
        (("deciding", "begin_trial"), "confident"),
        (("deciding", "decide_batch"), "confident"),
        (("model", "__call__"), "unprocessable"),
    ],
    ids=["its beginning", "its decision", "its model"],
)
def test_a_trial_that_waits_for_a_slow_database_is_no_death_and_one_that_hangs_in_the_model_is(
    stage: Stage,
    connection: Redis,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    slow: tuple[str, str],
    rule: str,
) -> None:
    clock.set(datetime.now(UTC))
    again = suspect(stage, connection)
    scheduler = Scheduler(stage.desk, connection, reply_deadline=100, retrain_at=None)
    where = {"deciding": deciding, "model": Model}[slow[0]]
    real = getattr(where, slow[1])
    looks: list[datetime] = []

    def slowly(*args: object) -> object:
        begun = real(*args) if slow[1] == "begin_trial" else None  # the answer alone is late
        clock.move(seconds=9)
        looks.append(clock())
        scheduler.tick()
        return begun or real(*args)

    monkeypatch.setattr(where, slow[1], slowly)
    work_off(stage, connection, Model(stage))
    assert len(looks) == 1
    assert stage.decision(again[0]).rule == rule


class Model:
    """Predicts anything, but fails at texts that begin so, and where a batch is too large."""

    version, timings = "test-1", Timings()

    def __init__(self, stage: Stage, fails: str = "-", room: int = 4096) -> None:
        self.token_budget = 4096
        self.stage, self.fails, self.room = stage, fails, room
        self.calls = 0

    def __call__(self, texts: Sequence[str]) -> list[Prediction]:
        self.calls += 1
        if any(text.startswith(self.fails) for text in texts):
            raise RuntimeError("no such token")
        if self.token_budget > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [predict(text) for text in texts]


def champion(model: Model) -> Champion:
    made = Champion(Path(), "cpu")
    made.classifier = model  # type: ignore[assignment]
    return made


def work_off(stage: Stage, connection: Redis, model: Model) -> None:
    BatchWorker(
        queues.CLASSIFY,
        connection=connection,
        run_batch=Inference(stage.desk, connection, champion(model)).run_batch,
        max_batch=16,
    ).work(burst=True, logging_level="CRITICAL")


def test_a_message_at_which_the_model_fails_goes_to_a_person_without_waiting_for_the_deadline(
    stage: Stage, connection: Redis
) -> None:
    bad, good = stage.write("bad one", ANA), stage.write("where is it", BEN)
    assert bad is not None
    assert good is not None
    queues.enqueue_classify(connection, [bad, good])
    work_off(stage, connection, Model(stage, fails="bad"))
    assert stage.decision(good[0]).action is Action.ANSWER
    assert stage.decision(bad[0]).rule == "unprocessable"
    assert len(stage.heard(ANA)) == 1


def test_a_device_without_room_gets_smaller_batches_and_keeps_them(
    stage: Stage, connection: Redis
) -> None:
    model = Model(stage, room=1000)
    for person in (ANA, BEN):
        job = stage.write("where is it", person)
        assert job is not None
        queues.enqueue_classify(connection, [job])
        work_off(stage, connection, model)
        assert stage.decision(job[0]).action is Action.ANSWER
    assert model.token_budget == 512
    assert model.calls == 3 + 1 + 1  # 4096, 2048, 1024, 512; then 512 at once


def test_a_device_without_room_for_one_text_fails_that_text(
    stage: Stage, connection: Redis
) -> None:
    job = stage.write("where is it")
    assert job is not None
    queues.enqueue_classify(connection, [job])
    work_off(stage, connection, Model(stage, room=1))
    assert stage.decision(job[0]).rule == "unprocessable"


def test_while_one_message_is_tried_alone_no_other_waits_longer_for_its_next_attempt(
    stage: Stage, connection: Redis, clock: Clock
) -> None:
    clock.set(datetime.now(UTC))
    again = suspect(stage, connection)
    (waiting,) = deciding.pending(stage.desk, [again]).values()
    assert deciding.begin_trial(stage.desk, waiting)
    connection.hset(f"rq:job:{queues.classify_job_id(*again)}", "status", "started")
    lost = stage.write("where is mine", BEN)
    assert lost is not None
    clock.move(seconds=5)
    Scheduler(stage.desk, connection, reply_deadline=100, retrain_at=None).tick()
    assert stage.message(lost[0]).attempt == lost[1] + 1
    assert stage.message(again[0]).attempt == again[1]


def test_a_trial_has_its_full_time_however_long_its_batch_has_taken(
    stage: Stage, connection: Redis, clock: Clock
) -> None:
    clock.set(datetime.now(UTC))
    again = suspect(stage, connection)
    scheduler = Scheduler(stage.desk, connection, reply_deadline=100, retrain_at=None)
    key = f"rq:job:{queues.classify_job_id(*again)}"
    long_ago = (clock() - timedelta(seconds=60)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    connection.hset(key, mapping={"status": "started", "started_at": long_ago})
    (waiting,) = deciding.pending(stage.desk, [again]).values()
    assert deciding.begin_trial(stage.desk, waiting)
    clock.move(seconds=7)
    scheduler.tick()
    assert stage.message(again[0]).state is MessageState.PENDING
    clock.move(seconds=2)
    scheduler.tick()
    assert stage.decision(again[0]).rule == "unprocessable"

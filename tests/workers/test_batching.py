"""The batching worker against a real server: what a batch costs, and what no accident may lose."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis.connection
from batch_process import start, stop, until
from redis import Redis
from rq import Callback, Queue, Retry
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.suspension import resume, suspend
from rq.worker import BaseWorker

from desk.queues import (
    CLASSIFY,
    CLASSIFY_JOB,
    CLASSIFY_RETRIES,
    CLASSIFY_TIMEOUT,
    MAINTENANCE_INTERVAL,
    RESULT_TTL,
    WORKER_TTL,
    AllowedJob,
    enqueue_classify,
    queue,
)
from workers.batching import BatchWorker, RunBatch, WorkLoopError
from workers.embedded import EmbeddedRedis, embedded_redis, prepare, wait_until_ready
from workers.scripts import LONGEST


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    with embedded_redis(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def connection(server: EmbeddedRedis) -> Iterator[Redis]:
    with Redis.from_url(server.url) as client:
        client.flushall()
        yield client


def worker_on(connection: Redis, run_batch: RunBatch, max_batch: int = 64, **more: Any) -> Any:
    return BatchWorker(
        queue(CLASSIFY, connection), run_batch=run_batch, max_batch=max_batch, **more
    )


def burst(worker: Any, **more: Any) -> bool:
    worked: bool = worker.work(burst=True, logging_level="CRITICAL", **more)
    return worked


def nothing(jobs: Sequence[Job]) -> list[object]:
    return [None] * len(jobs)


def message(job: Job) -> int:
    return int(job.args[0])


def enqueue(connection: Redis, *ids: int, **settings: Any) -> None:
    """Jobs with settings of their own, as the contract's function gives none."""
    settings = {"timeout": 20, "result_ttl": 60, "failure_ttl": 600, **settings}
    queue(CLASSIFY, connection).enqueue_many(
        Queue.prepare_data(CLASSIFY_JOB, args=(n, 1), job_id=f"classify-{n}-1", **settings)
        for n in ids
    )


def job(connection: Redis, number: int) -> Job:
    only = queue(CLASSIFY, connection)
    return AllowedJob.fetch(f"classify-{number}-1", connection, serializer=only.serializer)


def ids(*numbers: int) -> list[str]:
    return [f"classify-{number}-1" for number in numbers]


def listed(connection: Redis, name: str) -> list[str]:
    members: Any = connection.lrange(name, 0, -1)
    return [member.decode() for member in members]


# A batch.


def test_each_job_gets_its_own_result_in_the_order_of_the_queue(connection: Redis) -> None:
    sizes = []

    def run_batch(jobs: Sequence[Job]) -> list[object]:
        sizes.append(len(jobs))
        return [{"message": message(each), "place": place} for place, each in enumerate(jobs)]

    enqueue_classify(connection, [(n, 1) for n in range(10)])
    assert burst(worker_on(connection, run_batch, max_batch=4))
    assert sizes == [4, 4, 2]
    for n in range(10):
        assert job(connection, n).return_value() == {"message": n, "place": n % 4}


def test_a_batch_may_have_thousands_of_jobs(connection: Redis) -> None:
    enqueue_classify(connection, [(n, 1) for n in range(4096)])
    sizes = []
    burst(worker_on(connection, lambda jobs: (sizes.append(len(jobs)), nothing(jobs))[1], 4096))
    only = queue(CLASSIFY, connection)
    assert sizes == [4096]
    assert only.finished_job_registry.count == 4096
    assert only.started_job_registry.count == only.count == 0


def test_a_lone_job_is_a_batch_of_one(connection: Redis) -> None:
    enqueue_classify(connection, [(1, 1)])
    seen = []
    burst(worker_on(connection, lambda jobs: (seen.append(len(jobs)), nothing(jobs))[1]))
    assert seen == [1]


def test_a_finished_job_is_what_rq_makes_of_it(connection: Redis) -> None:
    enqueue_classify(connection, [(1, 1), (2, 1)])
    worker = worker_on(connection, nothing)
    burst(worker)
    only, done = queue(CLASSIFY, connection), job(connection, 1)
    assert done.get_status() == JobStatus.FINISHED
    assert done.worker_name == worker.name
    assert done.started_at
    assert done.ended_at
    assert 0 < connection.ttl(done.key) <= RESULT_TTL
    assert 0 < connection.ttl(f"rq:results:{done.id}") <= RESULT_TTL
    assert sorted(only.finished_job_registry.get_job_ids()) == ids(1, 2)
    result = done.latest_result()
    assert result is not None
    assert result.type == result.Type.SUCCESSFUL
    assert result.worker_name == worker.name
    assert result.execution_id
    assert done.get_executions() == []
    assert only.started_job_registry.get_job_ids() == []
    assert worker.executions == {}
    assert connection.hget(worker.key, "successful_job_count") == b"2"
    assert connection.keys("rq:execution*") == []


def test_a_batch_costs_two_round_trips_whatever_its_size(
    connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = 0
    send = redis.connection.AbstractConnection.send_packed_command

    def counted(self: Any, command: Any, **options: Any) -> None:
        nonlocal sent
        sent += 1
        send(self, command, **options)

    costs = {}
    for size in (1, 8, 64):
        worker = worker_on(connection, nothing)
        enqueue_classify(connection, [(n, size) for n in range(2 * size)])
        burst(worker, max_jobs=size)  # starting up and loading the scripts are not a batch's cost
        connection.ping()  # nor is connecting
        with monkeypatch.context() as patch:
            patch.setattr(redis.connection.AbstractConnection, "send_packed_command", counted)
            sent = 0
            worker._jobs_left = None
            worker.check_for_suspension(burst=True)
            first, only = worker.dequeue_job_and_maintain_ttl(None)
            worker.execute_job(first, only)
            worker.heartbeat()
            costs[size] = sent
        assert queue(CLASSIFY, connection).finished_job_registry.count == 2 * size
        connection.delete("rq:finished:classify")
    assert costs == {1: 2, 8: 2, 64: 2}


def test_a_batch_of_failures_costs_no_more(
    connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue_classify(connection, [(n, 1) for n in range(64)])
    worker = worker_on(connection, lambda jobs: [OSError("database away")] * len(jobs))
    worker.last_cleaned_at = worker.birth_date = worker.last_heartbeat = Execution(
        "", "", connection
    ).created_at
    sent = []
    evalsha = worker.connection.execute_command
    monkeypatch.setattr(
        worker.connection,
        "execute_command",
        lambda *a, **k: (sent.append(a[0]), evalsha(*a, **k))[1],
    )
    first, only = worker.dequeue_job_and_maintain_ttl(None)
    sent.clear()
    worker.execute_job(first, only)
    assert sent in (["EVALSHA"], ["EVALSHA", "SCRIPT LOAD", "EVALSHA"])
    assert only.count == 64


def test_jobs_are_claimed_in_the_step_that_takes_them(connection: Redis) -> None:
    enqueue_classify(connection, [(1, 1), (2, 1)])
    worker = worker_on(connection, nothing)
    worker.dequeue_job_and_maintain_ttl(None)
    only = queue(CLASSIFY, connection)
    assert only.count == 0
    assert not connection.exists(only.intermediate_queue_key)
    assert only.started_job_registry.get_job_ids() == ids(1, 2)
    assert job(connection, 1).get_status() == JobStatus.STARTED
    assert {each.job_id for each in worker.get_current_executions()} == set(ids(1, 2))
    scores: Any = connection.zrange(only.started_job_registry.key, 0, -1, withscores=True)
    # The contract's promise: recovery within the worker's TTL and one round of maintenance.
    assert all(score - time.time() <= WORKER_TTL for _, score in scores)


def test_a_claim_whose_reply_was_lost_is_taken_up_by_the_next(connection: Redis) -> None:
    enqueue_classify(connection, [(n, 1) for n in range(4)])
    worker = worker_on(connection, nothing, max_batch=3)
    worker._take()
    held = {claim.execution.id for claim in worker._batch}
    worker._batch = []
    worker._take()
    assert {claim.execution.id for claim in worker._batch} == held
    worker.execute_job(worker._batch[0].job, worker.queues[0])
    worker._take()
    assert [claim.job.id for claim in worker._batch] == ids(3)


# Failures.


def test_a_failing_job_fails_alone_with_its_retries_and_its_traceback(connection: Redis) -> None:
    attempts = []

    def run_batch(jobs: Sequence[Job]) -> list[object]:
        outcomes: list[object] = []
        for each in jobs:
            try:
                if message(each) == 2:
                    attempts.append(each.retries_left)
                    raise ValueError("boom")
                outcomes.append("fine")
            except ValueError as error:
                outcomes.append(error)
        return outcomes

    enqueue_classify(connection, [(n, 1) for n in (1, 2, 3)])
    worker = worker_on(connection, run_batch)
    burst(worker)
    assert len(attempts) == 1 + CLASSIFY_RETRIES
    assert [job(connection, n).get_status() for n in (1, 3)] == [JobStatus.FINISHED] * 2
    only, failed = queue(CLASSIFY, connection), job(connection, 2)
    assert only.failed_job_registry.get_job_ids() == ids(2)
    assert failed.get_status() == JobStatus.FAILED
    result = failed.latest_result()
    assert result is not None
    assert 'raise ValueError("boom")' in (result.exc_string or "")
    assert connection.hget(worker.key, "failed_job_count") == b"4"
    assert connection.hget(worker.key, "successful_job_count") == b"2"
    failed.requeue()
    assert only.get_job_ids() == ids(2)


def test_a_retry_with_an_interval_waits_in_the_scheduled_registry(connection: Redis) -> None:
    enqueue(connection, 1, retry=Retry(max=1, interval=60))
    burst(worker_on(connection, lambda jobs: [ValueError()]))
    only = queue(CLASSIFY, connection)
    assert only.scheduled_job_registry.get_job_ids() == ids(1)
    waits = only.scheduled_job_registry.get_scheduled_time("classify-1-1").timestamp() - time.time()
    assert 55 < waits <= 60
    assert job(connection, 1).retries_left == 0
    assert job(connection, 1).get_status() == JobStatus.SCHEDULED


def test_poison_that_breaks_the_batch_ends_up_alone(connection: Redis) -> None:
    batches = []

    def run_batch(jobs: Sequence[Job]) -> list[object]:
        batches.append([message(each) for each in jobs])
        if any(message(each) == 5 for each in jobs):
            raise RuntimeError("CUDA out of memory")
        return [message(each) for each in jobs]

    enqueue(connection, *range(16))
    burst(worker_on(connection, run_batch))
    assert batches[0] == list(range(16))
    assert [5] in batches
    assert len(batches) == 1 + 2 * 4
    assert queue(CLASSIFY, connection).failed_job_registry.get_job_ids() == ids(5)
    for n in set(range(16)) - {5}:
        assert job(connection, n).return_value() == n


def test_a_job_that_hangs_is_cut_off_and_found_in_the_same_way(connection: Redis) -> None:
    def run_batch(jobs: Sequence[Job]) -> list[object]:
        if any(message(each) == 1 for each in jobs):
            time.sleep(30)
        return nothing(jobs)

    enqueue(connection, 0, 1, timeout=1)
    burst(worker_on(connection, run_batch))
    assert job(connection, 0).get_status() == JobStatus.FINISHED
    result = job(connection, 1).latest_result()
    assert result is not None
    assert "JobTimeoutException" in (result.exc_string or "")


def test_halving_has_a_time_limit_after_which_the_rest_is_retried(connection: Redis) -> None:
    calls = []

    def run_batch(jobs: Sequence[Job]) -> list[object]:
        calls.append(len(jobs))
        raise OSError("the database is away")

    enqueue_classify(connection, [(n, 1) for n in range(8)])
    worker = worker_on(connection, run_batch)
    worker.split_budget = 0
    worker.work(burst=True, logging_level="CRITICAL", max_jobs=8)
    assert calls == [8]
    assert queue(CLASSIFY, connection).count == 8
    assert job(connection, 0).retries_left == CLASSIFY_RETRIES - 1


def test_halves_run_under_a_renewed_lease(connection: Redis) -> None:
    scores = []

    def run_batch(jobs: Sequence[Job]) -> list[object]:
        key = queue(CLASSIFY, connection).started_job_registry.key
        entries: Any = connection.zrange(key, 0, -1, withscores=True)
        scores.append(min(score for _, score in entries))
        if len(jobs) == 2:
            connection.zadd(key, {member: 1 for member, _ in entries})  # as if time had passed
            raise RuntimeError
        return nothing(jobs)

    enqueue(connection, 1, 2)
    burst(worker_on(connection, run_batch))
    assert len(scores) == 3
    assert min(scores) > time.time() + 20


def test_the_wrong_number_of_outcomes_fails_the_jobs_and_says_so(connection: Redis) -> None:
    enqueue(connection, 1, 2)
    burst(worker_on(connection, lambda jobs: [None]))
    # Alone, each of them got its one outcome.
    assert job(connection, 1).get_status() == JobStatus.FINISHED
    enqueue(connection, 3)
    burst(worker_on(connection, lambda jobs: []))
    result = job(connection, 3).latest_result()
    assert result is not None
    assert "0 outcomes for 1 jobs" in (result.exc_string or "")


def test_a_function_off_the_allow_list_is_never_imported_and_fails_alone(
    connection: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sabotage.py").write_text("raise SystemExit\ndef run(*a): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    enqueue(connection, 1)
    sneaky = Queue(
        CLASSIFY, connection=connection, serializer=queue(CLASSIFY, connection).serializer
    )
    sneaky.enqueue("sabotage.run", 1, job_id="function")
    for kind in ("on_success", "on_failure", "on_stopped"):
        sneaky.enqueue(CLASSIFY_JOB, 1, 1, job_id=kind, **{kind: Callback("sabotage.run")})
    connection.hset("rq:job:classify-9-1", mapping={"data": b"not json", "origin": CLASSIFY})
    connection.rpush(sneaky.key, "classify-9-1")
    ran = []
    burst(worker_on(connection, lambda jobs: (ran.extend(jobs), nothing(jobs))[1]))
    assert [each.id for each in ran] == ids(1)
    assert "sabotage" not in sys.modules
    failed = queue(CLASSIFY, connection).failed_job_registry
    assert sorted(failed.get_job_ids()) == [
        *ids(9),
        "function",
        "on_failure",
        "on_stopped",
        "on_success",
    ]
    refused: Any = AllowedJob.fetch("function", connection, serializer=failed.serializer)
    assert "JobNotAllowed" in refused.latest_result().exc_string


def test_a_job_that_vanished_or_was_canceled_or_is_there_twice_is_skipped(
    connection: Redis,
) -> None:
    enqueue(connection, *range(5))
    connection.delete("rq:job:classify-0-1")
    job(connection, 1).cancel()
    connection.rpush(queue(CLASSIFY, connection).key, "classify-1-1", "classify-3-1")
    ran: list[int] = []
    worker = worker_on(connection, lambda jobs: (ran.extend(map(message, jobs)), nothing(jobs))[1])
    burst(worker)
    assert ran == [2, 3, 4]
    assert job(connection, 1).get_status() == JobStatus.CANCELED
    assert connection.llen(queue(CLASSIFY, connection).key) == 0


def test_a_queue_full_of_vanished_jobs_hides_nothing_behind_it(connection: Redis) -> None:
    connection.rpush(queue(CLASSIFY, connection).key, *(f"gone-{n}" for n in range(1000)))
    enqueue(connection, 1)
    burst(worker_on(connection, nothing, max_batch=2))
    assert job(connection, 1).get_status() == JobStatus.FINISHED


def test_a_mangled_job_is_parked_and_ends_no_worker(connection: Redis) -> None:
    enqueue(connection, 1, 2)
    connection.hset("rq:job:classify-1-1", "status", "nonsense")
    burst(worker_on(connection, nothing))
    only = queue(CLASSIFY, connection)
    assert job(connection, 2).get_status() == JobStatus.FINISHED
    assert only.failed_job_registry.get_job_ids() == ids(1)
    assert only.started_job_registry.get_job_ids() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("timeout", value) for value in ("inf", "-inf", "nan", "1e400", "1e18", "9" * 20)),
        ("timeout", str(2**31)),  # more than alarm(2) takes
        ("result_ttl", "9" * 20),
        ("failure_ttl", "9" * 20),
        ("ttl", "9" * 20),
        ("ttl", "-" + "9" * 20),
        ("retry_intervals", "[1e400]"),
        ("retry_intervals", '["soon"]'),
        ("retry_intervals", "5"),
        ("retries_left", "1e400"),
        ("enqueued_at", "9" * 20),
    ],
)
def test_a_job_with_an_impossible_time_is_parked_and_neither_ends_the_worker_nor_harms_another_job(
    connection: Redis, field: str, value: str
) -> None:
    # Each is looked at where a job succeeds, or where it fails.
    outcome = None if field == "result_ttl" else ValueError("boom")
    retry = None if field == "failure_ttl" else Retry(max=1)
    enqueue(connection, 1, 2, retry=retry)
    connection.hset("rq:job:classify-1-1", field, value)
    ran, leases = set(), []

    def run_batch(jobs: Sequence[Job]) -> list[object]:
        ran.update(each.id for each in jobs)
        scores: Any = connection.zrange("rq:wip:classify", 0, -1, withscores=True)
        leases.extend(score - time.time() for _, score in scores)
        return [outcome] * len(jobs)

    burst(worker_on(connection, run_batch))
    only = queue(CLASSIFY, connection)
    assert ran == {"classify-2-1"}
    assert job(connection, 2).get_status() == (JobStatus.FAILED if outcome else JobStatus.FINISHED)
    assert "classify-1-1" in only.failed_job_registry.get_job_ids()
    assert connection.hget("rq:job:classify-1-1", "status") == b"failed"
    assert only.started_job_registry.get_job_ids() == only.job_ids == []
    assert max(leases) <= 180 + 10, "the default's"


def test_a_job_with_the_longest_time_limit_runs(connection: Redis) -> None:
    enqueue(connection, 1, timeout=LONGEST)
    burst(worker_on(connection, nothing))
    assert job(connection, 1).get_status() == JobStatus.FINISHED


@pytest.mark.parametrize(
    ("field", "value"), [("timeout", "inf"), ("retry_intervals", "[1e400]"), ("status", "nonsense")]
)
def test_a_job_that_a_dead_worker_left_unreadable_is_parked_by_the_next(
    connection: Redis, field: str, value: str
) -> None:
    enqueue(connection, 1, 2, retry=Retry(max=1))
    worker_on(connection, nothing).dequeue_job_and_maintain_ttl(None)
    only = queue(CLASSIFY, connection)
    held: Any = connection.zrange(only.started_job_registry.key, 0, -1)
    connection.zadd(only.started_job_registry.key, dict.fromkeys(held, 1))
    connection.hset("rq:job:classify-1-1", field, value)
    burst(worker_on(connection, nothing))
    assert job(connection, 2).get_status() == JobStatus.FINISHED
    assert only.failed_job_registry.get_job_ids() == ids(1)
    assert connection.zcard(only.started_job_registry.key) == 0


def test_a_worker_that_lost_its_lease_does_not_finish_the_job(connection: Redis) -> None:
    only = queue(CLASSIFY, connection)

    def paused(jobs: Sequence[Job]) -> list[object]:
        only.started_job_registry.cleanup(timestamp=time.time() + 3600)  # another's maintenance
        return [None, ValueError("late")]

    enqueue_classify(connection, [(1, 1), (2, 1)])
    burst(worker_on(connection, paused), max_jobs=2)
    assert only.get_job_ids() == ids(1, 2)
    assert job(connection, 1).get_status() == JobStatus.QUEUED
    assert job(connection, 2).retries_left == CLASSIFY_RETRIES - 1  # once, not twice
    assert only.finished_job_registry.count == 0


def test_a_job_deleted_while_it_ran_does_not_come_back(connection: Redis) -> None:
    def run_batch(jobs: Sequence[Job]) -> list[object]:
        connection.delete("rq:job:classify-1-1")
        return [ValueError(), None]

    enqueue_classify(connection, [(1, 1), (2, 1)])
    burst(worker_on(connection, run_batch))
    assert not connection.exists("rq:job:classify-1-1")
    assert queue(CLASSIFY, connection).started_job_registry.get_job_ids() == []
    assert job(connection, 2).get_status() == JobStatus.FINISHED


# What needs RQ's own way of finishing.


def test_dependents_and_vanishing_results_work_as_in_rq(connection: Redis) -> None:
    only = queue(CLASSIFY, connection)
    order: list[str] = []
    only.enqueue(CLASSIFY_JOB, 1, 1, job_id="parent", result_ttl=60)
    only.enqueue(CLASSIFY_JOB, 2, 1, job_id="child", depends_on="parent", result_ttl=60)
    only.enqueue(CLASSIFY_JOB, 3, 1, job_id="gone", result_ttl=0)
    only.enqueue(CLASSIFY_JOB, 4, 1, job_id="again", result_ttl=60)

    def run_batch(jobs: Sequence[Job]) -> list[object]:
        order.extend(each.id for each in jobs)
        again = Retry(max=1) if order.count("again") == 1 else None
        return [again if each.id == "again" else None for each in jobs]

    burst(worker_on(connection, run_batch))
    assert sorted(order) == ["again", "again", "child", "gone", "parent"]
    assert sorted(only.finished_job_registry.get_job_ids()) == ["again", "child", "parent"]
    assert not connection.exists("rq:job:gone")
    assert only.started_job_registry.get_job_ids() == []


# The loop.


def test_it_works_on_one_queue_only(connection: Redis) -> None:
    two = [queue(CLASSIFY, connection), queue("train", connection)]
    for queues in (two, []):
        with pytest.raises(ValueError, match="exactly one queue"):
            BatchWorker(queues, run_batch=nothing, max_batch=8)
    by_name = BatchWorker(CLASSIFY, connection=connection, run_batch=nothing, max_batch=8)
    assert by_name.job_class is AllowedJob


def test_two_workers_have_different_names(connection: Redis) -> None:
    first, second = worker_on(connection, nothing), worker_on(connection, nothing)
    assert first.name != second.name
    assert first.name.startswith(CLASSIFY)


def test_max_jobs_counts_jobs_and_not_batches(connection: Redis) -> None:
    enqueue(connection, *range(10))
    sizes: list[int] = []
    worker = worker_on(
        connection, lambda jobs: (sizes.append(len(jobs)), nothing(jobs))[1], max_batch=4
    )
    burst(worker, max_jobs=6)
    assert sizes == [4, 2]
    assert queue(CLASSIFY, connection).count == 4


def test_the_hook_runs_before_each_take_and_while_idle_and_new_work_wakes_at_once(
    server: EmbeddedRedis, connection: Redis
) -> None:
    events: list[tuple[str, float]] = []
    latency = []

    def run_batch(jobs: Sequence[Job]) -> list[object]:
        latency.append(time.monotonic() - enqueued[-1])
        events.append(("batch", time.monotonic()))
        return nothing(jobs)

    enqueued: list[float] = []

    def later() -> None:
        with Redis.from_url(server.url) as other:
            for n in range(3):
                time.sleep(0.4)
                enqueued.append(time.monotonic())
                enqueue_classify(other, [(n, 1)])

    worker = worker_on(
        connection, run_batch, between_batches=lambda: events.append(("hook", time.monotonic()))
    )
    helper = threading.Thread(target=later)
    helper.start()
    worker.work(logging_level="CRITICAL", max_idle_time=2)
    helper.join()
    assert len(latency) == 3
    assert sorted(latency)[1] < 0.1  # an idle tick is a second
    names = [name for name, _ in events]
    assert all(names[n - 1] == "hook" for n, name in enumerate(names) if name == "batch")
    hooks = [when for name, when in events if name == "hook"]
    assert max(b - a for a, b in pairwise(hooks)) < 1.5


def test_an_error_in_the_loop_is_not_a_normal_end(connection: Redis) -> None:
    def hook() -> None:
        raise OSError("the model is gone")

    with pytest.raises(WorkLoopError):
        burst(worker_on(connection, nothing, between_batches=hook))


def test_suspended_workers_take_nothing_until_resumed(
    server: EmbeddedRedis, connection: Redis
) -> None:
    process = start(server.url, "plain")
    try:
        until(lambda: BaseWorker.count(connection))
        suspend(connection)
        enqueue_classify(connection, [(1, 1), (2, 1)])
        time.sleep(1.5)
        assert listed(connection, "test:begun") == []
        resume(connection)
        until(lambda: listed(connection, "test:done") == ids(1, 2))
    finally:
        stop(process)
    suspend(connection)
    enqueue(connection, 3)
    assert not burst(worker_on(connection, nothing))
    assert queue(CLASSIFY, connection).get_job_ids() == ids(3)


def test_sigterm_finishes_the_batch_and_takes_no_more(
    server: EmbeddedRedis, connection: Redis
) -> None:
    enqueue_classify(connection, [(n, 1) for n in range(8)])
    process = start(server.url, "slow", max_batch=4)
    try:
        until(lambda: listed(connection, "test:begun"))
        process.terminate()
        assert process.wait(10) == 0
    finally:
        stop(process)
    assert listed(connection, "test:done") == ids(0, 1, 2, 3)
    only = queue(CLASSIFY, connection)
    assert sorted(only.finished_job_registry.get_job_ids()) == ids(0, 1, 2, 3)
    assert only.get_job_ids() == ids(4, 5, 6, 7)
    assert BaseWorker.count(connection) == 0


def test_sigterm_ends_an_idle_worker_at_once(server: EmbeddedRedis, connection: Redis) -> None:
    process = start(server.url, "plain")
    try:
        until(lambda: idle(connection))
        process.terminate()
        assert process.wait(5) == 0
    finally:
        stop(process)


def idle(connection: Redis) -> bool:
    """Whether the one worker has started and waits: a start without Redis may fail."""
    keys: Any = connection.smembers("rq:workers")
    return [connection.hget(key, "state") for key in keys] == [b"idle"]


def test_rq_info_shows_the_running_ones_and_a_killed_batch_is_done_by_another_worker(
    server: EmbeddedRedis, connection: Redis
) -> None:
    enqueue(connection, *range(5), timeout=2, retry=Retry(max=3))
    doomed = start(server.url, "hang", max_batch=3)
    try:
        until(lambda: listed(connection, "test:begun"))
        shown = subprocess.run(
            [Path(sys.executable).parent / "rq", "info", "--url", server.url, "--raw"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        ).stdout
        assert f"queue {CLASSIFY} 2, 3 executing, 0 finished, 0 failed" in shown
        assert f"busy {CLASSIFY}" in shown
    finally:
        stop(doomed)
    killed = time.monotonic()
    heirs = [start(server.url, "plain") for _ in range(2)]
    try:
        only = queue(CLASSIFY, connection)
        until(lambda: connection.zcard(only.finished_job_registry.key) == 5)
        # The lease (2 + 1 s), a round of maintenance (1 s), and the start of a process.
        assert time.monotonic() - killed < 10
    finally:
        for heir in heirs:
            stop(heir)
    assert sorted(listed(connection, "test:done")) == ids(*range(5))
    assert job(connection, 0).retries_left == 2


def test_the_contract_leaves_recovery_within_a_minute() -> None:
    assert CLASSIFY_TIMEOUT + BatchWorker.lease_margin <= WORKER_TTL
    assert WORKER_TTL + MAINTENANCE_INTERVAL <= 60


def test_a_maintenance_lock_of_a_killed_worker_does_not_stop_recovery(connection: Redis) -> None:
    lock = queue(CLASSIFY, connection).registry_cleaning_key
    connection.set(lock, 1, ex=899)
    burst(worker_on(connection, nothing))
    assert connection.ttl(lock) <= 30


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[tuple[EmbeddedRedis, Callable[[], None]]]:
    """A server, and a function that kills it and has it back a second later."""
    server = prepare(tmp_path)
    running: list[subprocess.Popen[bytes]] = []

    def begin() -> None:
        running.append(
            subprocess.Popen(server.argv, pass_fds=server.pass_fds, stdout=subprocess.DEVNULL)
        )

    def replace() -> None:
        running[-1].kill()
        running[-1].wait()
        threading.Timer(1, begin).start()

    begin()
    wait_until_ready(server, running[-1])
    yield server, replace
    for process in running:
        process.kill()
        process.wait()
    server.close()


def test_a_worker_outlives_a_restart_of_redis_in_the_middle_of_a_batch(
    mortal: tuple[EmbeddedRedis, Callable[[], None]],
) -> None:
    server, replace = mortal
    calls = []

    def run_batch(jobs: Sequence[Job]) -> list[object]:
        calls.append(len(jobs))
        replace()
        return nothing(jobs)

    with Redis.from_url(server.url) as connection:
        enqueue_classify(connection, [(1, 1), (2, 1)])
        burst(worker_on(connection, run_batch))
        assert calls == [2]
        assert [job(connection, n).get_status() for n in (1, 2)] == [JobStatus.FINISHED] * 2


def test_an_idle_worker_outlives_a_restart_of_redis(
    mortal: tuple[EmbeddedRedis, Callable[[], None]],
) -> None:
    server, replace = mortal
    process = start(server.url, "plain")
    try:
        with Redis.from_url(server.url) as connection:
            until(lambda: idle(connection))
            replace()
            wait_until_ready(server)
            enqueue_classify(connection, [(1, 1)])
            until(lambda: listed(connection, "test:done") == ids(1))
    finally:
        stop(process)


def test_a_worker_started_without_redis_ends_at_once_with_an_error(tmp_path: Path) -> None:
    process = start(f"unix://{tmp_path}/nobody.sock", "plain")
    try:
        assert process.wait(30) != 0
    finally:
        stop(process)

"""The batching worker against a real server: what a batch costs, and how jobs end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
import redis.connection
from redis import Redis
from rq import Retry
from rq.defaults import DEFAULT_WORKER_TTL
from rq.executions import Execution
from rq.job import Job, JobStatus

from desk.queues import (
    CLASSIFY,
    CLASSIFY_JOB,
    CLASSIFY_RETRIES,
    RESULT_TTL,
    WORKER_TTL,
    enqueue_classify,
    queue,
)
from tests.workers.batching.jobs import (
    burst,
    enqueue,
    ids,
    job,
    message,
    nothing,
    worker_on,
)


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
    (execution,) = job(connection, 1).get_executions()
    assert execution.composite_key in {member.decode() for member, _ in scores}
    # Nor does a worker that is killed leave anything for good.
    left = [worker.key, worker.executions_key, *connection.keys("rq:execution*")]
    assert len(left) == 2 + 2 * 2
    assert all(0 < connection.ttl(key) <= WORKER_TTL + 60 for key in left)
    assert connection.hget(worker.key, "state") == b"busy"


def test_a_job_that_may_expire_while_it_waits_does_not_in_a_workers_hands(
    connection: Redis,
) -> None:
    enqueue(connection, 1, ttl=300, retry=Retry(max=1))
    worker = worker_on(connection, lambda jobs: [ValueError("boom")])
    worker._take()
    key = job(connection, 1).key
    assert connection.ttl(key) == -1
    worker.execute_job(worker._batch[0].job, worker.queues[0])
    assert queue(CLASSIFY, connection).get_job_ids() == ids(1)
    assert 0 < connection.ttl(key) <= 300


def test_what_is_to_be_kept_for_good_is(connection: Redis) -> None:
    enqueue(connection, 1, result_ttl=-1)
    enqueue(connection, 2, failure_ttl=-1)
    outcomes = {1: "fine", 2: ValueError("boom")}
    burst(worker_on(connection, lambda jobs: [outcomes[message(each)] for each in jobs]))
    assert job(connection, 1).get_status() == JobStatus.FINISHED
    assert job(connection, 2).get_status() == JobStatus.FAILED
    for number in (1, 2):
        kept = job(connection, number)
        assert connection.ttl(kept.key) == connection.ttl(f"rq:results:{kept.id}") == -1


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


def test_a_claim_whose_reply_and_whose_lease_were_lost_is_another_workers_by_now(
    connection: Redis,
) -> None:
    enqueue_classify(connection, [(1, 1), (2, 1)])
    slow = worker_on(connection, nothing, max_batch=1)
    slow._take()
    slow._batch = []
    only = queue(CLASSIFY, connection)
    only.started_job_registry.cleanup(timestamp=time.time() + 3600)  # another's maintenance
    other = worker_on(connection, nothing)
    other._take()
    assert [claim.job.id for claim in other._batch] == ids(2, 1)
    slow._take()
    assert slow._batch == []
    assert {each.job_id for each in other.get_current_executions()} == set(ids(1, 2))


@pytest.mark.parametrize("limits", [(5, 20), (20, 5), (5, -1), (-1, 5)])
def test_a_batch_may_take_as_long_as_the_most_patient_of_its_jobs(
    connection: Redis, limits: tuple[int, int]
) -> None:
    for number, seconds in enumerate(limits):
        enqueue(connection, number, timeout=seconds)
    worker = worker_on(connection, nothing)
    worker._take()
    longest = DEFAULT_WORKER_TTL if -1 in limits else 20 + worker.lease_margin
    assert worker._limit == (-1 if -1 in limits else 20)
    assert worker._lease == longest
    started = queue(CLASSIFY, connection).started_job_registry.key
    scores: Any = connection.zrange(started, 0, -1, withscores=True)
    assert [round((score - time.time()) / 10) for _, score in scores] == [longest // 10] * 2


@pytest.mark.parametrize(("limit", "least"), [(1, WORKER_TTL), (500, 510)])
def test_a_busy_worker_is_known_as_long_as_its_lease_and_its_next_sign_of_life_may_take(
    connection: Redis, limit: int, least: int
) -> None:
    enqueue(connection, 1, timeout=limit)
    worker = worker_on(connection, nothing)
    worker._take()
    assert least + 50 < connection.ttl(worker.key) <= least + 60


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

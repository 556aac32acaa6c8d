"""The contract with RQ: two functions and no more, ids and no texts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq.job import Job
from rq.serializers import JSONSerializer

from desk import queues
from desk.queues import AllowedJob, JobNotAllowedError
from tests.redis_servers import embedded_redis

TRAP = "desk_trap_for_tests"


@pytest.fixture(scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture
def redis(_server: str) -> Iterator[Redis]:
    """An empty Redis, whose client is closed in the end."""
    with Redis.from_url(_server) as client:
        client.flushall()
        yield client


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """A module that must never be imported; says whether it was."""
    (tmp_path / f"{TRAP}.py").write_text("def work(*args): return 'owned'\nclass Thing: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, TRAP, raising=False)
    return lambda: TRAP in sys.modules


def _job(redis: Redis, name: str = queues.CLASSIFY_JOB, **values: Any) -> AllowedJob:
    """A job as it comes back from Redis, whoever put it there."""
    job = Job.create(name, args=(1, 1), connection=redis, serializer=JSONSerializer, id="x")
    for attribute, value in values.items():
        setattr(job, attribute, value)
    job.save()
    return AllowedJob.fetch("x", connection=redis, serializer=JSONSerializer)


def test_a_job_of_the_contract_is_allowed(redis: Redis) -> None:
    _job(redis).check_allowed()
    _job(redis, queues.TRAIN_JOB).check_allowed()


@pytest.mark.parametrize(
    "name", [f"{TRAP}.work", "os.system", "workers.inference.classify.__call__", "classify", ""]
)
def test_any_other_function_is_refused_without_importing_it(
    redis: Redis, trap: Callable[[], bool], name: str
) -> None:
    job = _job(redis, name or "x", **({} if name else {"_func_name": ""}))
    with pytest.raises(JobNotAllowedError, match="was refused"):
        _ = job.func
    with pytest.raises(JobNotAllowedError):
        job.perform()
    assert not trap()


def test_a_method_of_an_instance_is_refused(redis: Redis) -> None:
    job = _job(redis)
    job._instance = "something"
    with pytest.raises(JobNotAllowedError):
        job.check_allowed()


@pytest.mark.parametrize("callback", ["success", "failure", "stopped"])
def test_a_callback_is_refused_without_importing_it(
    redis: Redis, trap: Callable[[], bool], callback: str
) -> None:
    job = _job(redis, **{f"_{callback}_callback_name": f"{TRAP}.work"})
    with pytest.raises(JobNotAllowedError, match="carries a callback"):
        _ = getattr(job, f"{callback}_callback")
    assert not trap()
    assert getattr(_job(redis), f"{callback}_callback") is None


def test_the_trap_works(trap: Callable[[], bool]) -> None:
    __import__(TRAP)
    assert trap()


def test_nothing_but_ids_is_in_redis(redis: Redis) -> None:
    assert queues.enqueue_classify(redis, [(7, 1), (8, 3)]) == 2
    queues.enqueue_train(redis, 5, 2)
    jobs = queues.queue(queues.CLASSIFY, redis).jobs + queues.queue(queues.TRAIN, redis).jobs
    assert [job.id for job in jobs] == ["classify-7-1", "classify-8-3", "train-5-2"]
    assert [job.args for job in jobs] == [[7, 1], [8, 3], [5, 2]]
    assert [job.kwargs for job in jobs] == [{}, {}, {}]
    for job in jobs:
        stored = redis.hgetall(job.key)
        assert json.loads(JSONSerializer.dumps(job.args)) == list(job.args)
        assert b"pickle" not in b" ".join(stored.values())
        job.check_allowed()


def test_jobs_carry_the_contracts_times_and_retries(redis: Redis) -> None:
    queues.enqueue_classify(redis, [(7, 1)])
    (job,) = queues.queue(queues.CLASSIFY, redis).jobs
    assert (job.timeout, job.result_ttl, job.retries_left) == (20, 60, 3)
    assert not job.retry_intervals or set(job.retry_intervals) == {0}
    assert "message 7" in job.description


def test_a_job_that_no_worker_takes_leaves_redis_after_ten_minutes(redis: Redis) -> None:
    queues.enqueue_classify(redis, [(7, 1), (8, 1)])
    for job in queues.queue(queues.CLASSIFY, redis).jobs:
        assert job.ttl == queues.CLASSIFY_TTL == 600
        assert 590 < redis.ttl(job.key) <= 600


def test_enqueueing_an_attempt_twice_makes_one_job(redis: Redis) -> None:
    queues.enqueue_classify(redis, [(7, 1)])
    queues.enqueue_classify(redis, [(7, 1)])
    assert len(list(redis.scan_iter("rq:job:*"))) == 1


def test_enqueueing_nothing_asks_redis_nothing() -> None:
    nowhere = Redis(port=1)
    assert queues.enqueue_classify(nowhere, []) == 0
    nowhere.close()


def test_enqueueing_many_takes_a_constant_number_of_round_trips(redis: Redis) -> None:
    queues.enqueue_classify(redis, [(1, 1)])
    trips = []
    for count in (1, 200):
        before = int(redis.info("stats")["total_reads_processed"])
        queues.enqueue_classify(redis, [(number, count) for number in range(count)])
        trips.append(int(redis.info("stats")["total_reads_processed"]) - before)
    # The server may read sooner than all is written, in pieces of any size: more reads, but not
    # one a job.
    assert trips[1] <= trips[0] + 100


@pytest.mark.parametrize(("message", "attempt"), [(1, 1), (2**63 - 1, 2**31)])
def test_job_ids_have_letters_digits_and_dashes_only(message: int, attempt: int) -> None:
    assert queues.classify_job_id(message, attempt).replace("-", "").isalnum()

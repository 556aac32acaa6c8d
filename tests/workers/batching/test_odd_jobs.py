"""Jobs that are gone, mangled or not allowed: they end no worker and harm no other job."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Callback, Queue, Retry, Webhook
from rq.job import Job, JobStatus

from desk.queues import (
    CLASSIFY,
    CLASSIFY_JOB,
    AllowedJob,
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
from workers.scripts import LONGEST


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


@pytest.fixture
def address() -> Iterator[tuple[str, list[str]]]:
    """A web server's address, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_no_webhook_of_a_job_is_called_that_ends_or_was_abandoned(
    connection: Redis, address: tuple[str, list[str]]
) -> None:
    url, asked = address

    def put(number: int) -> None:
        enqueue(connection, number)
        hooks = [Webhook(f"{url}/{number}/{status}", status) for status in ("finished", "failed")]
        hash_key = job(connection, number).key
        connection.hset(hash_key, "webhooks", json.dumps([hook.to_dict() for hook in hooks]))

    put(1)
    worker_on(connection, nothing).dequeue_job_and_maintain_ttl(None)
    started = queue(CLASSIFY, connection).started_job_registry.key
    held: Any = connection.zrange(started, 0, -1)
    connection.zadd(started, dict.fromkeys(held, 1))
    put(2)
    put(3)
    burst(
        worker_on(
            connection, lambda jobs: [None if message(one) == 2 else ValueError() for one in jobs]
        )
    )
    states = [job(connection, number).get_status() for number in (1, 2, 3)]
    assert states == [JobStatus.FAILED, JobStatus.FINISHED, JobStatus.FAILED]
    assert asked == []


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
    only = queue(CLASSIFY, connection)
    assert only.count == only.failed_job_registry.count == 0
    assert not connection.exists("rq:job:classify-0-1")


def test_what_is_no_job_though_it_has_the_key_of_one_is_skipped(connection: Redis) -> None:
    enqueue(connection, 1, 2)
    connection.delete("rq:job:classify-1-1")
    connection.rpush("rq:job:classify-1-1", "not a hash")
    burst(worker_on(connection, nothing))
    assert job(connection, 2).get_status() == JobStatus.FINISHED
    assert queue(CLASSIFY, connection).count == 0


def test_a_job_that_vanished_from_a_dead_workers_hands_is_parked_by_nobody(
    connection: Redis,
) -> None:
    enqueue(connection, 1, 2, retry=Retry(max=1))
    worker_on(connection, nothing).dequeue_job_and_maintain_ttl(None)
    only = queue(CLASSIFY, connection)
    held: Any = connection.zrange(only.started_job_registry.key, 0, -1)
    connection.zadd(only.started_job_registry.key, dict.fromkeys(held, 1))
    connection.delete("rq:job:classify-1-1")
    burst(worker_on(connection, nothing))
    assert job(connection, 2).get_status() == JobStatus.FINISHED
    assert connection.zcard(only.started_job_registry.key) == 0
    assert only.failed_job_registry.count == 0
    assert not connection.exists("rq:job:classify-1-1")


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
        *(("timeout", value) for value in ("inf", "-inf", "nan", "1e400", "1e18", "1e6", "9" * 20)),
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

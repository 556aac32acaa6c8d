"""The worker's loop: hooks, signals, suspension, and Redis going away and coming back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis
from batch_process import start, stop, until
from redis import Redis
from rq import Retry
from rq.job import Job, JobStatus
from rq.suspension import resume, suspend
from rq.worker import BaseWorker, SimpleWorker

from desk.queues import (
    CLASSIFY,
    CLASSIFY_TIMEOUT,
    MAINTENANCE_INTERVAL,
    WORKER_TTL,
    AllowedJob,
    enqueue_classify,
    queue,
    worker_channel,
)
from tests.chaos.proxy import Proxy
from tests.workers.batching.jobs import (
    burst,
    enqueue,
    ids,
    job,
    listed,
    nothing,
    worker_on,
)
from workers import reading
from workers.batching import BatchWorker, WorkLoopError
from workers.connection import client
from workers.embedded import EmbeddedRedis, prepare, wait_until_ready


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
    assert sorted(latency)[1] < 0.5  # an idle tick is a second
    names = [name for name, _ in events]
    assert all(names[n - 1] == "hook" for n, name in enumerate(names) if name == "batch")
    hooks = [when for name, when in events if name == "hook"]
    assert max(b - a for a, b in pairwise(hooks)) < 1.5


@contextmanager
def suspended(connection: Redis) -> Iterator[None]:
    suspend(connection)
    yield
    resume(connection)


@contextmanager
def away(connection: Redis) -> Iterator[None]:
    connection.config_set("min-replicas-to-write", 1)  # no command that writes is carried out
    yield
    connection.config_set("min-replicas-to-write", 0)


@pytest.mark.parametrize("trouble", [suspended, away])
def test_the_hook_goes_on_while_the_worker_is_suspended_or_redis_is_away(
    server: EmbeddedRedis, connection: Redis, trouble: Callable[[Redis], Any]
) -> None:
    # It is the sign of life by which a probe tells a process that waits from one that hangs.
    hooks: list[float] = []
    during: list[float] = []

    def later() -> None:
        with Redis.from_url(server.url) as other:
            time.sleep(0.5)
            with trouble(other):
                begun = time.monotonic()
                time.sleep(4)
                during.extend(when for when in hooks if when > begun)

    worker = worker_on(connection, nothing, between_batches=lambda: hooks.append(time.monotonic()))
    helper = threading.Thread(target=later)
    helper.start()
    worker.work(logging_level="CRITICAL", max_idle_time=2)
    helper.join()
    assert len(during) >= 3


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


def test_sigterm_in_a_hook_that_outlives_every_error_ends_the_worker_after_it(
    connection: Redis,
) -> None:
    enqueue(connection, 1)
    caught: list[Exception] = []

    def hook() -> None:  # as the load of a champion that may be refused
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception as error:  # noqa: BLE001 - what it may be is the test
            caught.append(error)

    worker_on(connection, nothing, between_batches=hook).work(logging_level="CRITICAL")
    assert caught == []
    assert queue(CLASSIFY, connection).get_job_ids() == ids(1), "who stops takes no more"


def test_sigterm_while_dead_workers_jobs_are_read_parks_none_of_them(
    connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(connection, 1, retry=Retry(max=3))
    only = queue(CLASSIFY, connection)
    connection.lpop(only.key)
    connection.zadd(only.started_job_registry.key, {f"{ids(1)[0]}:gone": 1})
    looks: list[str] = []

    def look(found: Job) -> None:
        looks.append(found.id)
        if len(looks) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(reading, "check_times", look)

    worker_on(connection, nothing).work(logging_level="CRITICAL", max_idle_time=5)
    assert looks
    assert job(connection, 1).get_status() is JobStatus.QUEUED


def test_sigterm_while_redis_is_away_in_the_odd_jobs_is_a_normal_end(
    connection: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    def away(_worker: SimpleWorker) -> None:
        looks.append(time.monotonic())
        if len(looks) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        raise redis.exceptions.ConnectionError("away")

    monkeypatch.setattr(SimpleWorker, "run_maintenance_tasks", away)
    worker = worker_on(connection, nothing)
    errors: list[str] = []
    monkeypatch.setattr(worker.log, "error", lambda said, *_, **__: errors.append(said))
    worker.work(logging_level="CRITICAL")
    assert errors == ["Worker %s: Redis is away (%s); again in %.1f s"]
    assert len(looks) == 2


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
        # A server whose disk is busy may have forgotten the claim: then both are done again.
        assert calls in ([2], [2, 2])
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


def test_a_worker_hears_commands_again_after_a_redis_that_accepted_and_did_not_answer(
    server: EmbeddedRedis, connection: Redis
) -> None:
    proxy = Proxy(server.socket)
    with client(f"redis://127.0.0.1:{proxy.port}/0", answer_within=0.5) as far:
        worker = worker_on(far, nothing)
        channel = worker_channel(worker.name)
        worker.subscribe()
        try:
            until(lambda: ears(connection, channel) == 1)
            proxy.silent()
            proxy.cut()
            until(lambda: ears(connection, channel) == 0)
            time.sleep(3)  # longer than the greeting of a new connection is waited for
            proxy.restore()
            until(lambda: ears(connection, channel) == 1)
        finally:
            worker.unsubscribe()
    proxy.close()


def ears(connection: Redis, channel: str) -> int:
    ((_, found),) = connection.pubsub_numsub(channel)
    return int(found)


def test_an_idle_worker_is_in_rqs_lists_again_after_redis_was_emptied(
    server: EmbeddedRedis, connection: Redis
) -> None:
    process = start(server.url, "plain")
    try:
        until(lambda: idle(connection))
        (name,) = [worker.name for worker in BaseWorker.all(connection)]
        connection.flushall()
        until(lambda: bool(BaseWorker.all(connection)))
        (worker,) = BaseWorker.all(connection)
        assert (worker.name, worker.pid) == (name, process.pid)
        assert worker.queue_names() == [CLASSIFY]
        assert BaseWorker.count(queue=queue(CLASSIFY, connection)) == 1
    finally:
        stop(process)


def test_a_worker_that_always_has_a_little_to_do_is_in_them_again_too(
    server: EmbeddedRedis, connection: Redis
) -> None:
    process = start(server.url, "plain")
    try:
        until(lambda: idle(connection))
        connection.flushall()
        begun = time.monotonic()
        number = 0
        while not BaseWorker.all(connection):
            assert time.monotonic() - begun < 10
            enqueue(connection, number := number + 1)
            time.sleep(0.2)
    finally:
        stop(process)


def test_a_worker_started_without_redis_ends_at_once_with_an_error(tmp_path: Path) -> None:
    process = start(f"unix://{tmp_path}/nobody.sock", "plain")
    try:
        assert process.wait(30) != 0
    finally:
        stop(process)

"""rq-dashboard shows and steers our jobs; where it fails, it says so here and harms nobody.

The tests that expect a failure are there to be noticed when the pinned version is raised:
docs/monitoring.md tells of each.
"""

from __future__ import annotations

import os
import pickle
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue, Retry, SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer, PickleSerializer

from desk.domain import MessageState
from desk.flow import watching
from desk.queues import (
    CLASSIFY,
    CLASSIFY_JOB,
    TRAIN,
    classify_job_id,
    enqueue_classify,
    enqueue_train,
    queue,
)
from tests.conftest import Clock
from tests.desk.acting import Stage
from tests.workers.batching.jobs import burst, enqueue, ids, job, message, worker_on
from tests.workers.dashboard import Dashboard, running
from workers.embedded import EmbeddedRedis
from workers.inference import Champion, Inference
from workers.scheduler import Scheduler

WORKERS = "/0/data/workers.json"
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def board(server: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running(server.url, tmp_path_factory.mktemp("dashboard"), "--json") as board:
        yield board


def all_but(*failing: int) -> Callable[[Sequence[Job]], list[object]]:
    """A batch in which the jobs of some messages fail."""

    def run(jobs: Sequence[Job]) -> list[object]:
        return [ValueError("no") if message(job) in failing else "decided" for job in jobs]

    return run


def fail(connection: Redis, *numbers: int) -> None:
    """Jobs as the product enqueues them, which fail in every try that they have."""
    enqueue_classify(connection, [(number, 1) for number in numbers])
    burst(worker_on(connection, all_but(*numbers)))
    assert queue(CLASSIFY, connection).failed_job_registry.get_job_ids() == ids(*numbers)


def states(connection: Redis, *numbers: int) -> list[str]:
    return [job(connection, number).get_status().value for number in numbers]


# What it shows.


def test_a_job_is_counted_and_listed_under_the_state_it_is_in(
    board: Dashboard, connection: Redis
) -> None:
    classify = queue(CLASSIFY, connection)
    enqueue(connection, 1, 2)
    enqueue(connection, 3, retry=Retry(max=1, interval=60))
    burst(worker_on(connection, all_but(2, 3)))
    enqueue_classify(connection, [(4, 1), (5, 1), (7, 1)])
    classify.enqueue_call(CLASSIFY_JOB, (6, 1), job_id=ids(6)[0], depends_on=ids(5)[0])
    job(connection, 7).cancel()
    enqueue_train(connection, 8, 1)
    expected = {
        "finished": ids(1),
        "failed": ids(2),
        "scheduled": ids(3),
        "started": ids(4),
        "queued": ids(5),
        "deferred": ids(6),
        "canceled": ids(7),
    }
    counts: list[Any] = []
    listed: dict[str, list[str]] = {}

    def look(jobs: Sequence[Job]) -> list[object]:
        counts.extend(board.read("/0/data/queues.json")["queues"])
        listed.update({state: board.jobs(CLASSIFY, state) for state in expected})
        return [None] * len(jobs)

    burst(worker_on(connection, look, max_batch=1), max_jobs=1)
    assert listed == expected
    ours, training = counts
    assert (ours["name"], training["name"], training["count"]) == (CLASSIFY, TRAIN, 1)
    for state in expected:
        assert ours["count" if state == "queued" else f"{state}_job_registry_count"] == 1, state


def test_the_page_of_one_job_has_its_result_or_its_exception(
    board: Dashboard, connection: Redis
) -> None:
    enqueue_classify(connection, [(1, 1), (2, 1)])
    waiting = board.job(ids(1)[0])
    assert (waiting["status"], waiting["result"], waiting["exc_info"]) == ("queued", None, None)
    burst(worker_on(connection, all_but(2)))
    good, bad = (board.job(each) for each in ids(1, 2))
    assert (good["status"], good["result"], good["exc_info"]) == ("finished", "decided", None)
    assert (bad["status"], bad["result"]) == ("failed", None)
    assert "ValueError: no" in bad["exc_info"]
    assert (bad["origin"], bad["description"]) == (CLASSIFY, "classify message 2")
    assert bad["enqueued_at"] <= bad["started_at"] <= bad["ended_at"]


def test_every_page_opens(board: Dashboard, connection: Redis) -> None:
    fail(connection, 1)
    jobs = [f"/0/view/jobs/{CLASSIFY}/{state}/8/asc/1" for state in ("queued", "failed")]
    for path in ("/", "/0/view/queues", *jobs, "/0/view/workers", f"/0/view/job/{ids(1)[0]}"):
        status, body = board.ask(path)
        assert status == 200, path
        assert "<title>RQ dashboard</title>" in body, path


def test_an_idle_worker_is_listed_with_what_it_has_done(
    board: Dashboard, connection: Redis
) -> None:
    enqueue(connection, 1, 2, 3)
    seen: list[Any] = []
    worker = worker_on(connection, all_but(2), between_batches=lambda: seen.append(board.workers()))
    burst(worker)
    (listed,) = seen[-1]
    assert (listed["name"], listed["pid"]) == (worker.name, os.getpid())
    assert (listed["queues"], listed["state"], listed["current_job"]) == (
        [CLASSIFY],
        "idle",
        "idle",
    )
    assert (listed["successful_job_count"], listed["failed_job_count"]) == (2, 1)
    assert board.workers() == []


# Where it fails.


def test_while_a_worker_is_busy_its_list_of_workers_fails_over_a_job_that_is_no_pickle(
    board: Dashboard, connection: Redis
) -> None:
    seen: list[Any] = []

    def look(jobs: Sequence[Job]) -> list[object]:
        told = board.log.stat().st_size
        seen.append(board.status(WORKERS))
        seen.append("UnpicklingError" in board.log.read_text()[told:])
        seen.append(board.status("/0/view/workers"))
        seen.append(board.jobs(CLASSIFY, "started"))
        return ["decided"] * len(jobs)

    enqueue_classify(connection, [(1, 1), (2, 1)])
    worker = worker_on(connection, look, between_batches=lambda: seen.append(len(board.workers())))
    burst(worker)
    assert seen == [1, 500, True, 200, ids(1, 2), 1]
    assert states(connection, 1, 2) == ["finished", "finished"]


def ask_for_workers(port: int) -> int:
    """A job of a stock worker."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{WORKERS}", timeout=30) as answer:
            status: int = answer.status
    except urllib.error.HTTPError as error:
        with error:
            status = error.code
    return status


@pytest.mark.parametrize(("serializer", "status"), [(JSONSerializer, 500), (PickleSerializer, 200)])
def test_so_it_does_with_a_stock_worker_unless_its_jobs_are_pickles(
    board: Dashboard, connection: Redis, serializer: Any, status: int
) -> None:
    stock = Queue("stock", connection=connection, serializer=serializer)
    asked = stock.enqueue(ask_for_workers, board.port)
    SimpleWorker([stock], connection=connection, serializer=serializer).work(
        burst=True, logging_level="CRITICAL"
    )
    assert asked.return_value() == status


def test_the_page_of_a_job_that_depends_on_another_fails(
    board: Dashboard, connection: Redis
) -> None:
    enqueue_classify(connection, [(1, 1)])
    queue(CLASSIFY, connection).enqueue_call(
        CLASSIFY_JOB, (2, 1), job_id=ids(2)[0], depends_on=ids(1)[0]
    )
    assert board.status(f"/0/data/job/{ids(1)[0]}.json") == 200
    assert board.status(f"/0/data/job/{ids(2)[0]}.json") == 500


def test_without_json_it_shows_no_finished_job(
    server: EmbeddedRedis, connection: Redis, tmp_path: Path
) -> None:
    enqueue_classify(connection, [(1, 1)])
    burst(worker_on(connection, all_but()))
    with running(server.url, tmp_path) as board:
        assert board.status(f"/0/data/jobs/{CLASSIFY}/finished/8/asc/1.json") == 500
        assert board.status(f"/0/data/job/{ids(1)[0]}.json") == 500


class Canary:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def test_who_can_write_to_redis_can_run_code_in_it_but_not_in_our_worker(
    board: Dashboard, connection: Redis, tmp_path: Path
) -> None:
    enqueue_classify(connection, [(1, 1)])
    connection.hset(f"rq:job:{ids(1)[0]}", "meta", pickle.dumps(Canary(tmp_path / "ran")))
    burst(worker_on(connection, all_but()))
    assert states(connection, 1) == ["finished"]
    assert not (tmp_path / "ran").exists()
    board.ask(f"/0/view/job/{ids(1)[0]}")
    assert (tmp_path / "ran").exists()


# What its buttons do.


def test_a_failed_job_that_is_requeued_is_completed_and_no_other_is_touched(
    board: Dashboard, connection: Redis
) -> None:
    fail(connection, 1, 2)
    assert board.press(f"/job/{ids(1)[0]}/requeue") == {"status": "OK"}
    assert states(connection, 1, 2) == ["queued", "failed"]
    burst(worker_on(connection, all_but()))
    assert states(connection, 1, 2) == ["finished", "failed"]
    assert board.job(ids(1)[0])["result"] == "decided"


def test_a_requeued_job_that_fails_once_more_is_a_failed_one_again(
    board: Dashboard, connection: Redis
) -> None:
    fail(connection, 1)
    board.press(f"/job/{ids(1)[0]}/requeue")
    worker = worker_on(connection, all_but(1))
    burst(worker)
    worker.refresh()
    assert worker.failed_job_count == 1  # its tries were used up before
    assert board.jobs(CLASSIFY, "failed") == ids(1)


def test_all_failed_jobs_requeued_at_once_are_completed(
    board: Dashboard, connection: Redis
) -> None:
    fail(connection, 1, 2, 3)
    assert board.press(f"/requeue/{CLASSIFY}") == {"status": "OK", "count": 3}
    assert board.jobs(CLASSIFY, "queued") == ids(1, 2, 3)
    burst(worker_on(connection, all_but()))
    assert states(connection, 1, 2, 3) == ["finished"] * 3
    assert board.jobs(CLASSIFY, "failed") == []


@on_sqlite
def test_a_requeued_job_whose_attempt_is_over_decides_nothing(
    board: Dashboard, connection: Redis, stage: Stage, tmp_path: Path
) -> None:
    wanted = stage.write("where is my order")
    assert wanted is not None
    number, attempt = wanted
    fail(connection, number)
    assert watching.next_attempts(stage.desk, [number]) == [(number, attempt + 1)]
    board.press(f"/job/{classify_job_id(number, attempt)}/requeue")
    inference = Inference(stage.desk, connection, Champion(tmp_path, "cpu"))
    burst(worker_on(connection, inference.run_batch))
    assert board.job(classify_job_id(number, attempt))["result"] == "stale"
    assert stage.message(number).state is MessageState.PENDING


@on_sqlite
@pytest.mark.parametrize("button", ["/job/{job}/delete", f"/queue/{CLASSIFY}/queued/empty"])
def test_a_message_whose_job_is_deleted_gets_another_from_the_scheduler(
    board: Dashboard, connection: Redis, stage: Stage, clock: Clock, button: str
) -> None:
    wanted = stage.write("where is my order")
    assert wanted is not None
    enqueue_classify(connection, [wanted])
    assert board.press(button.format(job=classify_job_id(*wanted))) == {"status": "OK"}
    assert board.jobs(CLASSIFY, "queued") == []
    clock.move(seconds=5)
    Scheduler(stage.desk, connection, reply_deadline=20, retrain_at=None).tick()
    assert board.jobs(CLASSIFY, "queued") == [classify_job_id(wanted[0], wanted[1] + 1)]


@pytest.mark.parametrize(
    ("button", "gone"),
    [(f"/job/{ids(2)[0]}/delete", [2]), (f"/queue/{CLASSIFY}/started/empty", [1, 2, 3])],
)
def test_a_job_deleted_while_a_batch_has_it_holds_up_no_other(
    board: Dashboard, connection: Redis, button: str, gone: list[int]
) -> None:
    def press(jobs: Sequence[Job]) -> list[object]:
        if message(jobs[0]) == 1:
            board.press(button)
            enqueue_classify(connection, [(4, 1)])
        return ["decided"] * len(jobs)

    enqueue_classify(connection, [(1, 1), (2, 1), (3, 1)])
    burst(worker_on(connection, press, max_batch=3))
    kept = [number for number in (1, 2, 3, 4) if number not in gone]
    assert sorted(board.jobs(CLASSIFY, "finished")) == ids(*kept)
    assert states(connection, *kept) == ["finished"] * len(kept)
    assert [key for number in gone for key in connection.keys(f"*{ids(number)[0]}*")] == []
    assert board.jobs(CLASSIFY, "started") == []


@pytest.mark.parametrize("emptied", ["finished", "failed"])
def test_an_emptied_registry_takes_its_jobs_with_it_and_no_others(
    board: Dashboard, connection: Redis, emptied: str
) -> None:
    fail(connection, 1)
    enqueue_classify(connection, [(2, 1)])
    burst(worker_on(connection, all_but()))
    enqueue_classify(connection, [(3, 1)])
    assert board.press(f"/queue/{CLASSIFY}/{emptied}/empty") == {"status": "OK"}
    burst(worker_on(connection, all_but()))
    (gone, kept) = (2, [1, 3]) if emptied == "finished" else (1, [2, 3])
    assert connection.keys(f"rq:*{ids(gone)[0]}*") == []
    listed = board.jobs(CLASSIFY, "failed") + board.jobs(CLASSIFY, "finished")
    assert listed == ids(*kept)


def test_deleting_and_emptying_can_be_switched_off(
    server: EmbeddedRedis, connection: Redis, tmp_path: Path
) -> None:
    enqueue_classify(connection, [(1, 1)])
    with running(server.url, tmp_path, "--json", "--disable-delete") as board:
        for button in (f"/job/{ids(1)[0]}/delete", f"/queue/{CLASSIFY}/queued/empty"):
            board.ask(button, press=True)
        assert board.jobs(CLASSIFY, "queued") == ids(1)


def test_a_compacted_queue_loses_what_is_gone_and_nothing_else(
    board: Dashboard, connection: Redis
) -> None:
    enqueue_classify(connection, [(1, 1), (2, 1), (3, 1)])
    connection.delete(f"rq:job:{ids(2)[0]}")
    assert board.press(f"/queue/{CLASSIFY}/compact") == {"status": "OK"}
    assert queue(CLASSIFY, connection).job_ids == ids(1, 3)
    burst(worker_on(connection, all_but()))
    assert states(connection, 1, 3) == ["finished", "finished"]

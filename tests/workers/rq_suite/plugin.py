"""A pytest plugin for RQ's own tests: their worker is a `BatchWorker`, their server a test's.

`RQ_SUITE_REPORT` is a file for the outcomes: a line `begun NAME` as a test begins, `passed NAME`,
`failed NAME` or `skipped NAME` as it ends; tests that it already names are not run. A test that
ends this process therefore leaves `begun` alone. `RQ_SUITE_ONLY` names the tests to run, if not
all. `RQ_SUITE_PORT` is the server's port, in place of the 6379 that the tests assume (and whose
data they would flush). `RQ_SUITE_WORKER` names what stands in for RQ's `Worker` and
`SimpleWorker`: `batch` is ours, `simple` is RQ's own SimpleWorker for both, `stock` changes
nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import redis.connection
import rq
import rq.worker
from rq import SimpleWorker
from rq.defaults import DEFAULT_MAINTENANCE_TASK_INTERVAL, DEFAULT_RESULT_TTL, DEFAULT_WORKER_TTL
from rq.job import Job

from workers.batching import BatchWorker

ASSUMED_PORT = 6379
REPORT = Path(os.environ["RQ_SUITE_REPORT"])


class RQBatchWorker(BatchWorker):
    """A `BatchWorker` with RQ's defaults that performs each job as RQ does."""

    def __init__(
        self,
        queues: Any,
        name: str | None = None,
        default_result_ttl: int = DEFAULT_RESULT_TTL,
        connection: Any = None,
        exception_handlers: Any = None,
        maintenance_interval: int = DEFAULT_MAINTENANCE_TASK_INTERVAL,
        default_worker_ttl: int | None = None,
        worker_ttl: int | None = None,
        **options: Any,
    ) -> None:
        if isinstance(queues, str) or any(isinstance(only, str) for only in queues):
            # A name alone stands for a queue of our contract; here it means one of RQ's.
            options["job_class"] = options.get("job_class") or type(self).job_class
        super().__init__(
            queues,
            run_batch=self._perform,
            max_batch=64,
            name=name,
            default_result_ttl=default_result_ttl,
            connection=connection,
            exception_handlers=exception_handlers,
            maintenance_interval=maintenance_interval,
            worker_ttl=worker_ttl or default_worker_ttl or DEFAULT_WORKER_TTL,
            **options,
        )

    def _perform(self, jobs: Sequence[Job]) -> list[object]:
        outcomes: list[object] = []
        for job in jobs:
            try:
                outcomes.append(job.perform())
            except Exception as error:  # noqa: BLE001 - whatever a job's function raises
                outcomes.append(error)
        return outcomes


def _use_port(port: int) -> None:
    init = redis.connection.Connection.__init__

    def redirected(self: Any, *args: Any, **options: Any) -> None:
        if options.get("port", ASSUMED_PORT) == ASSUMED_PORT:
            options["port"] = port
        init(self, *args, **options)

    redis.connection.Connection.__init__ = redirected  # type: ignore[method-assign]


def _use_worker(worker: type[SimpleWorker]) -> None:
    for module in (rq, rq.worker, rq.worker.worker_classes):
        module.SimpleWorker = module.Worker = worker  # type: ignore[attr-defined]


_use_port(int(os.environ["RQ_SUITE_PORT"]))
chosen = os.environ["RQ_SUITE_WORKER"]
if chosen != "stock":
    _use_worker({"batch": RQBatchWorker, "simple": SimpleWorker}[chosen])


def _report(outcome: str, test: str) -> None:
    with REPORT.open("a") as report:
        report.write(f"{outcome} {test}\n")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    known = {line.split(" ", 1)[1] for line in REPORT.read_text().splitlines()}
    only = os.environ["RQ_SUITE_ONLY"].split()
    items[:] = [
        item for item in items if item.nodeid not in known and (not only or item.nodeid in only)
    ]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Any:
    _report("begun", item.nodeid)
    return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed or (report.when == "setup" and report.skipped):
        _report("failed" if report.failed else "skipped", report.nodeid)
    elif report.when == "call":
        _report("skipped" if report.skipped else "passed", report.nodeid)

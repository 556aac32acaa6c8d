"""The watchdog ends a worker whose device hangs, and nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from redis import Redis

from desk import queues
from desk.domain import MessageState
from tests.conftest import Clock
from tests.desk.acting import Stage
from tests.workers import poison_process
from tests.workers.batch_process import until

WATCHED = """
import os, time
from workers.watchdog import Watchdog
with Watchdog() as watchdog:
    {}
"""


def watched(body: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WATCHED.format(body)],
        cwd=poison_process.ROOT,
        env={**os.environ, "PYTHONPATH": str(poison_process.ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_process_that_does_not_report_in_time_is_killed_and_the_log_says_why() -> None:
    process = watched("watchdog.expect_within(0.2); time.sleep(60)")
    _, said = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert '"worker.hung"' in said


def test_a_process_that_reports_in_time_lives_as_long_as_it_likes() -> None:
    body = "[(watchdog.expect_within(20), time.sleep(0.01)) for _ in range(20)]"
    process = watched(f"{body}; watchdog.expect_within(0.2); watchdog.expect_within(0); "
                      "time.sleep(0.6)")  # fmt: skip
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_the_watchdog_ends_with_its_process_even_when_that_is_killed() -> None:
    process = watched("print(watchdog._process.pid, flush=True); time.sleep(60)")
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.kill()
    process.communicate()

    def gone() -> bool:
        try:
            with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
                return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
        except FileNotFoundError:
            return True

    until(gone)


def test_a_watchdog_that_was_killed_is_replaced() -> None:
    process = watched(
        "watchdog._process.kill(); watchdog._process.wait(); "
        "watchdog.expect_within(20); watchdog.expect_within(0.2); time.sleep(60)"
    )
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_worker_whose_device_hangs_is_killed_though_it_hears_no_signal(
    stage: Stage, connection: Redis, redis_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.set(datetime.now(UTC))
    monkeypatch.setattr(queues, "CLASSIFY_TIMEOUT", 1)
    job = stage.write("freeze")
    assert job is not None
    queues.enqueue_classify(connection, [job])
    process = poison_process.start(stage.desk.store.url, redis_url)
    try:
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert b"worker.hung" in said
    assert stage.message(job[0]).state is MessageState.PENDING

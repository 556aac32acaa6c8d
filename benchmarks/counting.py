"""What counting costs, beside batches of jobs that do nothing else.

Timed are such batches on the batching worker and an embedded Redis, and by itself all that the
inference worker counts of a batch, in turns. The quickest of many rounds counts on both sides:
other programs on the machine only ever add.

    python benchmarks/counting.py --json
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from redis import Redis
from rq.job import Job

from classifier.engine import Timings
from desk import metrics, queues
from desk.domain import PendingMessage
from tests.redis_servers import embedded_redis
from workers import counting
from workers.batching import BatchWorker

BATCH = 64
BATCHES = 50


def nothing(jobs: Sequence[Job]) -> list[object]:
    return ["decided"] * len(jobs)


def noop_seconds(connection: Redis) -> float:
    """Seconds of one batch of jobs that do nothing."""
    connection.flushall()
    queues.enqueue_classify(connection, [(number, 1) for number in range(BATCH * BATCHES)])
    worker = BatchWorker(queues.CLASSIFY, connection=connection, run_batch=nothing, max_batch=BATCH)
    started = time.perf_counter()
    worker.work(burst=True, logging_level="ERROR")
    return (time.perf_counter() - started) / BATCHES


def counting_seconds() -> float:
    """Seconds of counting one batch, all of it."""
    messages = [PendingMessage(number, 1, "", datetime.now(UTC)) for number in range(BATCH)]
    outcomes: list[object] = ["decided"] * BATCH
    started = time.perf_counter()
    for _ in range(BATCHES):
        counting.taken(messages, datetime.now(UTC))
        counting.predicted(Timings(0.001, 0.01, BATCH, 800, 900))
        metrics.COMMIT_SECONDS.observe(0.01)
        metrics.DECISIONS.labels("answer", "confident").inc(BATCH)
        counting.ended(outcomes)
    return (time.perf_counter() - started) / BATCHES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded_redis(Path(folder)) as server,
        Redis.from_url(server.url) as connection,
    ):
        rounds = [(noop_seconds(connection), counting_seconds()) for _ in range(arguments.rounds)]
    noop, count = (min(column) for column in zip(*rounds, strict=True))
    found = {
        "noop_jobs_per_s": round(BATCH / noop),
        "noop_us_per_batch": round(noop * 1e6),
        "counting_us_per_batch": round(count * 1e6, 1),
        "share": round(count / noop, 4),
    }
    print(json.dumps(found) if arguments.json else "\n".join(f"{k}: {v}" for k, v in found.items()))


if __name__ == "__main__":
    main()

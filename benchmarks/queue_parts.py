"""The parts of benchmarks/queue.py: each starts its contestants and returns what it measured."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from benchmarks.common import absent
from benchmarks.queue_contestants import SLEEP_A_TEXT
from benchmarks.queue_desk import databases
from benchmarks.queue_races import STAMPS, Asked, Contestant, Ring

Found = dict[str, Any]

# How many jobs each gets of `--jobs`, so that all take about as long.
SHARES = {"stock_engine": 0.2, "stock_pipeline": 0.08, "inbox": 0.5}
RIVALS = ("celery", "celery_batches", "litserve")
"""The modules of those from outside."""
QUEUED = (1, 100, 10_000, 100_000)
LATENCY_SECONDS = 10.0


def model(ring: Ring, jobs: int, rounds: int) -> Found:
    """With the real model: the engine alone, our worker, the desk, stock RQ, and the rivals that
    are installed."""
    with ExitStack() as stack:
        urls = stack.enter_context(databases(ring.folder))
        names = ["engine", "batch_engine", *(f"desk:{name}" for name in urls)]
        names += ["stock_engine", "stock_pipeline"]
        rivals = [] if absent(*RIVALS) else ["celery", "litserve"]
        names += rivals
        racing = stack.enter_context(ring.contestants(*names, databases=urls))
        rates = interleaved(racing, jobs, rounds)
    ours, middle = rates["batch_engine"], medians(rates)
    return {
        "jobs_per_s": middle["batch_engine"],
        "ratio_to_engine": ratio(ours, rates["engine"]),
        "ratio_to_stock": ratio(ours, rates["stock_pipeline"]),
        "ratio_to_stock_same_engine": ratio(ours, rates["stock_engine"]),
        **{f"ratio_to_{name}": ratio(ours, rates[name]) for name in rivals},
        "desk_jobs_per_s": {name: middle[f"desk:{name}"] for name in urls},
        "desk_ratio_to_engine": {
            name: ratio(rates[f"desk:{name}"], rates["engine"]) for name in urls
        },
        "per_s": middle,
    }


def noop(ring: Ring, jobs: int, rounds: int) -> Found:
    """With nothing to do: what the queue itself costs."""
    with ring.contestants("batch_noop", "stock_noop") as (ours, stock):
        rates: dict[str, list[float]] = {"batch": [], "stock": []}
        for _ in range(rounds):
            rates["batch"].append(ours.race(8 * jobs))
            rates["stock"].append(stock.race(max(1, jobs // 2)))
    return {
        "noop_jobs_per_s": round(statistics.median(rates["batch"])),
        "noop_stock_jobs_per_s": round(statistics.median(rates["stock"])),
        "noop_ratio_to_stock": ratio(rates["batch"], rates["stock"]),
    }


def latency(ring: Ring, jobs: int, rounds: int) -> Found:
    """From a job's arrival to the end of its model's call, each at half of what it can do."""
    found: Found = {}
    with ring.contestants("batch_engine", "stock_engine", "stock_pipeline") as racing:
        for contestant in racing:
            share = int(jobs * SHARES.get(contestant.name, 1))
            contestant.race(share)
            capacity = statistics.median(contestant.race(share) for _ in range(2))
            found[contestant.name] = arrivals(ring, contestant, capacity / 2)
    ours = found["batch_engine"]
    return {"p50_ms": ours["p50_ms"], "p99_ms": ours["p99_ms"], "half_load": found}


def arrivals(ring: Ring, contestant: Contestant, per_second: float) -> Found:
    """Latencies with Poisson arrivals (seeded), counted from when a job was due to arrive."""
    draw = random.Random(1)
    due, at = [], 0.5
    while at < 0.5 + LATENCY_SECONDS:
        due.append(at)
        at += draw.expovariate(per_second)
    numbers = contestant.next_numbers(len(due))
    contestant.go()
    began = time.monotonic()
    for moment, number in zip(due, numbers, strict=True):
        if (wait := began + moment - time.monotonic()) > 0:
            time.sleep(wait)
        contestant.enqueue([number])
    contestant.finish()
    contestant.rest()
    contestant.check()
    done = np.asarray(ring.stamps[np.asarray(numbers) % STAMPS])
    taken = 1000 * (done - began - np.asarray(due))
    return {
        "jobs_per_s": round(per_second, 1),
        "jobs": len(due),
        "p50_ms": round(float(np.percentile(taken, 50)), 2),
        "p99_ms": round(float(np.percentile(taken, 99)), 2),
    }


def two(ring: Ring, jobs: int, rounds: int) -> Found:
    """Two workers beside one, with an engine that sleeps, so that the cores are no limit."""
    alone, together = [], []
    with ring.contestants("batch_sleep", "batch_sleep") as (first, second):
        for _ in range(rounds):
            alone.append(first.race(2 * jobs))
            first.feed(2 * jobs)
            began = time.perf_counter()
            second.go()
            first.go()
            first.finish()
            together.append(2 * jobs / (time.perf_counter() - began))
            first.rest()
            second.rest()
    return {
        "two_workers_ratio": ratio(together, alone),
        "two_workers": {
            "slept_ms_a_text": 1000 * SLEEP_A_TEXT,
            "one_jobs_per_s": round(statistics.median(alone)),
            "two_jobs_per_s": round(statistics.median(together)),
        },
    }


def growth(ring: Ring, jobs: int, rounds: int) -> Found:
    """Microseconds a no-op job with so many waiting in the queue."""
    found = {}
    with ring.contestants("batch_noop") as (worker,):
        worker.race(jobs)
        for queued in QUEUED:
            taken = []
            for _ in range(max(1, min(20, 20_000 // queued))):
                numbers = np.asarray(worker.feed(queued)) % STAMPS
                began = time.monotonic()
                worker.go()
                worker.finish()
                worker.rest()
                taken.append((float(ring.stamps[numbers].max()) - began) / queued)
            found[str(queued)] = round(1e6 * statistics.median(taken), 1)
    return {"us_per_job_by_queued": found}


def inbox(ring: Ring, jobs: int, rounds: int) -> Found:
    """Messages/s of the bot's side: updates stored, and from the inbox to the queue."""
    found: Found = {}
    with databases(ring.folder) as urls:
        names = [f"inbox:{name}" for name in urls]
        with ring.contestants(*names, databases=urls) as asked:
            told: dict[str, list[Found]] = {name: [] for name in urls}
            for _ in range(rounds):
                for name, contestant in zip(urls, asked, strict=True):
                    assert isinstance(contestant, Asked)
                    told[name].append(contestant.ask(max(100, jobs // 2)))
    for name, answers in told.items():
        found[name] = {
            what: round(statistics.median(answer[what] for answer in answers), 1)
            for what in answers[0]
        }
    return {"inbox_per_s": found}


def million(ring: Ring, jobs: int, rounds: int) -> Found:
    """Memory of the worker and of Redis after 100,000 and after a million no-op jobs."""
    found = {}
    with ring.contestants("batch_noop") as (worker,):
        worker.go()
        for done in range(0, 1_000_000, 10_000):
            worker.feed(10_000)
            worker.finish()
            if done + 10_000 in (100_000, 500_000, 1_000_000):
                found[str(done + 10_000)] = {
                    "worker_mb": round(worker.memory_mb(), 1),
                    "redis_mb": round(worker.redis.info("memory")["used_memory"] / 2**20, 1),
                }
        worker.check()
    return {"memory_by_jobs": found}


def interleaved(racing: Sequence[Contestant], jobs: int, rounds: int) -> dict[str, list[float]]:
    """Jobs/s of each in each round; all take their turn in each. A short first round warms up."""
    rates: dict[str, list[float]] = {contestant.name: [] for contestant in racing}
    for number in range(rounds + 1):
        for contestant in racing:
            share = int(jobs * SHARES.get(contestant.name, 1))
            rate = contestant.race(share if number else max(64, share // 4))
            if number:
                rates[contestant.name].append(rate)
    return rates


def medians(rates: dict[str, list[float]]) -> dict[str, float]:
    return {name: round(statistics.median(found), 1) for name, found in rates.items()}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the rounds' ratios: what slows one round slows both."""
    return round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 3)


PARTS: dict[str, Callable[[Ring, int, int], Found]] = {
    "model": model,
    "noop": noop,
    "latency": latency,
    "two": two,
    "growth": growth,
    "inbox": inbox,
    "million": million,
}

"""The processes that benchmarks/queue.py measures; each is started by it and idles until asked.

`main` gets a contestant's name and its `Setup` as JSON. A contestant says "ready" on its output
once it is warm. Text number n is `texts[n % len(texts)]`, so a job carries a number only, as ours
carry the id of a message.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from redis import Redis
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.serializers import JSONSerializer

# Before torch and numpy: it sets how their threads wait.
from classifier import (
    Classifier,
    threads,  # noqa: F401  # isort: split
)
from classifier.data import read_examples
from desk import queues

SLEEP_A_TEXT = 0.001
WARM_UP_TEXTS = 256


@dataclass(frozen=True)
class Setup:
    """What a contestant is told: addresses, files, the queue's name, and the size of a batch."""

    redis: str
    model: str
    data: str
    stamps: str
    queue: str = queues.CLASSIFY
    batch: int = 64
    database: str = ""
    pack: str = ""
    port: int = 0


class State:
    """What the functions of stock workers need; a process has one."""

    texts: Sequence[str]
    stamps: np.memmap[Any, np.dtype[np.float64]]
    classify: Callable[[list[str]], Any]


def read_texts(data: str) -> list[str]:
    """The texts of a data file in an order that has nothing to do with their labels."""
    texts = [example.text for example in read_examples(Path(data), labelled=False)]
    random.Random(1).shuffle(texts)
    return texts


def text_of(number: int) -> str:
    return State.texts[number % len(State.texts)]


def stamp(numbers: Sequence[int]) -> None:
    """Note when these jobs were done, where the latency is asked for."""
    State.stamps[np.asarray(numbers) % len(State.stamps)] = time.monotonic()


def ours(setup: Setup) -> Classifier:
    classifier = Classifier.load(setup.model, "cpu")
    for start in range(0, WARM_UP_TEXTS, setup.batch):
        classifier(State.texts[start : start + setup.batch])
    return classifier


def pipeline(setup: Setup) -> Callable[[list[str]], Any]:
    """transformers' pipeline over the same encoder, asked for one text at a time."""
    from benchmarks.engine import transformers_contestants

    run, _ = transformers_contestants(Path(setup.model))
    for number in range(20):
        run([text_of(number)], 1)
    return lambda texts: run(texts, 1)


def waiting_client(setup: Setup) -> Redis:
    """A connection on which one may wait for as long as it takes."""
    return Redis.from_url(setup.redis, socket_timeout=None)


# ---- Engines alone ----


def engine(setup: Setup) -> None:
    """The engine without any queue, in batches as the worker makes them; asked over Redis."""
    classifier = ours(setup)
    connection = waiting_client(setup)
    ready()
    while True:
        _, asked = connection.blpop([setup.queue])
        texts = [text_of(number) for number in range(int(asked))]
        began = time.perf_counter()
        for start in range(0, len(texts), setup.batch):
            classifier(texts[start : start + setup.batch])
        connection.rpush(f"{setup.queue}:took", time.perf_counter() - began)


# ---- Our worker ----


def batch_worker(setup: Setup, run_batch: Callable[[Sequence[Job]], Sequence[object]]) -> None:
    from workers.batching import BatchWorker

    worker = BatchWorker(
        setup.queue,
        connection=Redis.from_url(setup.redis),
        run_batch=run_batch,
        max_batch=setup.batch,
    )
    ready()
    worker.work(logging_level="WARNING")


def batch_engine(setup: Setup) -> None:
    classifier = ours(setup)

    def run_batch(jobs: Sequence[Job]) -> list[object]:
        numbers = [int(job.args[0]) for job in jobs]
        predictions = classifier([text_of(number) for number in numbers])
        stamp(numbers)
        return [prediction.intent.name if prediction.intent else None for prediction in predictions]

    batch_worker(setup, run_batch)


def batch_noop(setup: Setup) -> None:
    def run_batch(jobs: Sequence[Job]) -> list[object]:
        stamp([int(job.args[0]) for job in jobs])
        return [None] * len(jobs)

    batch_worker(setup, run_batch)


def batch_sleep(setup: Setup) -> None:
    def run_batch(jobs: Sequence[Job]) -> list[object]:
        time.sleep(SLEEP_A_TEXT * len(jobs))
        return [None] * len(jobs)

    batch_worker(setup, run_batch)


def desk(setup: Setup) -> None:
    """The inference worker as the product runs it: model, and all of its work in SQL."""
    from benchmarks.queue_desk import open_desk
    from desk.logs import configure
    from workers.inference import Champion, Inference

    configure("inference")
    champion = Champion(Path(setup.model).parent, "cpu")
    champion.follow()
    connection = Redis.from_url(setup.redis)
    batch_worker(setup, Inference(open_desk(setup), connection, champion).run_batch)


def inbox(setup: Setup) -> None:
    """The bot's side without Telegram; asked over Redis, as the engine is."""
    from benchmarks.queue_desk import from_inbox_to_queue
    from desk.logs import configure

    configure("bot")  # to standard error, as the bot: nobody reads the output, which would fill up
    connection = waiting_client(setup)
    ready()
    while True:
        _, asked = connection.blpop([setup.queue])
        told = json.dumps(from_inbox_to_queue(setup, int(asked)))
        connection.rpush(f"{setup.queue}:took", told)


# ---- Stock RQ ----


def job_noop(number: int) -> None:
    """What a stock worker's job does where the model does nothing."""


def job_classify(number: int) -> str:
    """What a stock worker's job does with a model: one text, one call."""
    found = State.classify([text_of(number)])[0]
    stamp([number])
    return str(found["label"] if isinstance(found, dict) else found.intent.name)


def stock(setup: Setup) -> None:
    connection = Redis.from_url(setup.redis)
    only = Queue(setup.queue, connection=connection, serializer=JSONSerializer)
    worker = SimpleWorker([only], connection=connection, serializer=JSONSerializer)
    ready()
    worker.work(logging_level="WARNING")


def stock_noop(setup: Setup) -> None:
    stock(setup)


def stock_engine(setup: Setup) -> None:
    State.classify = ours(setup)
    stock(setup)


def stock_pipeline(setup: Setup) -> None:
    State.classify = pipeline(setup)
    stock(setup)


# ---- Others ----


def celery(setup: Setup) -> None:
    from celery.signals import worker_ready

    from benchmarks.queue_rivals import celery_app

    State.classify = ours(setup)
    worker_ready.connect(lambda **_: ready(), weak=False)
    app, _ = celery_app(setup)
    app.Worker(
        pool="solo",
        loglevel="ERROR",
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    ).start()


def litserve(setup: Setup) -> None:
    from benchmarks.queue_rivals import serve

    ready()  # whoever asks waits for its health page
    serve(setup)


CONTESTANTS: dict[str, Callable[[Setup], None]] = {
    "engine": engine,
    "batch_engine": batch_engine,
    "batch_noop": batch_noop,
    "batch_sleep": batch_sleep,
    "desk": desk,
    "inbox": inbox,
    "stock_noop": stock_noop,
    "stock_engine": stock_engine,
    "stock_pipeline": stock_pipeline,
    "celery": celery,
    "litserve": litserve,
}


def ready() -> None:
    print("ready", flush=True)


def prepare(setup: Setup) -> None:
    """Give this process its texts and the file of stamps."""
    State.texts = read_texts(setup.data)
    State.stamps = np.memmap(setup.stamps, dtype=np.float64, mode="r+")


def main(name: str, told: str) -> None:
    setup = Setup(**json.loads(told))
    prepare(setup)
    CONTESTANTS[name](setup)

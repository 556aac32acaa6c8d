"""celery-batches and LitServe with our engine, for benchmarks/queue.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import litserve
from celery import Celery
from celery_batches import Batches
from redis import Redis

from benchmarks.queue_contestants import Setup, State, ours, prepare, text_of
from classifier import Classifier

FLUSH_SECONDS = 0.02
"""Both wait so long for a batch to fill; ours does not wait."""


def celery_app(setup: Setup) -> tuple[Celery, Any]:
    """(app, task): celery-batches with our engine, Redis as its broker, no results kept."""
    broker = setup.redis.replace("unix://", "redis+socket://").replace("?db=", "?virtual_host=")
    app = Celery("bench", broker=broker)
    app.conf.update(
        task_default_queue=setup.queue,
        task_ignore_result=True,
        worker_prefetch_multiplier=2 * setup.batch,
        broker_connection_retry_on_startup=True,
        worker_redirect_stdouts=False,
    )
    connection = Redis.from_url(setup.redis)

    @app.task(base=Batches, name="classify", flush_every=setup.batch, flush_interval=FLUSH_SECONDS)
    def classify(requests: Sequence[Any]) -> None:
        State.classify([text_of(int(request.args[0])) for request in requests])
        connection.incrby(f"{setup.queue}:done", len(requests))

    return app, classify


class Api(litserve.LitAPI):
    """One text a request, by its number; batched by LitServe."""

    told: Setup
    classifier: Classifier

    def setup(self, device: str) -> None:
        prepare(self.told)
        self.classifier = ours(self.told)

    def decode_request(self, request):  # LitServe reads an annotation as a schema  # type: ignore
        return text_of(int(request["number"]))

    def predict(self, x: list[str]) -> list[str]:
        return [said.intent.name if said.intent else "" for said in self.classifier(x)]

    def encode_response(self, output: str) -> dict[str, str]:
        return {"intent": output}


def serve(setup: Setup) -> None:
    """Serve on the setup's port of the loopback until ended."""
    api = Api(max_batch_size=setup.batch, batch_timeout=FLUSH_SECONDS)
    api.told = setup
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=setup.port, log_level="error", generate_client_file=False)

"""A real Valkey for each test, and a desk whose customers can be played."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from desk.flow.desk import Desk
from tests.conftest import FLORIST
from tests.desk.acting import Stage
from tests.redis_servers import embedded_redis
from tests.workers.models import tiny_base
from workers.training import Trainer


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    with embedded_redis(tmp_path / "redis") as server:
        yield server.url


@pytest.fixture
def connection(redis_url: str) -> Iterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    client.close()


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    # A worker in this process leaves its own behind.
    kept = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    for number, handler in kept:
        signal.signal(number, handler)


@pytest.fixture
def stage(desk: Desk) -> Stage:
    return Stage(desk)


@pytest.fixture
def trainer(stage: Stage, tmp_path: Path) -> Trainer:
    models = tmp_path / "models"
    models.mkdir()
    return Trainer(stage.desk, models, FLORIST, str(tiny_base(tmp_path)), "cpu", True)

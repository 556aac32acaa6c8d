"""A real Valkey for each test, and a desk whose customers can be played."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from redis import Redis

from classifier.recipe import Recipe
from desk.flow.desk import Desk
from desk.pack import Pack
from tests.classifier.tiny import TINY
from tests.conftest import FLORIST
from tests.desk.acting import Stage
from tests.redis_servers import embedded_redis
from tests.workers.models import tiny_base
from workers import training
from workers.recipe import recipe_of
from workers.training import Trainer


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    # A model this small is slower on two.
    torch.set_num_threads(1)


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
def trainer(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """It trains a tiny model for a second, with the pack's word on its answers."""

    def tiny(pack: Pack) -> Recipe:
        asked = recipe_of(pack)
        return replace(
            TINY,
            epochs=3,
            target_error=asked.target_error,
            target_errors=asked.target_errors,
            never_answered=asked.never_answered,
        )

    monkeypatch.setattr(training, "recipe_of", tiny)
    models = tmp_path / "models"
    models.mkdir()
    return Trainer(stage.desk, models, FLORIST, str(tiny_base(tmp_path)), "cpu", True)

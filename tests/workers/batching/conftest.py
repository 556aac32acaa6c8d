"""One server for all tests of a file: they flush it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from tests.redis_servers import embedded_redis
from workers.embedded import EmbeddedRedis


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    with embedded_redis(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def connection(server: EmbeddedRedis) -> Iterator[Redis]:
    with Redis.from_url(server.url) as client:
        client.flushall()
        yield client

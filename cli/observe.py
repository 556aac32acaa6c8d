"""METRICS_PORT: what a process shows of itself, put together."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cli.errors import MisconfiguredError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from desk.flow.desk import Desk
    from desk.settings import Settings

NEEDS = {
    # Without Redis the bot still takes updates and sends: what is not dispatched waits in SQL.
    "bot": ("database", "telegram"),
    "inference": ("database", "redis", "model"),
    "training": ("database", "redis"),
    "scheduler": ("database", "redis"),
}
ANSWER_SECONDS = 3.0
CLOCK_SECONDS = 30.0
DISK_SECONDS = 30.0


class Observed:
    """The endpoint of a process; without METRICS_PORT there is none and nothing is checked."""

    def __init__(self, settings: Settings, process: str) -> None:
        self._process = process
        self._settings = settings
        self._registry: CollectorRegistry | None = None
        if settings.metrics_port is None:
            return
        from importlib.metadata import version

        from desk import metrics
        from desk.domain import DeskError
        from desk.health import PROCESS
        from desk.observing import Endpoint

        self._registry = metrics.registry(process)
        metrics.BUILD.labels(version("frontdesk")).set(1)
        PROCESS.need(NEEDS[process])
        host, port = settings.metrics_host, settings.metrics_port
        try:
            Endpoint(process, host, port, self._registry, PROCESS)
        except DeskError as error:
            raise MisconfiguredError(str(error)) from None

    def watch(self, desk: Desk, redis_url: str) -> None:
        """Look after what the process needs; in the scheduler, read what SQL and Redis know."""
        if self._registry is None:
            return
        from redis import Redis

        from desk import gauges, queues
        from desk.flow import clocks
        from desk.health import PROCESS

        # Its own connections: what hangs here must not take one from the work.
        connection = Redis.from_url(
            redis_url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS
        )

        PROCESS.watch("database", desk.store.ping)
        PROCESS.watch("redis", partial(queues.check_writes, connection))
        PROCESS.watch("clock", lambda: clocks.watch(desk), CLOCK_SECONDS)
        for directory, folder in self._directories(desk):
            PROCESS.watch(f"{directory}'s disk", partial(_measure, directory, folder), DISK_SECONDS)
        if self._process == "scheduler":
            read = gauges.Gauges()
            self._registry.register(read)
            gauges.follow(read, desk, connection, active=lambda: not PROCESS.standby)

    def _directories(self, desk: Desk) -> Iterator[tuple[str, Path]]:
        """Those whose disks this process looks after, by their names in the metric."""
        if self._process in ("inference", "training"):
            yield "models", self._settings.models_dir
        elif self._process == "scheduler" and desk.store.sqlite:
            yield "data", Path(str(desk.store.engine.url.database)).parent


def _measure(directory: str, folder: Path) -> None:
    from desk import disks, metrics

    try:
        metrics.FREE.labels(directory).set(disks.free(folder))
    except OSError:
        metrics.FREE.remove(directory)
        raise

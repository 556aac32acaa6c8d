"""rq-dashboard as an operator starts it: its own command, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.workers.batch_process import until


@dataclass(frozen=True)
class Dashboard:
    """One that runs; `log` is the file it writes its errors to."""

    port: int
    log: Path

    def ask(self, path: str, *, press: bool = False) -> tuple[int, str]:
        """Status and body of a page, or of what a button does."""
        body = b"" if press else None
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", data=body, timeout=30
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def status(self, path: str) -> int:
        return self.ask(path)[0]

    def read(self, path: str) -> Any:
        """What a page fills itself with."""
        status, body = self.ask(path)
        assert status == 200, f"{path}: {status}\n{self.log.read_text()}"
        return json.loads(body)

    def press(self, path: str) -> Any:
        """Do what a button does."""
        status, body = self.ask(path, press=True)
        assert status == 200, f"{path}: {status}\n{self.log.read_text()}"
        return json.loads(body)

    def workers(self) -> Any:
        return self.read("/0/data/workers.json")["workers"]

    def job(self, job_id: str) -> Any:
        return self.read(f"/0/data/job/{job_id}.json")

    def jobs(self, queue: str, registry: str) -> list[str]:
        """The ids that are listed under a registry's name."""
        page = self.read(f"/0/data/jobs/{queue}/{registry}/50/asc/1.json")
        return [job["id"] for job in page["jobs"]]


@contextmanager
def running(redis_url: str, folder: Path, *options: str) -> Iterator[Dashboard]:
    """One on that Redis until the block ends, started with `options`."""
    found = Dashboard(free_port(), folder / "rq-dashboard.log")
    listen = ("--bind", "127.0.0.1", "--port", str(found.port))
    with found.log.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rq_dashboard", *options, *listen],
            env={**os.environ, "RQ_DASHBOARD_REDIS_URL": redis_url},
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: _answers(found, process), seconds=60)
        yield found
    finally:
        process.terminate()
        process.wait()


def _answers(found: Dashboard, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, found.log.read_text()
    with suppress(OSError):
        return found.status("/") == 200
    return False

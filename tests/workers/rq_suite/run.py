"""Runs RQ's own tests with a `BatchWorker` in the place of its workers.

    python tests/workers/rq_suite/run.py [batch|simple|stock]

The tests come from the sdist of the pinned version, fetched by pip. Each file of them runs in a
process of its own against a server of its own, several at a time, since they mostly sleep. A test
that kills or hangs its process counts as failed, and the rest of its file runs in the next.
"""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from redis import Redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from workers.embedded import find_binary

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
VERSION = "3.0.0"
SHA256 = "b41e39b3c36ec3faf9e2402c638a0b25fe18ebb93a1cb15193bc69694f054618"
CACHE = Path(sys.prefix) / "rq-sdist"
AT_ONCE = 8
TEST_SECONDS = 20

FILES = (
    *("test_callbacks", "test_cli", "test_commands", "test_decorator", "test_dependencies"),
    *("test_executions", "test_group", "test_intermediate_queue", "test_job"),
    *("test_job_dependency", "test_queue", "test_rate_limit", "test_registry", "test_repeat"),
    *("test_results", "test_retry", "test_scheduler", "test_timeouts", "test_utils"),
    *("test_webhooks", "test_worker", "test_worker_registration"),
)
"""Every file of RQ's tests in which a worker is made, but for those of its other classes
(`SpawnWorker`, `WorkerPool`)."""


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class CannotFetchError(Exception):
    """pip could not fetch the sdist; there is no network, perhaps."""


def fetch(cache: Path) -> Path:
    """The sdist of RQ, from the cache or else by pip. Raises `CannotFetchError`.

    A file that is not what RQ published (by its sha256) is refused with a ValueError.
    """
    sdist = cache / f"rq-{VERSION}.tar.gz"
    if not sdist.exists():
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        download += ["--no-binary", "rq", "--dest", str(cache), f"rq=={VERSION}"]
        ended = subprocess.run(download, capture_output=True, text=True)
        if ended.returncode != 0 or not sdist.exists():
            raise CannotFetchError(f"pip could not fetch the sdist of rq {VERSION}: {ended.stderr}")
    found = hashlib.sha256(sdist.read_bytes()).hexdigest()
    if found != SHA256:
        raise ValueError(f"{sdist} has the sha256 {found}, not {SHA256}; delete it and try again")
    return sdist


def unpack(sdist: Path, folder: Path) -> None:
    """The tests alone: RQ itself is the installed one."""
    with tarfile.open(sdist) as archive:
        for member in archive.getmembers():
            _, _, member.name = member.name.partition("/")
            if member.name.startswith("tests/"):
                archive.extract(member, folder, filter="data")


def run(unpacked: Path, worker: str = "batch", again: Collection[str] = ()) -> dict[str, Outcome]:
    """What became of each test, by its name; with `again`, of these tests only, one at a time."""
    files = [name for name in FILES if not again or any(f"/{name}.py:" in test for test in again)]
    with (
        tempfile.TemporaryDirectory() as scratch,
        ThreadPoolExecutor(1 if again else AT_ONCE) as pool,
    ):
        parts = pool.map(
            lambda name: _run_file(unpacked, Path(scratch), name, worker, again), files
        )
        return {test: outcome for part in parts for test, outcome in part.items()}


def _run_file(
    unpacked: Path, scratch: Path, name: str, worker: str, only: Collection[str]
) -> dict[str, Outcome]:
    report = scratch / f"{name}.report"
    report.touch()
    with _server(scratch) as port:
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("RQ_")},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(map(str, (unpacked, ROOT, HERE))),
            "RUN_SLOW_TESTS_TOO": "1",
            "RQ_SUITE_ONLY": " ".join(only),
            "RQ_SUITE_PORT": str(port),
            "RQ_SUITE_REPORT": str(report),
            "RQ_SUITE_WORKER": worker,
        }
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-p", "plugin", "-p", "no:cacheprovider"),
            *("-c", str(HERE / "pytest.ini"), f"--rootdir={unpacked}", "-W", "ignore"),
            # pytest-timeout's other method needs SIGALRM, which RQ takes for itself.
            *(f"--timeout={TEST_SECONDS}", "--timeout-method=thread", f"tests/{name}.py"),
        ]
        while True:
            known = report.read_text()
            ended = subprocess.run(
                command,
                cwd=unpacked,
                env=environment,
                capture_output=True,
                text=True,
                start_new_session=True,
            )
            if ended.returncode in (0, 1, 5):  # all ran, some failed, none were left
                return dict(_outcomes(report.read_text()))
            if report.read_text() == known:
                raise RuntimeError(f"{name} did not start: {ended.stdout}{ended.stderr}")


def _outcomes(report: str) -> Iterator[tuple[str, Outcome]]:
    """Of each test the last outcome that was written; `begun` is what one that killed or hung its
    process leaves behind."""
    for line in report.splitlines():
        outcome, test = line.split(" ", 1)
        yield test, Outcome("failed" if outcome == "begun" else outcome)


@contextmanager
def _server(scratch: Path) -> Iterator[int]:
    """A server on a TCP port of its own, as RQ's tests want one; yields the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = subprocess.Popen(
        [find_binary(), "--bind", "127.0.0.1", "--port", str(port), "--save", ""],
        cwd=scratch,
        stdout=subprocess.DEVNULL,
    )
    try:
        patient = Retry(ConstantBackoff(0.05), 200)
        with Redis(port=port, retry=patient) as client:
            client.ping()
        yield port
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        unpack(fetch(CACHE), Path(folder))
        for test, outcome in run(Path(folder), *sys.argv[1:]).items():
            print(outcome, test)

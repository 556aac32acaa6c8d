"""A throw-away Redis for a block: the embedded server, as `frontdesk up` starts it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workers.embedded import EmbeddedRedis, prepare, wait_until_ready


@contextmanager
def embedded_redis(directory: Path | str) -> Iterator[EmbeddedRedis]:
    """Run a server in `directory` for the length of a block."""
    server = prepare(directory)
    try:
        process = subprocess.Popen(
            server.argv,
            pass_fds=server.pass_fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until_ready(server, process)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        server.close()

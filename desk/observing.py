"""What a process shows of itself over HTTP: /metrics, /healthz and /readyz.

A server thread of its own answers, from memory alone: neither a busy loop nor a database that
hangs keeps a probe or a scrape waiting.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from desk import heartbeat, metrics
from desk.domain import DeskError
from desk.health import Health

START_SECONDS = 120.0
"""How long a process may take until its loop turns for the first time."""
REQUEST_SECONDS = 5.0

Answer = tuple[int, str, bytes]


class Endpoint:
    """Serves until `close`; `port` is the one in use.

    Raises `DeskError` where the port cannot be had.
    """

    def __init__(
        self, process: str, host: str, port: int, registry: CollectorRegistry, health: Health
    ) -> None:
        self._process = process
        self._registry = registry
        self._health = health
        self._paths: dict[str, Callable[[], Answer]] = {
            "/metrics": self._metrics,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
        }
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            timeout = REQUEST_SECONDS  # a client that sends nothing is let go
            server_version, sys_version = "Frontdesk", ""

            def do_GET(self) -> None:
                code, kind, body = answer(self.path)
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """A probe every few seconds is not worth a line."""

        try:
            self._server = _Server(host, port, Handler)
        except OSError as error:
            shown = f"[{host}]" if ":" in host else host
            raise DeskError(
                f"METRICS_PORT: {shown}:{port} cannot be used ({error.strerror}). Stop the program "
                "that holds it, or set METRICS_PORT (or METRICS_HOST) to another."
            ) from None
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="observing", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path: str) -> Answer:
        respond = self._paths.get(path.partition("?")[0])
        if respond is None:
            return _json(404, {"paths": sorted(self._paths)})
        return respond()

    def _metrics(self) -> Answer:
        missing = self._health.missing()
        for need in self._health.needs:
            metrics.READY.labels(need).set(need not in missing)
        metrics.HEARTBEAT.set(heartbeat.turned_ago())
        return 200, CONTENT_TYPE_LATEST, generate_latest(self._registry)

    def _healthz(self) -> Answer:
        limit = heartbeat.STALE_SECONDS if heartbeat.turned() else START_SECONDS
        age = heartbeat.turned_ago()
        alive = age <= limit
        found = {"process": self._process, "alive": alive, "heartbeat_age_seconds": round(age, 1)}
        return _json(200 if alive else 503, found)

    def _readyz(self) -> Answer:
        missing = self._health.missing()
        found = {
            "process": self._process,
            "ready": not missing,
            "missing": missing,
            "standby": self._health.standby,
        }
        return _json(503 if missing else 200, found)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        # It knows IPv4 alone unless told; a name such as localhost stays there.
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away in the middle is no event of ours."""


def _json(code: int, found: dict[str, object]) -> Answer:
    return code, "application/json", json.dumps(found).encode()

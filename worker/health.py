"""`/healthz`, `/readyz` and `/metrics` of the relay and the workers, for this machine only."""

import json
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.db import DatabaseError, close_old_connections

from backend.core import metrics
from worker.connections import DATABASE_AWAY

HOST = "127.0.0.1"

Report = Callable[[], Mapping[str, Any]]
"""What `/readyz` tells. It asks PostgreSQL, and raises what Django raises when there is none."""


class HealthServer(ThreadingHTTPServer):
    """Listens once it is made. Raises OSError when the port is taken; port 0 takes a free one."""

    timeout = 0.2

    def __init__(self, port: int, report: Report) -> None:
        self.report = report
        super().__init__((HOST, port), _Handler)

    def run(self, stopping: threading.Event) -> None:
        with self:
            while not stopping.is_set():
                self.handle_request()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that hung up is no news."""


def listen(port: int, report: Report) -> HealthServer:
    """A server on this port, or the end of the process with a sentence."""
    try:
        return HealthServer(port, report)
    except OSError as error:
        sys.exit(f"The health port {port} cannot be used: {error.strerror}.")


class _Handler(BaseHTTPRequestHandler):
    server: HealthServer
    timeout = 5

    def do_GET(self) -> None:
        match self.path:
            case "/healthz":
                self._answer(200, {"status": "alive"})
            case "/readyz":
                self._answer(*self._ready())
            case "/metrics":
                self._ready()  # brings the figures that are measured by asking up to date
                self._send(200, "text/plain; version=0.0.4; charset=utf-8", metrics.exposition())
            case _:
                self._answer(404, {"status": "not found"})

    def log_message(self, *_: Any) -> None:
        """Whoever asks, asks all the time."""

    def _ready(self) -> tuple[int, Mapping[str, Any]]:
        try:
            return 200, {"status": "ready", "postgresql": "up", **self.server.report()}
        except (*DATABASE_AWAY, DatabaseError):
            return 503, {"status": "unready", "postgresql": "away"}
        finally:
            close_old_connections()

    def _answer(self, status: int, body: Mapping[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(body).encode())

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

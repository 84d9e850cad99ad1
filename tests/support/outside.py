"""What stands at the other end of the wire: a mail and an HTTP server on this machine, which keep what they get."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class MailServer:
    """Takes mails, or answers as it is told to."""

    port: int
    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    """The same as they came."""
    answer_to_recipient: str = "250 OK"
    answer_to_data: str = "250 OK"
    on_mail: Callable[[], None] = lambda: None
    """What happens between taking a mail and saying so."""

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.answer_to_recipient.startswith("2"):
            envelope.rcpt_tos.append(address)
        return self.answer_to_recipient

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.raw.append(envelope.content)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        self.on_mail()
        return self.answer_to_data


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A real SMTP server on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        server = MailServer(port=free.getsockname()[1])
    controller = Controller(server, hostname="127.0.0.1", port=server.port)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


@dataclass
class HttpServer:
    """Keeps the forms that are posted to it, and answers with a status."""

    url: str = ""
    status: int = 201
    answer: str = '{"sid": "SM1"}'
    forms: list[tuple[str, str, dict[str, list[str]]]] = field(default_factory=list)
    """Path, `Authorization` header, fields."""


@contextmanager
def http_server() -> Iterator[HttpServer]:
    """A real HTTP server on a free port."""
    kept = HttpServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            kept.forms.append((self.path, self.headers.get("Authorization", ""), parse_qs(body)))
            answer = kept.answer.encode()
            self.send_response(kept.status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    kept.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join(2)


_OSRM_PATH = re.compile(r"/route/v1/driving/(-?[0-9.]+,-?[0-9.]+;?){2}\?overview=false")


@dataclass
class OsrmServer:
    """Speaks OSRM's HTTP API v1 about one way, or does what it is told to."""

    url: str = ""
    distance: Any = 15321.4
    duration: Any = 1204.1
    status: int = 200
    body: bytes | None = None
    """Instead of a route."""
    headers: dict[str, str] = field(default_factory=dict)
    drips: str = ""
    """`headers` or `body`: that part of the answer comes byte by byte, and never ends."""
    goes_on: threading.Event = field(default_factory=threading.Event)
    """Cleared: nobody gets an answer."""
    asked: list[str] = field(default_factory=list)
    """Paths."""
    connections: set[int] = field(default_factory=set)

    def answer(self) -> bytes:
        if self.body is not None:
            return self.body
        way = {"distance": self.distance, "duration": self.duration, "weight": 1.0, "weight_name": "routability"}
        end = {"hint": "x" * 80, "distance": 4.2, "name": "Rue", "location": [3.05, 36.75]}
        return json.dumps({"code": "Ok", "routes": [{**way, "legs": []}], "waypoints": [end, end]}).encode()


@contextmanager
def osrm_server() -> Iterator[OsrmServer]:
    """A real HTTP server on a free port."""
    told = OsrmServer()
    told.goes_on.set()
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            told.asked.append(self.path)
            told.connections.add(self.client_address[1])
            told.goes_on.wait()
            if told.drips == "headers":
                self._drip(b"HTTP/1.1 200 OK\r\nX-Never: ")
                return
            answer = told.answer()
            status = told.status
            if not _OSRM_PATH.fullmatch(self.path):
                status, answer = 400, b'{"code": "InvalidUrl"}'
            self.send_response(status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer) + 10**6 * (told.drips == "body")))
            self.end_headers()
            if told.drips == "body":
                self._drip(b"")
                return
            self.wfile.write(answer)

        def _drip(self, first: bytes) -> None:
            self.close_connection = True
            self.wfile.write(first)
            while not over.wait(0.05):
                self.wfile.write(b" ")

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Who asked has hung up."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield told
    finally:
        over.set()
        told.goes_on.set()
        server.shutdown()
        server.server_close()
        thread.join(2)

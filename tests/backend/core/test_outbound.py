import random
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest

from backend.core import outbound
from backend.core.environment import environment
from backend.core.outbound import NotReached, NotRead, is_public, post, read


class Server(ThreadingHTTPServer):
    """Answers as it is told, and counts the connections that it accepts."""

    status, body, location = 200, b"{}", ""
    accepted = 0

    def get_request(self) -> tuple[socket.socket, Any]:
        self.accepted += 1
        return super().get_request()


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.host = self.headers["Host"]  # type: ignore[attr-defined]
        self.send_response(self.server.status)
        self.send_header("Location", self.server.location)
        self.end_headers()
        try:
            self.wfile.write(self.server.body)
        except OSError:
            return

    def do_POST(self) -> None:
        self.server.posted = self.rfile.read(int(self.headers["Content-Length"]))  # type: ignore[attr-defined]
        self.do_GET()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    one = _start_server()
    Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield one
    one.shutdown()
    one.server_close()


def _start_server() -> Server:
    """On a port below those that the system gives out: whoever lost a server there, in another test, looks for it."""
    while True:
        with suppress(OSError):
            return Server(("127.0.0.1", random.randrange(20_000, 30_000)), _Handler)


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = environment().model_copy(update={"environment": "production"})
    monkeypatch.setattr(outbound, "environment", lambda: settings)


class TestRead:
    def test_gives_the_body(self, server: Server) -> None:
        server.body = b'{"keys": []}'
        assert read(f"http://localhost:{server.server_port}/keys?a=b") == b'{"keys": []}'
        assert server.host == f"localhost:{server.server_port}"  # type: ignore[attr-defined]

    def test_follows_no_redirect(self, server: Server) -> None:
        other = f"http://127.0.0.1:{server.server_port}/other"
        server.status, server.location = 302, other
        with pytest.raises(NotRead, match="302"):
            read(other)
        assert server.accepted == 1

    def test_reads_no_more_than_its_limit(self, server: Server) -> None:
        server.body = b"x" * outbound.MAX_BYTES
        assert len(read(f"http://127.0.0.1:{server.server_port}/")) == outbound.MAX_BYTES
        server.body += b"x"
        with pytest.raises(NotRead, match="bytes"):
            read(f"http://127.0.0.1:{server.server_port}/")

    def test_says_that_nobody_answers(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with pytest.raises(NotRead, match="ConnectError"):
            read(f"http://127.0.0.1:{port}/")

    def test_waits_for_a_silent_one_only_so_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outbound, "TIMEOUT_SECONDS", 0.1)
        with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NotRead, match="ReadTimeout"):
            read(f"http://127.0.0.1:{silent.getsockname()[1]}/")

    def test_cuts_off_one_that_dribbles(self, monkeypatch: pytest.MonkeyPatch, dribbler: str) -> None:
        monkeypatch.setattr(outbound, "LONGEST_SECONDS", 0.3)
        for call in (lambda: read(dribbler), lambda: post(dribbler, body=b"x", headers={})):
            began = time.monotonic()
            with pytest.raises(NotRead):
                call()
            assert time.monotonic() - began < 2


class TestPost:
    def test_gives_the_status_whatever_it_is(self, server: Server) -> None:
        for status in (201, 302, 410):
            server.status = status
            url = f"http://localhost:{server.server_port}/push?x=1"
            assert post(url, body=b"\0\xff", headers={"TTL": "60"}) == status
        assert (server.posted, server.host) == (b"\0\xff", f"localhost:{server.server_port}")  # type: ignore[attr-defined]
        assert server.accepted == 3

    def test_says_when_certainly_nothing_was_sent(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        for url in (f"http://127.0.0.1:{port}/", "https:///", "ftp://example.org/", "http://[::1"):
            with pytest.raises(NotReached):
                post(url, body=b"", headers={})
        monkeypatch.setattr(outbound, "TIMEOUT_SECONDS", 0.1)
        with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NotRead) as raised:
            post(f"http://127.0.0.1:{silent.getsockname()[1]}/", body=b"", headers={})
        assert not isinstance(raised.value, NotReached)


@pytest.fixture
def dribbler() -> Iterator[str]:
    """Takes every connection, and sends a header that never ends, byte by byte."""
    stopping = Event()

    def dribble(accepted: socket.socket) -> None:
        with accepted, suppress(OSError):
            accepted.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not stopping.wait(0.05):
                accepted.sendall(b"x")

    def serve() -> None:
        while not stopping.is_set():
            with suppress(TimeoutError):
                Thread(target=dribble, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        stopping.set()
        thread.join(2)


INSIDE = (
    "127.0.0.1 127.1 127.255.255.254 0.0.0.0 0 2130706433 0x7f000001 0x7f.1 0177.0.0.1 017700000001 localhost "
    "10.0.0.1 172.16.0.1 192.168.0.1 100.64.0.1 169.254.169.254 192.0.0.1 198.18.0.1 224.0.0.1 255.255.255.255 "
    "[::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] [fd00::1] [fe80::1] [ff02::1] [64:ff9b::7f00:1] "
    "[2002:7f00:1::] [2001:db8::1] user@127.0.0.1 example.org@127.0.0.1 user:pw@localhost"
).split()


@pytest.mark.usefixtures("production")
class TestReadInProduction:
    @pytest.mark.parametrize("host", INSIDE)
    def test_reaches_nothing_inside(self, server: Server, host: str) -> None:
        with pytest.raises(NotRead):
            read(f"https://{host}:{server.server_port}/")
        with pytest.raises(NotReached):
            post(f"https://{host}:{server.server_port}/", body=b"x", headers={})
        assert server.accepted == 0

    @pytest.mark.parametrize(
        "url",
        [
            "http://example.org/",
            "ftp://example.org/",
            "file:///etc/passwd",
            "https:///x",
            "https://\u24db\u24de\u24d2al/",
            "https://example.org:99999/",
            "//example.org/",
            "",
        ],
    )
    def test_takes_https_addresses_only(self, url: str) -> None:
        with pytest.raises(NotRead):
            read(url)

    def test_asks_for_the_address_once_and_refuses_one_that_is_partly_inside(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []
        answers = iter([["93.184.215.14", "127.0.0.1"], ["127.0.0.1"]])

        def resolve(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in next(answers)]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        with pytest.raises(NotRead, match="inside"):
            read(f"https://rebinding.example:{server.server_port}/")
        assert (asked, server.accepted) == (["rebinding.example"], 0)

    def test_connects_to_the_address_that_it_looked_at(self, monkeypatch: pytest.MonkeyPatch) -> None:
        connected: list[str] = []

        def get(target: Any) -> bytes:
            connected.extend([target.url.host, target.host, target.authority])
            return b""

        monkeypatch.setattr(outbound, "_get", get)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("93.184.215.14", 443))])
        read("https://keys.example/certs")
        assert connected == ["93.184.215.14", "keys.example", "keys.example"]


class TestIsPublic:
    @pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
    def test_knows_the_internet(self, address: str) -> None:
        assert is_public(address)

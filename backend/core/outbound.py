"""Reading what others publish, and calling where others say: never inside the network, never for long, never much
(OWASP API7:2023).

The host is resolved once, all its addresses must be public, and the connection goes to the address that was looked at:
a name that answers differently the second time gains nothing. No redirect is followed, and no proxy of the environment
is asked.
"""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx2

from backend.core.environment import environment

TIMEOUT_SECONDS = 5.0
LONGEST_SECONDS = 10.0
"""A whole call, however busily the other side dribbles."""
MAX_BYTES = 64 * 1024

_TRANSLATED = tuple(ipaddress.ip_network(network) for network in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16"))
"""IPv6 addresses that stand for IPv4 ones, private ones included."""


class NotRead(Exception):
    """There was no answer that may be used; the message says why."""


class NotReached(NotRead):
    """Nothing was sent: the host is not known, not allowed, or takes no connection."""


@cache
def certificates() -> ssl.SSLContext:
    """Whom we trust, read once in a process: reading the bundle for every call cost more than the call."""
    return httpx2.create_ssl_context(trust_env=False)


def read(url: str) -> bytes:
    """The body of a 200 from this address. Raises NotRead. Not to be called in a transaction.

    Production wants https and public addresses; in development and tests a server on this machine will do.
    """
    target = _target(url)
    try:
        return _get(target)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise NotRead(type(error).__name__) from None


def post(url: str, *, body: bytes, headers: Mapping[str, str]) -> int:
    """Send this to an address that somebody gave us; returns the status, whatever it is. Its body is not read.

    Raises NotReached when certainly nothing was sent, and NotRead when nobody knows. As careful as `read`.
    """
    target = _target(url)
    client = _make_client()
    sent = {"Host": target.authority, **headers}
    try:
        with (
            _cut_off_after(LONGEST_SECONDS) as trace,
            client,
            client.stream(
                "POST", target.url, content=body, headers=sent, extensions=target.extensions(trace)
            ) as answer,
        ):
            return answer.status_code
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.InvalidURL) as error:
        raise NotReached(type(error).__name__) from None
    except httpx2.HTTPError as error:
        raise NotRead(type(error).__name__) from None


@dataclass(frozen=True, slots=True)
class _Target:
    """Where to connect to: the address that was looked at, under the host's own name."""

    url: httpx2.URL
    host: str
    authority: str

    def extensions(self, trace: "Trace") -> dict[str, Any]:
        """The certificate must be the host's, not the address's."""
        return {"sni_hostname": self.host, "trace": trace}


Trace = Callable[[str, Mapping[str, Any]], None]


@contextmanager
def _cut_off_after(seconds: float) -> Iterator[Trace]:
    """Shuts the connection that is traced when its time is over: a time-out alone begins anew with every byte."""
    sockets: list[socket.socket] = []

    def trace(event: str, info: Mapping[str, Any]) -> None:
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            sockets.append(info["return_value"].get_extra_info("socket"))

    def shut() -> None:
        for one in sockets[-1:]:
            with suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, shut)
    timer.daemon = True
    timer.start()
    try:
        yield trace
    finally:
        timer.cancel()


def _target(url: str) -> _Target:
    is_strict = environment().environment == "production"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError:
        raise NotReached("the address cannot be read") from None
    if not host or not host.isascii() or parts.username is not None or not port:
        raise NotReached("the address is not one of a plain https host")
    if is_strict and parts.scheme != "https":
        raise NotReached("only https will do")
    address = _resolve(host, port, is_strict=is_strict)
    try:
        return _Target(httpx2.URL(url).copy_with(host=address), host=host, authority=parts.netloc)
    except httpx2.InvalidURL as error:
        raise NotReached(type(error).__name__) from None


def _resolve(host: str, port: int, *, is_strict: bool) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotReached("the host is not known") from None
    addresses = [str(entry[4][0]) for entry in found]
    if is_strict and not all(is_public(address) for address in addresses):
        raise NotReached("the host is inside")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet."""
    found = ipaddress.ip_address(address.partition("%")[0])
    return found.is_global and not found.is_multicast and not any(found in network for network in _TRANSLATED)


def _make_client() -> httpx2.Client:
    return httpx2.Client(verify=certificates(), trust_env=False, follow_redirects=False, timeout=TIMEOUT_SECONDS)


def _get(target: _Target) -> bytes:
    end = time.monotonic() + TIMEOUT_SECONDS
    headers = {"Host": target.authority, "Accept": "application/json", "Accept-Encoding": "identity"}
    client = _make_client()
    with (
        _cut_off_after(LONGEST_SECONDS) as trace,
        client,
        client.stream("GET", target.url, headers=headers, extensions=target.extensions(trace)) as answer,
    ):
        if answer.status_code != 200:
            raise NotRead(f"the answer was {answer.status_code}")
        body = b""
        for part in answer.iter_raw():
            body += part
            if len(body) > MAX_BYTES:
                raise NotRead(f"the answer has more than {MAX_BYTES} bytes")
            if time.monotonic() > end:
                raise NotRead("the answer took too long")
    return body

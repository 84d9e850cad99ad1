"""Reading what others publish: never from inside the network, never for long, never much (OWASP API7:2023).

The host is resolved once, all its addresses must be public, and the connection goes to the address that was looked at:
a name that answers differently the second time gains nothing. No redirect is followed, and no proxy of the environment
is asked.
"""

import ipaddress
import socket
import time
from urllib.parse import urlsplit

import httpx2

from backend.core.environment import environment

TIMEOUT_SECONDS = 5.0
MAX_BYTES = 64 * 1024

_TRANSLATED = tuple(ipaddress.ip_network(network) for network in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16"))
"""IPv6 addresses that stand for IPv4 ones, private ones included."""


class NotRead(Exception):
    """There was no answer that may be used; the message says why."""


def read(url: str) -> bytes:
    """The body of a 200 from this address. Raises NotRead. Not to be called in a transaction.

    Production wants https and public addresses; in development and tests a server on this machine will do.
    """
    parts = urlsplit(url)
    is_strict = environment().environment == "production"
    try:
        host, port = parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError:
        raise NotRead("the address cannot be read") from None
    if not host or not host.isascii() or parts.username is not None or not port:
        raise NotRead("the address is not one of a plain https host")
    if is_strict and parts.scheme != "https":
        raise NotRead("only https will do")
    address = _resolve(host, port, is_strict=is_strict)
    try:
        return _get(httpx2.URL(url).copy_with(host=address), host=host, authority=parts.netloc)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise NotRead(type(error).__name__) from None


def _resolve(host: str, port: int, *, is_strict: bool) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotRead("the host is not known") from None
    addresses = [str(entry[4][0]) for entry in found]
    if is_strict and not all(is_public(address) for address in addresses):
        raise NotRead("the host is inside")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet."""
    found = ipaddress.ip_address(address.partition("%")[0])
    return found.is_global and not found.is_multicast and not any(found in network for network in _TRANSLATED)


def _get(url: httpx2.URL, *, host: str, authority: str) -> bytes:
    end = time.monotonic() + TIMEOUT_SECONDS
    headers = {"Host": authority, "Accept": "application/json", "Accept-Encoding": "identity"}
    client = httpx2.Client(trust_env=False, follow_redirects=False, timeout=TIMEOUT_SECONDS)
    # The certificate must be the host's, not the address's.
    with client, client.stream("GET", url, headers=headers, extensions={"sni_hostname": host}) as answer:
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

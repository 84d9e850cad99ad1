"""What one client may cost: numbers, a token bucket, and the address that a client is counted by."""

import ipaddress
import time
from collections.abc import Sequence

FRAMES_PER_SECOND = 20
FRAMES_BURST = 40
FRAME_BYTES = 64 * 1024
SOCKETS_PER_PERSON = 5
SOCKETS_PER_ADDRESS = 50
CONNECTIONS_PER_ADDRESS = 100
"""Including those that have not authenticated yet."""
ROOMS_PER_SOCKET = 200
LOCATIONS_PER_SECOND = 2
LOCATIONS_BURST = 4
TYPINGS_PER_SECOND = 1
TYPINGS_BURST = 5
QUEUED_PACKETS = 500
QUEUED_BYTES = 1024 * 1024


class Bucket:
    """A token bucket: `burst` at once, `rate` a second in the long run."""

    __slots__ = ("_burst", "_level", "_rate", "_seen")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._seen = time.monotonic()

    def take(self) -> bool:
        """Take one; False when there is none."""
        now = time.monotonic()
        self._level = min(self._burst, self._level + (now - self._seen) * self._rate)
        self._seen = now
        if self._level < 1:
            return False
        self._level -= 1
        return True


class Proxies:
    """The reverse proxies whose `X-Forwarded-For` is believed."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def client_address(self, peer: str | None, forwarded_for: Sequence[str]) -> str:
        """The address of the client: the peer's, or the last hop that is no proxy of ours when the peer is one."""
        address = peer or "127.0.0.1"
        hops = [hop.strip() for header in forwarded_for for hop in header.split(",")]
        while hops and self._trusts(address):
            hop = hops.pop()
            try:
                address = str(ipaddress.ip_address(hop))
            except ValueError:
                break
        return address

    def _trusts(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)


def address_key(address: str) -> str:
    """What connections are counted by: an IPv4 address, or the /64 of an IPv6 one (one subscriber has a whole /64)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))

"""The sidecar's figures for Prometheus, in a registry of their own so that one process can hold two nodes."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

DELIVERY_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60)


class Metrics:
    """Counters, gauges and one histogram; names begin with `callout_realtime_`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        prefix = "callout_realtime_"
        self.sockets = Gauge(f"{prefix}sockets", "Authenticated sockets.", registry=self.registry)
        self.rooms = Gauge(f"{prefix}rooms", "Rooms with a member on this node.", registry=self.registry)
        self.canary_age = Gauge(f"{prefix}canary_age_seconds", "Since a canary was heard.", registry=self.registry)
        self.events = Counter(f"{prefix}events", "Events handed out, once per room.", registry=self.registry)
        self.packets = Counter(f"{prefix}packets", "Packets handed to sockets.", registry=self.registry)
        self.repeats = Counter(f"{prefix}repeats", "Events dropped as already handed out.", registry=self.registry)
        self.fills = Counter(f"{prefix}fills", "Gaps filled from the backend.", registry=self.registry)
        self.resyncs = Counter(f"{prefix}resyncs", "Rooms whose numbers started anew.", registry=self.registry)
        self.reconnects = Counter(
            f"{prefix}redis_connects", "Connections to Redis for listening.", registry=self.registry
        )
        self.closed = Counter(f"{prefix}closed", "Sockets closed by the node.", ["code"], registry=self.registry)
        self.refused = Counter(f"{prefix}refused", "Connects refused.", ["code"], registry=self.registry)
        self.commands = Counter(f"{prefix}commands", "Commands answered.", ["command", "code"], registry=self.registry)
        self.leaps = Counter(f"{prefix}position_leaps", "Positions faster than 70 m/s.", registry=self.registry)
        self.delivery = Histogram(
            f"{prefix}delivery_seconds",
            "From the event's own time to its hand-out.",
            buckets=DELIVERY_SECONDS,
            registry=self.registry,
        )

    def render(self) -> bytes:
        """The figures in Prometheus' text format."""
        return generate_latest(self.registry)

"""Every Redis key and channel. Nothing under them is a fact: all of it may vanish at any moment."""

RELAY_WAKE = "callout:relay:wake"
"""Channel: events were committed (`events`), or jobs that are due (their queue's name); the relay looks at once."""

WORKERS_WAKE = "callout:workers:wake"
"""Channel: the relay has put jobs on a queue (its name); the workers look at once."""

NODES = "callout:nodes"
"""Channel to every sidecar: `partition.behind` notices and the canary."""

POSITIONS_PENDING = "callout:positions:pending"
"""Hash of user id to the latest position not yet flushed to PostgreSQL (a `PositionReport` as JSON)."""

POSITIONS_FLUSHING = "callout:positions:flushing"
"""Prefix of the hashes a relay has taken and is writing."""

WORKER_THREADS = "callout:workers"
"""Prefix of a worker's heartbeat: how many threads of each queue it runs, as JSON, for fifteen seconds."""

RATE_LIMIT = "callout:limit"
"""Prefix of the rate limits' counters."""


def room_channel(room: str) -> str:
    """The pub/sub channel of a room's events."""
    return f"callout:room:{room}"


def last_location(user_id: int) -> str:
    """The last live location that a party of an open job sent, for two minutes: shown to who joins the room later."""
    return f"callout:location:{user_id}"


def presence(user_id: int) -> str:
    """There while a sidecar holds a live socket of this person, who does not hide it; renewed, or gone in a minute."""
    return f"callout:presence:{user_id}"


def last_seen(user_id: int) -> str:
    """When that last was so, as RFC 3339, for thirty days."""
    return f"callout:seen:{user_id}"

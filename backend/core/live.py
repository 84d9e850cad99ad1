"""Live positions on their way through Redis: to the relay, which writes them in bulk, and to those who watch.

Nothing here is a fact, and nobody waits long: 200 ms at most, and none for a second after Redis failed.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import redis
import structlog

from backend.core import epoch
from backend.core.environment import environment
from backend.core.request_context import request_id
from shared_contracts.events import Envelope, Location, PositionReport
from shared_contracts.redis_keys import POSITIONS_PENDING, last_location, room_channel
from shared_contracts.rooms import CONSOLE, assistance_room

TIMEOUT_SECONDS = 0.2
REST_SECONDS = 1.0
KEEP_SECONDS = 120
"""So long a last location is shown to those who join a job's room."""

log = structlog.get_logger("callout.live")
_resting_until = 0.0


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        environment().redis_url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, retry=None
    )


@dataclass(frozen=True, slots=True)
class Audience:
    """Who watches a person's position: the parties of these open jobs, and the console of those on duty."""

    job_ids: Sequence[int]
    on_duty: bool


def pass_on(*, user_id: int, location: Location, audience: Audience, pending: bool) -> bool:
    """Publish a position, and hand it to the relay when `pending`; False when Redis is away. In no transaction."""
    global _resting_until  # noqa: PLW0603 - the circuit breaker of this process
    if time.monotonic() < _resting_until:
        return False
    epoch_name = epoch.current()
    pipe = _client().pipeline(transaction=False)
    if pending:
        report = PositionReport.model_validate(location.model_dump())
        pipe.hset(POSITIONS_PENDING, str(user_id), report.model_dump_json(exclude_none=True))
    if audience.job_ids:
        pipe.set(last_location(user_id), location.model_dump_json(), ex=KEEP_SECONDS)
    rooms = [(assistance_room(job_id), job_id) for job_id in audience.job_ids]
    for room, job_id in [*rooms, (CONSOLE, None)] if audience.on_duty else rooms:
        envelope = Envelope(
            room=room,
            number=None,
            epoch=epoch_name,
            type=Location.type,
            at=location.at,
            request_id=request_id(),
            data=location.model_copy(update={"assistance_id": job_id}).model_dump(mode="json"),
        )
        pipe.publish(room_channel(room), envelope.model_dump_json())
    try:
        pipe.execute()
    except redis.RedisError as error:
        _resting_until = time.monotonic() + REST_SECONDS
        log.warning("positions.without_redis", error=type(error).__name__)
        return False
    return True

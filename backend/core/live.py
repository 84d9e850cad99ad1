"""Live positions on their way through Redis: to the relay, which writes them in bulk, and to those who watch; and who
is connected no more, as far as anybody is to know.

Nothing here is a fact, and nobody waits long: 200 ms at most, and none for a second after Redis failed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from backend.core import epoch
from backend.core.redis_link import RedisLink
from backend.core.request_context import request_id
from shared_contracts.events import Envelope, Location, PositionReport
from shared_contracts.redis_keys import POSITIONS_PENDING, last_location, last_seen, presence, room_channel
from shared_contracts.rooms import CONSOLE, assistance_room

KEEP_SECONDS = 120
"""So long a last location is shown to those who join a job's room."""

_link = RedisLink("positions", timeout_s=0.2)


@dataclass(frozen=True, slots=True)
class Audience:
    """Who watches a person's position: the parties of these open jobs, and the console of those on duty."""

    job_ids: Sequence[int]
    on_duty: bool


def pass_on(*, user_id: int, location: Location, audience: Audience, pending: bool) -> bool:
    """Publish a position, and hand it to the relay when `pending`; False when Redis is away. In no transaction."""
    epoch_name = epoch.current()
    pipe = _link.client.pipeline(transaction=False)
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
    return _link.ask(lambda _: pipe.execute()) is not None


def forget_presence(user_id: int) -> bool:
    """Let nothing in Redis say that or when this person was connected; False when Redis is away. In no transaction."""
    return _link.ask(lambda client: client.delete(presence(user_id), last_seen(user_id))) is not None

"""Live positions: checked, passed on to whom they concern, kept in Redis for the relay."""

import asyncio
import math
from datetime import UTC, datetime

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from realtime.backend import Backend
from realtime.clients import Client, Clients, Person, Position
from realtime.environment import Timing
from realtime.frames import envelope_frame
from realtime.hub import Hub
from realtime.metrics import Metrics
from shared_contracts.commands import Answer, LocationUpdate
from shared_contracts.errors import ErrorCode
from shared_contracts.events import Envelope, Location, PositionReport
from shared_contracts.redis_keys import POSITIONS_PENDING, last_location, room_channel
from shared_contracts.rooms import CONSOLE, Room, RoomKind, assistant_room

log = structlog.get_logger(__name__)

KEEP_SECONDS = 120
REDIS_SECONDS = 0.5
LEAP_METRES_PER_SECOND = 70
EARTH_RADIUS_M = 6_371_008.8
SENDING_STATUSES = frozenset({"requested", "accepted", "ongoing"})
SHOWN_STATUSES = frozenset({"accepted", "ongoing"})


class Locations:
    """The `location.update` command, and what of it others see."""

    def __init__(
        self, redis: Redis, backend: Backend, hub: Hub, clients: Clients, timing: Timing, metrics: Metrics
    ) -> None:
        self._redis = redis
        self._backend = backend
        self._hub = hub
        self._clients = clients
        self._timing = timing
        self._metrics = metrics

    async def update(self, client: Client, command: LocationUpdate) -> Answer:
        """Take one position of the client's person."""
        person = client.person
        if not person.locations.take():
            return Answer(ok=False, code=ErrorCode.RATE_LIMITED, detail="At most two positions a second.")
        jobs = self._jobs(person)
        on_duty = self._on_duty(person)
        if not on_duty and not any(status in SENDING_STATUSES for status in jobs.values()):
            return Answer(
                ok=False, code=ErrorCode.NOT_ON_DUTY, detail="Positions are taken on duty or during a job only."
            )
        now = datetime.fromtimestamp(self._backend.now(), UTC)
        at = min(command.at or now, now)
        if person.position is not None and at <= person.position.at:
            return Answer(ok=True)
        self._judge_speed(person, command, at)
        person.position = Position(command.lat, command.lng, at)
        shown_in = [job for job, status in jobs.items() if status in SHOWN_STATUSES]
        location = Location(
            assistance_id=None, user_id=person.id, at=at, **command.model_dump(exclude={"at"}, exclude_none=True)
        )
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                await self._store(person, location, bool(jobs), shown_in, on_duty)
        except (RedisError, OSError, TimeoutError):
            person.position = None
            return Answer(ok=False, code=ErrorCode.UNAVAILABLE, detail="Positions cannot be taken at the moment.")
        return Answer(ok=True)

    async def show_parties(self, client: Client, name: str) -> None:
        """Send the last live locations of the others in a job to this client, who has just joined its room."""
        room = self._hub.get(name)
        parsed = Room.parse(name)
        if room is None or parsed.kind is not RoomKind.ASSISTANCE or room.status not in SHOWN_STATUSES:
            return
        others = sorted(room.party_ids - {client.user_id})
        if not others:
            return
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                kept = await self._redis.mget([last_location(user_id) for user_id in others])
        except (RedisError, OSError, TimeoutError):
            return
        for raw in kept:
            if raw is not None and name in client.rooms:
                location = Location.model_validate_json(raw).model_copy(update={"assistance_id": parsed.id})
                client.connection.push(envelope_frame(self._envelope(name, location)))

    async def keep_fresh(self) -> None:
        """Say every half minute that the phones of those on duty are alive, so that their positions stay valid."""
        while True:
            await asyncio.sleep(self._timing.duty)
            try:
                await self._refresh()
            except (RedisError, OSError, TimeoutError):
                log.warning("positions.not_refreshed")

    async def _refresh(self) -> None:
        report = PositionReport(at=datetime.fromtimestamp(self._backend.now(), UTC)).model_dump_json()
        async for people in self._clients.people_in_steps():
            pipe = self._redis.pipeline(transaction=False)
            for person in people:
                if self._on_duty(person):
                    pipe.hsetnx(POSITIONS_PENDING, str(person.id), report)  # never over a position that waits
            async with asyncio.timeout(REDIS_SECONDS):
                await pipe.execute()

    async def _store(
        self, person: Person, location: Location, in_job: bool, shown_in: list[int], on_duty: bool
    ) -> None:
        pipe = self._redis.pipeline(transaction=False)
        if self._is_assistant(person):
            report = PositionReport.model_validate(location.model_dump())
            pipe.hset(POSITIONS_PENDING, str(person.id), report.model_dump_json(exclude_none=True))
        if in_job:
            pipe.set(last_location(person.id), location.model_dump_json(), ex=KEEP_SECONDS)
        for job in shown_in:
            name = str(Room(RoomKind.ASSISTANCE, job))
            envelope = self._envelope(name, location.model_copy(update={"assistance_id": job}))
            pipe.publish(room_channel(name), envelope.model_dump_json())
        if on_duty:
            pipe.publish(room_channel(CONSOLE), self._envelope(CONSOLE, location).model_dump_json())
        await pipe.execute()

    def _envelope(self, room: str, location: Location) -> Envelope:
        return Envelope(
            room=room,
            number=None,
            epoch=self._backend.epoch,
            type=Location.type,
            at=datetime.fromtimestamp(self._backend.now(), UTC),
            request_id="",
            data=location.model_dump(mode="json"),
        )

    def _jobs(self, person: Person) -> dict[int, str]:
        """The jobs that this person is party to, of the rooms that their sockets are in, with each job's status."""
        jobs = {}
        for client in person.clients:
            for name, context in client.rooms.items():
                room = self._hub.get(name)
                if room is None or room.status is None:
                    continue
                party = person.id in room.party_ids if room.party_ids else context.party
                if party and name.startswith(f"{RoomKind.ASSISTANCE}:"):
                    jobs[Room.parse(name).id] = room.status
        return {job: status for job, status in jobs.items() if status in SENDING_STATUSES}

    def _is_assistant(self, person: Person) -> bool:
        return any(assistant_room(person.id) in client.rooms for client in person.clients)

    def _on_duty(self, person: Person) -> bool:
        name = assistant_room(person.id)
        return any(name in client.rooms and client.rooms[name].on_duty for client in person.clients)

    def _judge_speed(self, person: Person, command: LocationUpdate, at: datetime) -> None:
        """Phones err, so a leap is taken, but counted."""
        last = person.position
        if last is None:
            return
        metres = _haversine_m(last.lat, last.lng, command.lat, command.lng)
        seconds = (at - last.at).total_seconds()
        if metres > LEAP_METRES_PER_SECOND * max(seconds, 1):
            self._metrics.leaps.inc()
            log.warning("position.leap", user_id=person.id, metres=round(metres), seconds=round(seconds, 1))


def _haversine_m(lat1: float, lng1: float, lat2: float, lng2: float) -> float:
    """Metres between two points on the mean sphere (haversine formula)."""
    phi1, phi2 = math.radians(lat1), math.radians(lat2)
    half = math.sin((phi2 - phi1) / 2) ** 2
    half += math.cos(phi1) * math.cos(phi2) * math.sin(math.radians(lng2 - lng1) / 2) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(half)))

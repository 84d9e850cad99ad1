"""What the sidecar asks: who may be in a room, where rooms stand, what was missed. Reads only, batched."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from django.db import connection

from backend.core import clock, epoch
from backend.core.actor import Actor
from backend.core.auth import session_source
from backend.core.models import RoomHead
from backend.core.references import REFUSED, RoomAccess, RoomSeeker, room_gates
from shared_contracts.errors import ErrorCode
from shared_contracts.events import make_cursor, read_cursor
from shared_contracts.internal import (
    MAX_MISSED_BYTES,
    MAX_MISSED_EVENTS,
    EventsRequest,
    JoinRequest,
    JoinResult,
)
from shared_contracts.rooms import Room, RoomKind


def offset_ms() -> int:
    return round(clock.offset() / timedelta(milliseconds=1))


def judge_joins(joins: Sequence[JoinRequest]) -> list[JoinResult]:
    """Answer every join, in order: sessions, access per kind of room, heads and missed events, each in one query."""
    actors = session_source().actors_of([(join.session_id, join.user_id) for join in joins])
    rooms = [_parse(join.room) for join in joins]
    access = _access(joins, rooms, actors)
    heads = heads_of([join.room for join, granted in zip(joins, access, strict=True) if granted.allowed])
    firsts = _first_numbers(access)
    epoch_name = epoch.current()
    results = []
    for join, room, granted, first in zip(joins, rooms, access, firsts, strict=True):
        if not granted.allowed:
            ended = join.session_id not in actors
            code = ErrorCode.SESSION_ENDED if ended else ErrorCode.UNKNOWN_ROOM if room is None else ErrorCode.NOT_FOUND
            results.append(JoinResult(allowed=False, code=code, session_ended=ended))
            continue
        seen = _Position.of(join.cursor, epoch_name, first=first, head=heads.get(join.room, 0))
        results.append(seen.answer(join.room, granted, epoch_name))
    return results


def heads_of(rooms: Sequence[str]) -> dict[str, int]:
    """The last number of each room, 0 where nothing was numbered yet. One query."""
    found = dict(RoomHead.objects.filter(room__in=set(rooms)).values_list("room", "head"))
    return {room: found.get(room, 0) for room in rooms}


def events_after(asked: EventsRequest) -> tuple[list[dict[str, Any]], int]:
    """Up to 1,000 envelopes of a room behind a number, in order, and the room's head at that moment."""
    head = heads_of([asked.room])[asked.room]
    until = min(head, asked.until if asked.until is not None else head)
    return _envelopes(asked.room, asked.after, until, MAX_MISSED_EVENTS, epoch.current()), head


def _parse(name: str) -> Room | None:
    try:
        return Room.parse(name)
    except ValueError:
        return None


def _access(joins: Sequence[JoinRequest], rooms: Sequence[Room | None], actors: dict[int, Actor]) -> list[RoomAccess]:
    """Ask each kind's gate once for all who seek it."""
    by_kind: dict[RoomKind, list[int]] = defaultdict(list)
    ids = {index: room.id for index, room in enumerate(rooms) if room is not None}
    for index, (join, room) in enumerate(zip(joins, rooms, strict=True)):
        if room is not None and join.session_id in actors:
            by_kind[room.kind].append(index)
    gates = room_gates()
    access = [REFUSED] * len(joins)
    for kind, indexes in by_kind.items():
        if kind not in gates:
            continue
        seekers = []
        for index in indexes:
            actor = actors[joins[index].session_id]
            seekers.append(RoomSeeker(user_id=actor.id, roles=actor.roles, room_id=ids[index]))
        for index, granted in zip(indexes, gates[kind](seekers), strict=True):
            access[index] = granted
    return access


# While events wait for their numbers (the relay is away), the room's earlier ones wait before the arrival, and are not
# for whom it tells of. One statement, so that heads and numbers are of one moment.
_ARRIVALS = """
    SELECT arrival.id, coalesce(arrival.number, coalesce(room.head, 0) + 1 + (
        SELECT count(*) FROM core_event AS earlier
        WHERE earlier.partition = arrival.partition AND earlier.number IS NULL
            AND earlier.room = arrival.room AND earlier.id < arrival.id
    ))
    FROM core_event AS arrival LEFT JOIN core_room_head AS room USING (room) WHERE arrival.id = ANY(%s)
"""


def _first_numbers(access: Sequence[RoomAccess]) -> list[int]:
    """The number of each person's own `member.added`: the one it has or will get. Purged: all that is kept."""
    wanted = {granted.added_event_id for granted in access if granted.added_event_id is not None}
    numbers: dict[int | None, int] = {}
    if wanted:
        with connection.cursor() as cursor:
            cursor.execute(_ARRIVALS, [list(wanted)])
            numbers = dict(cursor.fetchall())
    return [numbers.get(granted.added_event_id, 1) for granted in access]


@dataclass(frozen=True, slots=True)
class _Position:
    """Where a joiner stands: the last number seen (None: nothing, or unknown), the first they may see, the head."""

    seen: int | None
    first: int
    head: int
    lost: bool = False

    @property
    def end(self) -> int:
        """What comes after it is news: the head, or what waits for its number before the first they may see."""
        return max(self.head, self.first - 1)

    @classmethod
    def of(cls, cursor: str | None, epoch_name: str, *, first: int, head: int) -> "_Position":
        if cursor is None:
            return cls(None, first, head)
        try:
            named, number = read_cursor(cursor)
        except ValueError:
            return cls(None, first, head, lost=True)
        if named != epoch_name or number > max(head, first - 1):
            return cls(None, first, head, lost=True)
        return cls(max(number, first - 1), first, head)

    def answer(self, room: str, granted: RoomAccess, epoch_name: str) -> JoinResult:
        resync = self.lost or (self.seen is not None and self.head - self.seen > MAX_MISSED_EVENTS)
        missed: list[dict[str, Any]] = []
        if not resync and self.seen is not None and self.seen < self.head:
            missed = _envelopes(room, self.seen, self.head, MAX_MISSED_EVENTS, epoch_name)
            # A hole means that what was missed is purged already.
            resync = len(missed) != self.head - self.seen
        kept = _within_bytes(missed) if not resync else []
        reached = kept[-1]["number"] if kept and len(kept) < len(missed) else self.end
        return JoinResult(
            allowed=True,
            first=self.first,
            head=self.head,
            events=kept,
            more=len(kept) < len(missed) and not resync,
            resync_required=resync,
            cursor=make_cursor(epoch_name, reached),
            context=granted.context,
        )


def _within_bytes(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    size = 0
    for index, event in enumerate(events):
        size += len(msgspec.json.encode(event))
        if size > MAX_MISSED_BYTES and index:
            return events[:index]
    return events


def _envelopes(room: str, after: int, until: int, limit: int, epoch_name: str) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT number, type, created_at, request_id, data FROM core_event"
            " WHERE room = %s AND number > %s AND number <= %s ORDER BY number LIMIT %s",
            [room, after, until, limit],
        )
        rows = cursor.fetchall()
    return [
        {
            "room": room,
            "number": number,
            "epoch": epoch_name,
            "type": type_,
            "at": at.isoformat(),
            "request_id": request_id,
            "data": msgspec.json.decode(data),
        }
        for number, type_, at, request_id, data in rows
    ]

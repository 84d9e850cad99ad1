"""Who may be in which room: a person in their own, from its beginning."""

from collections.abc import Sequence

from backend.core.references import REFUSED, ROOM_ACCESS, RoomAccess, RoomSeeker
from shared_contracts.rooms import RoomKind


def judge_user_rooms(seekers: Sequence[RoomSeeker]) -> list[RoomAccess]:
    """Their own room and no other's, managers included. No query."""
    return [RoomAccess(allowed=True) if seeker.room_id == seeker.user_id else REFUSED for seeker in seekers]


def guard_rooms() -> None:
    """Called once when the apps are ready."""
    ROOM_ACCESS.answered_by(RoomKind.USER, judge_user_rooms)

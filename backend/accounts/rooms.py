"""Who may be in which room: a person in their own, from its beginning."""

from collections.abc import Sequence

from backend.accounts.models import User
from backend.core.references import REFUSED, ROOM_ACCESS, RoomAccess, RoomSeeker
from shared_contracts.internal import RoomContext
from shared_contracts.rooms import RoomKind


def judge_user_rooms(seekers: Sequence[RoomSeeker]) -> list[RoomAccess]:
    """Their own room and no other's, managers included. One query: who of them hides their presence."""
    own = {seeker.user_id for seeker in seekers if seeker.room_id == seeker.user_id}
    hiding = set(User.objects.filter(pk__in=own, hide_presence=True).values_list("pk", flat=True))
    return [
        RoomAccess(allowed=True, context=RoomContext(hides_presence=seeker.user_id in hiding))
        if seeker.room_id == seeker.user_id
        else REFUSED
        for seeker in seekers
    ]


def guard_rooms() -> None:
    """Called once when the apps are ready."""
    ROOM_ACCESS.answered_by(RoomKind.USER, judge_user_rooms)

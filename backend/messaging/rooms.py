"""Who may be in a conversation's room: its members, from their own `member.added` on, also when it is closed."""

from collections.abc import Sequence

from backend.core.references import REFUSED, ROOM_ACCESS, RoomAccess, RoomSeeker
from backend.messaging.models import Member
from shared_contracts.rooms import RoomKind


def judge_conversation_rooms(seekers: Sequence[RoomSeeker]) -> list[RoomAccess]:
    """Members only, managers included. One query, however many ask."""
    rows = Member.objects.filter(
        user_id__in={seeker.user_id for seeker in seekers},
        conversation_id__in={seeker.room_id for seeker in seekers},
        left_at=None,
    ).values_list("user_id", "conversation_id", "added_event_id")
    added = {(user_id, conversation_id): event_id for user_id, conversation_id, event_id in rows}
    return [_access(added.get((seeker.user_id, seeker.room_id))) for seeker in seekers]


def _access(added_event_id: int | None) -> RoomAccess:
    return REFUSED if added_event_id is None else RoomAccess(allowed=True, added_event_id=added_event_id)


def guard_rooms() -> None:
    """Called once when the apps are ready."""
    ROOM_ACCESS.answered_by(RoomKind.CONVERSATION, judge_conversation_rooms)

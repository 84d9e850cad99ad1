"""Who may be in a conversation's room: its members, from their own `member.added` on, also when it is closed."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from backend.core.references import REFUSED, ROOM_ACCESS, RoomAccess, RoomSeeker
from backend.messaging.models import Member
from shared_contracts.internal import RoomContext
from shared_contracts.rooms import RoomKind


def judge_conversation_rooms(seekers: Sequence[RoomSeeker]) -> list[RoomAccess]:
    """Members only, managers included. Two queries, however many ask."""
    stays = Member.objects.filter(
        user_id__in={seeker.user_id for seeker in seekers},
        conversation_id__in={seeker.room_id for seeker in seekers},
        left_at=None,
    )
    own = {(stay.user_id, stay.conversation_id): stay for stay in stays}
    members: dict[int, dict[int, bool]] = defaultdict(dict)
    rows = Member.objects.filter(conversation_id__in={room_id for _, room_id in own}, left_at=None).order_by("user_id")
    for conversation_id, user_id, is_hidden in rows.values_list("conversation_id", "user_id", "user__hide_presence"):
        members[conversation_id][user_id] = is_hidden
    return [_access(own.get((seeker.user_id, seeker.room_id)), members[seeker.room_id]) for seeker in seekers]


def _access(stay: Member | None, members: Mapping[int, bool]) -> RoomAccess:
    """`members`: of each, whether they hide their presence."""
    if stay is None:
        return REFUSED
    hidden_ids = [user_id for user_id, is_hidden in members.items() if is_hidden]
    context = RoomContext(party_ids=list(members), hidden_ids=hidden_ids, is_deaf=stay.blocks_other)
    return RoomAccess(allowed=True, added_event_id=stay.added_event_id, context=context)


def guard_rooms() -> None:
    """Called once when the apps are ready."""
    ROOM_ACCESS.answered_by(RoomKind.CONVERSATION, judge_conversation_rooms)

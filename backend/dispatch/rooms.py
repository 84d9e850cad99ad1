"""Who may be in which room: the parties in their job's, assistants in their own, managers at the console."""

from collections.abc import Sequence

from backend.core.actor import MANAGERS, Role
from backend.core.references import REFUSED, ROOM_ACCESS, RoomAccess, RoomSeeker
from backend.dispatch.models import Assistance, DispatchAssistant
from shared_contracts.internal import RoomContext
from shared_contracts.rooms import RoomKind


def judge_assistance_rooms(seekers: Sequence[RoomSeeker]) -> list[RoomAccess]:
    """The client sees the room from its beginning, the assistant from their joining it. One query."""
    jobs = Assistance.objects.only("status", "client_id", "assistant_id", "assistant_added_event_id").in_bulk(
        {seeker.room_id for seeker in seekers}
    )
    return [_judge(seeker, jobs.get(seeker.room_id)) for seeker in seekers]


def _judge(seeker: RoomSeeker, job: Assistance | None) -> RoomAccess:
    if job is None or seeker.user_id not in {job.client_id, job.assistant_id}:
        return REFUSED
    context = RoomContext(
        status=job.status,
        party=True,
        party_ids=[user_id for user_id in (job.client_id, job.assistant_id) if user_id is not None],
    )
    since = None if seeker.user_id == job.client_id else job.assistant_added_event_id
    return RoomAccess(allowed=True, added_event_id=since, context=context)


def judge_assistant_rooms(seekers: Sequence[RoomSeeker]) -> list[RoomAccess]:
    """Their own, while they are assistants. One query."""
    wanted = {seeker.room_id for seeker in seekers}
    on_duty = set(DispatchAssistant.objects.filter(pk__in=wanted, on_duty=True).values_list("pk", flat=True))
    return [
        RoomAccess(allowed=True, context=RoomContext(on_duty=seeker.room_id in on_duty))
        if seeker.room_id == seeker.user_id and Role.ASSISTANT in seeker.roles
        else REFUSED
        for seeker in seekers
    ]


def judge_console(seekers: Sequence[RoomSeeker]) -> list[RoomAccess]:
    """Managers only. No query."""
    return [REFUSED if MANAGERS.isdisjoint(seeker.roles) else RoomAccess(allowed=True) for seeker in seekers]


def guard_rooms() -> None:
    """Called once when the apps are ready."""
    ROOM_ACCESS.answered_by(RoomKind.ASSISTANCE, judge_assistance_rooms)
    ROOM_ACCESS.answered_by(RoomKind.ASSISTANT, judge_assistant_rooms)
    ROOM_ACCESS.answered_by(RoomKind.CONSOLE, judge_console)

"""Sessions ended: their tokens stop at once, over REST by the session's row, over sockets by the event."""

from datetime import datetime

from django.db import transaction

from backend.accounts.models import Session
from backend.core import audit
from backend.core.actor import Actor
from backend.core.errors import NotFound
from backend.core.outbox import emit
from backend.core.references import make_reference
from shared_contracts.events import SessionEnded
from shared_contracts.rooms import user_room


def sign_out(*, actor: Actor, everywhere: bool, now: datetime) -> None:
    """End this session, or every session of this person."""
    if everywhere:
        end_all_sessions(actor=actor, user_id=actor.id, reason="signed_out_everywhere", now=now)
    else:
        end_one(session_id=actor.session_id, user_id=actor.id, by=actor, reason="signed_out", now=now)


def end_session(*, actor: Actor, session_id: int, now: datetime) -> None:
    """End one of one's own sessions. Raises NotFound when it is not theirs, or over already."""
    if not end_one(session_id=session_id, user_id=actor.id, by=actor, reason="ended_by_owner", now=now):
        raise NotFound


@transaction.atomic(savepoint=False)
def end_one(*, session_id: int, user_id: int, by: Actor | None, reason: str, now: datetime) -> bool:
    """End a session of this person and tell their sockets; False when it was none of theirs, or over already."""
    ended = Session.objects.filter(pk=session_id, user_id=user_id, ended_at=None).update(
        ended_at=now, end_reason=reason
    )
    if ended:
        emit(SessionEnded(session_id=session_id, reason=reason), rooms=[user_room(user_id)], now=now)
        _note(by, user_id, {"session_id": session_id, "reason": reason}, now=now)
    return bool(ended)


@transaction.atomic(savepoint=False)
def end_all_sessions(*, actor: Actor | None, user_id: int, reason: str, now: datetime) -> int:
    """End every session of a person; returns how many there were. Whether `actor` may is the caller's to judge."""
    ended = Session.objects.filter(user_id=user_id, ended_at=None).update(ended_at=now, end_reason=reason)
    if ended:
        emit(SessionEnded(session_id=None, reason=reason), rooms=[user_room(user_id)], now=now)
        _note(actor, user_id, {"sessions": ended, "reason": reason}, now=now)
    return ended


@transaction.atomic(savepoint=False)
def end_other_sessions(*, actor: Actor, reason: str, now: datetime) -> None:
    """End every session of this person but the one that asks."""
    others = Session.objects.filter(user_id=actor.id, ended_at=None).exclude(pk=actor.session_id)
    for session_id in others.order_by("pk").values_list("pk", flat=True):
        end_one(session_id=session_id, user_id=actor.id, by=actor, reason=reason, now=now)


def _note(by: Actor | None, user_id: int, changes: dict[str, object], *, now: datetime) -> None:
    audit.record(
        actor=by, action="accounts.session_ended", reference=make_reference("user", user_id), changes=changes, now=now
    )

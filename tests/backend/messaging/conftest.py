"""Two people who talk about a roadside job, three who talk in a group, and one who does neither."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from backend.core.models import EventRow
from backend.core.proof import prove
from backend.messaging import public
from backend.messaging.services.conversations import start_conversation
from tests.conftest import Moment
from tests.support.people import Member

MakeMember = Callable[..., Member]


@dataclass(frozen=True)
class Talk:
    """An open conversation of Ana and Bo, in a group with Cem."""

    id: int
    ana: Member
    bo: Member
    cem: Member | None = None

    @property
    def path(self) -> str:
        return f"/conversations/{self.id}/messages/"

    @property
    def room(self) -> str:
        return f"conversation:{self.id}"

    def events(self) -> list[tuple[str, Any]]:
        """What was emitted into its room, in order: type and data."""
        return told(self.room)

    def say(self, who: Member, content: str, at: Moment, **more: Any) -> public.MessageOut:
        return public.send_message(actor=who.actor, conversation_id=self.id, content=content, now=at.now, **more)


def told(room: str) -> list[tuple[str, Any]]:
    """What was emitted into a room, in order: type and data."""
    return [(row.type, json.loads(row.data)) for row in EventRow.objects.filter(room=room).order_by("id")]


def lists_of(who: Member) -> list[tuple[int, int, str | None]]:
    """What was told of a person's list: conversation, unread, the last message."""
    return [
        (data["id"], data["unread_count"], (data["last_message"] or {}).get("content"))
        for type_, data in told(f"user:{who.id}")
        if type_ == "conversation.updated"
    ]


def broken(at: Moment) -> set[str]:
    """The invariants of messaging that do not hold."""
    findings = prove(now=at.now, patience_s=30)
    return {one.invariant.name for one in findings if one.invariant.name.startswith("messaging.") and not one.holds}


@pytest.fixture
def talk(member: MakeMember, at: Moment) -> Talk:
    ana, bo = member("client", name="Ana"), member("assistant", name="Bo")
    view = public.open_conversation(actor=None, subject="assistance:9", user_ids=[ana.id, bo.id], now=at.now)
    return Talk(view.id, ana, bo)


@pytest.fixture
def group(member: MakeMember, at: Moment) -> Talk:
    ana, bo, cem = (member("client", name=name) for name in ("Ana", "Bo", "Cem"))
    view = start_conversation(actor=ana.actor, participants=[bo.id, cem.id], subject=None, title="Kitchen", now=at.now)
    return Talk(view.id, ana, bo, cem)


@pytest.fixture
def stranger(member: MakeMember) -> Member:
    return member("client", name="Stranger")

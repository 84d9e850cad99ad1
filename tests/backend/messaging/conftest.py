"""Two people who talk about a roadside job, and one who does not."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from backend.core.models import EventRow
from backend.messaging import public
from tests.conftest import Moment
from tests.support.people import Member

MakeMember = Callable[..., Member]


@dataclass(frozen=True)
class Talk:
    """An open conversation of Ana and Bo."""

    id: int
    ana: Member
    bo: Member

    @property
    def path(self) -> str:
        return f"/conversations/{self.id}/messages/"

    @property
    def room(self) -> str:
        return f"conversation:{self.id}"

    def events(self) -> list[tuple[str, Any]]:
        """What was emitted into its room, in order: type and data."""
        rows = EventRow.objects.filter(room=self.room).order_by("id")
        return [(row.type, json.loads(row.data)) for row in rows]


@pytest.fixture
def talk(member: MakeMember, at: Moment) -> Talk:
    ana, bo = member("client", name="Ana"), member("assistant", name="Bo")
    view = public.open_conversation(actor=None, subject="assistance:9", user_ids=[ana.id, bo.id], now=at.now)
    return Talk(view.id, ana, bo)


@pytest.fixture
def stranger(member: MakeMember) -> Member:
    return member("client", name="Stranger")

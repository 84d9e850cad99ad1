from collections.abc import Callable, Collection
from typing import Any

import pytest

from backend.core.models import EventRow
from backend.notifications.services.telling import tell
from backend.notifications.values import NotificationType, Telling
from shared_contracts.rooms import user_room
from tests.conftest import Moment
from tests.support.people import Member

MakeMember = Callable[..., Member]
Announce = Callable[..., int]


@pytest.fixture
def amel(at: Moment, member: MakeMember) -> Member:
    """Somebody whom every channel reaches that needs no device."""
    return member(
        name="Amel",
        email="amel@example.org",
        email_verified_at=at.now,
        phone_number="+213550000001",
        phone_verified_at=at.now,
    )


@pytest.fixture
def announce(at: Moment) -> Announce:
    """Tells these people something that needs no event: `announce(amel, lina, title="News")`."""

    def announce(
        *people: Member, source: str = "announcement:1", title: str = "News", text: str = "All is well."
    ) -> int:
        return tell(announcement(people, title=title, text=text), source=source, now=at.now)

    return announce


def announcement(people: Collection[Member], **values: Any) -> Telling:
    values = {"title": "News", "text": "All is well.", **values}
    return Telling(NotificationType.ANNOUNCEMENT, [one.id for one in people], values=values)


def events_of(member: Member) -> list[EventRow]:
    """What this person's sockets are told of notifications, in order."""
    return list(EventRow.objects.filter(room=user_room(member.id), type__startswith="notification.").order_by("pk"))

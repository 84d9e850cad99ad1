"""How long notifications are kept, and what is held of a person."""

import json
from datetime import timedelta

import pytest

from backend.core.jobs import definition
from backend.core.models import JobRow
from backend.core.timetable import entries
from backend.notifications import personal_data
from backend.notifications.jobs import purge
from backend.notifications.models import Bounce, Delivery, Device, Inbox, Notification, Preferences
from tests.backend.notifications.conftest import Announce, MakeMember
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.people import Member
from tests.support.world import everything

pytestmark = pytest.mark.django_db


@pytest.fixture
def amel(at: Moment, member: MakeMember) -> Member:
    return member(name="Amel", email_verified_at=at.now)


class TestPurge:
    def test_stands_in_the_timetable(self) -> None:
        assert "notifications.purge" in {entry.job for entry in entries()}
        assert definition("notifications.purge").queue == "bulk"

    def test_forgets_the_read_sooner_than_the_unread_and_keeps_the_count(
        self, api: Api, amel: Member, at: Moment, announce: Announce
    ) -> None:
        """Seen red with a count that the forgotten stay in."""
        for number in range(3):
            announce(amel, source=f"announcement:{number}")
        first, second, third = Notification.objects.order_by("pk")
        api.as_(amel).post(f"/notifications/{first.pk}/read/")
        api.as_(amel).delete(f"/notifications/{second.pk}/")
        Delivery.objects.update(status="sent")
        purge(now=at.now + timedelta(days=89))
        assert Notification.objects.count() == 3
        for _ in range(2):
            purge(now=at.now + timedelta(days=91))
            assert list(Notification.objects.all()) == [third]
            assert Inbox.objects.get().unread == 1
        purge(now=at.now + timedelta(days=181))
        assert not Notification.objects.exists()
        assert (Inbox.objects.get().unread, Delivery.objects.count()) == (0, 0)

    def test_leaves_what_is_still_to_go_out(self, amel: Member, at: Moment, announce: Announce) -> None:
        """Seen red with whatever is old enough forgotten."""
        announce(amel)
        purge(now=at.now + timedelta(days=181))
        assert Delivery.objects.get().status == "queued"

    def test_forgets_the_devices_of_sessions_that_are_over(self, api: Api, amel: Member, at: Moment) -> None:
        api.as_(amel).post("/devices/", {"kind": "fcm", "token": "t"})
        purge(now=at.now)
        assert Device.objects.count() == 1
        at.forward(days=31)
        purge(now=at.now)
        assert Device.objects.count() == 0
        assert not JobRow.objects.filter(name="notifications.purge").exists()


class TestPersonalData:
    def test_all_of_it_can_be_taken_along_and_forgotten(
        self, api: Api, amel: Member, member: MakeMember, at: Moment, announce: Announce
    ) -> None:
        lina = member()
        announce(amel, lina, title="News")
        mine = api.as_(amel)
        mine.post("/devices/", {"kind": "fcm", "token": "very-secret"})
        mine.put("/notifications/preferences/", {"quiet_hours": {"start": "22:00", "until": "07:00"}})
        parts = {part.name: list(part.rows or ()) for part in personal_data.export(amel.id)}
        assert [len(rows) for rows in parts.values()] == [1, 1, 1, 1]
        assert parts["notifications/notifications.json"][0]["title"] == "News"
        assert parts["notifications/preferences.json"][0]["quiet_from"] == "22:00"
        assert "very-secret" not in json.dumps(parts, default=str)
        Bounce.objects.create(address=str(amel.user.email).lower(), reason="550", at=at.now)
        Bounce.objects.create(address="another@example.org", reason="550", at=at.now)
        personal_data.erase(user_id=amel.id, now=at.now)
        assert Bounce.objects.get().address == "another@example.org"
        forgotten = everything()
        personal_data.erase(user_id=amel.id, now=at.now)
        assert everything() == forgotten
        assert list(Notification.objects.values_list("user_id", flat=True)) == [lina.id]
        for model in (Device, Preferences):
            assert not model._base_manager.exists()

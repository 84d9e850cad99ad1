"""How long notifications are kept, and what is held of a person."""

import json
from datetime import timedelta

import pytest

from backend.core.jobs import NeverDoneError, definition
from backend.core.models import JobRow
from backend.core.timetable import entries
from backend.notifications import personal_data
from backend.notifications.jobs import purge
from backend.notifications.models import Bounce, Delivery, Device, Inbox, Notification, Preferences
from backend.notifications.services.delivering import give_up
from backend.notifications.services.gathering import write_daily_email
from backend.notifications.services.telling import tell
from backend.notifications.values import NotificationType, Telling
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

    def test_keeps_what_could_not_be_delivered_until_a_manager_decides(
        self, api: Api, amel: Member, member: MakeMember, at: Moment, announce: Announce
    ) -> None:
        """Seen red with nothing spared but what is still under way: of a person, of an address, of a daily e-mail."""
        announce(amel)
        api.as_(amel).delete(f"/notifications/{Notification.objects.get().pk}/")
        plain = Telling(
            NotificationType.ANNOUNCEMENT, (), {"title": "A", "text": "B"}, "", ["shop@example.org"], amel.id
        )
        tell(plain, source="event:2", now=at.now)
        Preferences.objects.create(user_id=amel.id, daily_email=True, updated_at=at.now)
        announce(amel, source="announcement:3")
        write_daily_email(user_id=amel.id, now=at.now)
        for delivery in Delivery.objects.filter(status="queued"):
            give_up(delivery_id=delivery.pk, error=NeverDoneError("550"), now=at.now)
        kept = list(Notification.objects.order_by("pk").values_list("type", "address", "source"))
        assert len(kept) == 4
        purge(now=at.now + timedelta(days=2000))
        assert list(Notification.objects.order_by("pk").values_list("type", "address", "source")) == kept
        at.forward(days=2000)
        manager = api.as_(member("manager"))
        for row in manager.get("/admin/undelivered/").body["results"]:
            assert manager.post(f"/admin/undelivered/{row['id']}/retry/").status == 200
        Delivery.objects.filter(status="queued").update(status="sent")
        purge(now=at.now)
        purge(now=at.now)
        assert not Notification.objects.exists()

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

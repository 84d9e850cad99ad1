"""The list of what one was told: read, deleted, cleared; the number of unread ones; the other devices (R10)."""

import json
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from backend.notifications import selectors
from backend.notifications.models import Inbox, Notification
from tests.backend.notifications.conftest import Announce, MakeMember, events_of
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.people import Member
from tests.support.world import everything

pytestmark = pytest.mark.django_db


@pytest.fixture
def amel(at: Moment, member: MakeMember) -> Member:
    return member(name="Amel")


def snapshot(api: Api) -> dict[str, Any]:
    """What a client that has just come reads."""
    listed = api.get("/notifications/", page_size=100).body["results"]
    return {"unread": api.get("/notifications/unread-count/").body["unread_count"], "list": listed}


def applied(before: dict[str, Any], events: list[tuple[str, dict[str, Any]]], *, read_at: str) -> dict[str, Any]:
    """What a client makes of the events since."""
    rows = list(before["list"])
    unread = before["unread"]
    for type_, data in events:
        unread = data["unread_count"]
        if type_ == "notification.created":
            rows.insert(0, data["notification"])
            continue
        meant = [
            row
            for row in rows
            if row["id"] == data["notification_id"] or (data["up_to"] is not None and row["id"] <= data["up_to"])
        ]
        if data["change"] == "deleted":
            gone = [row for row in meant if row["is_read"] or data["notification_id"] is not None]
            rows = [row for row in rows if row not in gone]
        else:
            rows = [
                {**row, "is_read": True, "read_at": row["read_at"] or read_at} if row in meant else row for row in rows
            ]
    return {"unread": unread, "list": rows}


class TestList:
    def test_shows_what_i_was_told_newest_first(
        self, api: Api, amel: Member, member: MakeMember, at: Moment, announce: Announce
    ) -> None:
        announce(amel, source="announcement:1", title="First")
        announce(member(), source="announcement:1", title="Another's")
        announce(amel, source="announcement:2", title="Second", text="Two\n\nlines")
        listed = api.as_(amel).get("/notifications/")
        assert [one["title"] for one in listed.body["results"]] == ["Second", "First"]
        assert listed.body["results"][1] == {
            "id": Notification.objects.get(user_id=amel.id, title="First").pk,
            "type": "announcement",
            "title": "First",
            "body": "All is well.",
            "reference": "",
            "is_read": False,
            "read_at": None,
            "created_at": "2030-05-15T09:30:00Z",
        }

    def test_filters_and_goes_on_by_cursor(self, api: Api, amel: Member, announce: Announce) -> None:
        for number in range(5):
            announce(amel, source=f"announcement:{number}", title=str(number))
        mine = api.as_(amel)
        first = mine.get("/notifications/", page_size=2)
        second = mine.get(first.body["next"])
        assert [one["title"] for one in first.body["results"] + second.body["results"]] == ["4", "3", "2", "1"]
        mine.post(f"/notifications/{first.body['results'][0]['id']}/read/")
        assert [one["title"] for one in mine.get("/notifications/", is_read="true").body["results"]] == ["4"]
        assert len(mine.get("/notifications/", is_read="false").body["results"]) == 4
        assert mine.get("/notifications/", type="document.expiring").body["results"] == []
        assert len(mine.get("/notifications/", type="announcement").body["results"]) == 5
        for wrong in ({"type": "unheard.of"}, {"is_read": "perhaps"}, {"kind": "announcement"}):
            assert mine.get("/notifications/", **wrong).status == 422

    def test_costs_one_query_however_long_and_counts_nothing(
        self, amel: Member, announce: Announce, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for number in range(3):
            announce(amel, source=f"announcement:{number}")
        with django_assert_num_queries(1) as queries:
            assert selectors.unread_count(amel.actor) == 3
        assert "count(" not in queries.captured_queries[0]["sql"].lower()
        with django_assert_num_queries(1):
            assert len(selectors.list_notifications_for(amel.actor, is_read=False)) == 3


class TestReading:
    def test_reads_one_once(self, api: Api, amel: Member, at: Moment, announce: Announce) -> None:
        announce(amel)
        announce(amel, source="announcement:2")
        one = Notification.objects.earliest("pk")
        for minutes in (1, 1):
            at.forward(minutes=minutes)
            answer = api.as_(amel).post(f"/notifications/{one.pk}/read/")
            assert (answer.status, answer.body["is_read"]) == (200, True)
            assert answer.body["read_at"] == "2030-05-15T09:31:00Z"
        changed = events_of(amel)[2:]
        assert [(row.type, json.loads(row.data)) for row in changed] == [
            (
                "notification.changed",
                {"change": "read", "notification_id": one.pk, "up_to": None, "unread_count": 1},
            )
        ]

    def test_another_s_is_not_found_and_nothing_changes(
        self, api: Api, amel: Member, member: MakeMember, announce: Announce
    ) -> None:
        announce(amel)
        path = f"/notifications/{Notification.objects.get().pk}/"
        other = api.as_(member("manager"))
        before = everything()
        assert (other.post(f"{path}read/").status, other.delete(path).status) == (404, 404)
        assert everything() == before

    def test_deletes_one_whether_read_or_not_and_only_once(self, api: Api, amel: Member, announce: Announce) -> None:
        announce(amel)
        announce(amel, source="announcement:2")
        mine = api.as_(amel)
        read, unread = Notification.objects.order_by("pk")
        mine.post(f"/notifications/{read.pk}/read/")
        for one, left in ((read, 1), (unread, 0)):
            assert mine.delete(f"/notifications/{one.pk}/").status == 204
            assert mine.delete(f"/notifications/{one.pk}/").status == 404
            assert mine.post(f"/notifications/{one.pk}/read/").status == 404
            assert mine.get("/notifications/unread-count/").body == {"unread_count": left}

    def test_clears_what_was_read_and_nothing_else(self, api: Api, amel: Member, announce: Announce) -> None:
        for number in range(3):
            announce(amel, source=f"announcement:{number}", title=str(number))
        mine = api.as_(amel)
        assert mine.delete("/notifications/").body == {"changed": 0}
        mine.post(f"/notifications/{Notification.objects.get(title='1').pk}/read/")
        assert mine.delete("/notifications/").body == {"changed": 1}
        assert [one["title"] for one in mine.get("/notifications/").body["results"]] == ["2", "0"]
        assert mine.get("/notifications/unread-count/").body == {"unread_count": 2}

    def test_who_was_told_nothing_has_nothing(self, api: Api, amel: Member) -> None:
        mine = api.as_(amel)
        assert mine.get("/notifications/").body == {"next": None, "previous": None, "results": []}
        assert mine.get("/notifications/unread-count/").body == {"unread_count": 0}
        assert mine.post("/notifications/read-all/").body == {"changed": 0}
        assert events_of(amel) == []


class TestOtherDevices:
    def test_an_old_snapshot_and_the_events_since_make_the_new_one(
        self, api: Api, amel: Member, at: Moment, announce: Announce
    ) -> None:
        """R10. Seen red with `notification.changed` left out of clearing."""
        mine = api.as_(amel)
        announce(amel, source="announcement:0")
        before, seen = snapshot(mine), len(events_of(amel))
        for number in range(1, 6):
            announce(amel, source=f"announcement:{number}")
        ids = list(Notification.objects.order_by("pk").values_list("pk", flat=True))
        mine.post(f"/notifications/{ids[2]}/read/")
        mine.delete(f"/notifications/{ids[4]}/")
        mine.delete("/notifications/")
        mine.post("/notifications/read-all/")
        announce(amel, source="announcement:9")
        mine.delete(f"/notifications/{ids[0]}/")
        events = [(row.type, json.loads(row.data)) for row in events_of(amel)[seen:]]
        assert len(events) == 11
        assert applied(before, events, read_at="2030-05-15T09:30:00Z") == snapshot(mine)


class TestTelling:
    def test_tells_nobody_twice_of_the_same_source(self, amel: Member, member: MakeMember, announce: Announce) -> None:
        """T3."""
        assert announce(amel) == 1
        assert announce(amel, member()) == 1
        assert announce(amel) == 0
        assert Notification.objects.filter(user_id=amel.id).count() == 1
        assert [json.loads(row.data)["unread_count"] for row in events_of(amel)] == [1]
        assert Inbox.objects.get(pk=amel.id).unread == 1

    def test_tells_only_those_whose_account_is_open(self, member: MakeMember, announce: Announce) -> None:
        assert announce(member(is_active=False)) == 0
        assert not Notification.objects.exists()

    def test_costs_the_same_for_many_as_for_two(
        self, member: MakeMember, announce: Announce, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        people = [member() for _ in range(12)]
        announce(*people)
        with django_assert_num_queries(7):
            announce(*people[:2], source="announcement:2")
        with django_assert_num_queries(7):
            announce(*people, source="announcement:3")

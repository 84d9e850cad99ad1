"""A job under way and everybody who may want something of it, in the test's own transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from django.db import connection, transaction

from backend.accounts.models import User
from backend.catalog.models import PortfolioItem
from backend.core import clock
from backend.dispatch import public as dispatch
from backend.media.models import StoredFile
from backend.media.public import PICTURE_SIZES
from backend.notifications.models import Delivery
from backend.notifications.services.unsubscribing import link_for
from backend.scheduling.services import links
from shared_contracts.events import PositionReport
from tests.support.api import Api
from tests.support.jobs import run_jobs
from tests.support.people import Member, make_member

ACTORS = (
    "anonymous",
    "client",  # of this job
    "other_client",
    "assistant",  # of this job
    "rival",  # was offered the job and lost it
    "other_assistant",  # never heard of it
    "freelancer",
    "manager",
    "admin",
)
PLACE = {"lat": 36.75, "lng": 3.05}


@dataclass(frozen=True)
class IdOf:
    """In a body: the id of this thing of the world."""

    thing: str


@dataclass(frozen=True)
class World:
    members: dict[str, Member]
    ids: dict[str, int]
    """One thing of each kind, by the name that paths of the table give it."""

    def api(self, actor: str) -> Api:
        return Api() if actor == "anonymous" else Api().as_(self.members[actor])

    def path(self, template: str, **other: int) -> str:
        """`/assistance/{job}/` with the ids of this world, or others."""
        client = self.members["client"]
        is_feed = "{calendar_token}" in template
        texts = {
            "calendar_token": links.token_of(links.link_of(actor=client.actor, now=clock.now())) if is_feed else "",
            "username": client.user.username,
            "token": link_for(user_id=client.id, type_="announcement").split("/")[-2],
        }
        return template.format(**{**texts, **self.ids, **other})

    def filled(self, body: Any) -> Any:
        """A body of the table, with ids for its `IdOf`."""
        if isinstance(body, IdOf):
            return self.ids[body.thing]
        if isinstance(body, dict):
            return {name: self.filled(value) for name, value in body.items()}
        return [self.filled(value) for value in body] if isinstance(body, list) else body


def make_world() -> World:
    now = datetime.now(UTC)
    dispatch.ensure_demo_tariffs(now=now)
    members = {
        "client": make_member("client"),
        "other_client": make_member("client"),
        "assistant": make_member("assistant"),
        "rival": make_member("assistant"),
        "other_assistant": make_member("assistant", assistant={"licence_expires_on": date(2001, 1, 1)}),
        "freelancer": make_member("freelancer"),
        "manager": make_member("manager"),
        "admin": make_member("admin"),
    }
    User.objects.update(photo="photos/everybodys")
    for name in ("assistant", "rival"):
        api = Api().as_(members[name])
        assert api.post("/me/assistant/status/", {"is_active": True}).status == 200
        dispatch.record_positions(reports={members[name].id: PositionReport(**PLACE, at=now)}, now=now)
    asked = Api().as_(members["client"]).post("/assistance/", {"service_type": "towing", "pickup": PLACE})
    assert asked.status == 201, asked.body
    assert len(asked.body["nearby_assistants"]) == 2
    job = asked.body["assistance"]["id"]
    accepted = Api().as_(members["assistant"]).post(f"/assistance/{job}/accept/")
    assert accepted.status == 200, accepted.body
    assert Api().as_(members["client"]).post("/me/export/", {}).status == 202
    shown = Api().as_(members["assistant"]).upload("POST", "/documents/", b"%PDF-1.4\n%%EOF", type="other")
    assert shown.status == 201, shown.body
    invited = Api().as_(members["admin"]).post("/admin/invitations/", {})
    assert invited.status == 201, invited.body
    kept = Api().as_(members["client"]).post("/me/addresses/", {"street_address": "1 rue X", "city": "Oran"})
    assert kept.status == 201, kept.body
    soon = now + timedelta(days=3)
    wish = {"provider": members["assistant"].id, "starts_at": soon, "ends_at": soon + timedelta(hours=1)}
    booked = Api().as_(members["client"]).post("/bookings/", wish)
    assert booked.status == 201, booked.body
    owner = Api().as_(members["assistant"])
    always = {"day_of_week": 0, "start_time": "00:00", "end_time": "00:00"}
    chair = owner.post("/me/resources/", {"name": "Chair"})
    hours = owner.post("/availability/", {**always, "resource": chair.body["id"]})
    off = owner.post("/time-off/", {"starts_at": soon, "ends_at": soon + timedelta(hours=1)})
    assert [answer.status for answer in (chair, hours, off)] == [201, 201, 201], (chair, hours, off)
    guest = make_member("client")
    group = {"participants": [members["assistant"].id, guest.id], "title": "Group"}
    opened = Api().as_(members["client"]).post("/conversations/", group)
    assert opened.status == 201, opened.body
    said = Api().as_(members["client"]).post(f"/conversations/{opened.body['id']}/messages/", {"content": "Hello"})
    assert said.status == 201, said.body
    ids = {
        "provider": members["assistant"].id,
        "resource": chair.body["id"],
        "availability": hours.body["id"],
        "time_off": off.body["id"],
        "booking": booked.body["id"],
        "guest": guest.id,
        "message": said.body["id"],
        "user": members["client"].id,
        "session": members["client"].session.pk,
        "address": kept.body["id"],
        "invitation": invited.body["id"],
        "document": shown.body["id"],
        "job": job,
        **_notified(members["client"]),
        "conversation": opened.body["id"],
        **_offered(members, now),
    }
    return World(members, ids)


def _offered(members: dict[str, Member], now: datetime) -> dict[str, int]:
    """What the freelancer offers and shows, and what the client thinks of them; a category in which nothing is yet."""
    category = Api().as_(members["manager"]).post("/categories/", {"name": "Plumbing"})
    assert category.status == 201, category.body
    freelancer = Api().as_(members["freelancer"])
    service = freelancer.post("/services/", {"title": "Tap", "price": {"amount": "10.00", "currency": "DZD"}})
    assert service.status == 201, service.body
    provider = members["freelancer"].id
    review = Api().as_(members["client"]).post(f"/providers/{provider}/reviews/", {"rating": 5})
    assert review.status == 201, review.body
    for size in PICTURE_SIZES.values():
        StoredFile.objects.create(key=f"pictures/everybodys/{size}.webp", created_at=now)
    item = PortfolioItem.objects.create(
        provider_id=provider, title="A roof", picture="pictures/everybodys", created_at=now, updated_at=now
    )
    return {
        "category": category.body["id"],
        "service": service.body["id"],
        "provider": provider,
        "review": review.body["id"],
        "item": item.pk,
    }


def _notified(member: Member) -> dict[str, int]:
    """What this person is told of, a device of theirs, and an e-mail that did not arrive."""
    run_jobs("notifications.tell_of_event")
    told = Api().as_(member).get("/notifications/")
    assert told.body["results"], told.body
    device = Api().as_(member).post("/devices/", {"kind": "fcm", "token": "the-client's"})
    assert device.status == 201, device.body
    notification = told.body["results"][0]["id"]
    given_up = Delivery.objects.create(
        notification_id=notification,
        user_id=member.id,
        channel="email",
        status="undelivered",
        due_at=clock.now(),
        created_at=clock.now(),
    )
    return {"notification": notification, "device": device.body["id"], "delivery": given_up.pk}


@contextmanager
def rolled_back() -> Iterator[None]:
    """What happens inside did not happen."""
    savepoint = transaction.savepoint()
    yield
    transaction.savepoint_rollback(savepoint)


def rows_written() -> int:
    """By this transaction so far, taken back or not: where it stays the same, nothing has changed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint FROM pg_stat_xact_user_tables")
        (found,) = cursor.fetchone()
    return int(found)


def everything() -> dict[str, Any]:
    """How many rows each table has and a digest of them: what a refusal may not change. One statement, planned once."""
    connection.ensure_connection()
    found = connection.connection.execute(_digest_of_all(), prepare=True)
    return {table: digest for table, *digest in found}


@cache
def _digest_of_all() -> str:
    with connection.cursor() as cursor:
        tables = [table for table in connection.introspection.table_names(cursor) if not table.startswith("django_")]
    return " UNION ALL ".join(
        f"SELECT '{table}', count(*), sum(hashtextextended(t::text, 0)) FROM \"{table}\" t" for table in tables
    )

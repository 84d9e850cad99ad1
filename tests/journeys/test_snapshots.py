"""R10: what an app has read, and the events since, make what it would read now. Every event type there is.

The app here keeps everything that the events of rooms are about: jobs and offers, conversations, notifications,
bookings, documents, reviews, devices, rights. It reads all of it once, follows what is told in its rooms, and then has
to know what it would find if it read all of it again.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from backend.accounts.models import Session
from backend.accounts.services import notices, roles
from backend.core import clock
from backend.core.actor import Role
from backend.core.models import EventRow
from backend.media.models import Document
from backend.media.services import reminding
from backend.notifications.services.telling import tell
from backend.notifications.values import NotificationType, Telling
from backend.scheduling.models import Booking
from backend.scheduling.services import timers
from shared_contracts.events import NUMBERED
from tests.support.jobs import run_jobs
from tests.support.world import PLACE, World

pytestmark = pytest.mark.django_db

Json = dict[str, Any]
JOB = ("status", "version", "client", "assistant", "total_price", "conversation_id")
BOOKING: tuple[str, ...] = ("status", "version", "starts_at", "ends_at", "proposed_by", "price", "estimated_cost")
BOOKING = (*BOOKING, "fee", "notes", "address", "location")
LISTED = ("last_message", "unread_count", "is_muted", "is_closed")
DOCUMENT = ("status", "version", "reason")
STANDING = ("average_rating", "total_reviews")
REVIEW = ("author", "rating", "comment", "is_verified", "created_at")
WANTED = {"service_type": "towing", "pickup": PLACE}


def _person(party: Json | None) -> Json | None:
    return party and {"id": party["id"], "name": party["name"]}


def _picked(row: Json, names: tuple[str, ...]) -> Json:
    return {name: row[name] for name in names}


class App:
    """What one person's app knows. `read()` makes it all anew, `follow()` goes on from one event."""

    def __init__(self, world: World, actor: str) -> None:
        self.api, self.id = world.api(actor), world.members[actor].id
        self.known: Json = {}

    def read(self) -> Json:
        lists = {row["id"]: row for row in self._all("/conversations/")}
        found = {
            "jobs": {row["id"]: self._job(row) for row in self._all("/assistance/") if self._is_party(row)},
            "offers": {row["id"] for row in self._all("/assistance/") if not self._is_party(row)},
            "lists": {pk: _picked(row, LISTED) for pk, row in lists.items()},
            "messages": {pk: {m["id"]: m for m in self._all(f"/conversations/{pk}/messages/")} for pk in lists},
            "people": {
                pk: {one["id"]: one for one in self._get(f"/conversations/{pk}/")["participants"]} for pk in lists
            },
            "notifications": {row["id"]: self._notification(row) for row in self._all("/notifications/")},
            "unread": self._get("/notifications/unread-count/")["unread_count"],
            "bookings": {row["id"]: _picked(row, BOOKING) for row in self._all("/bookings/")},
            "documents": {row["id"]: _picked(row, DOCUMENT) for row in self._all("/documents/")},
            "devices": {row["id"] for row in self._all("/auth/sessions/")},
            "roles": sorted(self._get("/me/")["roles"]),
        }
        return found | self._reviews()

    def follow(self, room: str, type_: str, data: Json) -> None:
        """What an app does with an event, but for those that it only shows."""
        kind, _, thing = type_.partition(".")
        if kind == "member":
            room_kind, _, pk = room.partition(":")
            self._follow_member(room_kind, int(pk), is_there=thing == "added", person=data["user"])
        elif kind in {"message", "conversation"}:
            self._follow_talk(type_, data)
        elif kind == "assistance":
            self._follow_job(type_, data)
        else:
            self._follow_own(type_, data)

    def _follow_job(self, type_: str, data: Json) -> None:
        pk = data["assistance_id"]
        match type_:
            case "assistance.offered":
                self.known["offers"].add(pk)
            case "assistance.withdrawn":
                self.known["offers"].discard(pk)
            case "assistance.status":
                self.known["jobs"][pk] = _picked(data, JOB)

    def _follow_talk(self, type_: str, data: Json) -> None:
        match type_:
            case "message.created" | "message.updated":
                message = data["message"]
                self.known["messages"][message["conversation_id"]][message["id"]] = message
            case "message.read" | "message.delivered":
                who = self.known["people"][data["conversation_id"]][data["user_id"]]
                who["delivered_message_id"] = max(data["message_id"], who["delivered_message_id"] or 0)
                if type_ == "message.read":
                    who["read_message_id"] = data["message_id"]
            case "conversation.updated":
                self.known["lists"][data["id"]] = _picked(data, LISTED)

    def _follow_own(self, type_: str, data: Json) -> None:
        known = self.known
        match type_:
            case "notification.created":
                known["notifications"][data["notification"]["id"]] = self._notification(data["notification"])
                known["unread"] = data["unread_count"]
            case "notification.changed":
                known["notifications"][data["notification_id"]]["is_read"] = True
                known["unread"] = data["unread_count"]
            case "booking.updated":
                known["bookings"][data["booking_id"]] = _picked(data, BOOKING)
            case "document.reviewed":
                known["documents"][data["document_id"]] = _picked(data, DOCUMENT)
            case "review.created":
                known["reviews"][data["review_id"]] = _picked(data, REVIEW)
                known["standing"] = _picked(data, STANDING)
            case "session.ended":
                known["devices"].discard(data["session_id"])
            case "access.changed":
                known["roles"] = sorted(self._get("/me/")["roles"])  # it says only that something is different

    def _follow_member(self, kind: str, pk: int, *, is_there: bool, person: Json) -> None:
        if kind != "conversation":
            return  # who is in a job's room stands in the job
        if is_there:
            new = {**person, "read_message_id": None, "delivered_message_id": None}
            self.known["people"][pk][person["id"]] = new
        else:
            del self.known["people"][pk][person["id"]]

    @property
    def rooms(self) -> list[str]:
        return [
            f"user:{self.id}",
            f"assistant:{self.id}",
            *(f"assistance:{pk}" for pk in self.known["jobs"]),
            *(f"conversation:{pk}" for pk in self.known["lists"]),
        ]

    def _reviews(self) -> Json:
        if not {"assistant", "freelancer"} & set(self._get("/me/")["roles"]):
            return {}
        shown = self._get(f"/providers/{self.id}/")
        reviews = {row["id"]: _picked(row, REVIEW) for row in self._all(f"/providers/{self.id}/reviews/")}
        return {"standing": _picked(shown, STANDING), "reviews": reviews}

    def _is_party(self, job: Json) -> bool:
        return self.id in {party["id"] for party in (job["client"], job["assistant"]) if party}

    @staticmethod
    def _job(row: Json) -> Json:
        return {**_picked(row, JOB), "client": _person(row["client"]), "assistant": _person(row["assistant"])}

    @staticmethod
    def _notification(row: Json) -> Json:
        return {name: value for name, value in row.items() if name != "read_at"}  # the app's own clock will do

    def _get(self, path: str) -> Any:
        answer = self.api.get(path)
        assert answer.status == 200, answer.body
        return answer.body

    def _all(self, path: str) -> list[Json]:
        answer = self.api.get(path, page_size=100)
        assert answer.status == 200, answer.body
        rows: list[Json] = answer.body["results"]
        return rows


def _ok(answer: Any) -> Any:
    assert answer.status < 300, answer.body
    return answer.body


def _ask(world: World) -> int:
    job: int = _ok(world.api("other_client").post("/assistance/", WANTED))["assistance"]["id"]
    return job


@dataclass(frozen=True)
class Case:
    """Who reads, what has happened by then, and what happens that they are told of."""

    reader: str
    act: Callable[[World, Any], object]
    before: Callable[[World], Any] = lambda world: None
    """What it returns is given to the act."""


def _message(world: World) -> str:
    return f"/messages/{world.ids['message']}/"


def _conversation(world: World) -> str:
    return f"/conversations/{world.ids['conversation']}/"


def _second_device(world: World) -> int:
    now = clock.now()
    session = Session.objects.create(
        user=world.members["client"].user,
        created_at=now,
        last_seen_at=now,
        expires_at=now.replace(year=9000),
        agent="x",
    )
    return int(session.pk)


def _expiring(world: World) -> Document:
    rows = Document.objects.filter(pk=world.ids["document"])
    rows.update(status="approved", reviewed_at=clock.now(), expires_on=clock.now().date())
    return rows.get()


def _confirmed(world: World) -> Booking:
    _ok(world.api("assistant").post(f"/bookings/{world.ids['booking']}/confirm/"))
    return Booking.objects.get(pk=world.ids["booking"])


def _tell(world: World, _: object) -> None:
    news = {"title": "News", "text": "All is well."}
    telling = Telling(NotificationType.ANNOUNCEMENT, [world.members["client"].id], values=news)
    tell(telling, source="announcement:1", now=clock.now())


CASES: dict[str, Case] = {
    "assistance.offered": Case("rival", lambda world, _: _ask(world)),
    "assistance.withdrawn": Case(
        "rival",
        lambda world, job: _ok(world.api("other_client").post(f"/assistance/{job}/status/", {"status": "canceled"})),
        before=_ask,
    ),
    "assistance.status": Case(
        "client",
        lambda world, _: _ok(
            world.api("assistant").post(f"/assistance/{world.ids['job']}/status/", {"status": "ongoing"})
        ),
    ),
    "message.created": Case(
        "assistant",
        lambda world, _: _ok(world.api("client").post(f"{_conversation(world)}messages/", {"content": "Still there?"})),
    ),
    "message.updated": Case(
        "assistant", lambda world, _: _ok(world.api("client").patch(_message(world), {"content": "Good day"}))
    ),
    "message.read": Case(
        "client", lambda world, _: _ok(world.api("assistant").post(f"{_conversation(world)}read/", {}))
    ),
    "message.delivered": Case(
        "client", lambda world, _: _ok(world.api("assistant").post(f"{_conversation(world)}delivered/", {}))
    ),
    "conversation.updated": Case(
        "assistant", lambda world, _: _ok(world.api("assistant").put(f"{_conversation(world)}mute/"))
    ),
    "member.added": Case(
        "client",
        lambda world, _: _ok(
            world.api("client").post(
                f"{_conversation(world)}members/", {"user_ids": [world.members["other_client"].id]}
            )
        ),
    ),
    "member.removed": Case(
        "client",
        lambda world, _: _ok(world.api("client").delete(f"{_conversation(world)}members/{world.ids['guest']}/")),
    ),
    "session.ended": Case(
        "client", lambda world, pk: _ok(world.api("client").delete(f"/auth/sessions/{pk}/")), before=_second_device
    ),
    "access.changed": Case(
        "other_client",
        lambda world, _: roles.set_roles(
            actor=world.members["admin"].actor,
            user_id=world.members["other_client"].id,
            roles=[Role.CLIENT, Role.CREW],
            now=clock.now(),
        ),
    ),
    "account.notice": Case(
        "client",
        lambda world, _: notices.notify(user_id=world.members["client"].id, kind="password_changed", now=clock.now()),
    ),
    "document.reviewed": Case(
        "assistant",
        lambda world, _: _ok(
            world.api("manager").post(f"/documents/{world.ids['document']}/review/", {"decision": "approve"})
        ),
    ),
    "document.expiring": Case(
        "assistant",
        lambda _, document: reminding.remind(
            document_id=document.pk, version=document.version, days=1, now=clock.now()
        ),
        before=_expiring,
    ),
    "review.created": Case(
        "freelancer",
        lambda world, _: _ok(
            world.api("other_client").post(f"/providers/{world.members['freelancer'].id}/reviews/", {"rating": 2})
        ),
    ),
    "booking.updated": Case("client", lambda world, _: _confirmed(world)),
    "booking.reminder": Case(
        "client",
        lambda _, booking: timers.take_next_step(booking_id=booking.pk, now=booking.day_reminder_at),
        before=_confirmed,
    ),
    "notification.created": Case("client", _tell),
    "notification.changed": Case(
        "client", lambda world, _: _ok(world.api("client").post(f"/notifications/{world.ids['notification']}/read/"))
    ),
}


class TestSnapshots:
    @pytest.mark.parametrize("type_", [event.type for event in NUMBERED])
    def test_old_and_events_are_new(self, world: World, type_: str) -> None:
        """Seen red with an event of a list that does not tell whether the conversation is muted."""
        assert type_ in CASES, "say what an app does with this event, and what makes one"
        case = CASES[type_]
        run_jobs("messaging.tell_members")
        given = case.before(world)
        app = App(world, case.reader)
        app.known = app.read()
        last = EventRow.objects.order_by("-pk").values_list("pk", flat=True)[0]
        case.act(world, given)
        run_jobs("messaging.tell_members")
        news = EventRow.objects.filter(pk__gt=last, room__in=app.rooms).order_by("pk")
        assert type_ in {row.type for row in news}
        for row in news:
            app.follow(row.room, row.type, json.loads(row.data))
        assert app.known == app.read()

    def test_have_a_case_each(self) -> None:
        assert set(CASES) == {event.type for event in NUMBERED}

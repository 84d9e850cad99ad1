"""What each job needs to have something to do, on top of the world of `make_world()` (RELIABILITY.md T3)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from backend.accounts.models import CodePurpose, User
from backend.accounts.services import codes, invitations
from backend.catalog.models import Category, Review, Service
from backend.core.models import EventRow, IdempotentAnswer, JobRow
from backend.dispatch import public as dispatch
from backend.dispatch.models import TrackPoint
from backend.media.models import Document, StoredFile
from backend.messaging.models import Attachment
from backend.notifications.models import Delivery
from backend.scheduling.models import StaleOpenings
from shared_contracts.events import MessageRead
from tests.support.jobs import run_jobs
from tests.support.people import make_member
from tests.support.world import PLACE, World

Arguments = Mapping[str, Any]
AGES = timedelta(days=400)
FARTHER = {"lat": PLACE["lat"] + 0.065, "lng": PLACE["lng"]}
"""Seven kilometres off: the second wave goes ten far."""


@dataclass(frozen=True)
class Case:
    """One job: how to make the state in which it has something to do, and with which arguments it then runs."""

    prepare: Callable[[World, datetime], Arguments]
    after: timedelta = timedelta()
    """When it runs."""
    calls: int = 0
    """How many calls it makes to the outside that the tests see."""
    volatile: frozenset[str] = frozenset()
    """Columns that are chosen by chance, or count attempts."""
    leaves: frozenset[str] = frozenset()
    """Tables in which an attempt that was cut off may leave rows that nobody claims, and that are purged."""
    then: str = ""
    """The job that it leaves the rest to, however often: done before anything is compared."""


def _nothing(_world: World, _now: datetime) -> Arguments:
    return {}


def waiting(name: str) -> Callable[[World, datetime], Arguments]:
    """The arguments of the job of this name that the world itself wrote."""

    def prepare(_world: World, _now: datetime) -> Arguments:
        arguments: Arguments = JobRow.objects.filter(name=name, status="pending").order_by("-pk")[0].arguments
        return arguments

    return prepare


def _old_spine(_world: World, now: datetime) -> Arguments:
    for place, row in enumerate(EventRow.objects.order_by("pk")):
        EventRow.objects.filter(pk=row.pk).update(number=place + 1, created_at=now)
    IdempotentAnswer.objects.create(
        user_id=1, operation="createThing", key="k", body_hash=b"x" * 32, status=201, body=b"{}", created_at=now
    )
    return {}


def _code(world: World, now: datetime) -> Arguments:
    address = world.members["client"].user.email
    assert address is not None
    codes.ask(purpose=CodePurpose.RESET_PASSWORD, address=address, now=now)
    return waiting("accounts.send_code")(world, now)


def _notice(world: World, _now: datetime) -> Arguments:
    return {"user_id": world.members["client"].id, "kind": "password_changed", "to": None}


def _hidden(world: World, now: datetime) -> Arguments:
    assert world.api("client").patch("/me/", {"hide_presence": True}).status == 200
    return waiting("accounts.forget_presence")(world, now)


def _invitation(world: World, now: datetime) -> Arguments:
    invitations.invite(actor=world.members["admin"].actor, email="new@example.org", now=now)
    return waiting("accounts.send_invitation")(world, now)


def _document(world: World, now: datetime) -> Arguments:
    rows = Document.objects.filter(pk=world.ids["document"])
    rows.update(status="approved", reviewed_at=now, expires_on=now.date() + timedelta(days=30))
    return {"document_id": rows[0].pk, "version": rows[0].version, "days": 30}


def _unwanted_files(_world: World, now: datetime) -> Arguments:
    StoredFile.objects.filter(key__startswith="pictures/").update(purge_at=now)
    return {}


def _unnamed_attachment(world: World, now: datetime) -> Arguments:
    Attachment.objects.create(
        uploader_id=world.members["client"].id,
        file_key=StoredFile.objects.filter(key__startswith="pictures/").first().key,  # type: ignore[union-attr]
        name="roof.webp",
        content_type="image/webp",
        size_bytes=1,
        created_at=now,
    )
    return {}


def _guest(world: World, _now: datetime) -> Arguments:
    return {"user_id": world.ids["guest"]}


def _announcement(world: World, now: datetime) -> Arguments:
    return {
        "type": "announcement",
        "user_ids": [member.id for member in world.members.values()],
        "values": {"title": "News", "text": "All is well."},
        "reference": "",
        "source": "announcement:1",
        "begin_at": now.isoformat(),
    }


def _read_message(world: World, now: datetime) -> Arguments:
    """The assistant was told of a message, and then read it."""
    with transaction.atomic():
        run_jobs("notifications.tell_of_message")
    here, reader = world.ids["conversation"], world.members["assistant"].id
    read = MessageRead(conversation_id=here, user_id=reader, message_id=world.ids["message"], at=now)
    return {"event": read.model_dump(mode="json")}


def _delivery(world: World, now: datetime) -> Arguments:
    arguments = waiting("notifications.deliver")(world, now)
    of = Delivery.objects.get(pk=arguments["delivery_id"])
    assert of.user_id is not None
    User.objects.filter(pk=of.user_id).update(email_verified_at=now)
    return arguments


def _daily_email(world: World, now: datetime) -> Arguments:
    Delivery.objects.filter(pk=world.ids["delivery"]).update(status="waiting", settled_at=None)
    return {"user_id": world.members["client"].id}


def _request(world: World, now: datetime) -> Arguments:
    far = make_member("assistant", now=now, name="Far Away")
    dispatch.put_on_duty(user_id=far.id, now=now, **FARTHER)
    asked = world.api("other_client").post("/assistance/", {"service_type": "towing", "pickup": PLACE})
    assert asked.status == 201, asked.body
    return {"assistance_id": asked.body["assistance"]["id"], "round": 1}


def _next_wave(world: World, now: datetime) -> Arguments:
    return {**_request(world, now), "wave": 2}


def _track(world: World, now: datetime) -> Arguments:
    for second in range(3):
        TrackPoint.objects.create(assistance_id=world.ids["job"], at=now + timedelta(seconds=second), **PLACE)
    return {"user_id": world.members["assistant"].id}


def _old_track(world: World, now: datetime) -> Arguments:
    _track(world, now)
    done = world.api("client").post(f"/assistance/{world.ids['job']}/status/", {"status": "canceled"})
    assert done.status == 200, done.body
    return {}


def _stale_openings(_world: World, _now: datetime) -> Arguments:
    """The catalogue was never told when anybody is free."""
    StaleOpenings.objects.all().delete()
    JobRow.objects.filter(name="scheduling.push_openings").delete()
    return {}


def _hidden_review(world: World, now: datetime) -> Arguments:
    hidden = {"is_visible": False, "visible_from": now, "reference": f"assistance:{world.ids['job']}"}
    Review.objects.filter(pk=world.ids["review"]).update(**hidden)
    return {}


def _renamed_category(world: World, _now: datetime) -> Arguments:
    Service.objects.filter(pk=world.ids["service"]).update(category_id=world.ids["category"], category_words="Old")
    Category.objects.filter(pk=world.ids["category"]).update(name="Heating")
    return {"category_id": world.ids["category"]}


CASES: Mapping[str, Case] = {
    "core.purge": Case(_old_spine, after=AGES),
    "accounts.send_code": Case(_code, calls=1),
    "accounts.send_notice": Case(_notice, calls=1),
    "accounts.send_invitation": Case(_invitation, calls=1),
    "accounts.forget_presence": Case(_hidden, calls=1),
    "accounts.purge": Case(_nothing, after=AGES),
    "media.remind_of_expiry": Case(_document),
    "media.write_export": Case(
        waiting("media.write_export"),
        volatile=frozenset({"key", "size_bytes"}),
        leaves=frozenset({"media_stored_file"}),
    ),
    "media.end_export": Case(waiting("media.end_export"), after=timedelta(hours=2)),
    "media.purge_files": Case(_unwanted_files),
    "messaging.tell_members": Case(waiting("messaging.tell_members")),
    "messaging.purge_attachments": Case(_unnamed_attachment, after=AGES),
    "messaging.leave_conversations": Case(_guest),
    "notifications.tell_of_event": Case(waiting("notifications.tell_of_event")),
    "notifications.tell_of_message": Case(waiting("notifications.tell_of_message"), after=timedelta(minutes=1)),
    "notifications.read_messages": Case(_read_message),
    "notifications.tell": Case(_announcement),
    "notifications.deliver": Case(_delivery, calls=1, volatile=frozenset({"attempts"})),
    "notifications.deliver_to_many": Case(_delivery, calls=1, volatile=frozenset({"attempts"})),
    "notifications.write_daily_email": Case(_daily_email),
    "notifications.purge": Case(_nothing, after=AGES),
    "dispatch.offer_next_wave": Case(_next_wave),
    "dispatch.expire_request": Case(_request, after=timedelta(minutes=11)),
    "dispatch.purge": Case(_old_track, after=AGES),
    "dispatch.forget_tracks": Case(_track),
    "scheduling.take_next_step": Case(waiting("scheduling.take_next_step"), after=timedelta(minutes=15)),
    "scheduling.push_openings": Case(waiting("scheduling.push_openings")),
    "scheduling.roll_openings": Case(_stale_openings, then="scheduling.push_openings"),
    "catalog.reveal_reviews": Case(_hidden_review),
    "catalog.renew_words": Case(_renamed_category),
    "catalog.renew_vocabulary": Case(_nothing),
}

"""What is left of a person in all modules when their account is deleted: a life full of canaries, and who still has
something of it afterwards."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.apps import apps
from django.core.files.base import ContentFile
from django.db import connection
from django.db.models import F

from backend.accounts.models import (
    DELETED_NAME,
    ExternalIdentity,
    Invitation,
    SecondFactor,
    Session,
    Skill,
    User,
    UserSkill,
)
from backend.accounts.public import PHOTO_SIZES, photo_file
from backend.accounts.services import forgetting
from backend.core import personal_data
from backend.core.files import new_key
from backend.core.models import EventRow, IdempotentAnswer, JobRow
from backend.core.proof import prove
from backend.core.purging import purge
from backend.dispatch.models import Assistance, DispatchAssistant, Offer, Quote, TrackPoint
from backend.dispatch.public import ensure_demo_tariffs, put_on_duty, record_positions
from backend.dispatch.states import Status
from backend.media.models import Document, StoredFile
from backend.media.services import photos, storing
from backend.messaging.models import Message
from backend.notifications.models import Bounce, Delivery, Device, Notification
from backend.notifications.services.telling import tell
from backend.notifications.values import NotificationType, Telling
from shared_contracts.events import PositionReport
from tests.architecture.authorisation.rules import PICTURE
from tests.backend.accounts.strangers import from_address
from tests.backend.dispatch.conftest import PICKUP, Job, Stage
from tests.backend.media.corpus import PDF
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.jobs import run_jobs
from tests.support.people import make_member

CANARY = "Zquxl"
"""In everything that is personal. What they wrote to others is marked otherwise: it stays."""
TRACES = (CANARY, "550987654", "203.0.113.77")
WORDS, PRAISE = "Hello from the road", "Good"
SPAN = {"starts_at": "2030-05-20T10:00:00Z", "ends_at": "2030-05-20T11:00:00Z"}


class Life:
    """A person who was a client and an assistant, and the two who worked with them."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.person = make_member(
            "client",
            "assistant",
            now=stage.now,
            username=f"{CANARY}-1",
            name=f"{CANARY} Haddad",
            email=f"{CANARY}@example.org",
            phone_number="+213550987654",
            last_name=f"{CANARY} Haddad",
            pending_email=f"{CANARY}@example.com",
            pending_phone_number="+213550987654",
            pending_since=stage.now,
            bio=f"{CANARY} bio",
            city=f"{CANARY} city",
            address=f"{CANARY} street",
            assistant={
                "vehicle_type": f"{CANARY} truck",
                "licence_number": f"{CANARY}-L",
                "vehicle_registration_number": f"{CANARY}-R",
            },
        )
        Session.objects.filter(user=self.person.user).update(agent=f"{CANARY}Phone", client_address="203.0.113.77")
        self.api = Api().as_(self.person)
        self._own()
        self._as_provider()
        self.asked = self._as_client()
        self.worked = self._as_assistant()
        self._told()

    def _own(self) -> None:
        now, user = self.stage.now, self.person.user
        SecondFactor.objects.create(user=user, sealed_secret=b"sealed", created_at=now)
        ExternalIdentity.objects.create(user=user, issuer="https://id.example", subject=CANARY, created_at=now)
        Invitation.objects.create(email=f"{CANARY}@EXAMPLE.org", created_at=now, expires_at=now + timedelta(days=7))
        skill = Skill.objects.create(name="Winching", created_at=now)
        UserSkill.objects.create(user=user, skill=skill, created_at=now)
        kept = self.api.with_headers(Idempotency_Key="k-1").post(
            "/me/addresses/", dict.fromkeys(("street_address", "city", "state", "zip_code"), f"{CANARY} 1")
        )
        assert kept.status == 201, kept.body
        assert IdempotentAnswer.objects.filter(user_id=self.person.id).exists()
        assert self.api.upload("POST", "/documents/", PDF, type="identity").status == 201
        photo = new_key("photos")
        squares = {photo_file(photo, size): ContentFile(b"a square") for size in PHOTO_SIZES.values()}
        storing.keep(squares, content_type="image/webp", now=now)
        photos._show(self.person.actor, photo, now=now)

    def _as_provider(self) -> None:
        """What they offer and show, when and on what terms, what they sent, and where they are told of it."""
        words = {name: f"{CANARY} {name}" for name in ("business_name", "business_description", "insurance_info")}
        done = [
            self.api.put("/me/provider/", {**words, "license_number": CANARY}),
            self.api.post(
                "/services/",
                {"title": "Tow", "description": CANARY, "price": {"amount": "10.00", "currency": "DZD"}},
            ),
            self.api.upload("POST", "/me/portfolio/", PICTURE, part="image", title=CANARY, description=CANARY),
            self.api.post("/me/resources/", {"name": f"{CANARY} chair"}),
            self.api.post("/availability/", {"day_of_week": 0, "start_time": "09:00", "end_time": "17:00"}),
            self.api.post("/time-off/", {**SPAN, "reason": f"{CANARY} is ill"}),
            self.api.put(
                "/me/booking-policy/", {"time_zone": "Africa/Algiers", "notify_emails": [f"{CANARY}@example.org"]}
            ),
            self.api.post("/me/calendar/"),
            self.api.upload("POST", "/attachments/", PICTURE, f"{CANARY}.png"),
            self.api.post("/devices/", {"kind": "fcm", "token": f"{CANARY}-token"}),
        ]
        assert {answer.status for answer in done} <= {200, 201}, done
        barber = make_member("freelancer", now=self.stage.now)
        thought = Api().as_(make_member("client", now=self.stage.now))
        review = thought.post(f"/providers/{barber.id}/reviews/", {"rating": 1}).body["id"]
        assert self.api.post(f"/reviews/{review}/report/", {"reason": f"{CANARY} says no"}).status == 204
        wish = {"provider": barber.id, **SPAN, "notes": CANARY, "address": f"{CANARY} street"}
        booking = self.api.post("/bookings/", wish)
        assert booking.status == 201, booking.body
        cancelled = self.api.post(f"/bookings/{booking.body['id']}/cancel/", {"reason": CANARY})
        assert cancelled.status == 200, cancelled.body

    def _told(self) -> None:
        """Codes and notices that they were sent, and what managers and machines said of their things."""
        now, user = self.stage.now, self.person.user
        asked = from_address("203.0.113.77").post("/auth/password/reset/", {"email": f"{CANARY}@example.org"})
        assert asked.status == 202
        Document.objects.filter(user=user).update(reason=f"{CANARY} is blurred")
        Device.objects.filter(user=user).update(public_key=CANARY, secret=CANARY)
        Bounce.objects.create(address=f"{CANARY}@example.org".lower(), reason=f"no {CANARY} here", at=now)
        news = {"title": "News", "text": "All is well."}
        shop = Telling(
            NotificationType.ANNOUNCEMENT, [], news, addresses=[f"{CANARY}@example.org"], addressed_by=user.pk
        )
        assert tell(shop, source="event:1", now=now) == 1
        words = dict.fromkeys(("source", "title", "body", "reference"), CANARY)
        told = Notification.objects.create(user=user, type="x", is_shown=True, language="en", created_at=now, **words)
        Delivery.objects.create(
            notification=told,
            user_id=user.pk,
            channel="email",
            status="sent",
            reason=CANARY,
            due_at=now,
            created_at=now,
        )

    def _as_client(self) -> Job:
        assistant = self.stage.assistant(name="Bilal Assistant")
        quote = self.api.post(
            "/assistance/quote/",
            {"service_type": "towing", "pickup": {"lat": PICKUP.lat, "lng": PICKUP.lng}, "vehicle_class": "light"},
        )
        assert quote.status in {200, 201}, quote.body
        assistance = self.stage.request(self.person, note=f"{CANARY}: call me", vehicle_type=f"{CANARY} car").assistance
        return self._finish(Job(self.person, assistant, assistance))

    def _as_assistant(self) -> Job:
        put_on_duty(user_id=self.person.id, lat=PICKUP.lat, lng=PICKUP.lng, now=self.stage.now)
        client = self.stage.client(name="Chafia Client")
        return self._finish(Job(client, self.person, self.stage.request(client).assistance))

    def _finish(self, job: Job) -> Job:
        stage = self.stage
        stage.accept(job.assistant, job.assistance)
        stage.at.forward(minutes=1)
        report = PositionReport(lat=PICKUP.lat, lng=PICKUP.lng, at=stage.now)
        record_positions(reports={job.assistant.id: report}, now=stage.now)
        for side in (job.client, job.assistant):
            said = Api().as_(side).post(f"{job.path}messages/", {"content": f"{WORDS}, {side.id}"})
            assert said.status == 201, said.body
        stage.move(job.assistant, job.fresh(), Status.ONGOING)
        stage.move(job.assistant, job.fresh(), Status.COMPLETED)
        rated = Api().as_(job.client).post(f"{job.path}rating/", {"rating": 5, "comment": f"{PRAISE}, {job.client.id}"})
        assert rated.status in {200, 201}, rated.body
        return job

    def end(self) -> None:
        answer = self.api.delete("/me/", {})
        assert answer.status == 204, answer.body


@pytest.fixture
def stage(db: None, at: Moment) -> Stage:
    ensure_demo_tariffs(now=at.now)
    return Stage(at)


@pytest.fixture
def life(stage: Stage) -> Life:
    return Life(stage)


def tables_with(*traces: str) -> set[str]:
    """The tables that hold one of these texts in any column, also as bytes."""
    sought = [f"%{form}%" for trace in traces for form in (trace, trace.encode().hex())]
    found = set()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT EXISTS (SELECT FROM "{table}" t WHERE t::text ILIKE ANY (%s))', [sought])
            if cursor.fetchone() == (True,):
                found.add(table)
    return found


def columns_of_words() -> dict[str, list[str]]:
    """By table, from the catalogue of PostgreSQL: what can hold words and hangs on people, over any number of keys.

    Not what is too short for a canary, a key of something else, or one of a few words that the column allows.
    """
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS_OF_WORDS, {"length": len(CANARY)})
        found = {(table, column) for table, column in cursor.fetchall()}
    chosen = {
        (model._meta.db_table, field.column)
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if getattr(field, "base_field", field).choices
    }
    tables: dict[str, list[str]] = {}
    for table, column in sorted(found - chosen):
        tables.setdefault(table, []).append(column)
    return tables


COLUMNS_OF_WORDS = """
WITH RECURSIVE personal (id) AS (
    SELECT 'accounts_user'::regclass::oid
    UNION SELECT conrelid FROM pg_constraint JOIN personal ON confrelid = personal.id WHERE contype = 'f'
)
SELECT attrelid::regclass::text, attname FROM personal
JOIN pg_attribute ON attrelid = personal.id AND attnum > 0 AND NOT attisdropped
JOIN pg_type AS type ON type.oid = atttypid LEFT JOIN pg_type AS inner_type ON inner_type.oid = type.typelem
WHERE (type.typcategory = 'S' OR type.typcategory = 'A' AND inner_type.typcategory = 'S'
        OR type.typname IN ('json', 'jsonb'))
    AND (atttypmod < 0 OR atttypmod - 4 >= %(length)s)
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = attrelid AND contype = 'f' AND attnum = ANY (conkey))
"""

NO_WORDS: dict[str, str] = {
    "one of a few words of ours": """
        accounts_session.end_reason accounts_user.language accounts_user.time_zone catalog_provider.category_words
        catalog_service.category_words dispatch_assistance.requested_service dispatch_assistance.service_type
        dispatch_assistance.status dispatch_assistance.vehicle_class dispatch_assistant.service_type
        dispatch_assistant.vehicle_class dispatch_offer.status dispatch_quote.service_type dispatch_quote.vehicle_class
        media_document.content_type media_document.status media_export.status messaging_attachment.content_type
        messaging_message.system_code notifications_notification.language notifications_notification.type
        notifications_preferences.choices notifications_preferences.language scheduling_availability.time_zone
        scheduling_booking.status scheduling_policy.time_zone""",
    "ids of our things and of other people": """
        accounts_code.lane catalog_finished_work.reference catalog_review.reference dispatch_wave.left_out
        messaging_conversation.subject messaging_message.parameters""",
    "drawn at random, also by apps, or a hash": """
        accounts_user.password accounts_user.photo catalog_portfolio_item.picture media_export.key
        messaging_attachment.file_key messaging_message.client_id""",
    "said to others, or booked by them: it stays with them": """
        catalog_review.reply catalog_service.title messaging_conversation.title scheduling_booking.service_title""",
    "the name of Google and its like": "accounts_external_identity.issuer",
}
"""Columns that hold nothing of the person's own, and why."""


class TestColumns:
    def test_of_words_all_held_some_in_this_life(self, life: Life) -> None:
        """So a new one fails until the life above fills it, and the tests below see what becomes of it.

        Seen red with a column that nobody filled. What it found: the vehicle that a client speaks of stayed.
        """
        marked = "|".join((*TRACES, WORDS, PRAISE))
        silent = set()
        with connection.cursor() as cursor:
            for table, columns in columns_of_words().items():
                held = ", ".join(f'coalesce(bool_or("{column}"::text ~* %s), false)' for column in columns)
                cursor.execute(f'SELECT {held} FROM "{table}"', [marked] * len(columns))
                row = cursor.fetchone()
                silent |= {f"{table}.{column}" for column, has in zip(columns, row, strict=True) if not has}
        assert silent == {column for columns in NO_WORDS.values() for column in columns.split()}


class TestWhatIsLeft:
    def test_nothing_personal_after_a_week_and_next_to_nothing_at_once(self, life: Life) -> None:
        """The events and jobs of a week, and a day's requests for codes, run out by themselves.

        Seen red where a cancelled booking's reason stayed in the history of things, and with each of the catalogue's
        profile, services and portfolio, scheduling's chairs, policy and notes, and devices left as they were.
        """
        for trace in TRACES:
            assert tables_with(trace)
        life.end()
        run_jobs("messaging.leave_conversations", "dispatch.forget_tracks")
        assert tables_with(*TRACES) <= {"core_event", "core_job", "accounts_code"}
        later = life.stage.at.forward(days=8)
        EventRow.objects.update(number=F("id"))
        JobRow.objects.filter(status="pending").update(status="done", finished_at=life.stage.now - timedelta(days=8))
        purge(now=later)
        forgetting.forget(now=later)
        assert tables_with(*TRACES) == set()

    def test_no_file(self, life: Life, files_folder: Path) -> None:
        keys = set(StoredFile.objects.values_list("key", flat=True))
        assert len(keys) == 7
        life.end()
        storing.purge(now=life.stage.now)
        assert not StoredFile.objects.exists()
        assert not [key for key in keys if (files_folder / key).exists()]
        assert not Document.objects.exists()

    def test_no_place(self, life: Life) -> None:
        life.end()
        run_jobs("dispatch.forget_tracks")
        me = life.person.id
        assert not DispatchAssistant.objects.filter(pk=me).exists()
        assert not Quote.objects.filter(user_id=me).exists()
        assert set(TrackPoint.objects.values_list("assistance_id", flat=True)) == {life.asked.assistance.pk}
        asked = life.asked.fresh()
        assert (asked.pickup_lat, asked.pickup_lng, asked.note) == (36.75, 3.06, "")
        # Where another asked for help is the other's.
        assert life.worked.fresh().pickup == PICKUP

    def test_the_books_stay(self, life: Life) -> None:
        before = list(Assistance.objects.order_by("pk").values("status", "total_price", "distance_m", "client_id"))
        life.end()
        assert list(Assistance.objects.order_by("pk").values("status", "total_price", "distance_m", "client_id")) == (
            before
        )
        assert Message.objects.exclude(sender=None).count() == 4

    def test_the_other_side_reads_on_and_sees_no_name(self, life: Life) -> None:
        life.end()
        run_jobs("messaging.leave_conversations")
        other = Api().as_(life.asked.assistant)
        job = other.get(life.asked.path)
        assert job.status == 200
        assert job.body["client"] == {"id": life.person.id, "name": DELETED_NAME, "phone_number": None}
        messages = other.get(f"{life.asked.path}messages/").body["results"]
        assert sorted((one["sender"]["name"], one["content"]) for one in messages if one["sender"]) == [
            ("Bilal Assistant", f"{WORDS}, {life.asked.assistant.id}"),
            (DELETED_NAME, f"{WORDS}, {life.person.id}"),
        ]

    def test_the_rooms_are_told_that_they_left(self, life: Life) -> None:
        life.end()
        run_jobs("messaging.leave_conversations")
        left = EventRow.objects.filter(type="member.removed").order_by("id").values_list("room", "data")
        gone = f'{{"user":{{"id":{life.person.id},"name":"{DELETED_NAME}"}}}}'
        talks = sorted(job.fresh().conversation_id or 0 for job in (life.asked, life.worked))
        assert list(left) == [(f"conversation:{talk}", gone) for talk in talks]

    def test_everything_that_must_hold_holds(self, life: Life) -> None:
        life.end()
        run_jobs("messaging.leave_conversations", "dispatch.forget_tracks")
        findings = prove(now=life.stage.now, patience_s=30)
        assert [
            finding for finding in findings if not finding.holds and not finding.invariant.name.startswith("core.")
        ] == []

    def test_forgetting_twice_is_forgetting_once(self, life: Life) -> None:
        life.end()
        state = [
            list(model.objects.order_by("pk").values()) for model in (User, Session, Assistance, Offer, StoredFile)
        ]
        personal_data.erase(user_id=life.person.id, now=life.stage.now)
        assert state == [
            list(model.objects.order_by("pk").values()) for model in (User, Session, Assistance, Offer, StoredFile)
        ]


class TestObstacles:
    @pytest.mark.parametrize("status", [Status.REQUESTED, Status.ACCEPTED, Status.ONGOING])
    @pytest.mark.parametrize("side", ["client", "assistant"])
    def test_an_open_job_stands_in_the_way_of_both_sides(self, stage: Stage, status: Status, side: str) -> None:
        job = stage.job(status)
        answer = Api().as_(getattr(job, side)).delete("/me/", {})
        if status is Status.REQUESTED and side == "assistant":
            assert answer.status == 204  # it was only offered
            return
        assert (answer.status, answer.code) == (409, "account_in_use")
        assert answer.body["obstacles"] == [
            {
                "code": "open_assistance",
                "detail": f"Roadside job {job.assistance.pk} is {status}: finish or cancel it.",
            }
        ]
        assert User.objects.get(pk=getattr(job, side).id).is_active

    def test_duty_does_not(self, stage: Stage) -> None:
        """Off the map at once: the open offer is declined, and the next wave asks others."""
        assistant = stage.assistant()
        assistance = stage.request().assistance
        assert Api().as_(assistant).delete("/me/", {}).status == 204
        assert not DispatchAssistant.objects.exists()
        assert Offer.objects.values_list("assistance_id", "status", "answered_at").get() == (
            assistance.pk,
            "declined",
            stage.now,
        )

    def test_a_finished_job_does_not(self, stage: Stage) -> None:
        job = stage.job(Status.COMPLETED)
        assert Api().as_(job.client).delete("/me/", {}).status == 204

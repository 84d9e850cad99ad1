# ruff: noqa: RUF001 - French and its apostrophes
"""Which event tells whom what: one place for all modules (`table.py`)."""

import json
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import transaction

from backend.core import environment as env
from backend.core.models import EventRow, JobRow
from backend.core.outbox import emit, subscribers_of
from backend.dispatch.states import Status
from backend.notifications.jobs import tell_of_event
from backend.notifications.models import Delivery, Notification, Preferences
from backend.notifications.services import delivering
from backend.notifications.services.writing import write
from backend.notifications.table import KINDS, ROWS
from backend.notifications.values import OUTSIDE, Channel, NotificationType
from backend.scheduling.models import Booking
from backend.scheduling.services import progress
from shared_contracts.events import (
    AccountNotice,
    DocumentExpiring,
    DocumentReviewed,
    Event,
    Person,
    ReviewCreated,
    SessionEnded,
)
from shared_contracts.rooms import user_room
from tests.backend.dispatch.conftest import Stage
from tests.backend.dispatch.conftest import stage as stage  # noqa: PLC0414 - a fixture
from tests.backend.notifications.conftest import MakeMember, events_of
from tests.backend.scheduling.conftest import Shop
from tests.conftest import Moment
from tests.support.jobs import run_jobs
from tests.support.people import Member

pytestmark = pytest.mark.django_db


def told() -> list[tuple[int | None, str, str, str]]:
    """Person, type, title and text of all notifications, in order."""
    run_jobs("notifications.tell_of_event")
    return list(Notification.objects.order_by("pk").values_list("user_id", "type", "title", "body"))


def send(event: Event, member: Member, at: Moment) -> None:
    with transaction.atomic():
        emit(event, rooms=[user_room(member.id)], now=at.now)


class TestTable:
    def test_has_a_row_for_every_type_and_texts_in_it(self) -> None:
        assert KINDS.keys() == set(NotificationType)

    @pytest.mark.parametrize("language", ["en", "fr", "ar", "ru", "es"])
    def test_every_type_can_be_said_in_every_language_through_every_channel(
        self, member: MakeMember, at: Moment, language: str
    ) -> None:
        """Seen red without a type's template."""
        amel = member(language=language)
        for kind in KINDS.values():
            words = write(kind.type, {"title": "A", "text": "B"}, language=language, time_zone="Africa/Algiers")
            assert words.title, kind.type
            for channel in set(OUTSIDE) & kind.channels.keys() - {Channel.PUSH}:
                notification = Notification(
                    type=kind.type, title=words.title, body=words.body, language=language, user_id=amel.id
                )
                delivery = Delivery(
                    pk=1, notification=notification, user_id=amel.id, channel=channel, created_at=at.now
                )
                if channel == Channel.EMAIL:
                    address = "amel@example.org"
                    delivering._mail(delivery, address, verified_at=at.now, preferences=Preferences())
                else:
                    delivering._sms(delivery, "+213550000001", verified_at=at.now)

    def test_every_event_of_it_has_its_job(self) -> None:
        assert all("notifications.tell_of_event" in subscribers_of(row.event) for row in ROWS)
        assert subscribers_of(SessionEnded) == ()


class TestAssistance:
    def test_tells_the_client_how_it_goes(self, stage: Stage) -> None:
        job = stage.job(Status.COMPLETED)
        name = job.assistant.user.name
        assert told() == [
            (
                job.client.id,
                "assistance.accepted",
                f"{name} is coming",
                "Your request was accepted. You can follow the way in the app.",
            ),
            (
                job.client.id,
                "assistance.arrived",
                f"{name} has arrived",
                "Your assistant is with you and has begun.",
            ),
            (
                job.client.id,
                "assistance.completed",
                "Your assistance is completed",
                f"{name} has finished. The price is {job.fresh().money(job.fresh().total_price)} DZD."
                " You can rate the assistance in the app.",
            ),
        ]
        assert {one.reference for one in Notification.objects.all()} == {f"assistance:{job.assistance.pk}"}

    def test_makes_no_job_of_what_is_no_news(self, stage: Stage) -> None:
        stage.request()
        assert not JobRow.objects.filter(name="notifications.tell_of_event").exists()

    def test_tells_of_a_cancellation_whoever_did_not_cancel(self, stage: Stage) -> None:
        """Seen red without a look at who moved it."""
        job = stage.job(Status.ACCEPTED)
        stage.move(job.client, job.assistance, Status.CANCELED, reason="The car\nstarts again")
        _, canceled = told()
        assert canceled == (
            job.assistant.id,
            "assistance.canceled",
            "The assistance was canceled",
            "It will not take place. Reason: The car starts again",
        )

    def test_tells_the_client_that_it_was_given_back(self, stage: Stage) -> None:
        job = stage.job(Status.ACCEPTED)
        stage.move(job.assistant, job.assistance, Status.CANCELED, reason="A flat tyre")
        assert told()[1] == (
            job.client.id,
            "assistance.given_back",
            "Your assistant cannot come",
            "We are looking for another one now. Reason: A flat tyre",
        )


class TestDocuments:
    def test_tell_their_owner(self, member: MakeMember, at: Moment) -> None:
        amel = member("assistant", language="fr")
        send(
            DocumentReviewed(
                document_id=4, version=2, document_type="insurance", status="rejected", reason="Trop sombre"
            ),
            amel,
            at,
        )
        for days in (30, 1):
            send(
                DocumentExpiring(
                    document_id=4,
                    version=3,
                    document_type="driving_license",
                    expires_on=date(2030, 6, 14),
                    days=days,
                ),
                amel,
                at,
            )
        assert told() == [
            (amel.id, "document.rejected", "Votre document n’a pas été accepté", "Assurance. Motif : Trop sombre"),
            (
                amel.id,
                "document.expiring",
                "Un de vos documents expire bientôt",
                "Permis de conduire. Valable jusqu’au 14 juin 2030. Envoyez le nouveau dans l’application avant cette"
                " date.",
            ),
            (
                amel.id,
                "document.expiring",
                "Un de vos documents expire demain",
                "Permis de conduire. Valable jusqu’au 14 juin 2030. Envoyez le nouveau dans l’application avant cette"
                " date.",
            ),
        ]
        assert list(Delivery.objects.values_list("channel", flat=True)) == ["email"] * 3


class TestAccounts:
    def test_put_what_matters_to_safety_into_the_list_and_send_no_second_mail(
        self, member: MakeMember, at: Moment
    ) -> None:
        amel = member()
        send(AccountNotice(kind="password_changed"), amel, at)
        send(AccountNotice(kind="of_tomorrow"), amel, at)
        assert [title for _, _, title, _ in told()] == [
            "Your password was changed",
            "Something changed in your account",
        ]
        assert not Delivery.objects.exists()


class TestReviews:
    def test_tell_who_was_reviewed(self, member: MakeMember, at: Moment) -> None:
        karim = member("contractor", email_verified_at=at.now)
        event = ReviewCreated(
            review_id=12,
            reviewed_id=karim.id,
            author=Person(id=1, name="Nadia"),
            reference="booking:7",
            rating=5,
            comment="Quick\r\nand careful.",
            is_verified=True,
            created_at=at.now,
            average_rating=None,
            total_reviews=1,
        )
        send(event, karim, at)
        assert told() == [(karim.id, "review.created", "Nadia has reviewed you", "Rating: 5 of 5\nQuick and careful.")]


@pytest.fixture
def shop(db: None, at: Moment) -> Shop:
    return Shop(at)


class TestBookings:
    def test_a_new_one_tells_the_provider_the_shop_s_addresses_and_no_client(self, shop: Shop) -> None:
        shop.terms(notify_emails=["Desk@shop.example", "desk@shop.example"], auto_confirm_minutes=None)
        shop.provider.user.language, shop.provider.user.time_zone = "fr", "Africa/Algiers"
        shop.provider.user.save()
        shop.book(shop.client(name="Amel"))
        body = "Réservation · 16 mai 2030 11:00 · Bab Azzoun Barbers"
        found = told()
        assert [(user_id, type_, title) for user_id, type_, title, _ in found] == [
            (shop.provider.id, "booking.requested", "Nouvelle réservation de Amel"),
            (None, "booking.requested", "Nouvelle réservation de Amel"),
        ]
        assert all(text.endswith(body.partition(" · ")[2]) for _, _, _, text in found)
        assert Notification.objects.get(user=None).address == "desk@shop.example"
        assert list(Delivery.objects.order_by("pk").values_list("user_id", "channel")) == [
            (shop.provider.id, "email"),
            (None, "email"),
        ]

    def test_one_that_confirms_itself_tells_its_client(self, shop: Shop) -> None:
        shop.terms(auto_confirm_minutes=0)
        amel = shop.client()
        shop.book(amel)
        assert [one[:2] for one in told()] == [
            (shop.provider.id, "booking.requested"),
            (amel.id, "booking.confirmed"),
        ]

    def test_tells_managers_where_that_is_set(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        changed = env.environment().model_copy(update={"notify_managers_of_bookings": True})
        monkeypatch.setattr("backend.notifications.table.environment", lambda: changed)
        shop.terms(auto_confirm_minutes=None)
        manager = shop.manager()
        shop.book()
        assert {one[0] for one in told()} == {shop.provider.id, manager.id}

    def test_a_change_tells_its_client_and_of_the_others_whoever_did_not_make_it(self, shop: Shop) -> None:
        """A client has in writing what they moved and cancelled themselves. Seen red when who did it was not told."""
        shop.terms(auto_confirm_minutes=None)
        amel = shop.client()
        booking = shop.confirm(shop.book(amel))
        shop.confirm(shop.move(booking, amel, shop.tomorrow + timedelta(days=1)))
        progress.cancel_booking(actor=amel.actor, booking_id=booking.pk, reason="Ill", now=shop.now)
        found = told()
        assert [one[:3] for one in found if one[0] == amel.id] == [
            (amel.id, "booking.confirmed", "The booking is confirmed"),
            (amel.id, "booking.moved", "The booking was moved to another time"),
            (amel.id, "booking.confirmed", "The booking is confirmed"),
            (amel.id, "booking.cancelled", "The booking was cancelled"),
        ]
        assert [one[:3] for one in found if one[0] == shop.provider.id] == [
            (shop.provider.id, "booking.requested", f"New booking from {amel.user.name}"),
            (shop.provider.id, "booking.moved", "The booking was moved to another time"),
            (shop.provider.id, "booking.cancelled", "The booking was cancelled"),
        ]
        again = shop.book(amel, shop.tomorrow + timedelta(days=3))
        shop.confirm(shop.move(again, shop.provider, shop.tomorrow + timedelta(days=4)), by=amel)
        assert [one[1] for one in told()[len(found) :] if one[0] == amel.id] == ["booking.moved", "booking.confirmed"]


class TestBookingStatuses:
    def test_tell_the_client_whatever_the_provider_and_the_timetable_do(self, shop: Shop) -> None:
        shop.terms(auto_confirm_minutes=None)
        amel = shop.client()
        day = timedelta(days=1)

        def confirmed(days: int) -> Booking:
            return shop.confirm(shop.book(amel, shop.tomorrow + days * day))

        def of(booking: Booking) -> list[str]:
            """What she is told of it beside that it is confirmed."""
            told()
            rows = Notification.objects.filter(user_id=amel.id, reference=f"booking:{booking.pk}").order_by("pk")
            return [type_ for type_ in rows.values_list("type", flat=True) if type_ != "booking.confirmed"]

        moved = shop.move(confirmed(1), shop.provider, shop.tomorrow + 10 * day)
        assert of(moved) == ["booking.moved"]
        unconfirmed = confirmed(2)
        progress.unconfirm_booking(actor=shop.provider.actor, booking_id=unconfirmed.pk, now=shop.now)
        assert of(unconfirmed) == ["booking.unconfirmed"]
        completed, missed, expired = confirmed(3), confirmed(4), shop.book(amel, shop.tomorrow + 5 * day)
        shop.at.now = missed.starts_at
        shop.tick(missed)
        progress.complete_booking(actor=shop.provider.actor, booking_id=completed.pk, now=shop.now)
        assert of(completed) == ["booking.completed"]
        progress.record_no_show(actor=shop.provider.actor, booking_id=missed.pk, now=shop.now)
        shop.at.now = expired.starts_at
        shop.tick(expired)
        assert of(expired) == ["booking.expired"]
        assert of(missed)[-1] == "booking.no_show"

    def test_tell_both_of_a_booking_a_day_and_an_hour_before(self, shop: Shop) -> None:
        amel = shop.client()
        booking = shop.confirm(shop.book(amel))
        shop.at.now = booking.starts_at - timedelta(hours=24)
        shop.tick(booking)
        told()
        shop.at.now = booking.starts_at - timedelta(hours=1)
        shop.tick(booking)
        reminders = [one[:2] for one in told() if one[1] == "booking.reminder"]
        assert sorted(reminders) == sorted([(amel.id, "booking.reminder"), (shop.provider.id, "booking.reminder")] * 2)


class TestTwice:
    def test_a_job_that_runs_twice_tells_once(self, member: MakeMember, at: Moment) -> None:
        """T3. Seen red with the event's id left out of the source."""
        amel = member()
        for _ in range(2):
            send(AccountNotice(kind="password_changed"), amel, at)
        arguments: list[Any] = list(JobRow.objects.filter(name="notifications.tell_of_event").values_list("arguments"))
        for (one,) in arguments * 2:
            tell_of_event(now=at.now, **one, added_tomorrow=1)
        assert Notification.objects.count() == 2
        assert [json.loads(row.data)["unread_count"] for row in events_of(amel)] == [1, 2]
        assert EventRow.objects.filter(type="notification.created").count() == 2

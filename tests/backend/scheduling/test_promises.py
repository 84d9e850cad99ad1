"""What bookings promise to the rest: events that complete a snapshot, jobs that may run again, people who leave."""

from collections.abc import Callable
from typing import Any

import pytest

from backend.core import jobs, personal_data
from backend.core.models import JobRow
from backend.core.references import SUBJECT_PEOPLE
from backend.scheduling import public
from backend.scheduling.models import Availability, Booking, CalendarLink, Move, Policy
from backend.scheduling.services import links, progress
from tests.backend.scheduling.conftest import DAY, HOUR, Shop
from tests.support.api import Api
from tests.support.world import everything

SHARED = {"version", "status", "starts_at", "ends_at", "proposed_by", "price", "estimated_cost", "fee", "notes"}
SHARED |= {"address", "location"}
"""What both a snapshot and an event of a booking tell."""


class TestEvents:
    def test_old_snapshot_and_events_are_the_new_snapshot(self, shop: Shop, api: Api) -> None:
        """R10 for booking.updated; booking.reminder changes nothing. Seen red with the event of an edit left out."""
        client = shop.client()
        booking = shop.book(client)
        path = f"/bookings/{booking.pk}/"
        snapshot: dict[str, Any] = api.as_(client).get(path).body

        def apply_news() -> dict[str, Any]:
            after = len(shop.told(client, "booking.updated"))
            for event in shop.told(client, "booking.updated")[applied[0] : after]:
                snapshot.update({name: event[name] for name in SHARED})
                snapshot["resource"] |= {"id": event["resource_id"], "name": event["resource_name"]}
            applied[0] = after
            return snapshot

        applied = [1]
        steps: tuple[Callable[[], object], ...] = (
            lambda: shop.confirm(booking),
            lambda: api.as_(client).patch(path, {"notes": "x", "address": "y", "location": {"lat": 1, "lng": 2}}),
            lambda: shop.move(booking, client, shop.tomorrow + DAY),
            lambda: shop.confirm(booking),
            lambda: progress.unconfirm_booking(actor=shop.provider.actor, booking_id=booking.pk, now=shop.now),
            lambda: shop.cancel(booking, client, "ill"),
        )
        for step in steps:
            step()
            told, read = apply_news(), api.as_(client).get(path).body
            assert {name: told[name] for name in SHARED} == {name: read[name] for name in SHARED}
            assert told["resource"] == read["resource"]


class TestJobs:
    @pytest.mark.parametrize("minutes", [15, 24 * 60 + 30])
    def test_run_twice_do_what_they_do_once(self, shop: Shop, minutes: int) -> None:
        """T3 for take_next_step. Seen red when the row's next step is not looked at again."""
        booking = shop.book()
        shop.at.forward(minutes=minutes)
        run = jobs.definition("scheduling.take_next_step").run
        run(now=shop.now, booking_id=booking.pk, unknown="ignored")
        before = everything()
        run(now=shop.now, booking_id=booking.pk)
        assert everything() == before

    def test_ignore_what_is_gone(self, shop: Shop) -> None:
        before = everything()
        jobs.definition("scheduling.take_next_step").run(now=shop.now, booking_id=10**9)
        jobs.definition("scheduling.push_openings").run(now=shop.now, provider_id=shop.provider.id)
        assert everything() == before

    def test_tell_the_catalogue_once(self, shop: Shop) -> None:
        """T3 for push_openings and roll_openings."""
        shop.book()
        push = jobs.definition("scheduling.push_openings").run
        push(now=shop.now, provider_id=shop.provider.id)
        before = everything()
        push(now=shop.now + HOUR, provider_id=shop.provider.id)
        assert everything() == before
        for _ in range(2):
            jobs.definition("scheduling.roll_openings").run(now=shop.now)
        push(now=shop.now, provider_id=shop.provider.id)
        assert everything()["catalog_calendar_openings"] == before["catalog_calendar_openings"]

    def test_every_open_booking_has_one_waiting(self, shop: Shop) -> None:
        """T4: what is due is a row of the booking's own transaction."""
        booking = shop.confirm(shop.book())
        assert booking.next_step_at is not None
        assert JobRow.objects.filter(
            name="scheduling.take_next_step", status="pending", run_at=booking.next_step_at
        ).exists()


class TestPeople:
    def test_of_a_booking_may_talk_about_it(self, shop: Shop) -> None:
        client, crew = shop.client(), shop.client(roles=["crew"])
        shop.chair(user=crew.user)
        booking = shop.book(client)
        about = SUBJECT_PEOPLE.about("booking")
        assert about(booking.pk) == frozenset({client.id, shop.provider.id, crew.id})
        assert about(10**9) is None

    def test_cannot_leave_while_something_is_ahead(self, shop: Shop) -> None:
        client = shop.client()
        booking = shop.book(client)
        for member in (client, shop.provider):
            found = [one.code for one in personal_data.obstacles_of(member.id)]
            assert "open_bookings" in found
        shop.cancel(booking, client)
        assert "open_bookings" not in [one.code for one in personal_data.obstacles_of(client.id)]

    def test_take_what_is_theirs_with_them(self, shop: Shop) -> None:
        client = shop.client()
        booking = shop.book(client, notes="Mine")
        parts = {part.name: list(part.rows or ()) for part in personal_data.parts_of(client.id)}
        (row,) = parts["scheduling/bookings.json"]
        assert (row["id"], row["notes"]) == (booking.pk, "Mine")
        assert parts["scheduling/availability.json"] == []

    def test_are_forgotten(self, shop: Shop) -> None:
        client = shop.client()
        booking = shop.cancel(shop.book(client, notes="Mine", address="Here"), client, "ill")
        shop.terms(notify_emails=["shop@example.org"])
        links.link_of(actor=client.actor, now=shop.now)
        for member in (client, shop.provider):
            for _ in range(2):
                personal_data.erase(user_id=member.id, now=shop.now)
        left = Booking.objects.get(pk=booking.pk)
        assert (left.notes, left.address, left.reason, left.status) == ("", "", "", "cancelled")
        assert not Policy.objects.exists()
        assert not Availability.objects.exists()
        assert not CalendarLink.objects.exists()
        assert not Move.objects.exists()


class TestPublic:
    def test_names_the_plain_addresses_of_a_shop(self, shop: Shop) -> None:
        assert public.notify_emails_of(shop.provider.id) == ()
        shop.terms(notify_emails=["shop@example.org"])
        assert public.notify_emails_of(shop.provider.id) == ("shop@example.org",)


class TestDemoShop:
    def test_has_three_chairs_and_a_booking_at_each(self, shop: Shop) -> None:
        client = shop.client()
        public.open_demo_shop(
            provider_id=shop.provider.id, client_id=client.id, time_zone="Africa/Algiers", now=shop.now
        )
        assert sorted(Booking.objects.values_list("status", "resource__name")) == [
            ("confirmed", "Back chair"),
            ("confirmed", "Middle chair"),
            ("requested", "Window chair"),
        ]
        assert Availability.objects.count() == 6

"""A shop with a barber or several, clients, and bookings brought to any state. The clock is pinned."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from backend.catalog.models import Provider, Service
from backend.core.models import EventRow, JobRow
from backend.core.tokens import mint_access
from backend.scheduling.models import Booking, Policy, Resource
from backend.scheduling.rules import Terms
from backend.scheduling.services import booking as booking_
from backend.scheduling.services import moving, progress, resources, timers
from backend.scheduling.services.booking import Wanted
from backend.scheduling.services.moving import NewTime
from tests.conftest import Moment
from tests.support.people import Member, make_member

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Shop:
    """A provider and what they say; `now` is a Wednesday, 9:30."""

    def __init__(self, moment: Moment) -> None:
        self.at = moment
        self.provider = make_member("contractor", name="Bab Azzoun Barbers", now=moment.now)

    @property
    def now(self) -> datetime:
        return self.at.now

    @property
    def tomorrow(self) -> datetime:
        """Thursday, 10:00."""
        return datetime(2030, 5, 16, 10, tzinfo=self.now.tzinfo)

    def client(self, **fields: Any) -> Member:
        return make_member("client", now=self.now, **fields)

    def manager(self) -> Member:
        return make_member("manager", now=self.now)

    def awake(self, member: Member) -> Member:
        """The same person with a token of the present."""
        roles = frozenset(member.user.roles)
        access = mint_access(user_id=member.id, session_id=member.session.pk, roles=roles, now=self.now)
        return replace(member, access=access)

    def terms(self, **terms: Any) -> None:
        values = {name: getattr(Terms(), name) for name in Terms.__dataclass_fields__}
        values = {**values, **terms, "notify_emails": list(terms.get("notify_emails", ()))}
        Policy.objects.update_or_create(provider_id=self.provider.id, defaults={**values, "updated_at": self.now})

    def chair(self, name: str = "Chair", **fields: Any) -> Resource:
        return Resource.objects.create(
            provider_id=self.provider.id, name=name, created_at=self.now, updated_at=self.now, **fields
        )

    def chairs(self) -> list[Resource]:
        return resources.resources_of(provider_id=self.provider.id, now=self.now)

    def book(self, client: Member | None = None, starts_at: datetime | None = None, **wanted: Any) -> Booking:
        start = starts_at or self.tomorrow
        fields: dict[str, Any] = {"provider_id": self.provider.id, "ends_at": start + HOUR, **wanted}
        wish = Wanted(starts_at=start, **fields)
        return booking_.book(actor=(client or self.client()).actor, wanted=wish, now=self.now)

    def priced(self, client: Member, starts_at: datetime, **terms: Any) -> Booking:
        """A confirmed booking that costs 20.00 USD."""
        self.terms(**terms)
        booking = self.book(client, starts_at)
        Booking.objects.filter(pk=booking.pk).update(price_minor=2000, currency="USD")
        return self.confirm(booking)

    def confirm(self, booking: Booking, by: Member | None = None) -> Booking:
        return progress.confirm_booking(actor=(by or self.provider).actor, booking_id=booking.pk, now=self.now)

    def cancel(self, booking: Booking, by: Member, reason: str = "") -> Booking:
        return progress.cancel_booking(actor=by.actor, booking_id=booking.pk, reason=reason, now=self.now)

    def move(self, booking: Booking, by: Member, starts_at: datetime, **time: Any) -> Booking:
        new = NewTime(starts_at=starts_at, **time)
        return moving.reschedule_booking(actor=by.actor, booking_id=booking.pk, time=new, now=self.now)

    def tick(self, booking: Booking, until: datetime | None = None) -> Booking:
        """The timetable at work: everything that is due until now, each at its time."""
        end = until or self.now
        while (row := self._due(booking, end)) is not None:
            timers.take_next_step(booking_id=booking.pk, now=max(row.run_at, min(self.now, end)))
            JobRow.objects.filter(pk=row.pk).update(status="done")
        return Booking.objects.get(pk=booking.pk)

    @staticmethod
    def _due(booking: Booking, end: datetime) -> JobRow | None:
        rows = JobRow.objects.filter(name="scheduling.take_next_step", status="pending", run_at__lte=end)
        return rows.filter(arguments__booking_id=booking.pk).order_by("run_at").first()

    @staticmethod
    def told(member: Member, kind: str) -> list[dict[str, Any]]:
        """The events of a type in this person's room, in order."""
        rows = EventRow.objects.filter(room=f"user:{member.id}", type=kind).order_by("id")
        return [json.loads(row.data) for row in rows]


def fresh(booking: Booking) -> Booking:
    return Booking.objects.get(pk=booking.pk)


def service_of(shop: Shop, **fields: Any) -> int:
    """Something that this shop offers."""
    values = {
        "title": "Haircut",
        "price": 1500,
        "price_thousandths": 15000,
        "currency": "USD",
        "duration_minutes": 30,
        **fields,
    }
    shown = {"name": "Shop", "city": "", "is_listed": True, "created_at": shop.now, "updated_at": shop.now}
    Provider.objects.get_or_create(user=shop.provider.user, defaults=shown)
    made = Service(provider_id=shop.provider.id, created_at=shop.now, updated_at=shop.now, **values)
    made.save()
    return made.pk


@pytest.fixture
def shop(db: None, at: Moment) -> Shop:
    return Shop(at)

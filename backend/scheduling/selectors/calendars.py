"""A provider's calendars: terms, chairs, hours, times off, and what is held of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from django.db.models import QuerySet

from backend.accounts import public as accounts
from backend.core.actor import PROVIDERS, Actor
from backend.core.errors import NotFound
from backend.core.hot import HotQuery, as_model, columns_of
from backend.scheduling import slots
from backend.scheduling.models import Availability, Booking, Policy, Resource, TimeOff
from backend.scheduling.rules import Terms
from backend.scheduling.selectors.bookings import ENDS_OF_BLOCKED, LONGEST_SPAN
from backend.scheduling.slots import Hours, Period

_DEFAULTS = Terms()


_TERMS = HotQuery(
    lambda provider: Policy.objects.filter(pk=provider).values_list(*Terms.__dataclass_fields__), provider=int
)


def terms_of(provider_id: int) -> Terms:
    """On what terms this provider takes bookings. One compiled query."""
    row = _TERMS.row(provider=provider_id)
    return Terms(*row) if row else _DEFAULTS


NEVER_SAID = 0
"""The version of the terms of who never said anything."""


def policy_of(provider_id: int) -> Policy:
    """The terms as a row; of who never said anything, one that is not kept. One query."""
    values = {name: getattr(_DEFAULTS, name) for name in Terms.__dataclass_fields__}
    kept = Policy.objects.filter(pk=provider_id).first()
    return kept or Policy(provider_id=provider_id, version=NEVER_SAID, **values)


def resources_of(provider_id: int, *, active_only: bool = False) -> QuerySet[Resource]:
    rows = Resource.objects.filter(provider_id=provider_id, deleted_at=None).order_by("id")
    return rows.filter(is_active=True) if active_only else rows


_CHAIRS = HotQuery(
    lambda provider: (
        Resource.objects.filter(provider_id=provider, deleted_at=None).order_by("id").values_list(*columns_of(Resource))
    ),
    provider=int,
)


def chairs_of(provider_id: int) -> list[Resource]:
    """The same rows, for reckoning. One compiled query."""
    return [as_model(Resource, row) for row in _CHAIRS.rows(provider=provider_id)]


NOT_MADE_YET = 0
"""The chair of a provider whom nobody ever booked, and whose calendars nobody looked at."""


def bookable_chairs_of(provider_id: int, *, resource_id: int | None = None, service_id: int | None = None) -> list[int]:
    """The chairs that take bookings: all of them, or this one, or those for a service. One compiled query."""
    rows = chairs_of(provider_id)
    if not rows:
        return [NOT_MADE_YET] if resource_id is None else []
    return [
        one.pk
        for one in rows
        if one.is_active
        and resource_id in {None, one.pk}
        and (not one.service_ids or service_id is None or service_id in one.service_ids)
    ]


def chairs_and_services_of(provider_id: int) -> list[tuple[int, Sequence[int]]]:
    """The chairs that take bookings, each with what is done there (none named: everything). One compiled query."""
    rows = chairs_of(provider_id)
    return [(one.pk, one.service_ids) for one in rows if one.is_active] if rows else [(NOT_MADE_YET, ())]


def must_be_provider(provider_id: int) -> None:
    """Raises NotFound for who is none. One query."""
    if PROVIDERS.isdisjoint(accounts.roles_of([provider_id]).get(provider_id, ())):
        raise NotFound


def get_own_resource(actor: Actor, resource_id: int, *, lock: bool = False) -> Resource:
    """A chair of this provider, or of any for managers. Raises NotFound. One query."""
    rows = Resource.objects.select_for_update(no_key=True) if lock else Resource.objects
    resource = rows.filter(pk=resource_id, deleted_at=None).first()
    if resource is None or not (actor.is_manager or resource.provider_id == actor.id):
        raise NotFound
    return resource


def list_availability(provider_id: int) -> QuerySet[Availability]:
    return Availability.objects.filter(provider_id=provider_id).order_by("day_of_week", "date", "start_time", "id")


def get_availability(availability_id: int, *, lock: bool = False) -> Availability:
    """Anybody's hours: they are no secret. Raises NotFound. One query."""
    rows = Availability.objects.select_for_update() if lock else Availability.objects
    found = rows.filter(pk=availability_id).first()
    if found is None:
        raise NotFound
    return found


def list_time_off_of(actor: Actor) -> QuerySet[TimeOff]:
    return TimeOff.objects.filter(provider_id=actor.id).order_by("starts_at", "id")


def get_own_time_off(actor: Actor, time_off_id: int) -> TimeOff:
    """Raises NotFound. One query."""
    found = TimeOff.objects.filter(pk=time_off_id).first()
    if found is None or not (actor.is_manager or found.provider_id == actor.id):
        raise NotFound
    return found


@dataclass(frozen=True)
class Calendars:
    """When a provider's chairs are open during a period."""

    period: Period
    hours: Mapping[int | None, Sequence[Hours]]
    """By chair; None: of those that have none of their own."""
    off: Mapping[int | None, Sequence[Period]]
    """By chair; None: all of them."""

    def hours_of(self, resource_id: int) -> Sequence[Hours]:
        return self.hours.get(resource_id) or self.hours.get(None, ())

    def open_at(self, resource_id: int) -> list[Period]:
        """When this chair takes bookings, times off not yet taken away."""
        return self._open[resource_id] if resource_id in self._open else self._open[None]

    @cached_property
    def _open(self) -> Mapping[int | None, list[Period]]:
        """Reckoned once for all the chairs that have no hours of their own."""
        found = {chair: slots.open_periods(hours, self.period) for chair, hours in self.hours.items()}
        return {None: slots.any_time(self.period), **found}

    def off_at(self, resource_id: int) -> list[Period]:
        return slots.merged([*self.off.get(None, ()), *self.off.get(resource_id, ())])

    def free_at(self, resource_id: int) -> list[Period]:
        """When this chair takes bookings, whether or not somebody has them."""
        return slots.without(self.open_at(resource_id), self.off_at(resource_id))


_HOURS = HotQuery(
    lambda provider: (
        Availability.objects.filter(provider_id=provider)
        .order_by("id")
        .values_list("resource_id", "day_of_week", "date", "start_time", "end_time", "time_zone")
    ),
    provider=int,
)
_OFF = HotQuery(
    lambda provider, since, until: (
        TimeOff.objects.filter(provider_id=provider, ends_at__gt=since, starts_at__lt=until)
        .order_by("id")
        .values_list("resource_id", "starts_at", "ends_at")
    ),
    provider=int,
    since=datetime,
    until=datetime,
)
_HELD_OF_PROVIDER = HotQuery(
    lambda provider, since, until: (
        Booking.objects.filter(provider_id=provider, holds_slot=True, starts_at__gt=since, starts_at__lt=until)
        .order_by("starts_at")
        .values_list("resource_id", *ENDS_OF_BLOCKED)
    ),
    provider=int,
    since=datetime,
    until=datetime,
)


def calendars_of(provider_id: int, period: Period) -> Calendars:
    """Two compiled queries."""
    hours: dict[int | None, list[Hours]] = {}
    for resource_id, day_of_week, on, start, end, time_zone in _HOURS.rows(provider=provider_id):
        hours.setdefault(resource_id, []).append(Hours(start, end, time_zone, day_of_week, on))
    off: dict[int | None, list[Period]] = {}
    for resource_id, starts_at, ends_at in _OFF.rows(provider=provider_id, since=period[0], until=period[1]):
        off.setdefault(resource_id, []).append((starts_at, ends_at))
    return Calendars(period, hours, off)


def held_of(provider_id: int, period: Period) -> dict[int, list[Period]]:
    """What bookings hold of the provider's chairs around a period, buffers included, by chair. One compiled query."""
    since, until = period[0] - LONGEST_SPAN, period[1] + LONGEST_SPAN
    held: dict[int, list[Period]] = {}
    for resource_id, begins, ends in _HELD_OF_PROVIDER.rows(provider=provider_id, since=since, until=until):
        held.setdefault(resource_id, []).append((begins, ends))
    return held


def is_touched(held: Sequence[Period], start: datetime, end: datetime) -> bool:
    """Whether one of these periods has a moment in common with this one."""
    return any(begins < end and start < ends for begins, ends in held)


def load_on(held: Collection[Period], at: datetime, margin: timedelta = timedelta(hours=12)) -> int:
    """How busy a chair is around a moment: its bookings from twelve hours before to twelve hours after."""
    return sum(at - margin < begins < at + margin for begins, _ in held)


def notify_emails_of(provider_id: int) -> tuple[str, ...]:
    """Plain addresses that want to hear of a provider's new bookings. One query."""
    return tuple(terms_of(provider_id).notify_emails)


def providers_with_calendars(*, after: int, most: int) -> list[int]:
    """The ids of those who ever took bookings or said when they do, in order, from behind this one on. One query."""
    resources, *others = (
        model.objects.filter(provider_id__gt=after).values_list("provider_id", flat=True)
        for model in (Resource, Availability, TimeOff, Policy)
    )
    return list(resources.union(*others).order_by("provider_id")[:most])

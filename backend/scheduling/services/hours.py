"""Opening hours, times off and terms, as a provider says them."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db import transaction
from django.db.models import F

from backend.accounts import public as accounts
from backend.core.actor import Actor
from backend.core.errors import Forbidden, PreconditionFailed, invalid_field
from backend.scheduling.errors import TooMany
from backend.scheduling.models import Availability, Policy, TimeOff
from backend.scheduling.rules import Terms
from backend.scheduling.selectors import calendars
from backend.scheduling.services.resources import note_help
from backend.scheduling.services.steps import openings_changed

MOST_HOURS = 400
MOST_TIMES_OFF = 400
LONGEST_TIME_OFF = timedelta(days=731)


@dataclass(frozen=True, slots=True)
class WantedHours:
    """Hours of a weekday (0 is Monday) or of one date; no time zone: the policy's; no resource: all chairs."""

    start_time: time
    end_time: time
    day_of_week: int | None = None
    on: date | None = None
    time_zone: str | None = None
    resource_id: int | None = None


@transaction.atomic
def add_hours(*, actor: Actor, hours: WantedHours, now: datetime) -> Availability:
    """Raises TooMany, or 422 for a chair that is not theirs."""
    accounts.hold_active([actor.id])
    if Availability.objects.filter(provider_id=actor.id).count() >= MOST_HOURS:
        raise TooMany
    added = Availability.objects.create(
        provider_id=actor.id, **_columns(actor.id, hours), created_at=now, updated_at=now
    )
    openings_changed(actor.id, now=now)
    return added


@transaction.atomic
def replace_hours(
    *, actor: Actor, availability_id: int, hours: WantedHours, versions: frozenset[int] | None, now: datetime
) -> Availability:
    """Raises NotFound, Forbidden for who may only see them, PreconditionFailed, or 422."""
    found = _own_hours(actor, availability_id)
    if versions is not None and found.version not in versions:
        raise PreconditionFailed
    for name, value in _columns(found.provider_id, hours).items():
        setattr(found, name, value)
    found.version, found.updated_at = found.version + 1, now
    found.save()
    openings_changed(found.provider_id, now=now)
    note_help(actor, found.provider_id, "hours_changed", f"availability:{found.pk}", now=now)
    return found


@transaction.atomic
def delete_hours(*, actor: Actor, availability_id: int, now: datetime) -> None:
    """Raises NotFound, or Forbidden for who may only see them."""
    found = _own_hours(actor, availability_id)
    found.delete()
    openings_changed(found.provider_id, now=now)
    note_help(actor, found.provider_id, "hours_deleted", f"availability:{availability_id}", now=now)


def _own_hours(actor: Actor, availability_id: int) -> Availability:
    """Locked."""
    found = calendars.get_availability(availability_id, lock=True)
    if found.provider_id != actor.id and not actor.is_manager:
        raise Forbidden
    return found


def _columns(provider_id: int, hours: WantedHours) -> dict[str, object]:
    check_chair(provider_id, hours.resource_id)
    return {
        "resource_id": hours.resource_id,
        "day_of_week": hours.day_of_week,
        "date": hours.on,
        "start_time": hours.start_time,
        "end_time": hours.end_time,
        "time_zone": hours.time_zone or calendars.terms_of(provider_id).time_zone,
    }


def check_chair(provider_id: int, resource_id: int | None) -> None:
    if resource_id is not None and not calendars.resources_of(provider_id).filter(pk=resource_id).exists():
        raise invalid_field("body.resource", "the provider has no such calendar")


@transaction.atomic
def add_time_off(
    *,
    actor: Actor,
    starts_at: datetime,
    ends_at: datetime,
    reason: str = "",
    resource_id: int | None = None,
    now: datetime,
) -> TimeOff:
    """A period without new bookings; those that there are stay. Raises TooMany or 422."""
    if ends_at <= starts_at:
        raise invalid_field("body.ends_at", "the end comes after the start")
    if ends_at - starts_at > LONGEST_TIME_OFF:
        raise invalid_field("body.ends_at", "two years at most")
    accounts.hold_active([actor.id])
    check_chair(actor.id, resource_id)
    if TimeOff.objects.filter(provider_id=actor.id, ends_at__gt=now).count() >= MOST_TIMES_OFF:
        raise TooMany
    added = TimeOff.objects.create(
        provider_id=actor.id,
        resource_id=resource_id,
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason,
        created_at=now,
    )
    openings_changed(actor.id, now=now)
    return added


@transaction.atomic
def delete_time_off(*, actor: Actor, time_off_id: int, now: datetime) -> None:
    """Raises NotFound."""
    found = calendars.get_own_time_off(actor, time_off_id)
    found.delete()
    openings_changed(found.provider_id, now=now)
    note_help(actor, found.provider_id, "time_off_deleted", f"time_off:{time_off_id}", now=now)


@transaction.atomic
def set_terms(*, actor: Actor, terms: Terms, versions: frozenset[int] | None = None, now: datetime) -> Policy:
    """Say on what terms bookings are taken from now on; those that there are keep theirs.

    Raises PreconditionFailed (the present version is none of `versions`).
    """
    accounts.hold_active([actor.id])
    values = {name: getattr(terms, name) for name in Terms.__dataclass_fields__}
    values["notify_emails"] = list(terms.notify_emails)
    rows = Policy.objects.select_for_update(no_key=True)
    policy, is_new = rows.get_or_create(provider_id=actor.id, defaults={**values, "updated_at": now})
    if versions is not None and (calendars.NEVER_SAID if is_new else policy.version) not in versions:
        raise PreconditionFailed
    if not is_new:
        Policy.objects.filter(pk=policy.pk).update(**values, version=F("version") + 1, updated_at=now)
        policy.refresh_from_db()
    openings_changed(actor.id, now=now)
    return policy

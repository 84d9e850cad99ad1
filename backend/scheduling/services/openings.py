"""What the catalogue knows of when a provider is free: one set of periods, kept up to date behind every change."""

from datetime import datetime, timedelta

from django.db import transaction

from backend.catalog import public as catalog
from backend.core.jobs import enqueue
from backend.scheduling import slots
from backend.scheduling.models import StaleOpenings
from backend.scheduling.selectors import calendars
from backend.scheduling.services.steps import openings_changed
from backend.scheduling.slots import Period


@transaction.atomic
def push_openings(*, provider_id: int, now: datetime) -> None:
    """Tell the catalogue, unless somebody did since the change. Doing it twice is doing it once."""
    stale, _ = StaleOpenings.objects.filter(provider_id=provider_id).delete()
    if stale:
        openings = openings_of(provider_id, now=now)
        catalog.set_openings(provider_id=provider_id, openings=openings, now=now)


def openings_of(provider_id: int, *, now: datetime) -> list[Period] | None:
    """When at least one of a provider's chairs is free, from now to the horizon; None: always."""
    terms = calendars.terms_of(provider_id)
    period = (now, now + timedelta(days=terms.horizon_days))
    calendar = calendars.calendars_of(provider_id, period)
    held = calendars.held_of(provider_id, period)
    if not (calendar.hours or calendar.off or held):
        return None
    chairs = calendars.resources_of(provider_id, active_only=True).values_list("pk", flat=True)
    return slots.merged(
        free for chair in chairs for free in slots.without(calendar.free_at(chair), slots.merged(held.get(chair, ())))
    )


BATCH = 500


@transaction.atomic
def roll_openings(*, after: int, now: datetime) -> None:
    """Let every provider's openings reach as far ahead as they should: once a day, in batches by id."""
    ids = list(calendars.providers_with_calendars(after=after)[:BATCH])
    for provider_id in ids:
        openings_changed(provider_id, now=now)
    if len(ids) == BATCH:
        enqueue("scheduling.roll_openings", now=now, after=ids[-1])

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


def openings_of(provider_id: int, *, now: datetime) -> list[Period]:
    """When at least one of a provider's chairs is free, from the notice that they want to their horizon.

    It is one set for all the chairs together: where one is free from 9 to 10 and another from 10 to 11, the provider
    counts as free from 9 to 11, though no single booking of two hours fits; the free slots say so exactly.
    """
    terms = calendars.terms_of(provider_id)
    period = (now + timedelta(minutes=terms.minimum_notice_minutes), now + timedelta(days=terms.horizon_days))
    if period[0] >= period[1]:
        return []
    calendar = calendars.calendars_of(provider_id, period)
    held = calendars.held_of(provider_id, period)
    return slots.merged(
        free
        for chair in calendars.bookable_chairs_of(provider_id)
        for free in slots.without(calendar.free_at(chair), slots.merged(held.get(chair, ())))
    )


BATCH = 500


@transaction.atomic
def roll_openings(*, after: int, now: datetime) -> None:
    """Let every provider's openings reach as far ahead as they should: once a day, in batches by id."""
    ids = calendars.providers_with_calendars(after=after, most=BATCH)
    for provider_id in ids:
        openings_changed(provider_id, now=now)
    if len(ids) == BATCH:
        enqueue("scheduling.roll_openings", now=now, after=ids[-1])

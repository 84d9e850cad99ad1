"""What the catalogue knows of when a provider is free: one set of periods, kept up to date behind every change."""

from datetime import datetime, timedelta

from django.db import transaction

from backend.catalog import public as catalog
from backend.catalog.public import OpenCalendar
from backend.core.jobs import enqueue
from backend.scheduling import slots
from backend.scheduling.models import StaleOpenings
from backend.scheduling.selectors import calendars
from backend.scheduling.services.steps import openings_changed


@transaction.atomic
def push_openings(*, provider_id: int, now: datetime) -> None:
    """Tell the catalogue, unless somebody did since the change. Doing it twice is doing it once.

    Of two who tell at once, the later one waits for the rows that the earlier one deletes: nothing old is told last.
    """
    stale, _ = StaleOpenings.objects.filter(provider_id=provider_id).delete()
    if stale:
        told = openings_of(provider_id, now=now)
        catalog.set_openings(provider_id=provider_id, calendars=told, now=now)


def openings_of(provider_id: int, *, now: datetime) -> list[OpenCalendar]:
    """When each of a provider's chairs can be booked, from the notice that they want to their horizon.

    A booking fits exactly where it lies within one of these periods: of each that is held, the buffers of who comes
    before and after are taken away beside its own. Chairs that are alike count once.
    """
    terms = calendars.terms_of(provider_id)
    period = (now + timedelta(minutes=terms.minimum_notice_minutes), now + timedelta(days=terms.horizon_days))
    if period[0] >= period[1]:
        return []
    calendar = calendars.calendars_of(provider_id, period)
    held = calendars.held_of(provider_id, period)
    found = []
    for chair, service_ids in calendars.chairs_and_services_of(provider_id):
        taken = slots.merged((begins - terms.after, ends + terms.before) for begins, ends in held.get(chair, ()))
        free = slots.without(calendar.free_at(chair), taken)
        found.append(OpenCalendar(tuple(free), tuple(sorted(service_ids)), terms.minimum_notice_minutes))
    return list(dict.fromkeys(found))


BATCH = 500


@transaction.atomic
def roll_openings(*, after: int, now: datetime) -> None:
    """Let every provider's openings reach as far ahead as they should: once a day, in batches by id."""
    ids = calendars.providers_with_calendars(after=after, most=BATCH)
    for provider_id in ids:
        openings_changed(provider_id, now=now)
    if len(ids) == BATCH:
        enqueue("scheduling.roll_openings", now=now, after=ids[-1])

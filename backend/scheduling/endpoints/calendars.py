"""When a provider takes bookings, of what, and on what terms."""

from datetime import timedelta
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from ninja import Query
from ninja.decorators import decorate_view
from ninja.responses import Status

from backend.core import auth, clock, etags
from backend.core.errors import Forbidden, PreconditionFailed
from backend.core.idempotency import idempotent
from backend.core.openapi import problems
from backend.core.pagination import PageIn, paginate
from backend.core.schemas import Id, Page
from backend.scheduling.endpoints.router import router
from backend.scheduling.errors import LastResource, ResourceInUse, TooMany
from backend.scheduling.models import Availability, Policy, Resource
from backend.scheduling.rules import Terms
from backend.scheduling.schemas.calendars import (
    AvailabilityFiltersIn,
    OpeningHoursIn,
    OpeningHoursOut,
    PolicyIn,
    PolicyOut,
    ResourceChangesIn,
    ResourceIn,
    ResourceOut,
    SlotFiltersIn,
    SlotsOut,
    TimeOffIn,
    TimeOffOut,
)
from backend.scheduling.selectors import calendars, free
from backend.scheduling.selectors.free import Asked
from backend.scheduling.services import hours, resources
from backend.scheduling.services.hours import WantedHours
from backend.scheduling.services.resources import Chair

WEEK = timedelta(days=7)


def _hours(row: Availability) -> dict[str, Any]:
    names = ("id", "version", "provider_id", "resource_id", "day_of_week", "date", "time_zone")
    return {
        **{name: getattr(row, name) for name in names},
        "start_time": f"{row.start_time:%H:%M}",
        "end_time": f"{row.end_time:%H:%M}",
        "is_recurring": row.date is None,
    }


def _wanted(payload: OpeningHoursIn) -> WantedHours:
    return WantedHours(
        start_time=payload.starts,
        end_time=payload.ends,
        day_of_week=payload.day_of_week,
        on=payload.date,
        time_zone=payload.time_zone,
        resource_id=payload.resource,
    )


@router.get("/availability/", response=Page[OpeningHoursOut], auth=auth.any_user, operation_id="listAvailability")
def list_availability(request: HttpRequest, filters: Query[AvailabilityFiltersIn]) -> dict[str, Any]:
    """Opening hours: one's own, or a provider's."""
    rows = calendars.list_availability(filters.provider or auth.actor(request).id)
    return paginate(request, rows, filters, out=_hours)


@router.post(
    "/availability/",
    response={201: OpeningHoursOut},
    auth=auth.provider,
    operation_id="addAvailability",
    openapi_extra=problems(TooMany),
)
@decorate_view(idempotent)
def add_availability(request: HttpRequest, payload: OpeningHoursIn) -> Status[dict[str, Any]]:
    """Add opening hours, by the clock on the wall: every week on a day, or on one date.

    A date with hours of its own has none of its weekly ones. Without any hours one can be booked at any time.
    """
    added = hours.add_hours(actor=auth.actor(request), hours=_wanted(payload), now=clock.now())
    return Status(201, _hours(added))


@router.get(
    "/availability/{availability_id}/", response=OpeningHoursOut, auth=auth.any_user, operation_id="readAvailabilityOf"
)
def read_availability(request: HttpRequest, response: HttpResponse, availability_id: Id) -> dict[str, Any]:
    """One of somebody's opening hours."""
    found = calendars.get_availability(availability_id)
    etags.tag(response, found.version)
    return _hours(found)


@router.put(
    "/availability/{availability_id}/",
    response=OpeningHoursOut,
    auth=auth.any_user,
    operation_id="replaceAvailability",
    openapi_extra=problems(Forbidden, PreconditionFailed),
)
def replace_availability(
    request: HttpRequest, availability_id: Id, payload: OpeningHoursIn, if_match: etags.IfMatch = None
) -> dict[str, Any]:
    """Replace some of one's opening hours by others."""
    replaced = hours.replace_hours(
        actor=auth.actor(request),
        availability_id=availability_id,
        hours=_wanted(payload),
        versions=etags.wanted_versions(if_match),
        now=clock.now(),
    )
    return _hours(replaced)


@router.delete(
    "/availability/{availability_id}/",
    response={204: None},
    auth=auth.any_user,
    operation_id="deleteAvailability",
    openapi_extra=problems(Forbidden),
)
def delete_availability(request: HttpRequest, availability_id: Id) -> Status[None]:
    """Take away some of one's opening hours."""
    hours.delete_hours(actor=auth.actor(request), availability_id=availability_id, now=clock.now())
    return Status(204, None)


@router.get("/time-off/", response=Page[TimeOffOut], auth=auth.provider, operation_id="listTimeOff")
def list_time_off(request: HttpRequest, filters: Query[PageIn]) -> dict[str, Any]:
    """My times without bookings."""
    return paginate(request, calendars.list_time_off_of(auth.actor(request)), filters)


@router.post(
    "/time-off/",
    response={201: TimeOffOut},
    auth=auth.provider,
    operation_id="addTimeOff",
    openapi_extra=problems(TooMany),
)
@decorate_view(idempotent)
def add_time_off(request: HttpRequest, payload: TimeOffIn) -> Status[Any]:
    """Take no new bookings for a period. Those that there are stay: move or cancel them."""
    added = hours.add_time_off(
        actor=auth.actor(request),
        starts_at=payload.starts_at,
        ends_at=payload.ends_at,
        reason=payload.reason,
        resource_id=payload.resource,
        now=clock.now(),
    )
    return Status(201, added)


@router.delete("/time-off/{time_off_id}/", response={204: None}, auth=auth.any_user, operation_id="deleteTimeOff")
def delete_time_off(request: HttpRequest, time_off_id: Id) -> Status[None]:
    """Take bookings again."""
    hours.delete_time_off(actor=auth.actor(request), time_off_id=time_off_id, now=clock.now())
    return Status(204, None)


def _resource(row: Resource) -> dict[str, Any]:
    names = ("id", "provider_id", "name", "is_active", "user_id")
    return {**{name: getattr(row, name) for name in names}, "services": row.service_ids}


@router.get("/me/resources/", response=Page[ResourceOut], auth=auth.provider, operation_id="listMyResources")
def list_my_resources(request: HttpRequest, filters: Query[PageIn]) -> dict[str, Any]:
    """My chairs, rooms and barbers, each with a calendar of its own. One is there from the beginning."""
    rows = resources.resources_of(provider_id=auth.actor(request).id, now=clock.now())
    return paginate(request, rows, filters, out=_resource)


@router.post(
    "/me/resources/",
    response={201: ResourceOut},
    auth=auth.provider,
    operation_id="addResource",
    openapi_extra=problems(TooMany),
)
@decorate_view(idempotent)
def add_resource(request: HttpRequest, payload: ResourceIn) -> Status[dict[str, Any]]:
    """Add a chair. A crew member named as its `user` acts as provider on its bookings."""
    chair = Chair(payload.name, payload.is_active, payload.services, payload.user)
    return Status(201, _resource(resources.add_resource(actor=auth.actor(request), chair=chair, now=clock.now())))


@router.patch("/me/resources/{resource_id}/", response=ResourceOut, auth=auth.any_user, operation_id="updateResource")
def update_resource(request: HttpRequest, resource_id: Id, payload: ResourceChangesIn) -> dict[str, Any]:
    """Change a chair. What is left out stays."""
    columns = {"services": "service_ids", "user": "user_id"}
    changes = {columns.get(name, name): getattr(payload, name) for name in payload.model_fields_set}
    changed = resources.update_resource(
        actor=auth.actor(request), resource_id=resource_id, changes=changes, now=clock.now()
    )
    return _resource(changed)


@router.delete(
    "/me/resources/{resource_id}/",
    response={204: None},
    auth=auth.any_user,
    operation_id="deleteResource",
    openapi_extra=problems(ResourceInUse, LastResource),
)
def delete_resource(request: HttpRequest, resource_id: Id) -> Status[None]:
    """Take a chair away. It is refused while there are bookings ahead."""
    resources.delete_resource(actor=auth.actor(request), resource_id=resource_id, now=clock.now())
    return Status(204, None)


@router.get(
    "/providers/{provider_id}/resources/", response=Page[ResourceOut], auth=None, operation_id="listProviderResources"
)
def list_resources(request: HttpRequest, provider_id: Id, filters: Query[PageIn]) -> dict[str, Any]:
    """The chairs of a provider that take bookings. Everybody starts with one."""
    rows = resources.shown_resources_of(provider_id=provider_id, now=clock.now())
    return paginate(request, rows, filters, out=_resource)


@router.get("/me/booking-policy/", response=PolicyOut, auth=auth.provider, operation_id="readBookingPolicy")
def read_policy(request: HttpRequest, response: HttpResponse) -> Policy:
    """On what terms I take bookings."""
    policy = calendars.policy_of(auth.actor(request).id)
    etags.tag(response, policy.version)
    return policy


@router.put(
    "/me/booking-policy/",
    response=PolicyOut,
    auth=auth.provider,
    operation_id="setBookingPolicy",
    openapi_extra=problems(PreconditionFailed),
)
def set_policy(request: HttpRequest, payload: PolicyIn, if_match: etags.IfMatch = None) -> Policy:
    """Say on what terms I take bookings from now on. Bookings that there are keep the terms they were made on.

    Until `free_cancellation_hours` before the start a client cancels for nothing, later for `late_fee_percent` of the
    price; who does not come owes `no_show_fee_percent`.
    """
    return hours.set_terms(
        actor=auth.actor(request),
        terms=Terms(**payload.model_dump()),
        versions=etags.wanted_versions(if_match),
        now=clock.now(),
    )


@router.get("/providers/{provider_id}/slots/", response=SlotsOut, auth=None, operation_id="listFreeSlots")
def list_slots(request: HttpRequest, provider_id: Id, filters: Query[SlotFiltersIn]) -> HttpResponse:
    """When a provider is free, in the asked time zone and right across daylight saving. At most 62 days at once.

    A slot begins at every quarter of an hour from an opening on, and lasts as long as the service.
    """
    now = clock.now()
    since = filters.starts_from or now
    asked = Asked(
        starts_from=since,
        starts_before=filters.starts_before or since + WEEK,
        duration=timedelta(minutes=filters.duration_minutes),
        service_id=filters.service,
        resource_id=filters.resource,
        time_zone=filters.time_zone,
    )
    found = free.free_slots_of(provider_id, asked, now=now)
    body = {
        "time_zone": found.time_zone,
        "duration_minutes": found.duration // timedelta(minutes=1),
        "slots": [{"starts_at": start, "ends_at": end, "resources": chairs} for start, end, chairs in found.slots],
    }
    # Up to six thousand slots: they are ours and need no second look.
    return HttpResponse(msgspec.json.encode(body), content_type="application/json; charset=utf-8")

"""A provider's chairs, rooms and barbers."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from backend.accounts import public as accounts
from backend.catalog import public as catalog
from backend.core import audit
from backend.core.actor import Actor, Role
from backend.core.errors import invalid_field
from backend.scheduling.errors import LastResource, ResourceInUse, TooMany
from backend.scheduling.models import Resource
from backend.scheduling.selectors import bookings, calendars
from backend.scheduling.services import steps

MOST_RESOURCES = 50
FIRST_NAME = "Calendar"


def first_resource(provider_id: int, *, now: datetime) -> list[Resource]:
    """The calendar that every provider starts with, made for who has none, unless another has just done so."""
    accounts.hold_active([provider_id])
    Resource.objects.bulk_create(
        [Resource(provider_id=provider_id, name=FIRST_NAME, is_first=True, created_at=now, updated_at=now)],
        ignore_conflicts=True,
    )
    return list(calendars.resources_of(provider_id))


@transaction.atomic
def resources_of(*, provider_id: int, now: datetime) -> list[Resource]:
    """All of a provider's calendars, in order: at least the one that they start with."""
    return list(calendars.resources_of(provider_id)) or first_resource(provider_id, now=now)


def shown_resources_of(*, provider_id: int, now: datetime) -> list[Resource]:
    """Those that anybody may book: at least the one that a provider starts with, unless they switched it off.

    Raises NotFound for who is no provider. Two queries.
    """
    calendars.must_be_provider(provider_id)
    return [one for one in resources_of(provider_id=provider_id, now=now) if one.is_active]


@dataclass(frozen=True, slots=True)
class Chair:
    """What a provider says of a chair. `user_id`: the crew member who works there."""

    name: str
    is_active: bool = True
    service_ids: Collection[int] = ()
    user_id: int | None = None


@transaction.atomic
def add_resource(*, actor: Actor, chair: Chair, now: datetime) -> Resource:
    """Raises TooMany, or 422 for services that are not theirs or somebody who is no crew."""
    accounts.hold_active([actor.id] if chair.user_id is None else [actor.id, chair.user_id])
    _check(actor.id, {"service_ids": chair.service_ids, "user_id": chair.user_id})
    if len(resources_of(provider_id=actor.id, now=now)) >= MOST_RESOURCES:
        raise TooMany(f"A provider has {MOST_RESOURCES} calendars at most.")
    resource = Resource.objects.create(
        provider_id=actor.id,
        name=chair.name,
        is_active=chair.is_active,
        service_ids=sorted(set(chair.service_ids)),
        user_id=chair.user_id,
        created_at=now,
        updated_at=now,
    )
    steps.openings_changed(actor.id, now=now)
    return resource


@transaction.atomic
def update_resource(*, actor: Actor, resource_id: int, changes: dict[str, Any], now: datetime) -> Resource:
    """Change what is given of name, is_active, service_ids and user_id. Raises NotFound or 422."""
    resource = calendars.get_own_resource(actor, resource_id)
    if changes.get("user_id") is not None:
        accounts.hold_active([changes["user_id"]])
    _check(resource.provider_id, changes)
    resource = calendars.get_own_resource(actor, resource_id, lock=True)
    for name, value in changes.items():
        setattr(resource, name, sorted(set(value)) if name == "service_ids" else value)
    resource.updated_at = now
    resource.save(update_fields=[*changes, "updated_at"])
    steps.openings_changed(resource.provider_id, now=now)
    note_help(actor, resource.provider_id, "resource_changed", f"resource:{resource.pk}", now=now, fields=changes)
    return resource


@transaction.atomic
def delete_resource(*, actor: Actor, resource_id: int, now: datetime) -> None:
    """Raises NotFound, ResourceInUse while it has bookings ahead, or LastResource."""
    resource = calendars.get_own_resource(actor, resource_id)
    siblings = calendars.resources_of(resource.provider_id).select_for_update(no_key=True)
    if len(siblings) <= 1:
        raise LastResource
    if bookings.has_bookings_ahead(resource.pk):
        raise ResourceInUse
    Resource.objects.filter(pk=resource.pk).update(deleted_at=now, is_active=False, is_first=False, updated_at=now)
    steps.openings_changed(resource.provider_id, now=now)
    note_help(actor, resource.provider_id, "resource_deleted", f"resource:{resource.pk}", now=now)


def _check(provider_id: int, changes: dict[str, Any]) -> None:
    for service_id in changes.get("service_ids", ()):
        service = catalog.bookable_service(service_id)
        if service is None or service.provider_id != provider_id:
            raise invalid_field("body.services", "the provider has no such service")
    user_id = changes.get("user_id")
    if user_id is not None and Role.CREW not in accounts.roles_of([user_id]).get(user_id, ()):
        raise invalid_field("body.user", "this is nobody who works as crew")


def note_help(
    actor: Actor, owner_id: int, what: str, reference: str, *, now: datetime, fields: Collection[str] = ()
) -> None:
    """Keep in the audit what a manager did to somebody else's."""
    if actor.id != owner_id:
        audit.record(
            actor=actor,
            action=f"scheduling.{what}",
            reference=reference,
            changes={"fields": sorted(fields)} if fields else {},
            now=now,
        )

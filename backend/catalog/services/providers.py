"""Providers' own words about themselves, and what the catalogue copies of their accounts."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from backend.accounts import public as accounts
from backend.catalog import rules
from backend.catalog.models import Provider, ProviderCategory, Service
from backend.catalog.services.categories import hold_path
from backend.core import audit
from backend.core.actor import Actor
from backend.core.errors import PreconditionFailed, invalid_field
from backend.core.geo import Point, project
from backend.core.money import Money
from backend.core.references import make_reference


def lock_provider(user_id: int, *, now: datetime) -> Provider:
    """The provider's row, held until the end of the transaction; made when this is the first they offer.

    Their account is held first, as who deletes it does. Raises NotFound when they are no active provider.
    """
    person = accounts.hold_provider(user_id)
    provider = Provider.objects.select_for_update(no_key=True).filter(pk=user_id).first()
    if provider is None:
        new = Provider(
            user_id=user_id, name=person.name, city=person.city, is_listed=True, created_at=now, updated_at=now
        )
        Provider.objects.bulk_create([new], ignore_conflicts=True)
        provider = Provider.objects.select_for_update(no_key=True).get(pk=user_id)
    return provider


@transaction.atomic
def change_profile(
    *, actor: Actor, changes: Mapping[str, Any], wanted_versions: Collection[int] | None, now: datetime
) -> Provider:
    """Change the given fields of one's own profile; `location` is a Point or None, `hourly_rate` Money or None.

    Raises NotFound, PreconditionFailed, or a 422 for a category that is not there.
    """
    provider = lock_provider(actor.id, now=now)
    if wanted_versions is not None and provider.version not in wanted_versions:
        raise PreconditionFailed
    given = dict(changes)
    if "categories" in given:
        _set_categories(provider, given.pop("categories"))
    for name, value in _columns(given).items():
        setattr(provider, name, value)
    categories = ProviderCategory.objects.filter(provider=provider).count()
    provider.is_onboarded = rules.is_complete(
        business_name=provider.business_name,
        business_description=provider.business_description,
        has_place=provider.position is not None,
        categories=categories,
    )
    provider.version += 1
    provider.updated_at = now
    provider.save()
    audit.record(
        actor=actor,
        action="catalog.profile_changed",
        reference=make_reference("provider", actor.id),
        changes={"fields": sorted(changes)},
        now=now,
    )
    return Provider.objects.get(pk=actor.id)


def follow_person(*, user_id: int, now: datetime) -> None:
    """Take over what accounts says of this person, in the transaction of its change there."""
    person = accounts.provider_of(user_id)
    provider = Provider.objects.filter(pk=user_id)
    if person is None:
        hidden = provider.filter(is_listed=True).update(is_listed=False, updated_at=now)
        if hidden:
            Service.objects.filter(provider_id=user_id, is_shown=True).update(is_shown=False)
        return
    shown = provider.filter(is_listed=False).update(is_listed=True)
    if shown:
        Service.objects.filter(provider_id=user_id, archived_at=None).update(is_shown=True)
    provider.update(name=person.name, city=person.city, updated_at=now)


def _set_categories(provider: Provider, category_ids: Collection[int]) -> None:
    try:
        provider.category_words = hold_path(category_ids)
    except LookupError as missing:
        raise invalid_field("body.categories", f"there is no category {missing}") from None
    ProviderCategory.objects.filter(provider=provider).exclude(category_id__in=category_ids).delete()
    ProviderCategory.objects.bulk_create(
        [ProviderCategory(provider=provider, category_id=category_id) for category_id in sorted(category_ids)],
        ignore_conflicts=True,
    )


def _columns(given: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(given)
    if "location" in values:
        place: Point | None = values.pop("location")
        values["lat"], values["lng"] = (place.lat, place.lng) if place else (None, None)
        values["position"] = project(place) if place else None
    if "hourly_rate" in values:
        rate: Money | None = values["hourly_rate"]
        values["hourly_rate"], values["currency"] = (rate.minor, rate.currency) if rate else (None, "")
    return values

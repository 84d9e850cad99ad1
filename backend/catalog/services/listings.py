"""Services: offered, changed, archived."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from backend.catalog.errors import TooManyServices
from backend.catalog.models import Service
from backend.catalog.services.categories import hold_path
from backend.catalog.services.providers import lock_provider
from backend.core import audit, money
from backend.core.actor import Actor
from backend.core.errors import Forbidden, NotFound, PreconditionFailed, invalid_field
from backend.core.money import Money

MOST = 200
"""Services that a provider offers at a time."""


@transaction.atomic
def add_service(*, actor: Actor, values: Mapping[str, Any], now: datetime) -> Service:
    """Offer a service: title, description, price (Money), duration_minutes, category_id.

    Raises NotFound, TooManyServices, or a 422 for a category that is not there.
    """
    provider = lock_provider(actor.id, now=now)
    if Service.objects.filter(provider=provider, archived_at=None).count() >= MOST:
        raise TooManyServices
    service = Service.objects.create(
        provider=provider, **_columns(values), is_shown=provider.is_listed, created_at=now, updated_at=now
    )
    _note(actor, "catalog.service_added", service, values, now)
    return Service.objects.select_related("provider").get(pk=service.pk)


@transaction.atomic
def change_service(
    *,
    actor: Actor,
    service_id: int,
    changes: Mapping[str, Any],
    wanted_versions: Collection[int] | None,
    now: datetime,
) -> Service:
    """Change the given fields of one's own service; managers of any.

    Raises NotFound, Forbidden, PreconditionFailed, or a 422 for a category that is not there.
    """
    service = _lock(actor, service_id)
    if wanted_versions is not None and service.version not in wanted_versions:
        raise PreconditionFailed
    Service.objects.filter(pk=service_id).update(**_columns(changes), version=service.version + 1, updated_at=now)
    _note(actor, "catalog.service_changed", service, changes, now)
    return Service.objects.select_related("provider").get(pk=service_id)


@transaction.atomic
def archive_service(*, actor: Actor, service_id: int, now: datetime) -> None:
    """Offer it no more: it leaves every list, and what was booked keeps it. Raises NotFound or Forbidden."""
    service = _lock(actor, service_id)
    Service.objects.filter(pk=service_id).update(
        archived_at=now, is_shown=False, version=service.version + 1, updated_at=now
    )
    _note(actor, "catalog.service_archived", service, {}, now)


def _lock(actor: Actor, service_id: int) -> Service:
    """Anybody sees services that are shown, so others' are forbidden and not hidden."""
    service = Service.objects.select_for_update(no_key=True).filter(pk=service_id, archived_at=None).first()
    is_theirs = service is not None and (service.provider_id == actor.id or actor.is_manager)
    if service is None or not (service.is_shown or is_theirs):
        raise NotFound
    if not is_theirs:
        raise Forbidden("Only its provider changes a service.")
    return service


def _columns(given: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(given)
    price: Money | None = values.pop("price", None)
    if price is not None:
        values["price"], values["currency"] = price.minor, price.currency
        values["price_thousandths"] = price.minor * 10 ** (3 - money.exponent(price.currency))
    if "category_id" in values:
        category_id = values["category_id"]
        try:
            values["category_words"] = hold_path([category_id]) if category_id else ""
        except LookupError:
            raise invalid_field("body.category", "there is no such category") from None
    return values


def _note(actor: Actor, action: str, service: Service, given: Mapping[str, Any], now: datetime) -> None:
    audit.record(actor=actor, action=action, reference=service.reference, changes={"fields": sorted(given)}, now=now)

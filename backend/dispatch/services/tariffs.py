"""What services cost, from which day on."""

from datetime import UTC, datetime
from decimal import Decimal

from django.db import IntegrityError, transaction

from backend.core import audit
from backend.core.actor import Actor
from backend.core.errors import invalid_field
from backend.core.references import make_reference
from backend.dispatch.errors import violates
from backend.dispatch.models import Tariff
from backend.dispatch.rules import Rate

_DEMO: tuple[tuple[str, str, int, int, int], ...] = (
    ("towing", "light", 1_500_00, 50_00, 1_500_00),
    ("towing", "heavy", 3_000_00, 150_00, 3_000_00),
    ("repair", "light", 0, 0, 1_000_00),
    ("repair", "heavy", 0, 0, 1_000_00),
)
"""Service, vehicle class, base, per kilometre, minimum: centimes of the Algerian dinar."""


def add_tariff(
    *, actor: Actor, service_type: str, vehicle_class: str, rate: Rate, valid_from: datetime | None, now: datetime
) -> Tariff:
    """Announce a tariff, from now on by default. What was charged is never rewritten: 422 for the past."""
    if valid_from is not None and valid_from < now:
        raise invalid_field("body.valid_from", "a tariff begins now or later")
    try:
        with transaction.atomic():
            tariff = _create(service_type, vehicle_class, rate, valid_from or now, now)
            audit.record(
                actor=actor, action="dispatch.tariff_added", reference=make_reference("tariff", tariff.pk), now=now
            )
            return tariff
    except IntegrityError as error:
        if not violates(error, "tariff_once_per_moment"):
            raise
        raise invalid_field("body.valid_from", "another tariff begins at that moment") from None


@transaction.atomic
def ensure_demo_tariffs(*, now: datetime) -> None:
    """The demonstration's prices, for each service and vehicle class that has no tariff yet."""
    for service_type, vehicle_class, base, per_km, minimum in _DEMO:
        if not Tariff.objects.filter(service_type=service_type, vehicle_class=vehicle_class).exists():
            rate = Rate(base, per_km, minimum, "DZD", Decimal("1.30"))
            _create(service_type, vehicle_class, rate, datetime(2026, 1, 1, tzinfo=UTC), now)


def _create(service_type: str, vehicle_class: str, rate: Rate, valid_from: datetime, now: datetime) -> Tariff:
    return Tariff.objects.create(
        service_type=service_type,
        vehicle_class=vehicle_class,
        base=rate.base,
        per_km=rate.per_km,
        minimum=rate.minimum,
        currency=rate.currency,
        road_factor=rate.road_factor,
        valid_from=valid_from,
        created_at=now,
    )

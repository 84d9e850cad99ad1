"""What services cost."""

from typing import Any

from django.http import HttpRequest
from ninja import Query
from ninja.decorators import decorate_view
from ninja.responses import Status

from backend.core import auth, clock
from backend.core.errors import invalid_field
from backend.core.idempotency import idempotent
from backend.core.money import Money
from backend.core.pagination import PageIn, paginate
from backend.core.schemas import Page
from backend.dispatch import selectors
from backend.dispatch.endpoints.router import router
from backend.dispatch.rules import Rate
from backend.dispatch.schemas import TariffIn, TariffOut
from backend.dispatch.selectors import shapes
from backend.dispatch.services import tariffs


@router.get("/tariffs/", response=Page[TariffOut], auth=None, operation_id="listTariffs")
def list_tariffs(request: HttpRequest, filters: Query[PageIn]) -> dict[str, Any]:
    """What services cost now, and what is announced."""
    return paginate(request, selectors.list_tariffs(now=clock.now()), filters, out=shapes.show_tariff)


@router.post("/tariffs/", response={201: TariffOut}, auth=auth.manager, operation_id="createTariff")
@decorate_view(idempotent)
def create_tariff(request: HttpRequest, payload: TariffIn) -> Status[TariffOut]:
    """Announce what a service costs from a moment on. Earlier quotes and jobs keep their price."""
    tariff = tariffs.add_tariff(
        actor=auth.actor(request),
        service_type=payload.service_type,
        vehicle_class=payload.vehicle_class,
        rate=_rate(payload),
        valid_from=payload.valid_from,
        now=clock.now(),
    )
    return Status(201, shapes.show_tariff(tariff))


def _rate(payload: TariffIn) -> Rate:
    amounts = {}
    for name in ("base", "per_km", "minimum"):
        try:
            amounts[name] = Money.parse(getattr(payload, name), payload.currency).minor
        except ValueError as error:
            raise invalid_field(f"body.{name}", str(error)) from None
    return Rate(**amounts, currency=payload.currency, road_factor=payload.road_factor)

"""Services: searched, shown, offered, changed, archived."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query
from ninja.decorators import decorate_view
from ninja.responses import Status

from backend.catalog.endpoints.router import router
from backend.catalog.errors import TooManyServices
from backend.catalog.schemas.listings import ServiceChangeIn, ServiceIn, ServiceOut, ServicesIn
from backend.catalog.selectors import shapes
from backend.catalog.selectors.search import search_services
from backend.catalog.services import listings
from backend.core import auth, clock, etags
from backend.core.errors import PreconditionFailed
from backend.core.etags import IfMatch
from backend.core.idempotency import idempotent
from backend.core.limits import Limit, enforce, whose_address
from backend.core.openapi import problems
from backend.core.pagination import paginate_found
from backend.core.request_context import client_address
from backend.core.schemas import Id, Page

SEARCH = Limit("search", 240, 60)


@router.get("/services/", response=Page[ServiceOut], auth=None, operation_id="listServices")
def list_services(request: HttpRequest, filters: Query[ServicesIn]) -> dict[str, Any]:
    """Find services by words, category, price, place and time.

    A search finds the words in titles, categories and descriptions; typing errors are mended where nothing is found.
    What it finds comes by relevance; of more than a thousand that match, first those with the words in title or
    category, then the others, in both the newest first. With `near` only providers who come there, with `free_from`
    and `free_to` only those who can be booked for all of that time, and what fits into it. `count` goes to 10,000:
    nobody reads further.
    """
    enforce(SEARCH, whose_address(client_address()))
    asked = filters.asked(clock.now())

    def find(start: int, size: int) -> tuple[int, list[dict[str, Any]]]:
        count, ids = search_services(asked, start=start, size=size)
        return count, shapes.show_services(ids, near=asked.where.near)

    return paginate_found(request, filters, find)


@router.post(
    "/services/",
    response={201: ServiceOut},
    auth=auth.provider,
    operation_id="addService",
    openapi_extra=problems(TooManyServices),
)
@decorate_view(idempotent)
def add_service(request: HttpRequest, payload: ServiceIn) -> Status[dict[str, Any]]:
    """Offer a service; at most two hundred at a time."""
    service = listings.add_service(actor=auth.actor(request), values=payload.values(), now=clock.now())
    return Status(201, shapes.show_service(service))


@router.get("/services/{service_id}/", response=ServiceOut, auth=None, operation_id="readService")
def read_service(request: HttpRequest, response: HttpResponse, service_id: Id) -> dict[str, Any]:
    """One service, with its version as `ETag`."""
    service = shapes.get_service(service_id)
    etags.tag(response, service.version)
    return shapes.show_service(service)


@router.put(
    "/services/{service_id}/",
    response=ServiceOut,
    auth=auth.any_user,
    operation_id="replaceService",
    openapi_extra=problems(PreconditionFailed),
)
def replace_service(
    request: HttpRequest, response: HttpResponse, service_id: Id, payload: ServiceIn, if_match: IfMatch = None
) -> dict[str, Any]:
    """Replace all of a service of mine; managers anybody's. What is booked keeps what was agreed."""
    return _change(request, response, service_id, payload.values(), if_match)


@router.patch(
    "/services/{service_id}/",
    response=ServiceOut,
    auth=auth.any_user,
    operation_id="updateService",
    openapi_extra=problems(PreconditionFailed),
)
def update_service(
    request: HttpRequest, response: HttpResponse, service_id: Id, payload: ServiceChangeIn, if_match: IfMatch = None
) -> dict[str, Any]:
    """Change some of a service of mine; managers anybody's. What is booked keeps what was agreed."""
    return _change(request, response, service_id, payload.values(), if_match)


def _change(
    request: HttpRequest, response: HttpResponse, service_id: int, changes: dict[str, Any], if_match: str | None
) -> dict[str, Any]:
    service = listings.change_service(
        actor=auth.actor(request),
        service_id=service_id,
        changes=changes,
        wanted_versions=etags.wanted_versions(if_match),
        now=clock.now(),
    )
    etags.tag(response, service.version)
    return shapes.show_service(service)


@router.delete("/services/{service_id}/", response={204: None}, auth=auth.any_user, operation_id="archiveService")
def archive_service(request: HttpRequest, service_id: Id) -> Status[None]:
    """Offer a service of mine no more. It leaves every list; what is booked keeps it."""
    listings.archive_service(actor=auth.actor(request), service_id=service_id, now=clock.now())
    return Status(204, None)

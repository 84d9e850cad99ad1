"""Providers: searched, shown, and what they say of themselves."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query

from backend.catalog.endpoints.listings import SEARCH
from backend.catalog.endpoints.router import router
from backend.catalog.schemas.providers import (
    MyProviderOut,
    ProviderChangeIn,
    ProviderDetailOut,
    ProviderIn,
    ProviderOut,
    ProvidersIn,
)
from backend.catalog.selectors import shapes
from backend.catalog.selectors.search import search_providers
from backend.catalog.services import providers
from backend.core import auth, clock, etags
from backend.core.errors import PreconditionFailed
from backend.core.etags import IfMatch
from backend.core.limits import enforce, whose_address
from backend.core.openapi import problems
from backend.core.pagination import paginate_found
from backend.core.request_context import client_address
from backend.core.schemas import Id, Page


@router.get("/providers/", response=Page[ProviderOut], auth=None, operation_id="listProviders")
def list_providers(request: HttpRequest, filters: Query[ProvidersIn]) -> dict[str, Any]:
    """Find providers who have written a profile: by words, category, experience, rating, place and time.

    A search finds the words in names, categories and descriptions; typing errors are mended where nothing is found.
    """
    enforce(SEARCH, whose_address(client_address()))
    now = clock.now()
    asked = filters.asked(now)

    def find(start: int, size: int) -> tuple[int, list[dict[str, Any]]]:
        count, ids = search_providers(asked, start=start, size=size)
        shown = shapes.show_providers(ids, expand=filters.expand, near=asked.where.near, now=now)
        return count, shown

    return paginate_found(request, filters, find)


@router.get("/providers/{provider_id}/", response=ProviderDetailOut, auth=None, operation_id="readProvider")
def read_provider(request: HttpRequest, provider_id: Id) -> dict[str, Any]:
    """One provider with portfolio and latest reviews; e-mail address and phone number only where they show them."""
    enforce(SEARCH, whose_address(client_address()))
    return shapes.show_provider(provider_id, now=clock.now())


@router.get("/me/provider/", response=MyProviderOut, auth=auth.provider, operation_id="readMyProvider")
def read_my_provider(request: HttpRequest, response: HttpResponse) -> dict[str, Any]:
    """My profile as a provider, with its version as `ETag`."""
    shown = shapes.show_my_provider(auth.actor(request), now=clock.now())
    etags.tag(response, shown["version"])
    return shown


@router.put(
    "/me/provider/",
    response=MyProviderOut,
    auth=auth.provider,
    operation_id="replaceMyProvider",
    openapi_extra=problems(PreconditionFailed),
)
def replace_my_provider(
    request: HttpRequest, response: HttpResponse, payload: ProviderIn, if_match: IfMatch = None
) -> dict[str, Any]:
    """Replace all of my profile as a provider."""
    return _change(request, response, payload.values(), if_match)


@router.patch(
    "/me/provider/",
    response=MyProviderOut,
    auth=auth.provider,
    operation_id="updateMyProvider",
    openapi_extra=problems(PreconditionFailed),
)
def update_my_provider(
    request: HttpRequest, response: HttpResponse, payload: ProviderChangeIn, if_match: IfMatch = None
) -> dict[str, Any]:
    """Change some of my profile as a provider; what is left out stays as it is."""
    return _change(request, response, payload.values(), if_match)


def _change(
    request: HttpRequest, response: HttpResponse, changes: dict[str, Any], if_match: str | None
) -> dict[str, Any]:
    provider = providers.change_profile(
        actor=auth.actor(request),
        changes=changes,
        wanted_versions=etags.wanted_versions(if_match),
        now=clock.now(),
    )
    etags.tag(response, provider.version)
    return shapes.show_own(provider)

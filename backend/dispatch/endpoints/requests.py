"""Asking for help, and reading what became of it."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query
from ninja.decorators import decorate_view
from ninja.responses import Status

from backend.core import auth, clock, etags
from backend.core.idempotency import idempotent
from backend.core.openapi import problems
from backend.core.pagination import PageIn, paginate
from backend.core.schemas import Id, Page
from backend.core.states import history_of
from backend.dispatch import selectors
from backend.dispatch.endpoints.router import router
from backend.dispatch.endpoints.routes import find_route, routed_m
from backend.dispatch.errors import OpenRequestExists, QuoteExpired, TariffMissing
from backend.dispatch.schemas import (
    AssistanceFiltersIn,
    AssistanceIn,
    AssistanceOut,
    NearbyOut,
    QuoteIn,
    QuoteOut,
    RequestOut,
    StateChangeOut,
    TraceOut,
    TrackOut,
    point,
    point_or_none,
)
from backend.dispatch.selectors import shapes
from backend.dispatch.services import requests
from backend.dispatch.services.requests import Wanted


@router.post(
    "/assistance/quote/",
    response={201: QuoteOut},
    auth=auth.any_user,
    operation_id="quoteAssistance",
    openapi_extra=problems(TariffMissing),
)
@decorate_view(idempotent(before=find_route(QuoteIn)))
def quote_assistance(request: HttpRequest, payload: QuoteIn) -> Status[QuoteOut]:
    """Say what help would cost, before asking for it.

    Base plus kilometres by road, never below the minimum. Give the quote's id with the request, and its distance and
    price are kept, as often as you ask until it expires.
    """
    quote = requests.quote_assistance(
        actor=auth.actor(request),
        service_type=payload.service_type,
        vehicle_class=payload.vehicle_class,
        pickup=point(payload.pickup),
        dropoff=point_or_none(payload.dropoff),
        routed_m=routed_m(request),
        now=clock.now(),
    )
    return Status(201, shapes.show_quote(quote))


@router.post(
    "/assistance/",
    response={201: RequestOut},
    auth=auth.client,
    operation_id="requestAssistance",
    openapi_extra=problems(OpenRequestExists, QuoteExpired, TariffMissing),
)
@decorate_view(idempotent(before=find_route(AssistanceIn)))
def request_assistance(request: HttpRequest, payload: AssistanceIn) -> Status[RequestOut]:
    """Ask for help. The nearest assistants are asked at once, more every few seconds, until one accepts.

    One request at a time. Follow it in the room `assistance:{id}` of the socket.
    """
    actor = auth.actor(request)
    wanted = Wanted(
        pickup=point(payload.pickup),
        dropoff=point_or_none(payload.dropoff),
        service_type=payload.service_type,
        vehicle_class=payload.vehicle_class,
        vehicle_type=payload.vehicle_type,
        note=payload.note,
        quote_id=payload.quote_id,
        routed_m=routed_m(request),
    )
    asked = requests.request_assistance(actor=actor, wanted=wanted, now=clock.now())
    nearby = [
        NearbyOut(
            assistant_id=one.assistant_id, distance_km=round(one.distance_m / 1000, 1), eta_minutes=one.eta_minutes
        )
        for one in asked.nearby
    ]
    shown = shapes.show_request(actor, asked.assistance, asked.client)
    return Status(201, RequestOut(assistance=shown, nearby_assistants=nearby))


@router.get("/assistance/", response=Page[AssistanceOut], auth=auth.any_user, operation_id="listAssistance")
def list_assistance(request: HttpRequest, filters: Query[AssistanceFiltersIn]) -> dict[str, Any]:
    """My jobs: as client, as assistant, and those on offer to me. Managers see all."""
    actor = auth.actor(request)
    rows = selectors.list_assistance_for(actor, statuses=filters.status, oldest_first=filters.ordering == "created_at")
    page = paginate(request, rows, filters)
    return {**page, "results": shapes.show_assistances(actor, page["results"])}


@router.get("/assistance/{assistance_id}/", response=AssistanceOut, auth=auth.any_user, operation_id="readAssistance")
def read_assistance(request: HttpRequest, response: HttpResponse, assistance_id: Id) -> AssistanceOut:
    """One job: for its client, its assistant, and assistants with an open offer of it."""
    actor = auth.actor(request)
    assistance, _ = selectors.get_assistance_for(actor, assistance_id)
    etags.tag(response, assistance.version)
    return shapes.show_assistance(actor, assistance)


@router.get(
    "/assistance/{assistance_id}/track/", response=TrackOut, auth=auth.any_user, operation_id="readAssistanceTrack"
)
def read_track(request: HttpRequest, assistance_id: Id) -> TrackOut:
    """Where the assistant drove since accepting, a point every few seconds, and how long each part took.

    The points are kept for some months (`POSITION_HISTORY_DAYS`); after that there are none.
    """
    return shapes.show_track(selectors.get_party_assistance(auth.actor(request), assistance_id))


@router.get(
    "/assistance/{assistance_id}/history/",
    response=Page[StateChangeOut],
    auth=auth.any_user,
    operation_id="listAssistanceHistory",
)
def list_history(request: HttpRequest, assistance_id: Id, filters: Query[PageIn]) -> dict[str, Any]:
    """Every step in the life of a job: who, when, from what to what, and why."""
    assistance = selectors.get_party_assistance(auth.actor(request), assistance_id)
    page = paginate(request, history_of(assistance), filters)
    return {**page, "results": shapes.show_history(page["results"])}


@router.get(
    "/assistance/{assistance_id}/trace/", response=TraceOut, auth=auth.manager, operation_id="readAssistanceTrace"
)
def read_trace(request: HttpRequest, assistance_id: Id) -> TraceOut:
    """How a job was offered: each wave with whom it asked and how they answered, and the nearest left out, with why."""
    return shapes.show_trace(selectors.get_trace(auth.actor(request), assistance_id))

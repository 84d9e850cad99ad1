"""Assistants: who is on duty, one's own duty and vehicle, and where people are."""

from typing import Any

from django.http import HttpRequest
from ninja import Query
from ninja.decorators import decorate_view
from ninja.responses import Status

from backend.accounts import public as accounts
from backend.core import auth, clock
from backend.core.errors import Forbidden
from backend.core.geo import read_near
from backend.core.idempotency import idempotent
from backend.core.openapi import problems
from backend.core.pagination import paginate
from backend.core.schemas import Page
from backend.dispatch import selectors
from backend.dispatch.endpoints.router import router
from backend.dispatch.errors import LicenceExpired, LicenceNotApproved
from backend.dispatch.schemas import (
    AssistantFiltersIn,
    DutyIn,
    ListedAssistantOut,
    LocationIn,
    MyAssistantIn,
    MyAssistantOut,
    point,
)
from backend.dispatch.selectors import shapes
from backend.dispatch.services import duty, positions
from shared_contracts.events import PositionReport


@router.get("/assistants/", response=Page[ListedAssistantOut], auth=auth.any_user, operation_id="listAssistants")
def list_assistants(request: HttpRequest, filters: Query[AssistantFiltersIn]) -> dict[str, Any]:
    """Assistants on duty, nearest first, at most 500.

    Places and distances are rounded to half a kilometre, except for the assistant who is on their way to you.
    """
    listed = selectors.list_assistants(
        auth.actor(request),
        near=None if filters.near is None else read_near(filters.near),
        radius_km=filters.radius_km,
        service_type=filters.service_type,
        now=clock.now(),
    )
    page = paginate(request, listed, filters)
    return {**page, "results": shapes.show_listed(page["results"])}


@router.get("/me/assistant/", response=MyAssistantOut, auth=auth.assistant, operation_id="readMyAssistant")
def read_my_assistant(request: HttpRequest) -> MyAssistantOut:
    """Myself as an assistant: duty, position, vehicle, licence and rating."""
    return shapes.show_me_as_assistant(auth.actor(request), now=clock.now())


@router.patch("/me/assistant/", response=MyAssistantOut, auth=auth.assistant, operation_id="updateMyAssistant")
def update_my_assistant(request: HttpRequest, payload: MyAssistantIn) -> MyAssistantOut:
    """Change some of my vehicle or licence. Offers follow it at once."""
    actor, now = auth.actor(request), clock.now()
    accounts.update_assistant_profile(actor=actor, given=payload.assistant_fields(), now=now)
    return shapes.show_me_as_assistant(actor, now=now)


@router.post(
    "/me/assistant/status/",
    response=MyAssistantOut,
    auth=auth.assistant,
    operation_id="changeMyDuty",
    openapi_extra=problems(LicenceExpired, LicenceNotApproved, Forbidden),
)
@decorate_view(idempotent)
def change_my_duty(request: HttpRequest, payload: DutyIn) -> MyAssistantOut:
    """Go on or off duty. On duty you are offered jobs as soon as your position is known and fresh.

    Going off duty declines the offers that are open; a job that you accepted goes on. Where the platform asks for it,
    going on duty needs an approved driving licence among your documents.
    """
    actor, now = auth.actor(request), clock.now()
    duty.set_duty(actor=actor, is_active=payload.is_active, now=now)
    return shapes.show_me_as_assistant(actor, now=now)


@router.post("/me/location/", response={204: None}, auth=auth.any_user, operation_id="reportLocation")
def report_location(request: HttpRequest, payload: LocationIn) -> Status[None]:
    """Say where I am. For an assistant on duty it is a live position; the parties of an open job see it move."""
    now = clock.now()
    report = PositionReport(**{**payload.model_dump(), "at": payload.at or now})
    positions.report_position(actor=auth.actor(request), place=point(payload), report=report, now=now)
    return Status(204, None)

"""Devices, one's own addresses, the public directory, and whether a name is free."""

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Query
from ninja.decorators import decorate_view
from ninja.responses import Status

from backend.accounts import selectors
from backend.accounts.endpoints.router import router
from backend.accounts.errors import TooManyAddresses
from backend.accounts.models import Address, Session, User
from backend.accounts.schemas.directory import (
    AddressChangeIn,
    AddressIn,
    AddressOut,
    AvailabilityIn,
    AvailabilityOut,
    DirectoryIn,
    PublicUserOut,
    SessionOut,
)
from backend.accounts.services import addresses, ending
from backend.core import auth, clock
from backend.core.idempotency import idempotent
from backend.core.limits import Limit, enforce, whose_address
from backend.core.openapi import problems
from backend.core.pagination import PageIn, paginate
from backend.core.request_context import client_address
from backend.core.schemas import Id, Page, Text

DIRECTORY = Limit("directory", 120, 60)
CHECKS = Limit("availability", 10, 60, strict=True)


@router.get("/auth/availability/", response=AvailabilityOut, auth=None, operation_id="readAvailability")
def read_availability(request: HttpRequest, asked: Query[AvailabilityIn]) -> dict[str, bool]:
    """Whether a username or an e-mail address is still free. Ten questions a minute from one network."""
    enforce(CHECKS, whose_address(client_address()))
    return {"is_available": selectors.is_free(username=asked.username, email=asked.email)}


@router.get("/auth/sessions/", response=Page[SessionOut], auth=auth.any_user, operation_id="listSessions")
def list_sessions(request: HttpRequest, filters: Query[PageIn]) -> dict[str, Any]:
    """The devices that are signed in to my account, the newest first."""
    actor = auth.actor(request)

    def out(session: Session) -> dict[str, Any]:
        shown = ("id", "created_at", "last_seen_at", "client_address", "agent")
        return {
            **{name: getattr(session, name) for name in shown},
            "is_current": session.pk == actor.session_id,
        }

    return paginate(request, selectors.list_sessions_of(actor, now=clock.now()), filters, out=out)


@router.delete("/auth/sessions/{session_id}/", response={204: None}, auth=auth.any_user, operation_id="endSession")
def end_session(request: HttpRequest, session_id: Id) -> Status[None]:
    """Sign a device of mine out. Its tokens and sockets stop at once."""
    ending.end_session(actor=auth.actor(request), session_id=session_id, now=clock.now())
    return Status(204, None)


@router.get("/me/addresses/", response=Page[AddressOut], auth=auth.any_user, operation_id="listAddresses")
def list_addresses(request: HttpRequest, filters: Query[PageIn]) -> dict[str, Any]:
    """My addresses, the primary one first."""
    return paginate(request, selectors.list_addresses_of(auth.actor(request)), filters)


@router.post(
    "/me/addresses/",
    response={201: AddressOut},
    auth=auth.any_user,
    operation_id="addAddress",
    openapi_extra=problems(TooManyAddresses),
)
@decorate_view(idempotent)
def add_address(request: HttpRequest, payload: AddressIn) -> Status[Address]:
    """Keep one more address. The first one is the primary one."""
    added = addresses.add_address(actor=auth.actor(request), values=payload.model_dump(), now=clock.now())
    return Status(201, added)


@router.patch("/me/addresses/{address_id}/", response=AddressOut, auth=auth.any_user, operation_id="updateAddress")
def update_address(request: HttpRequest, address_id: Id, payload: AddressChangeIn) -> Address:
    """Change an address of mine; what is left out stays as it is."""
    return addresses.change_address(
        actor=auth.actor(request), address_id=address_id, changes=payload.changes(), now=clock.now()
    )


@router.delete("/me/addresses/{address_id}/", response={204: None}, auth=auth.any_user, operation_id="removeAddress")
def remove_address(request: HttpRequest, address_id: Id) -> Status[None]:
    """Forget an address of mine."""
    addresses.remove_address(actor=auth.actor(request), address_id=address_id)
    return Status(204, None)


@router.get("/users/", response=Page[PublicUserOut], auth=None, operation_id="listUsers")
def list_users(request: HttpRequest, filters: Query[DirectoryIn]) -> dict[str, Any]:
    """The people of the platform, without anything private. Who runs it is not listed."""
    enforce(DIRECTORY, whose_address(client_address()))
    people = selectors.list_people(
        roles=filters.role,
        not_roles=filters.not_role,
        search=filters.search,
        city=filters.city,
        skills=filters.skills,
        ordering=filters.ordering,
    )
    return paginate(request, people, filters)


@router.get("/users/by-id/{user_id}/", response=PublicUserOut, auth=None, operation_id="readUserById")
def read_user_by_id(request: HttpRequest, user_id: Id) -> User:
    """One person, without anything private."""
    enforce(DIRECTORY, whose_address(client_address()))
    return selectors.get_person(user_id=user_id)


@router.get("/users/{username}/", response=PublicUserOut, auth=None, operation_id="readUser")
def read_user(request: HttpRequest, username: Annotated[Text, Path(max_length=40)]) -> User:
    """One person by their username, without anything private."""
    enforce(DIRECTORY, whose_address(client_address()))
    return selectors.get_person(username=username)

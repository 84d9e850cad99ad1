"""One's own account as a whole: replaced, deleted."""

from django.http import HttpRequest, HttpResponse
from ninja.responses import Status

from backend.accounts.endpoints.router import router
from backend.accounts.errors import AccountInUse, ProofRequired, UsernameTaken
from backend.accounts.models import User
from backend.accounts.schemas.account import UserOut
from backend.accounts.schemas.own_account import DeletionIn, ProfileReplacementIn
from backend.accounts.services import deleting, profile
from backend.core import auth, clock, etags
from backend.core.errors import PreconditionFailed
from backend.core.etags import IfMatch
from backend.core.geo import Point
from backend.core.openapi import problems


@router.put(
    "/me/",
    response=UserOut,
    auth=auth.any_user,
    operation_id="replaceMe",
    openapi_extra=problems(UsernameTaken, ProofRequired, PreconditionFailed),
)
def replace_me(
    request: HttpRequest, response: HttpResponse, payload: ProfileReplacementIn, if_match: IfMatch = None
) -> User:
    """Replace my whole profile. A field that is left out returns to what it is in a new account.

    So an e-mail address or a phone number that is left out is removed; one of the two must be left. Whatever changes of
    them wants `current_password`, or a sign-in less than five minutes old; a new one is pending until it is confirmed,
    as in `updateMe`. The username stays when it is left out, and
    first and last name follow the name. Roles, photo and skills are changed by their own operations.
    """
    changes = payload.changes()
    if payload.location is not None:
        changes["location"] = Point(payload.location.lat, payload.location.lng)
    user = profile.change_profile(
        actor=auth.actor(request),
        changes=changes,
        wanted_versions=etags.wanted_versions(if_match),
        password=payload.current_password,
        now=clock.now(),
    )
    etags.tag(response, user.version)
    return user


@router.delete(
    "/me/",
    response={204: None},
    auth=auth.any_user,
    operation_id="deleteMe",
    openapi_extra=problems(ProofRequired, AccountInUse),
)
def delete_me(request: HttpRequest, payload: DeletionIn) -> Status[None]:
    """Delete my account, for good and at once.

    It wants my password, or a sign-in less than five minutes old, and a code where two-factor sign-in is on. It is
    refused with `account_in_use` while jobs or money are pending: the problem's `obstacles` name them. What was
    personal is erased, with my files, sessions and places; e-mail address, phone number and username are free again.
    What others rely on stays without saying who I was: jobs and their prices, messages that I wrote to others, reviews.
    The name shown with these is `Deleted account`, which nobody else can have.
    """
    deleting.delete_account(
        actor=auth.actor(request),
        password=payload.password,
        otp=payload.otp,
        now=clock.now(),
    )
    return Status(204, None)

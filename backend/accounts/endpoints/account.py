"""Signing up and in, one's own profile and roles."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query
from ninja.decorators import decorate_view
from ninja.responses import Status

from backend.accounts import selectors
from backend.accounts.endpoints.router import router
from backend.accounts.errors import (
    EmailTaken,
    InvalidCredentials,
    OtpRequired,
    PhoneTaken,
    ProofRequired,
    RoleHeld,
    TwoFactorIsOff,
    TwoFactorIsOn,
    UsernameTaken,
)
from backend.accounts.models import User
from backend.accounts.schemas.account import (
    InvitationIn,
    InvitationOut,
    LoginIn,
    LogoutIn,
    NewInvitationOut,
    OpenIdLoginIn,
    ProfileIn,
    RecoveryCodesOut,
    RefreshIn,
    RegisterIn,
    RoleIn,
    SignedInOut,
    TwoFactorConfirmIn,
    TwoFactorIn,
    TwoFactorOut,
    TwoFactorProofIn,
    UserOut,
)
from backend.accounts.services import ending, invitations, openid, profile, registration, roles, signing_in, two_factor
from backend.accounts.services.registration import NewAccount
from backend.accounts.services.signing_in import Device, Tokens
from backend.core import auth, clock, etags
from backend.core.actor import Role
from backend.core.errors import Forbidden, InvalidState, InvalidToken, NotFound, PreconditionFailed
from backend.core.etags import IfMatch
from backend.core.geo import Point
from backend.core.idempotency import idempotent
from backend.core.openapi import problems
from backend.core.pagination import PageIn, paginate
from backend.core.request_context import client_address
from backend.core.schemas import Id, Page
from shared_contracts.events import Place


@router.post(
    "/auth/register/",
    response={201: SignedInOut},
    auth=None,
    operation_id="register",
    openapi_extra=problems(Forbidden, EmailTaken, PhoneTaken, UsernameTaken),
)
def register(request: HttpRequest, payload: RegisterIn) -> Status[dict[str, Any]]:
    """Create an account and sign in.

    Give a `name`, or `first_name` and `last_name`; an `email`, a `phone_number`, or both. Assistants also give their
    vehicle and licence; others must not. Managers need an invitation: its token as `invitation`, or the invited e-mail
    address, with which the role begins once the address is verified. Nobody makes themselves an admin.
    """
    account = NewAccount(
        roles=[Role(role) for role in payload.roles],
        location=_point(payload.location),
        assistant=payload.assistant_fields(),
        **payload.model_dump(
            include={
                "name",
                "first_name",
                "last_name",
                "email",
                "phone_number",
                "username",
                "city",
                "country",
                "address",
            }
        ),
    )
    user, tokens = registration.register(
        account=account,
        password=payload.password,
        invitation=payload.invitation,
        device=device_of(request),
        now=clock.now(),
    )
    return Status(201, _signed_in(user, tokens))


@router.post(
    "/auth/login/",
    response=SignedInOut,
    auth=None,
    operation_id="login",
    openapi_extra=problems(InvalidCredentials, OtpRequired),
)
def login(request: HttpRequest, payload: LoginIn) -> dict[str, Any]:
    """Sign in with an e-mail address, a phone number or a username.

    An unknown account, a wrong password, a role that is not held and an account out of use give the same answer. Where
    two-factor sign-in is on, the right password without `otp` is answered by `otp_required`.
    """
    user, tokens = signing_in.sign_in(
        identifier=payload.identifier,
        password=payload.password,
        otp=payload.otp,
        roles=payload.roles,
        device=device_of(request),
        now=clock.now(),
    )
    return _signed_in(user, tokens)


@router.post(
    "/auth/login/google/",
    response=SignedInOut,
    auth=None,
    operation_id="loginWithGoogle",
    openapi_extra=problems(InvalidToken, InvalidCredentials, OtpRequired, NotFound, EmailTaken),
)
def login_with_google(request: HttpRequest, payload: OpenIdLoginIn) -> dict[str, Any]:
    """Sign in with a Google ID token, or one of another issuer that is set up here.

    Its e-mail address must be verified there. It signs in the account that it is linked to, or links it to the account
    that has the same address, or creates a client. Linking ends the sessions and the password that the account had; a
    code is wanted first where two-factor sign-in is on. An account that never verified the address becomes theirs: its
    second factor and phone number are gone, too.
    """
    user, tokens = openid.sign_in_with_openid(
        provider=payload.provider,
        token=payload.token,
        nonce=payload.nonce,
        otp=payload.otp,
        device=device_of(request),
        now=clock.now(),
    )
    return _signed_in(user, tokens)


@router.post(
    "/auth/token/refresh/",
    response=SignedInOut,
    auth=None,
    operation_id="refreshTokens",
    openapi_extra=problems(InvalidToken),
)
def refresh_tokens(request: HttpRequest, payload: RefreshIn) -> dict[str, Any]:
    """Exchange a refresh token for the next pair of tokens.

    Each refresh token works once: using it again ends the whole session. The same device may ask again within ten
    seconds and gets the same refresh token, so an answer that was lost on the way does no harm.
    """
    user, tokens = signing_in.refresh(token=payload.refresh, device=device_of(request), now=clock.now())
    return _signed_in(user, tokens)


@router.post("/auth/logout/", response={204: None}, auth=auth.any_user, operation_id="logout")
def logout(request: HttpRequest, payload: LogoutIn | None = None) -> Status[None]:
    """End this session, or with `all` every session of mine. Its tokens and sockets stop at once."""
    ending.sign_out(actor=auth.actor(request), everywhere=payload is not None and payload.all, now=clock.now())
    return Status(204, None)


@router.post(
    "/auth/two-factor/",
    response={201: TwoFactorOut},
    auth=auth.any_user,
    operation_id="beginTwoFactor",
    openapi_extra=problems(ProofRequired, TwoFactorIsOn),
)
def begin_two_factor(request: HttpRequest, payload: TwoFactorIn) -> Status[two_factor.SetUp]:
    """Begin to set up two-factor sign-in.

    The secret and the recovery codes are shown this once. Nothing changes until they are confirmed; beginning again
    replaces them.
    """
    # Not kept under an Idempotency-Key: the answer is secret. A repeated request is harmless.
    return Status(201, two_factor.begin(actor=auth.actor(request), password=payload.password, now=clock.now()))


@router.post(
    "/auth/two-factor/confirm/",
    response={204: None},
    auth=auth.any_user,
    operation_id="confirmTwoFactor",
    openapi_extra=problems(TwoFactorIsOn, TwoFactorIsOff),
)
def confirm_two_factor(request: HttpRequest, payload: TwoFactorConfirmIn) -> Status[None]:
    """Turn two-factor sign-in on with a code of the authenticator. My other sessions end, and I am told by mail.

    Signing in takes the next code, not this one.
    """
    two_factor.confirm(actor=auth.actor(request), otp=payload.otp, now=clock.now())
    return Status(204, None)


@router.delete(
    "/auth/two-factor/",
    response={204: None},
    auth=auth.any_user,
    operation_id="endTwoFactor",
    openapi_extra=problems(ProofRequired, TwoFactorIsOff),
)
def end_two_factor(request: HttpRequest, payload: TwoFactorProofIn) -> Status[None]:
    """Turn two-factor sign-in off, with the password and a code. My other sessions end, and I am told by mail."""
    two_factor.turn_off(actor=auth.actor(request), password=payload.password, otp=payload.otp, now=clock.now())
    return Status(204, None)


@router.post(
    "/auth/two-factor/recovery-codes/",
    response={201: RecoveryCodesOut},
    auth=auth.any_user,
    operation_id="renewRecoveryCodes",
    openapi_extra=problems(ProofRequired, TwoFactorIsOff),
)
def renew_recovery_codes(request: HttpRequest, payload: TwoFactorProofIn) -> Status[dict[str, Any]]:
    """Replace my recovery codes, with the password and a code. The new ones are shown this once."""
    # Not kept under an Idempotency-Key: the answer is secret. Repeating it renews them once more.
    codes = two_factor.renew_recovery_codes(
        actor=auth.actor(request), password=payload.password, otp=payload.otp, now=clock.now()
    )
    return Status(201, {"recovery_codes": codes})


@router.get("/me/", response=UserOut, auth=auth.any_user, operation_id="readMe")
def read_me(request: HttpRequest, response: HttpResponse) -> User:
    """My own profile."""
    user = selectors.get_own(auth.actor(request))
    etags.tag(response, user.version)
    return user


@router.patch(
    "/me/",
    response=UserOut,
    auth=auth.any_user,
    operation_id="updateMe",
    openapi_extra=problems(UsernameTaken, ProofRequired, PreconditionFailed),
)
def update_me(request: HttpRequest, response: HttpResponse, payload: ProfileIn, if_match: IfMatch = None) -> User:
    """Change my profile; what is left out stays as it is.

    A new e-mail address or phone number wants `current_password`, or a sign-in less than five minutes old. It is shown
    as `pending_…` while the present one goes on to serve, and takes its place when it is confirmed with the code or the
    link that went there (`verifyEmail`, `verifyPhone`); after seven days it is forgotten. Whether another account has
    it is told only then. Giving it again sends another code, giving the present one withdraws it, null removes the
    present one. One of the two must be left. Five new ones a day for an account.
    With `name` alone, first and last name follow it; with `first_name` or `last_name`, the whole name follows them.
    """
    changes = payload.changes()
    if "location" in changes:
        changes["location"] = _point(changes["location"])
    user = profile.change_profile(
        actor=auth.actor(request),
        changes=changes,
        wanted_versions=etags.wanted_versions(if_match),
        password=payload.current_password,
        now=clock.now(),
    )
    etags.tag(response, user.version)
    return user


@router.post(
    "/me/roles/",
    response={201: UserOut},
    auth=auth.any_user,
    operation_id="takeRole",
    openapi_extra=problems(RoleHeld),
)
@decorate_view(idempotent)
def take_role(request: HttpRequest, payload: RoleIn) -> Status[User]:
    """Take one more role.

    An assistant gives vehicle and licence with it. `manager` and `admin` are given by others. The present access token
    serves the new role at once.
    """
    user = roles.take_role(
        actor=auth.actor(request), role=Role(payload.role), assistant=payload.assistant_fields(), now=clock.now()
    )
    return Status(201, user)


@router.get("/admin/invitations/", response=Page[InvitationOut], auth=auth.admin, operation_id="listInvitations")
def list_invitations(request: HttpRequest, filters: Query[PageIn]) -> dict[str, Any]:
    """Invitations for managers, the newest first; those that were accepted, too."""
    return paginate(request, selectors.list_invitations(auth.actor(request)), filters)


@router.post("/admin/invitations/", response={201: NewInvitationOut}, auth=auth.admin, operation_id="inviteManager")
def invite_manager(request: HttpRequest, payload: InvitationIn) -> Status[dict[str, Any]]:
    """Invite a manager, for seven days and once: the owner of an e-mail address, or whoever has the token.

    With `email` the role begins as soon as an account has verified that address, at once where one has already. Without
    it the answer holds a token, this once, for `invitation` in registering.
    """
    # Not kept under an Idempotency-Key: the answer is secret. A doubled invitation can be withdrawn.
    invitation, token = invitations.invite(actor=auth.actor(request), email=payload.email, now=clock.now())
    return Status(201, {**InvitationOut.from_orm(invitation).dict(), "token": token})


@router.delete(
    "/admin/invitations/{invitation_id}/",
    response={204: None},
    auth=auth.admin,
    operation_id="withdrawInvitation",
    openapi_extra=problems(InvalidState),
)
def withdraw_invitation(request: HttpRequest, invitation_id: Id) -> Status[None]:
    """Withdraw an invitation that nobody has accepted."""
    invitations.withdraw(actor=auth.actor(request), invitation_id=invitation_id, now=clock.now())
    return Status(204, None)


def device_of(request: HttpRequest) -> Device:
    return Device(address=client_address(), agent=request.headers.get("User-Agent", "").replace("\0", ""))


def _signed_in(user: User, tokens: Tokens) -> dict[str, Any]:
    return {"user": user, "access": tokens.access, "refresh": tokens.refresh}


def _point(place: Place | None) -> Point | None:
    return Point(place.lat, place.lng) if place else None

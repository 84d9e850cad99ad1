"""Signing in with an account elsewhere: Google, or any other issuer of OpenID Connect that the settings name.

The link is the issuer and its subject. An e-mail address makes a link once, and whoever makes it starts anew: the
sessions and the password that the account had are gone. That is all where it has proved the same address. An account
that has not may be somebody else's, who waits for the owner of the address to come: the owner gets it, and everything
else that could sign the other one in ends there, too.
"""

import hashlib
from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.db.models import Value
from django.db.models.functions import Lower

from backend.accounts.errors import InvalidCredentials, OtpRequired
from backend.accounts.models import NOTHING_PENDING, ExternalIdentity, SecondFactor, User
from backend.accounts.selectors import hold_active
from backend.accounts.services import two_factor
from backend.accounts.services.ending import end_all_sessions
from backend.accounts.services.invitations import grant_for_verified_email
from backend.accounts.services.notices import notify
from backend.accounts.services.openid_tokens import Claims, verify
from backend.accounts.services.profile import lock_active, save_changes
from backend.accounts.services.registration import NewAccount, add_user
from backend.accounts.services.signing_in import Device, Tokens, open_session
from backend.accounts.services.taking_over import shut_out_strangers
from backend.core import audit
from backend.core.actor import Role
from backend.core.environment import environment
from backend.core.errors import NotFound
from backend.core.references import make_reference


def sign_in_with_openid(
    *, provider: str, token: str, nonce: str | None, otp: str | None, device: Device, now: datetime
) -> tuple[User, Tokens]:
    """Open a session for the person whom this ID token names; somebody new becomes a client.

    Raises NotFound for a provider that is not set up, InvalidToken, Unavailable while its keys cannot be read,
    InvalidCredentials for an account out of use or a wrong code, OtpRequired.
    """
    settings = environment().openid_providers.get(provider)
    if settings is None:
        raise NotFound("Signing in with this provider is not set up here.")
    claims = verify(provider=settings, token=token, nonce=nonce, now=now)
    is_linked, known = _find(claims)
    if known is not None and _is_guarded(known, is_linked=is_linked):
        two_factor.ask_for_code(user=known, otp=otp, now=now)
    with transaction.atomic():
        _wait_for_twins(claims)
        is_linked, user = _find(claims)
        if user is not None and user != known and _is_guarded(user, is_linked=is_linked):
            raise OtpRequired  # it came to be while we looked
        if user is None:
            user = _create(claims, now=now)
        elif not is_linked:
            user = _link(user, claims, now=now)
        else:
            _hold(user)
        return user, open_session(user=user, device=device, now=now)


def _find(claims: Claims) -> tuple[bool, User | None]:
    """Whether somebody is linked already, and who it is, or would be by their e-mail address."""
    people = User.objects.select_related("second_factor")
    linked = people.filter(identities__issuer=claims.issuer, identities__subject=claims.subject).first()
    if linked is not None:
        return True, linked
    return False, people.alias(small=Lower("email")).filter(small=Lower(Value(claims.email))).first()


def _is_guarded(user: User, *, is_linked: bool) -> bool:
    """Whether the second factor of this account is its owner's: one that is taken over loses it.

    An account out of use is refused whatever it has.
    """
    factor: SecondFactor | None = getattr(user, "second_factor", None)
    is_on = factor is not None and factor.confirmed_at is not None
    return is_on and user.is_active and (is_linked or user.owns_email)


def _wait_for_twins(claims: Claims) -> None:
    """Of many first sign-ins of one person, one creates or links; the others find what it made."""
    name = hashlib.sha256(f"{claims.issuer}\0{claims.subject}".encode()).digest()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(name[:8], "big", signed=True)])


def _create(claims: Claims, *, now: datetime) -> User:
    account = NewAccount(roles=[Role.CLIENT], name=claims.name, email=claims.email)
    user = add_user(account=account, encoded=make_password(None), now=now)
    return _keep(user, claims, how="created", now=now)


def _hold(user: User) -> None:
    try:
        hold_active([user.pk])
    except NotFound:
        raise InvalidCredentials from None


def _link(user: User, claims: Claims, *, now: datetime) -> User:
    try:
        user = lock_active(user.pk)
    except NotFound:
        raise InvalidCredentials from None
    # Whoever knew the password may be no more than that: a guest since before the owner came (A9).
    save_changes(user, {"password": make_password(None), **NOTHING_PENDING}, now=now)
    if user.owns_email:
        end_all_sessions(actor=None, user_id=user.pk, reason="identity_linked", now=now)
        notify(user_id=user.pk, kind="identity_linked", now=now)
        return _keep(user, claims, how="linked", now=now)
    end_all_sessions(actor=None, user_id=user.pk, reason="address_proved_by_another", now=now)
    shut_out_strangers(user, proved="email", now=now)
    return _keep(user, claims, how="taken_over", now=now)


def _keep(user: User, claims: Claims, *, how: str, now: datetime) -> User:
    ExternalIdentity.objects.create(user=user, issuer=claims.issuer, subject=claims.subject, created_at=now)
    audit.record(
        actor=None,
        action="accounts.identity_linked",
        reference=make_reference("user", user.pk),
        changes={"issuer": claims.issuer, "how": how},
        now=now,
    )
    if not user.owns_email:
        proved = {"is_verified": True, "email_verified_at": now, "email_proved_apart": False}
        save_changes(user, proved, now=now)
        grant_for_verified_email(user=user, now=now)
    return user

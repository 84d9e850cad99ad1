"""Sessions: opened by a password, carried on by refresh tokens that work once.

A refresh token is a JWT made from its row and from nothing else, so the same row gives the same token again: a phone
that lost the answer asks once more within some seconds and gets the same successor (RFC 9700, section 4.14.2).
"""

import hashlib
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q, Value
from django.db.models.functions import Lower
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backend.accounts import rules
from backend.accounts.errors import InvalidCredentials
from backend.accounts.models import RefreshToken, Session, User
from backend.accounts.selectors import hold_active
from backend.accounts.services import delays, notices, two_factor
from backend.accounts.services.ending import end_one
from backend.accounts.services.passwords import is_password_of
from backend.core import tokens
from backend.core.actor import Role
from backend.core.environment import environment
from backend.core.errors import InvalidToken, NotFound
from shared_contracts.tokens import REFRESH_AUDIENCE, REFRESH_TYPE

AGENT_LENGTH = 300
KEEP_REPLACED = timedelta(days=1)
"""So long after its successor came a refresh token's row may be purged; used again, it still ends its session."""


@dataclass(frozen=True, slots=True)
class Device:
    """What asks: the caller's address where it is known, and what their program calls itself."""

    address: str | None
    agent: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """An access token and a refresh token, signed."""

    access: str
    refresh: str


class _RefreshClaims(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    sub: str = Field(pattern="^[1-9][0-9]{0,17}$")
    sid: int
    jti: str = Field(pattern="^[0-9a-f]{32}$")
    iat: int


def sign_in(
    *,
    identifier: str,
    password: str,
    roles: Collection[Role] | None,
    device: Device,
    now: datetime,
    otp: str | None = None,
) -> tuple[User, Tokens]:
    """Open a session for whoever has this identifier and password, and one of the roles if any are named.

    `identifier` is an e-mail address, a phone number or a username. An unknown one costs the same query and the same
    hash as a wrong password. Raises InvalidCredentials, OtpRequired when all is right but `otp` is missing, and
    RateLimited while another try has to wait.
    """
    user = _find(identifier)
    tried = delays.begin(identifier=identifier, user=user, agent=device.agent[:AGENT_LENGTH], now=now)
    if user is not None and (not user.is_active or (roles is not None and not set(roles) & set(user.roles))):
        user = None
    if not is_password_of(user, password) or user is None:
        raise InvalidCredentials
    two_factor.ask_for_code(user=user, otp=otp, now=now)
    with transaction.atomic():
        try:
            # Whoever was deactivated while the password was checked must not be left with a session.
            hold_active([user.pk])
        except NotFound:
            raise InvalidCredentials from None
        delays.forgive(tried, now=now)
        return user, open_session(user=user, device=device, now=now)


def _find(identifier: str) -> User | None:
    """The account of this identifier: one query, whatever it looks like."""
    number = rules.phone_number(identifier, default_region=environment().default_phone_region)
    wanted = Q(small_email=Lower(Value(identifier))) if "@" in identifier else Q(small_name=Lower(Value(identifier)))
    if number is not None:
        wanted = Q(phone_number=number, phone_signs_in=True)
    people = User.objects.select_related("second_factor")
    return people.alias(small_email=Lower("email"), small_name=Lower("username")).filter(wanted).first()


@transaction.atomic(savepoint=False)
def open_session(*, user: User, device: Device, now: datetime) -> Tokens:
    """A new session with its first pair of tokens; it ends `REFRESH_TOKEN_DAYS` from now at the latest."""
    session = Session.objects.create(
        user=user,
        created_at=now,
        last_seen_at=now,
        expires_at=now + timedelta(days=environment().refresh_token_days),
        client_address=device.address,
        agent=device.agent[:AGENT_LENGTH],
    )
    first = _next_token(session, parent=None, device=device, now=now)
    first.save(force_insert=True)
    return _tokens(session, user, first, now=now)


def refresh(*, token: str, device: Device, now: datetime) -> tuple[User, Tokens]:
    """The next pair of tokens. Raises InvalidToken; for a token that was used before, after ending its session."""
    claims = _read(token, now=now)
    try:
        answer = _rotate(claims, device, now=now)
    except IntegrityError:
        # Its row was purged meanwhile: once more, which finds none.
        answer = _rotate(claims, device, now=now)
    if answer is None:
        raise InvalidToken
    return answer


def _read(token: str, *, now: datetime) -> _RefreshClaims:
    claims = tokens.verify(token, token_type=REFRESH_TYPE, audience=REFRESH_AUDIENCE, now=now)
    try:
        return _RefreshClaims.model_validate(claims)
    except ValidationError:
        raise InvalidToken from None


@transaction.atomic(durable=True)
def _rotate(claims: _RefreshClaims, device: Device, *, now: datetime) -> tuple[User, Tokens] | None:
    """Give the presented token its one successor; None refuses.

    It returns where others raise: the end of the session must be committed although the answer is an error.
    """
    presented = (
        RefreshToken.objects.select_related("session__user")
        .filter(pk=uuid.UUID(claims.jti), session_id=claims.sid, session__user_id=int(claims.sub))
        .first()
    )
    if presented is None:
        if claims.iat < (now - KEEP_REPLACED).timestamp():
            _end_of_purged(claims, now=now)
        return None
    session, user = presented.session, presented.session.user
    if session.ended_at is not None or session.expires_at <= now or not user.is_active:
        return None
    successor = _successor_of(presented, device, now=now)
    if successor is None:
        _end_reused(session, now=now)
        return None
    Session.objects.filter(pk=session.pk).update(last_seen_at=now)
    return user, _tokens(session, user, successor, now=now)


def _end_of_purged(claims: _RefreshClaims, *, now: datetime) -> None:
    """End the session of an old token of ours that has no row: of a living session only those replaced are purged."""
    alive = Session.objects.filter(pk=claims.sid, user_id=int(claims.sub), ended_at=None, expires_at__gt=now)
    session = alive.filter(user__is_active=True).first()
    if session is not None:
        _end_reused(session, now=now)


def _end_reused(session: Session, *, now: datetime) -> None:
    if end_one(session_id=session.pk, user_id=session.user_id, by=None, reason="refresh_reused", now=now):
        notices.notify(user_id=session.user_id, kind="session_reused", now=now)


def _successor_of(presented: RefreshToken, device: Device, *, now: datetime) -> RefreshToken | None:
    """The token's one successor, whoever made it; None when somebody else than its owner asks, or too late."""
    ours = _next_token(presented.session, parent=presented, device=device, now=now)
    # Of many at once one insert wins; the others wait for its commit, change nothing, and read what it wrote.
    RefreshToken.objects.bulk_create([ours], ignore_conflicts=True)
    successor = RefreshToken.objects.get(parent=presented)
    grace = timedelta(seconds=environment().refresh_grace_seconds)
    is_same_device = bytes(successor.device) == ours.device
    is_repeated = successor.pk != ours.pk
    return None if is_repeated and not (is_same_device and now - successor.issued_at <= grace) else successor


def _next_token(session: Session, *, parent: RefreshToken | None, device: Device, now: datetime) -> RefreshToken:
    return RefreshToken(
        jti=uuid.uuid4(),
        session=session,
        parent=parent,
        device=hashlib.sha256(f"{device.agent}\0{device.address}".encode()).digest(),
        issued_at=now,
        expires_at=session.expires_at,
    )


def _tokens(session: Session, user: User, token: RefreshToken, *, now: datetime) -> Tokens:
    return Tokens(
        access=tokens.mint_access(user_id=user.pk, session_id=session.pk, roles=frozenset(user.roles), now=now),
        refresh=tokens.mint(
            token_type=REFRESH_TYPE,
            audience=REFRESH_AUDIENCE,
            claims={"sub": str(user.pk), "sid": session.pk, "jti": token.jti.hex},
            issued_at=token.issued_at,
            lifetime=token.expires_at - token.issued_at,
        ),
    )

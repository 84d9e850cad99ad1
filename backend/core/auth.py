"""Who calls: the bearer token gives the session, the session's row gives the person and their roles.

The row is read on every request, so that logging out, deactivating a person or taking a role acts at once. The
sidecar is known by its own credential and by that only.
"""

import hmac
from collections.abc import Sequence
from typing import Protocol

from django.http import HttpRequest
from ninja.security.base import AuthBase

from backend.core.actor import MANAGERS, PROVIDERS, Actor, Role
from backend.core.environment import environment
from backend.core.errors import Forbidden, InvalidToken, NotAuthenticated
from backend.core.tokens import verify_access
from shared_contracts.internal import CREDENTIAL_HEADER


class SessionSource(Protocol):
    """What accounts answers: the person behind a live session of an active account."""

    def actor_of(self, *, session_id: int, user_id: int) -> Actor | None: ...

    def actors_of(self, sessions: Sequence[tuple[int, int]]) -> dict[int, Actor]:
        """Of many (session id, user id): the actors of those alive, by session id, in one query."""
        ...


_source: SessionSource | None = None


def set_session_source(source: SessionSource) -> None:
    """Called once by accounts when the apps are ready."""
    global _source  # noqa: PLW0603 - registered once, at start
    _source = source


def session_source() -> SessionSource:
    if _source is None:
        raise RuntimeError("no module answers for sessions")
    return _source


def bearer_of(request: HttpRequest) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token else None


def authenticate(request: HttpRequest) -> Actor:
    """The caller, looked up once per request. Raises NotAuthenticated (no token) or InvalidToken."""
    known: Actor | None = getattr(request, "callout_actor", None)
    if known is not None:
        return known
    token = bearer_of(request)
    if token is None:
        raise NotAuthenticated
    claims = verify_access(token)
    actor = session_source().actor_of(session_id=claims.sid, user_id=claims.user_id)
    if actor is None:
        raise InvalidToken
    request.callout_actor = actor  # type: ignore[attr-defined]
    return actor


class SignedIn(AuthBase):
    """Lets in any signed-in person, or only those who hold one of `roles`; the rest get 403."""

    openapi_type = "http"
    openapi_scheme = "bearer"
    openapi_bearerFormat = "JWT"  # noqa: N815 - the name OpenAPI gives it

    def __init__(self, *roles: Role) -> None:
        self.roles = frozenset(roles)
        super().__init__()

    def __call__(self, request: HttpRequest) -> Actor:
        actor = authenticate(request)
        if self.roles and self.roles.isdisjoint(actor.roles):
            raise Forbidden(f"Only for: {', '.join(sorted(self.roles))}.")
        return actor


class Sidecar(AuthBase):
    """Lets in the sidecar by its credential; to everyone else its operations do not exist."""

    openapi_type = "apiKey"
    openapi_in = "header"
    openapi_name = CREDENTIAL_HEADER

    def __call__(self, request: HttpRequest) -> bool:
        if not is_sidecar(request):
            raise NotAuthenticated
        return True


def is_sidecar(request: HttpRequest) -> bool:
    return is_credential(request.headers.get(CREDENTIAL_HEADER, ""))


def is_credential(given: str) -> bool:
    """Whether this is what the sidecar is known by."""
    return hmac.compare_digest(given.encode(), environment().realtime_credential.encode())


any_user = SignedIn()
client = SignedIn(Role.CLIENT)
assistant = SignedIn(Role.ASSISTANT)
provider = SignedIn(*PROVIDERS)
manager = SignedIn(*MANAGERS)
admin = SignedIn(Role.ADMIN)
sidecar = Sidecar()


def actor(request: HttpRequest) -> Actor:
    """The caller of an operation whose `auth` is one of the above."""
    return authenticate(request)

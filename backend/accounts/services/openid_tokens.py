"""ID tokens of OpenID Connect (Core 1.0, section 3.1.3.7), checked against the keys that their issuer publishes."""

import json
import time
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from threading import Lock
from typing import Any

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from backend.accounts import rules
from backend.core import outbound
from backend.core.environment import OpenIdProvider
from backend.core.errors import InvalidToken, Unavailable
from backend.core.tokens import MAX_TOKEN_LENGTH

KEYS_FRESH_SECONDS = 3600
KEYS_USABLE_SECONDS = 86_400
"""While the issuer is away, its keys are believed for so long."""
COOL_DOWN_SECONDS = 30
"""Tokens with made-up key ids must not make us call the issuer more often."""
LEEWAY_SECONDS = 30
"""Others' clocks."""
MINIMUM_RSA_BITS = 2048

log = structlog.get_logger("callout.accounts")


@dataclass(frozen=True, slots=True)
class Claims:
    """What an issuer says of a person. `issuer` is its one canonical form; the e-mail address is verified there."""

    issuer: str
    subject: str
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class _Key:
    """A published key and the one algorithm it is used with (RFC 8725, section 3.1)."""

    algorithm: str
    public: RSAPublicKey | EllipticCurvePublicKey


class KeySet:
    """The keys of one issuer, read when they are wanted, shared by the threads of the process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._keys: dict[str, _Key] = {}
        self._read_at = self._tried_at = float("-inf")
        self._lock = Lock()

    def key(self, kid: str) -> _Key | None:
        """The key of this id; None when the issuer has none. Raises Unavailable when its keys cannot be read."""
        known = self._keys.get(kid)
        if known is not None and self._age() < KEYS_FRESH_SECONDS:
            return known
        with self._lock:  # of many who miss it, one asks
            is_wanted = kid not in self._keys or self._age() >= KEYS_FRESH_SECONDS
            if is_wanted and time.monotonic() - self._tried_at >= COOL_DOWN_SECONDS:
                self._tried_at = time.monotonic()
                self._read()
            if self._age() >= KEYS_USABLE_SECONDS:
                raise Unavailable("The keys of this provider cannot be read at present; try again.")
            return self._keys.get(kid)

    def _age(self) -> float:
        return time.monotonic() - self._read_at

    def _read(self) -> None:
        try:
            document = json.loads(outbound.read(self.url))
            keys = {key["kid"]: found for key in document["keys"] if (found := _key_of(key)) is not None}
            if not keys:
                raise ValueError("no key that can be used")
        except (outbound.NotRead, ValueError, TypeError, KeyError, RecursionError) as error:
            log.warning("openid.keys_not_read", url=self.url, error=f"{type(error).__name__}: {error}"[:200])
        else:
            self._keys = keys
            self._read_at = time.monotonic()


def _key_of(jwk: object) -> _Key | None:
    """A key for verifying RS256 or ES256; None for any other, and for one that is too weak."""
    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig" or not isinstance(jwk.get("kid"), str):
        return None
    try:
        key = jwt.PyJWK(jwk)
    except (jwt.PyJWTError, AttributeError):
        return None
    match key.algorithm_name, key.key:
        case "RS256", RSAPublicKey() as rsa if rsa.key_size >= MINIMUM_RSA_BITS:
            return _Key("RS256", rsa)
        case "ES256", EllipticCurvePublicKey() as elliptic:
            return _Key("ES256", elliptic)
    return None


@cache
def key_set(url: str) -> KeySet:
    return KeySet(url)


def verify(*, provider: OpenIdProvider, token: str, nonce: str | None, now: datetime) -> Claims:
    """The person whom this provider has signed in for one of our clients. `nonce` is compared when there is one.

    Raises InvalidToken for anything else, whatever is wrong with it, and Unavailable while the keys cannot be read.
    """
    claims = _signed_claims(provider, token)
    audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if len(audience) != 1 or audience[0] not in provider.client_ids:
        raise InvalidToken
    times = [claims["iat"], claims["exp"], claims.get("nbf", 0)]
    if not all(type(moment) in {int, float} for moment in times):
        raise InvalidToken
    issued, expires, begins = times
    if expires + LEEWAY_SECONDS <= now.timestamp() or max(issued, begins) - LEEWAY_SECONDS > now.timestamp():
        raise InvalidToken
    if nonce is not None and claims.get("nonce") != nonce:
        raise InvalidToken
    return _read(claims, issuer=provider.issuers[0])


def _signed_claims(provider: OpenIdProvider, token: str) -> dict[str, Any]:
    if len(token) > MAX_TOKEN_LENGTH:
        raise InvalidToken
    try:
        header = jwt.get_unverified_header(token)
        kid, kind = header.get("kid"), header.get("typ", "JWT")
        # Other tokens of the same issuer, such as its access tokens, name their type (RFC 9068).
        if not isinstance(kid, str) or not isinstance(kind, str) or kind.upper() != "JWT":
            raise InvalidToken
        key = key_set(provider.jwks_url).key(kid)
        if key is None:
            raise InvalidToken
        claims: dict[str, Any] = jwt.decode(
            token,
            key.public,
            algorithms=[key.algorithm],
            issuer=list(provider.issuers),
            options={
                "require": ["iss", "aud", "sub", "iat", "exp"],
                # The audience must be one and no other; times are judged by the movable clock.
                "verify_aud": False,
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except (jwt.PyJWTError, TypeError, ValueError):
        raise InvalidToken from None
    return claims


def _read(claims: dict[str, Any], *, issuer: str) -> Claims:
    subject, email, name = claims["sub"], claims.get("email"), claims.get("name")
    # Apple writes the truth as text.
    is_verified = claims.get("email_verified") in (True, "true")
    if not (isinstance(subject, str) and 0 < len(subject) <= 255 and subject.isprintable()):
        raise InvalidToken
    if not is_verified or not isinstance(email, str) or len(email) > 254 or not rules.is_email(email):
        raise InvalidToken
    printable = "".join(letter if letter.isprintable() else " " for letter in name) if isinstance(name, str) else ""
    return Claims(
        issuer=issuer,
        subject=subject,
        email=email,
        name=rules.one_line(printable)[:150].strip() or email.partition("@")[0],
    )

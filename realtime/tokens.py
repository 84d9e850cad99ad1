"""Verifies access tokens (RFC 7519, RFC 8725, RFC 9068): own keys by `kid`, each with its one algorithm, our claims."""

from collections.abc import Mapping

import jwt
from pydantic import ValidationError

from shared_contracts.errors import ErrorCode
from shared_contracts.token_keys import TokenKey
from shared_contracts.tokens import (
    ACCESS_AUDIENCE,
    ACCESS_TYPE,
    AHEAD_SECONDS,
    ISSUER,
    LEEWAY_SECONDS,
    AccessClaims,
)

MAX_TOKEN_CHARACTERS = 4096
NOT_VALID = "The access token is not valid."
"""Whatever is wrong with it: nobody learns how far a forgery came."""


class BadToken(Exception):
    """The token is not one of ours, or its time is over; `code` says which."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class TokenVerifier:
    """Reads access tokens signed with one of these keys."""

    def __init__(self, keys: Mapping[str, TokenKey]) -> None:
        self._keys = dict(keys)

    def verify(self, token: str, *, now: float) -> AccessClaims:
        """The claims of a token that is valid at `now` (Unix seconds). Raises BadToken."""
        try:
            claims = self._read(token)
        except (jwt.PyJWTError, ValidationError, ValueError, TypeError, RecursionError):
            raise BadToken(ErrorCode.INVALID_TOKEN, NOT_VALID) from None
        if claims.exp + LEEWAY_SECONDS <= now:
            raise BadToken(ErrorCode.TOKEN_EXPIRED, "The access token has expired.")
        if max(claims.iat, claims.nbf) - AHEAD_SECONDS > now:
            raise BadToken(ErrorCode.INVALID_TOKEN, NOT_VALID)
        return claims

    def _read(self, token: str) -> AccessClaims:
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise ValueError("too long")
        header = jwt.get_unverified_header(token)
        kid = header.get("kid")
        key = self._keys.get(kid) if isinstance(kid, str) else None
        if key is None or header.get("typ") != ACCESS_TYPE:
            raise ValueError("not an access token of ours")
        # Times are judged by the caller's clock, which tests may move; PyJWT knows only the machine's.
        payload = jwt.decode(
            token,
            key.verifying,
            algorithms=[key.algorithm],
            audience=ACCESS_AUDIENCE,
            issuer=ISSUER,
            options={
                "require": ["iss", "aud", "sub", "sid", "iat", "exp", "jti"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
        claims = AccessClaims.model_validate(payload)
        _ = claims.user_id  # raises ValueError for a subject that is no user
        return claims

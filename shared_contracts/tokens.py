"""The claims of an access token (RFC 7519), the same for the backend that signs and the sidecar that verifies."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

ISSUER = "callout"
ACCESS_AUDIENCE = "callout"
REFRESH_AUDIENCE = "callout:refresh"
ACCESS_TYPE = "at+jwt"
"""The `typ` header of an access token (RFC 9068)."""
REFRESH_TYPE = "rt+jwt"
LEEWAY_SECONDS = 5
"""A token is taken for so long after its end."""
AHEAD_SECONDS = 30
"""The clock of the machine that signed a token may be so far ahead of ours: a fresh token is not of the future."""


class AccessClaims(BaseModel):
    """What an access token says. `sub` is the user's id as text; roles are a hint, the session's row decides."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    iss: Literal["callout"]
    aud: Literal["callout"]
    sub: str
    sid: int
    roles: list[str]
    iat: int
    nbf: int = 0
    exp: int
    jti: str

    @property
    def user_id(self) -> int:
        """The user's id. Raises ValueError when `sub` is not the canonical text of a positive integer."""
        if not (self.sub.isascii() and self.sub.isdigit() and self.sub[0] != "0" and len(self.sub) < 19):
            raise ValueError("sub is not a user's id")
        return int(self.sub)

"""Who sends the push: our key pair, and the token that proves it to the push service (RFC 8292)."""

import base64
import hashlib
from datetime import datetime, timedelta
from functools import cache
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from backend.core.environment import P256_ORDER, environment
from backend.notifications.push.encryption import public_bytes

TOKEN_LIVES = timedelta(hours=12)


def public_key() -> str | None:
    """What browsers subscribe with; None where Web Push is not set up."""
    key = _private_key(environment().vapid_private_key or _development_key())
    return None if key is None else encoded(public_bytes(key))


def authorization(endpoint: str, *, now: datetime) -> str | None:
    """The `Authorization` of a push to this endpoint; None where Web Push is not set up."""
    key = _private_key(environment().vapid_private_key or _development_key())
    if key is None:
        return None
    parts = urlsplit(endpoint)
    claims = {
        "aud": f"{parts.scheme}://{parts.netloc}",
        "exp": int((now + TOKEN_LIVES).timestamp()),
        "sub": environment().vapid_subject,
    }
    token = jwt.encode(claims, key, algorithm="ES256")
    return f"vapid t={token}, k={encoded(public_bytes(key))}"


def _development_key() -> str:
    """A key of its own for every SECRET_KEY, so that development needs none; production names one or does without."""
    env = environment()
    if env.environment == "production":
        return ""
    number = int.from_bytes(hashlib.sha512(f"vapid\0{env.secret_key}".encode()).digest(), "big")
    return encoded((number % (P256_ORDER - 1) + 1).to_bytes(32, "big"))


@cache
def _private_key(text: str) -> ec.EllipticCurvePrivateKey | None:
    return ec.derive_private_key(int.from_bytes(decoded(text), "big"), ec.SECP256R1()) if text else None


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

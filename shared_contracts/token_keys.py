"""The form of the keys of tokens: whoever signs and whoever verifies read them alike, and a key decides its algorithm.

A PEM text is an Ed25519 key (RFC 8032), used as EdDSA (RFC 8037); any other text is a secret for HS256. So no token can
choose how it is verified (RFC 8725, section 3.1), and the public half of a key is never taken for a secret.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

PEM_MARK = "-----BEGIN "
MINIMUM_SECRET_BYTES = 32
"""RFC 7518, section 3.2: as long as the hash."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """One key, ready for PyJWT. `signing` is None for a public key, which can only verify."""

    algorithm: Literal["HS256", "EdDSA"]
    verifying: str | Ed25519PublicKey
    signing: str | Ed25519PrivateKey | None

    def for_signing(self) -> str | Ed25519PrivateKey:
        """The secret half. Raises ValueError for a public key."""
        if self.signing is None:
            raise ValueError("is a public key, which cannot sign")
        return self.signing

    @property
    def is_shared(self) -> bool:
        """Whether whoever verifies with it can sign with it, too."""
        return self.algorithm == "HS256"


def read_key(text: str) -> TokenKey:
    """The key that a setting holds. Raises ValueError saying what is wrong, without the text."""
    if PEM_MARK not in text:
        return TokenKey("HS256", verifying=text, signing=text)
    pem = text.encode()
    try:
        key = load_pem_public_key(pem) if " PUBLIC KEY-" in text else load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise ValueError("cannot be read: it must be an unencrypted Ed25519 key as PEM") from None
    if isinstance(key, Ed25519PrivateKey):
        return TokenKey("EdDSA", verifying=key.public_key(), signing=key)
    if isinstance(key, Ed25519PublicKey):
        return TokenKey("EdDSA", verifying=key, signing=None)
    raise ValueError("is of another kind: of PEM keys, only Ed25519 ones are taken")


def parse_texts(value: object) -> object:
    """A setting's JSON, which pydantic then checks. Raises ValueError for text that is none."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("it must be JSON, the keys by their names") from None


def read_keys(texts: Mapping[str, str]) -> dict[str, TokenKey]:
    """All keys of a setting by their ids. Raises ValueError with the rest of a sentence that names the key."""
    keys = {}
    for kid, text in texts.items():
        try:
            keys[kid] = read_key(text)
        except ValueError as error:
            raise ValueError(f"the key {kid} {error}") from None
    return keys

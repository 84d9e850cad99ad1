"""Encryption of a push for the browser that subscribed: RFC 8291 in RFC 8188's `aes128gcm`, one record."""

import os
import struct

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RECORD_BYTES = 4096
LONGEST_TEXT = 3993
"""So many bytes fit into the 4096 that every push service takes (RFC 8030, section 7.2)."""


def encrypt(
    text: bytes,
    *,
    public_key: bytes,
    secret: bytes,
    salt: bytes | None = None,
    own_key: ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    """The body of the push. Salt and our key are new each time; they are given only to check the RFC's example."""
    salt = salt or os.urandom(16)
    own_key = own_key or ec.generate_private_key(ec.SECP256R1())
    own_public = public_bytes(own_key)
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    shared = own_key.exchange(ec.ECDH(), theirs)
    key_material = _derive(shared, secret, b"WebPush: info\0" + public_key + own_public, 32)
    content_key = _derive(key_material, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(key_material, salt, b"Content-Encoding: nonce\0", 12)
    sealed = AESGCM(content_key).encrypt(nonce, text + b"\2", None)
    return salt + struct.pack("!IB", RECORD_BYTES, len(own_public)) + own_public + sealed


def public_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The uncompressed point, 65 bytes."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def is_public_key(point: bytes) -> bool:
    """Whether these bytes are an uncompressed point of the curve."""
    if len(point) != 65:
        return False
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        return False
    return True


def _derive(material: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length=length, salt=salt, info=info).derive(material)

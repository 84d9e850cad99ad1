"""Tokens that nobody may accept (RELIABILITY.md A1): what forgers try, and ours where they do not belong.

The platform attacked holds two keys: `ED_KID`, Ed25519, whose public half everybody knows, and `HS_KID`, a secret.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from shared_contracts.tokens import ACCESS_AUDIENCE, ACCESS_TYPE, ISSUER, REFRESH_AUDIENCE, REFRESH_TYPE

Json = dict[str, Any]

HS_KID, ED_KID = "shared", "pair"
SECRET = "a signing key for tests that is long enough for every algorithm there is"
FOREIGN_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
FOREIGN_ED = Ed25519PrivateKey.generate()


def pem_pair() -> tuple[str, str]:
    """A new Ed25519 key as the settings want it: private, public."""
    private = Ed25519PrivateKey.generate()
    return (
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
    )


PRIVATE, PUBLIC = pem_pair()
TOKEN_KEYS = {ED_KID: PRIVATE, HS_KID: SECRET}
"""The first signs."""


def claims_of(user_id: int, session_id: int, **changed: Any) -> Json:
    """What a genuine access token says; claims given as None are left out."""
    now = int(time.time())
    genuine = {
        "iss": ISSUER,
        "aud": ACCESS_AUDIENCE,
        "sub": str(user_id),
        "sid": session_id,
        "roles": ["client"],
        "iat": now,
        "exp": now + 900,
        "jti": "j",
    }
    return {name: value for name, value in {**genuine, **changed}.items() if value is not None}


def sign(claims: Json, *, kid: str = ED_KID, key: Any = None, algorithm: str = "", **header: Any) -> str:
    """A token signed with one of our keys, or with another."""
    key = key or TOKEN_KEYS[kid]
    algorithm = algorithm or ("EdDSA" if kid == ED_KID else "HS256")
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid, "typ": ACCESS_TYPE, **header})


def by_hand(header: Json, payload: Json | str, secret: str | bytes | None) -> str:
    """A token that no library would make: signed with HMAC whatever its header says, or not signed at all."""
    text = payload if isinstance(payload, str) else json.dumps(payload)
    signed = f"{_base64(json.dumps(header).encode())}.{_base64(text.encode())}"
    if secret is None:
        return f"{signed}."
    key = secret.encode() if isinstance(secret, str) else secret
    return f"{signed}.{_base64(hmac.new(key, signed.encode(), hashlib.sha256).digest())}"


def forgeries(user_id: int, session_id: int) -> Iterator[tuple[str, str]]:
    """What is wrong with it, and the token; apart from that each is the access token of this live session."""
    genuine = claims_of(user_id, session_id)
    now = int(time.time())
    yield from _unsigned(genuine)
    yield from _with_confused_algorithms(genuine)
    yield from _with_strange_headers(genuine)
    changes: dict[str, Json] = {
        "of another issuer": {"iss": "https://accounts.google.com"},
        "for another audience": {"aud": REFRESH_AUDIENCE},
        "for several audiences": {"aud": [ACCESS_AUDIENCE, "other"]},
        "without an end": {"exp": None},
        "without an issue time": {"iat": None},
        "without a session": {"sid": None},
        "without a subject": {"sub": None},
        "with an end that is text": {"exp": str(now + 900)},
        "from the future": {"iat": now + 45},
        "not valid before a minute": {"nbf": now + 60},
        "with a number as subject": {"sub": user_id},
        "with a list as subject": {"sub": [str(user_id)]},
        "with an object as subject": {"sub": {"id": user_id}},
        "with zeros before its subject": {"sub": f"0{user_id}"},
        "with a truth as session": {"sid": True},
        "with a text as roles": {"roles": "admin"},
    }
    for what, changed in changes.items():
        yield what, _signed_anyway(claims_of(user_id, session_id, **changed))
    yield "a refresh token", sign({**genuine, "aud": REFRESH_AUDIENCE}, typ=REFRESH_TYPE)
    yield "a refresh token for the API", sign(genuine, typ=REFRESH_TYPE)
    yield "a token of an e-mail's code", sign({**genuine, "aud": "callout:email"}, typ="ec+jwt")
    yield (
        "with another subject behind the first",
        by_hand(
            {"alg": "HS256", "kid": HS_KID, "typ": ACCESS_TYPE},
            json.dumps(genuine)[:-1] + ', "sub": "01"}',
            SECRET,
        ),
    )
    yield "of eight kilobytes", sign({**genuine, "pad": "x" * 6000})
    yield "signed with a key that was retired", sign(genuine, kid="retired", key=FOREIGN_ED, algorithm="EdDSA")
    yield "no token", "abc.def.ghi"


def run_out(user_id: int, session_id: int) -> Iterator[tuple[str, str]]:
    """Tokens that were genuine. Their holder can read when they ended, so an answer may say that they did."""
    for seconds in (6, 31, 86400):
        yield f"run out {seconds} s ago", sign(claims_of(user_id, session_id, exp=int(time.time()) - seconds))


def _unsigned(genuine: Json) -> Iterator[tuple[str, str]]:
    for algorithm in ("none", "None", "nOnE"):
        for kid in (ED_KID, HS_KID):
            yield (
                f"unsigned as {algorithm} with {kid}",
                by_hand({"alg": algorithm, "kid": kid, "typ": ACCESS_TYPE}, genuine, None),
            )
    for kid in (ED_KID, HS_KID):
        yield f"with an empty signature of {kid}", sign(genuine, kid=kid).rpartition(".")[0] + "."
    yield (
        "with another's signature",
        ".".join([*sign({**genuine, "roles": ["admin"]}).split(".")[:2], sign(genuine).split(".")[2]]),
    )


def _with_confused_algorithms(genuine: Json) -> Iterator[tuple[str, str]]:
    raw = base64.b64decode("".join(PUBLIC.splitlines()[1:-1]))[-32:]
    secrets: dict[str, str | bytes] = {"PEM": PUBLIC, "bare PEM": PUBLIC.strip(), "bytes": raw}
    for what, secret in secrets.items():
        header = {"alg": "HS256", "kid": ED_KID, "typ": ACCESS_TYPE}
        yield f"with the public key as secret, as {what}", by_hand(header, genuine, secret)
    yield (
        "with the secret under the pair's name",
        by_hand({"alg": "HS256", "kid": ED_KID, "typ": ACCESS_TYPE}, genuine, SECRET),
    )
    yield "with the pair under the secret's name", sign(genuine, kid=HS_KID, key=PRIVATE, algorithm="EdDSA")
    yield "with a longer hash", sign(genuine, kid=HS_KID, algorithm="HS512")
    yield (
        "called Ed25519 by its newer name",
        by_hand({"alg": "Ed25519", "kid": ED_KID, "typ": ACCESS_TYPE}, genuine, SECRET),
    )
    yield "with another pair", sign(genuine, key=FOREIGN_ED)
    yield "with another secret", sign(genuine, kid=HS_KID, key="x" * 40)
    yield "an id token of another issuer", sign(genuine, key=FOREIGN_RSA, algorithm="RS256", typ="JWT")


def _with_strange_headers(genuine: Json) -> Iterator[tuple[str, str]]:
    for kid in ("unknown", "../../dev/null", "' OR 1=1 --", "", "x" * 500):
        yield f"of the key {kid[:20]!r}", sign(genuine, key=FOREIGN_ED, algorithm="EdDSA", kid=kid)
    for strange in (None, 7, [ED_KID], {"kid": ED_KID}):
        header: Json = {"alg": "HS256", "kid": strange, "typ": ACCESS_TYPE}
        yield f"of the key {strange!r}", by_hand(header, genuine, SECRET)
    own = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(FOREIGN_ED.public_key()))
    yield "that brings its key", sign(genuine, key=FOREIGN_ED, jwk=own)
    yield "that says where its key is", sign(genuine, key=FOREIGN_ED, jku="https://evil.example/keys.json")
    yield "that says where its certificate is", sign(genuine, key=FOREIGN_ED, x5u="https://evil.example/cert.pem")
    yield "with a critical header that nobody knows", sign(genuine, crit=["until"], until=1)
    yield "with a payload that is not encoded", sign(genuine, crit=["b64"], b64=True)
    for typ in ("JWT", "AT+JWT ", None):
        header = {"alg": "HS256", "kid": HS_KID} | ({"typ": typ} if typ else {})
        yield f"of the type {typ}", by_hand(header, genuine, SECRET)


def _signed_anyway(claims: Json) -> str:
    """Signed with our secret, also where a library would refuse to."""
    return by_hand({"alg": "HS256", "kid": HS_KID, "typ": ACCESS_TYPE}, claims, SECRET)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

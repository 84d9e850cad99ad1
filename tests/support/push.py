"""The other end of a push: a browser with its keys, and a server that takes pushes and answers as it is told.

Decryption is written here anew, from RFC 8188 and RFC 8291 as the receiver reads them.
"""

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CURVE = ec.SECP256R1()


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Browser:
    """A subscription, with the private half that never leaves the browser."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(CURVE))
    secret: bytes = field(default_factory=lambda: os.urandom(16))

    @property
    def point(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def subscription(self, endpoint: str) -> dict[str, str]:
        """The body of `POST /devices/`."""
        return {
            "kind": "webpush",
            "endpoint": endpoint,
            "p256dh": encoded(self.point),
            "auth": encoded(self.secret),
        }

    def read(self, body: bytes) -> Any:
        """What the push says."""
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, sealed = body[21 : 21 + length], body[21 + length :]
        assert len(body) <= 4096
        assert len(sealed) <= size
        shared = self.key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(CURVE, sender))
        material = _derive(shared, self.secret, b"WebPush: info\0" + self.point + sender, 32)
        opened = AESGCM(_derive(material, salt, b"Content-Encoding: aes128gcm\0", 16)).decrypt(
            _derive(material, salt, b"Content-Encoding: nonce\0", 12), sealed, None
        )
        assert opened.endswith(b"\2")
        return json.loads(opened[:-1])


def _derive(material: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length=length, salt=salt, info=info).derive(material)


@dataclass
class Got:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class PushServer:
    """Takes Web Pushes, and what FCM and its token endpoint take."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    """The next answers; then 201 for Web Push, 200 for FCM."""
    text: str = ""
    got: list[Got] = field(default_factory=list)

    @property
    def pushes(self) -> list[Got]:
        return [one for one in self.got if one.path != "/token"]

    def vapid_claims(self, push: Got) -> dict[str, Any]:
        """Of a push's `Authorization`, whose signature must be that of the key beside it."""
        scheme, token, key = push.headers["authorization"].replace(",", "").split()
        assert (scheme, token[:2], key[:2]) == ("vapid", "t=", "k=")
        public = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, decoded(key[2:]))
        claims: dict[str, Any] = jwt.decode(
            token[2:], public, algorithms=["ES256"], audience=self.url, options={"verify_exp": False}
        )
        return claims

    def forms(self) -> list[dict[str, list[str]]]:
        """What asked for access tokens."""
        return [parse_qs(one.body.decode()) for one in self.got if one.path == "/token"]


@contextmanager
def push_server() -> Iterator[PushServer]:
    """A real HTTP server on a free port."""
    kept = PushServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.got.append(Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            if self.path == "/token":
                status, text = 200, json.dumps({"access_token": f"at-{len(kept.forms())}", "expires_in": 3600})
            else:
                usual = 200 if self.path.startswith("/v1/") else 201
                status, text = kept.statuses.pop(0) if kept.statuses else usual, kept.text
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    kept.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join(2)

"""The door of a private bucket: moto keeps files, and lets everybody in; this asks for what S3 asks for.

A request without credentials needs a signature in its address that is right and has not run out (AWS Signature
Version 4, query parameters: docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html).
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, quote

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

Environ = dict[str, Any]
SECRET = "tests"


class Door:
    """A WSGI application in front of moto; `ahead` is how far its clock is moved."""

    def __init__(self) -> None:
        self._inside = DomainDispatcherApplication(create_backend_app)
        self.ahead = timedelta()
        self._server = make_server("127.0.0.1", 0, self, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def open(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        refusal = None if "HTTP_AUTHORIZATION" in environ else self._refusal(environ)
        if refusal is None:
            answer: Iterable[bytes] = self._inside(environ, start_response)
            return answer
        start_response("403 Forbidden", [("Content-Type", "application/xml")])
        return [f"<Error><Code>AccessDenied</Code><Message>{refusal}</Message></Error>".encode()]

    def _refusal(self, environ: Environ) -> str | None:
        asked = parse_qsl(environ["QUERY_STRING"], keep_blank_values=True)
        given = dict(asked)
        if "X-Amz-Signature" not in given:
            return "Anonymous"
        signed_at = datetime.strptime(given["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if datetime.now(UTC) + self.ahead >= signed_at + timedelta(seconds=int(given["X-Amz-Expires"])):
            return "Request has expired"
        rest = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in asked)
        query = "&".join(f"{name}={value}" for name, value in rest if name != "X-Amz-Signature")
        assert given["X-Amz-SignedHeaders"] == "host"
        path = quote(environ["PATH_INFO"], safe="/-_.~")
        request = f"GET\n{path}\n{query}\nhost:{environ['HTTP_HOST']}\n\nhost\nUNSIGNED-PAYLOAD"
        scope = given["X-Amz-Credential"].split("/", 1)[1]
        digest = hashlib.sha256(request.encode()).hexdigest()
        key = f"AWS4{SECRET}".encode()
        for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{given['X-Amz-Date']}\n{scope}\n{digest}"):
            key = hmac.digest(key, part.encode(), "sha256")
        return None if hmac.compare_digest(key.hex(), given["X-Amz-Signature"]) else "SignatureDoesNotMatch"

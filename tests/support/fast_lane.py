"""One request through the whole WSGI application, by the fast lane and by the ordinary way."""

import io
from collections.abc import Callable, Iterable
from typing import Any
from unittest.mock import patch

from django.core.signals import request_started
from django.db import close_old_connections

from backend.config.wsgi import application, django_application
from backend.config.wsgi import fast_lane as lane
from tests.support.people import Member

Answer = tuple[str, dict[str, str], bytes]


def ask(
    app: Callable[..., Iterable[bytes]],
    path: str,
    member: Member | None,
    query: str = "",
    body: bytes | None = None,
    /,
    **more: str,
) -> Answer:
    """GET a path through a WSGI application, or POST it a body."""
    sent = {} if body is None else {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body))}
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET" if body is None else "POST",
        "PATH_INFO": f"/api/v1{path}",
        "QUERY_STRING": query,
        "HTTP_HOST": "localhost:8000",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "192.0.2.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body or b""),
        "HTTP_X_REQUEST_ID": "asked-twice",
        **sent,
        **more,
    }
    if member is not None:
        environ["HTTP_AUTHORIZATION"] = f"Bearer {member.access}"
    started: list[tuple[str, list[tuple[str, str]]]] = []
    request_started.disconnect(close_old_connections)  # as Django's own test client does: the test is a transaction
    try:
        answer = b"".join(app(environ, lambda status, headers, *_: started.append((status, headers))))
    finally:
        request_started.connect(close_old_connections)
    status, headers = started[0]
    return status, {name.lower(): value for name, value in headers}, answer


def took_the_lane(
    path: str, member: Member | None, query: str = "", body: bytes | None = None, first: bool = False, /, **more: str
) -> bool:
    """Whether the fast lane answered, asked after the ordinary way or `first`; both ways give the same."""
    ordinary: list[str] = []

    def watched(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        ordinary.append(environ["PATH_INFO"])
        answer: Iterable[bytes] = django_application(environ, start)
        return answer

    def ordinarily() -> Answer:
        return ask(django_application, path, member, query, body, **more)

    expected = None if first else ordinarily()
    with patch.object(lane, "_application", watched):
        found = ask(application, path, member, query, body, **more)
    assert found == (expected or ordinarily())
    return not ordinary

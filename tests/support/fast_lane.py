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


def ask(app: Callable[..., Iterable[bytes]], path: str, member: Member | None, query: str = "", **more: str) -> Answer:
    """GET a path through a WSGI application."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": f"/api/v1{path}",
        "QUERY_STRING": query,
        "HTTP_HOST": "localhost:8000",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "192.0.2.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "HTTP_X_REQUEST_ID": "asked-twice",
        **more,
    }
    if member is not None:
        environ["HTTP_AUTHORIZATION"] = f"Bearer {member.access}"
    started: list[tuple[str, list[tuple[str, str]]]] = []
    request_started.disconnect(close_old_connections)  # as Django's own test client does: the test is a transaction
    try:
        body = b"".join(app(environ, lambda status, headers, *_: started.append((status, headers))))
    finally:
        request_started.connect(close_old_connections)
    status, headers = started[0]
    return status, {name.lower(): value for name, value in headers}, body


def took_the_lane(path: str, member: Member | None, query: str = "", **more: str) -> bool:
    """Whether the fast lane answered; both ways give the same."""
    ordinary: list[str] = []

    def watched(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        ordinary.append(environ["PATH_INFO"])
        answer: Iterable[bytes] = django_application(environ, start)
        return answer

    expected = ask(django_application, path, member, query, **more)
    with patch.object(lane, "_application", watched):
        found = ask(application, path, member, query, **more)
    assert found == expected
    return not ordinary

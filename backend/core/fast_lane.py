"""The fast lane: a few operations that run all the time, answered before Django's handler.

A module registers a `HotRead` for a path. It answers the plain case only, from one statement that also checks the
session: a token of a live session, somebody who sees the thing, nothing unusual in headers or query. A `HotWrite` calls
the service that its endpoint calls. Whatever else comes (and every problem) goes the ordinary way, so that no rule is
decided here; the tests prove that both ways give the same headers and the same bytes.
"""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from io import BytesIO
from typing import Any, ClassVar

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.db import DatabaseError, connection
from django.http import HttpResponse
from django.http.request import split_domain_port, validate_host
from django.middleware.security import SecurityMiddleware

from backend.core import clock, limits, middleware, parsing
from backend.core.auth import is_credential
from backend.core.errors import Problem
from backend.core.request_context import acceptable_request_id, caused_by
from backend.core.tokens import verify_access
from shared_contracts.internal import CREDENTIAL_HEADER

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
Headers = list[tuple[str, str]]

_CREDENTIAL = "HTTP_" + CREDENTIAL_HEADER.upper().replace("-", "_")
_UNUSUAL = ("HTTP_ORIGIN", "HTTP_IF_MATCH", "HTTP_IDEMPOTENCY_KEY")
_SHORT_BYTES = 32 * 1024
"""A longer body goes the ordinary way."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a hot read knows of the request: who asks through which session, when, and what the path and query say."""

    user_id: int
    session_id: int
    now: datetime
    path: str
    id: int
    """Of the thing that the path names; 0 where it names none."""
    query: str


@dataclass(frozen=True, slots=True)
class Found:
    """The answer's bytes, and the thing's version, where it is one thing."""

    body: bytes
    version: int | None = None


@dataclass(frozen=True, slots=True)
class HotRead:
    """One read: its path with at most one group (an id), its route in figures and log, and how it is answered.

    `read` answers None for whatever is not the plain case.
    """

    path: re.Pattern[str]
    route: str
    read: Callable[[Asked], Found | None]
    method: ClassVar[str] = "GET"
    status: ClassVar[int] = 200

    def answer(self, asked: Asked, _environ: Environ) -> Found | None:
        return self.read(asked)


@dataclass(frozen=True, slots=True)
class HotWrite:
    """One POST of JSON to such a path. `write` is given what was sent, and answers with the body of a 201.

    It answers None for whatever is not the plain case, and may raise what its service does. Then it is all done again
    the ordinary way, also when nobody knows whether it was done: so it takes only what is the same twice as once.
    """

    path: re.Pattern[str]
    route: str
    write: Callable[[Asked, Any], bytes | None]
    method: ClassVar[str] = "POST"
    status: ClassVar[int] = 201

    def answer(self, asked: Asked, environ: Environ) -> Found | None:
        length: str = environ.get("CONTENT_LENGTH", "")
        if asked.query or environ.get("CONTENT_TYPE") != "application/json" or not length.isdecimal():
            return None
        if not 0 < int(length) <= _SHORT_BYTES:
            return None
        sent = environ["wsgi.input"].read()  # it has come in whole
        environ["wsgi.input"].seek(0)
        try:
            body = self.write(asked, parsing.parse(sent))
        except Problem:
            return None
        return None if body is None else Found(body)


Hot = HotRead | HotWrite
_operations: dict[str, dict[str, Hot]] = {HotRead.method: {}, HotWrite.method: {}}
"""By method and route."""


def serve(operation: Hot) -> None:
    """From now on this operation takes the fast lane. Called in `AppConfig.ready()`."""
    _operations[operation.method][operation.route] = operation


class FastLane:
    """The WSGI application around Django's."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._limits = middleware.RateLimits(lambda _request: HttpResponse())

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        answered = self._answer(environ)
        if answered is None:
            return self._application(environ, start_response)
        status, headers, body = answered
        start_response(status, headers)
        return [body]

    def _answer(self, environ: Environ) -> tuple[str, Headers, bytes] | None:
        """The status, the headers and the body, or None: let the ordinary way answer."""
        started = time.perf_counter()
        hot, match = _operation(environ)
        scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if hot is None or match is None or scheme.lower() != "bearer" or not _is_plain(environ, hot):
            return None
        try:
            now = clock.now()
            claims = verify_access(token.strip())
        except (Problem, DatabaseError):
            return None
        address = middleware.address_in(environ, is_from_sidecar=_CREDENTIAL in environ)
        verdict = limits.check(self._limits.asked(match[0], address, claims.sub))
        environ[middleware.VERDICT] = verdict
        if verdict is not None and not verdict.allowed:
            return None
        thing = int(match[1]) if match.re.groups else 0
        asked = Asked(claims.user_id, claims.sid, now, match[0], thing, environ.get("QUERY_STRING", ""))
        request_id = acceptable_request_id(environ.get("HTTP_X_REQUEST_ID"))
        with caused_by(request_id, client_address=address):
            found = _found(hot, asked, environ)
        if found is None:
            return None
        headers = _fixed_headers(environ["wsgi.url_scheme"], environ.get("HTTP_X_FORWARDED_PROTO"))
        headers = [*headers, ("X-Request-ID", request_id), ("Content-Length", str(len(found.body)))]
        if found.version is not None:
            headers.append(("ETag", f'"{found.version}"'))
        if verdict is not None:
            headers += middleware.limit_headers(verdict).items()
        middleware.note(
            method=hot.method,
            route=hot.route,
            status=hot.status,
            seconds=time.perf_counter() - started,
            user_id=claims.user_id,
            request_id=request_id,
        )
        return _STATUS[hot.status], headers, found.body


_STATUS = {200: "200 OK", 201: "201 Created"}


def _operation(environ: Environ) -> tuple[Hot, re.Match[str]] | tuple[None, None]:
    """The operation that is asked for, and what its path names."""
    for hot in _operations.get(environ["REQUEST_METHOD"], {}).values():
        if match := hot.path.fullmatch(environ["PATH_INFO"]):
            return hot, match
    return None, None


def _is_plain(environ: Environ, hot: Hot) -> bool:
    """Whether there is nothing unusual about it; the sidecar writes for people, and reads nothing here."""
    if any(name in environ for name in _UNUSUAL):
        return False
    if _CREDENTIAL in environ:
        return isinstance(hot, HotWrite) and is_credential(environ[_CREDENTIAL])
    return _is_served(environ.get("HTTP_HOST", ""))


def _found(hot: Hot, asked: Asked, environ: Environ) -> Found | None:
    """What there is to answer. The thread's connection is given back, as Django does at a request's end."""
    try:
        return hot.answer(asked, environ)
    except DatabaseError:
        return None  # the ordinary way says what there is to say
    finally:
        if not connection.in_atomic_block:
            connection.close()


@lru_cache(maxsize=256)
def _is_served(host: str) -> bool:
    """Whether ALLOWED_HOSTS names this host."""
    domain, _port = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


@lru_cache(maxsize=16)
def _fixed_headers(scheme: str, forwarded_proto: str | None) -> Headers:
    """What the middlewares put on every answer of the API, as they put it."""
    environ: Environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/api/",
        "wsgi.url_scheme": scheme,
        "wsgi.input": BytesIO(),
    }
    if forwarded_proto is not None:
        environ["HTTP_X_FORWARDED_PROTO"] = forwarded_proto
    request = WSGIRequest(environ)
    response = HttpResponse(content_type="application/json; charset=utf-8", headers={"Vary": "origin"})
    SecurityMiddleware(lambda _request: response)(request)
    middleware.secure(request, response)
    return list(response.items())

"""The fast lane: a few reads that run all the time, answered before Django's handler.

A module registers a `HotRead` for a path. It answers the plain case only, from one statement that also checks the
session: a token of a live session, somebody who sees the thing, nothing unusual in headers or query. Whatever else
comes (and every problem) goes the ordinary way, so that no rule is decided here; the tests prove that both ways give
the same headers and the same bytes.
"""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.db import DatabaseError, connection
from django.http import HttpResponse
from django.http.request import split_domain_port, validate_host
from django.middleware.security import SecurityMiddleware

from backend.core import clock, limits, middleware
from backend.core.errors import Problem
from backend.core.request_context import acceptable_request_id
from backend.core.tokens import verify_access
from shared_contracts.internal import CREDENTIAL_HEADER

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
Headers = list[tuple[str, str]]

_UNUSUAL = ("HTTP_ORIGIN", "HTTP_IF_MATCH", "HTTP_" + CREDENTIAL_HEADER.upper().replace("-", "_"))


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


_reads: dict[str, HotRead] = {}


def serve(read: HotRead) -> None:
    """From now on this read takes the fast lane. Called in `AppConfig.ready()`."""
    _reads[read.route] = read


class FastLane:
    """The WSGI application around Django's."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._limits = middleware.RateLimits(lambda _request: HttpResponse())

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        answered = self._answer(environ) if environ["REQUEST_METHOD"] == "GET" else None
        if answered is None:
            return self._application(environ, start_response)
        headers, body = answered
        start_response("200 OK", headers)
        return [body]

    def _answer(self, environ: Environ) -> tuple[Headers, bytes] | None:
        """The headers and the body, or None: let the ordinary way answer."""
        started = time.perf_counter()
        path: str = environ["PATH_INFO"]
        for hot in _reads.values():
            match = hot.path.fullmatch(path)
            if match:
                break
        else:
            return None
        scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or any(name in environ for name in _UNUSUAL):
            return None
        if not _is_served(environ.get("HTTP_HOST", "")):
            return None
        try:
            now = clock.now()
            claims = verify_access(token.strip())
        except (Problem, DatabaseError):
            return None
        address = middleware.address_in(environ)
        verdict = limits.check(self._limits.asked(path, address, claims.sub))
        environ[middleware.VERDICT] = verdict
        if verdict is not None and not verdict.allowed:
            return None
        thing = int(match[1]) if match.re.groups else 0
        found = _read(hot, Asked(claims.user_id, claims.sid, now, path, thing, environ.get("QUERY_STRING", "")))
        if found is None:
            return None
        request_id = acceptable_request_id(environ.get("HTTP_X_REQUEST_ID"))
        headers = _fixed_headers(environ["wsgi.url_scheme"], environ.get("HTTP_X_FORWARDED_PROTO"))
        headers = [*headers, ("X-Request-ID", request_id), ("Content-Length", str(len(found.body)))]
        if found.version is not None:
            headers.append(("ETag", f'"{found.version}"'))
        if verdict is not None:
            headers += middleware.limit_headers(verdict).items()
        middleware.note(
            method="GET",
            route=hot.route,
            status=200,
            seconds=time.perf_counter() - started,
            user_id=claims.user_id,
            request_id=request_id,
        )
        return headers, found.body


def _read(hot: HotRead, asked: Asked) -> Found | None:
    """What there is to answer. The thread's connection is given back, as Django does at a request's end."""
    try:
        return hot.read(asked)
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

"""What happens around every request: its id, its client's address, its line in the log, its limits, safe headers."""

import ipaddress
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from prometheus_client import Histogram

from backend.core import errors, limits, metrics
from backend.core.auth import bearer_of, is_sidecar
from backend.core.environment import environment
from backend.core.limits import Limit, Verdict, whose_address
from backend.core.logs import tell_request
from backend.core.problems import CONTENT_TYPE, InternalError, MethodNotAllowed, from_exception, problem_response
from backend.core.request_context import acceptable_request_id, caused_by, client_address
from backend.core.tokens import verify_access
from shared_contracts.internal import CREDENTIAL_HEADER

GetResponse = Callable[[HttpRequest], HttpResponseBase]

_PLAIN_ERRORS: dict[int, type[errors.Problem]] = {
    400: errors.Malformed,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: MethodNotAllowed,
    413: errors.TooLarge,
    500: InternalError,
}

VERDICT = "callout.verdict"
"""In a request's environment: it was counted against the rate limits already, with this verdict."""

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src blob:; frame-ancestors 'none'"
)
"""The API pages' scripts are inline and their own; nothing may come from another host."""


class RequestContext:
    """The outermost middleware."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        request_id = acceptable_request_id(request.headers.get("X-Request-ID"))
        with caused_by(request_id, client_address=address_of(request)):
            try:
                _check_host(request)
                response = self.get_response(request)
            except Exception as error:  # noqa: BLE001 - the last line of defence: never Django's own page
                response = problem_response(from_exception(error))
            response = _as_problem(response)
            secure(request, response)
            _measure(response)
            response["X-Request-ID"] = request_id
            _note(request, response, time.perf_counter() - started, request_id)
        return response


def _check_host(request: HttpRequest) -> None:
    """Only the hosts of ALLOWED_HOSTS have an API here. The sidecar calls by an inner name, and probes by any."""
    if request.path.startswith("/api/") and not is_sidecar(request):
        request.get_host()


def _as_problem(response: HttpResponseBase) -> HttpResponseBase:
    """Django's and Ninja's own plain errors, turned into problem documents."""
    if response.status_code < 400 or response.get("Content-Type", "").startswith(CONTENT_TYPE):
        return response
    kind = _PLAIN_ERRORS.get(response.status_code)
    if kind is None:
        return response
    answer = problem_response(kind())
    if "Allow" in response:
        answer["Allow"] = response["Allow"]
    return answer


def secure(request: HttpRequest, response: HttpResponseBase) -> None:
    """What an answer allows browsers to do with it."""
    is_page = response.get("Content-Type", "").startswith("text/html")
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY if is_page else API_POLICY)
    if request.path.startswith("/api/") and not is_page:
        response.headers.setdefault("Cache-Control", "no-store")


def _measure(response: HttpResponseBase) -> None:
    """Say how long the body is: the server would send it in chunks else."""
    if isinstance(response, HttpResponse) and response.status_code != 204:
        response.headers.setdefault("Content-Length", str(len(response.content)))


def _note(request: HttpRequest, response: HttpResponseBase, seconds: float, request_id: str) -> None:
    match = request.resolver_match
    actor = getattr(request, "callout_actor", None)
    note(
        method=request.method or "",
        route=match.route if match else "unknown",
        status=response.status_code,
        seconds=seconds,
        user_id=actor.id if actor else None,
        request_id=request_id,
    )


def note(*, method: str, route: str, status: int, seconds: float, user_id: int | None, request_id: str) -> None:
    """A request's place in the figures, and its line in the log."""
    _figure(method, route, status).observe(seconds)
    milliseconds = round(seconds * 1000, 1)
    tell_request(method=method, route=route, status=status, ms=milliseconds, user_id=user_id, request_id=request_id)


@lru_cache(maxsize=4096)
def _figure(method: str, route: str, status: int) -> Histogram:
    return metrics.REQUESTS.labels(method, route, str(status))


def address_of(request: HttpRequest) -> str | None:
    """The client's address: the peer's, or the last one that a trusted hop in front did not add itself."""
    peer = request.META.get("REMOTE_ADDR", "")
    forwarded = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    if CREDENTIAL_HEADER in request.headers and is_sidecar(request) and forwarded:
        return _address_or_none(forwarded[-1])
    return _last_untrusted(",".join([*forwarded, peer]))


def address_in(environ: Mapping[str, Any], *, is_from_sidecar: bool) -> str | None:
    """The same from a WSGI environment of which is known whether it has the sidecar's credential."""
    peer: str = environ.get("REMOTE_ADDR", "")
    forwarded: str = environ.get("HTTP_X_FORWARDED_FOR", "")
    if is_from_sidecar and (hops := [part.strip() for part in forwarded.split(",") if part.strip()]):
        return _address_or_none(hops[-1])
    return _last_untrusted(f"{forwarded},{peer}" if forwarded else peer)


@lru_cache(maxsize=4096)
def _last_untrusted(hops: str) -> str | None:
    """Of a list of addresses, the last that is no proxy of ours; None when it is no address."""
    left = [part.strip() for part in hops.split(",") if part.strip()]
    while len(left) > 1 and _is_trusted(left[-1]):
        left.pop()
    return _address_or_none(left[-1]) if left else None


def _address_or_none(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _is_trusted(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in _trusted_networks())


@cache
def _trusted_networks() -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(network) for network in environment().trusted_proxies)


class RateLimits:
    """Limits per address and per person, tighter where people sign in; the answer says what is left."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        env = environment()
        self.per_address = Limit("address", env.limit_per_address_per_minute, 60)
        self.per_user = Limit("user", env.limit_per_user_per_minute, 60)
        self.sign_in = Limit("sign-in", env.limit_sign_in_per_address_per_minute, 60, strict=True)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith("/api/"):
            return self.get_response(request)
        # Who left the fast lane was counted there.
        verdict = request.META[VERDICT] if VERDICT in request.META else limits.check(self._asked(request))
        if verdict is None:
            return self.get_response(request)
        response = self.get_response(request) if verdict.allowed else _too_many(verdict)
        for name, value in limit_headers(verdict).items():
            response[name] = value
        return response

    def _asked(self, request: HttpRequest) -> list[tuple[Limit, str]]:
        token, user = bearer_of(request), None
        if token is not None:
            with suppress(errors.InvalidToken):
                user = verify_access(token).sub
        return self.asked(request.path, client_address(), user)

    def asked(self, path: str, address: str | None, user: str | None) -> list[tuple[Limit, str]]:
        """Which limits a request to this path counts against, and whose."""
        whose = whose_address(address)
        counted = [(self.per_address, whose)]
        if path.startswith("/api/v1/auth/"):
            counted.append((self.sign_in, whose))
        return counted if user is None else [*counted, (self.per_user, user)]


def limit_headers(verdict: Verdict) -> dict[str, str]:
    """What an answer says of the tightest limit."""
    limit = verdict.limit
    return {
        "RateLimit-Policy": f'"{limit.name}";q={limit.requests};w={limit.seconds}',
        "RateLimit": f'"{limit.name}";r={verdict.remaining};t={verdict.reset_seconds}',
    }


def _too_many(verdict: Verdict) -> HttpResponse:
    seconds = max(1, verdict.retry_seconds)
    return problem_response(errors.RateLimited(headers={"Retry-After": str(seconds)}))

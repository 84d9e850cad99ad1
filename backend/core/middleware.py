"""What happens around every request: its id, its client's address, its line in the log, its limits, safe headers."""

import ipaddress
import time
from collections.abc import Callable, Iterator
from functools import cache

import structlog
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from backend.core import errors, limits, metrics
from backend.core.auth import bearer_of, is_sidecar
from backend.core.environment import environment
from backend.core.limits import Limit, Verdict, whose_address
from backend.core.problems import CONTENT_TYPE, InternalError, MethodNotAllowed, from_exception, problem_response
from backend.core.request_context import acceptable_request_id, caused_by, client_address
from backend.core.tokens import verify_access
from shared_contracts.internal import CREDENTIAL_HEADER

GetResponse = Callable[[HttpRequest], HttpResponseBase]

log = structlog.get_logger("callout.request")

_PLAIN_ERRORS: dict[int, type[errors.Problem]] = {
    400: errors.Malformed,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: MethodNotAllowed,
    413: errors.TooLarge,
    500: InternalError,
}

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
            _secure(request, response)
            _measure(response)
            response["X-Request-ID"] = request_id
            _note(request, response, time.perf_counter() - started)
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


def _secure(request: HttpRequest, response: HttpResponseBase) -> None:
    is_page = response.get("Content-Type", "").startswith("text/html")
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY if is_page else API_POLICY)
    if request.path.startswith("/api/") and not is_page:
        response.headers.setdefault("Cache-Control", "no-store")


def _measure(response: HttpResponseBase) -> None:
    """Say how long the body is: the server would send it in chunks else."""
    if isinstance(response, HttpResponse) and response.status_code != 204:
        response.headers.setdefault("Content-Length", str(len(response.content)))


def _note(request: HttpRequest, response: HttpResponseBase, seconds: float) -> None:
    match = request.resolver_match
    route = match.route if match else "unknown"
    metrics.REQUESTS.labels(request.method, route, str(response.status_code)).observe(seconds)
    actor = getattr(request, "callout_actor", None)
    log.info(
        "request",
        method=request.method,
        route=route,
        status=response.status_code,
        ms=round(seconds * 1000, 1),
        user_id=actor.id if actor else None,
    )


def address_of(request: HttpRequest) -> str | None:
    """The client's address: the peer's, or the last one that a trusted hop in front did not add itself."""
    peer = request.META.get("REMOTE_ADDR", "")
    forwarded = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    if CREDENTIAL_HEADER in request.headers and is_sidecar(request) and forwarded:
        return _address_or_none(forwarded[-1])
    hops = [*forwarded, peer]
    while len(hops) > 1 and _is_trusted(hops[-1]):
        hops.pop()
    return _address_or_none(hops[-1])


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
        verdict = limits.check(list(self._asked(request)))
        if verdict is None:
            return self.get_response(request)
        response = self.get_response(request) if verdict.allowed else _too_many(verdict)
        response["RateLimit-Policy"] = f'"{verdict.limit.name}";q={verdict.limit.requests};w={verdict.limit.seconds}'
        response["RateLimit"] = f'"{verdict.limit.name}";r={verdict.remaining};t={verdict.reset_seconds}'
        return response

    def _asked(self, request: HttpRequest) -> Iterator[tuple[Limit, str]]:
        address = whose_address(client_address())
        yield self.per_address, address
        if request.path.startswith("/api/v1/auth/"):
            yield self.sign_in, address
        token = bearer_of(request)
        if token is not None:
            try:
                yield self.per_user, verify_access(token).sub
            except errors.InvalidToken:
                return


def _too_many(verdict: Verdict) -> HttpResponse:
    seconds = max(1, verdict.retry_seconds)
    return problem_response(errors.RateLimited(headers={"Retry-After": str(seconds)}))

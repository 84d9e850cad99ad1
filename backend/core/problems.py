"""The one place where an error becomes an answer: RFC 9457 problem documents."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from psycopg_pool import PoolTimeout, TooManyRequests

from backend.core import errors
from backend.core.errors import FieldProblem, Problem
from backend.core.request_context import request_id
from shared_contracts.errors import ErrorCode

CONTENT_TYPE = "application/problem+json"

log = structlog.get_logger("callout.problem")

_BY_STATUS: Mapping[int, type[Problem]] = {
    400: errors.Malformed,
    401: errors.NotAuthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    413: errors.TooLarge,
    415: errors.UnsupportedMediaType,
    422: errors.ValidationFailed,
}


class MethodNotAllowed(Problem):
    status, code, title = 405, ErrorCode.METHOD_NOT_ALLOWED, "This method is not served at this address."


class InternalError(Problem):
    status, code, title = 500, ErrorCode.INTERNAL_ERROR, "Something went wrong on our side."


def problem_response(problem: Problem) -> HttpResponse:
    """The document of a problem, with the request's id so that its lines can be found in the log."""
    document = {
        "type": f"urn:callout:problem:{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "errors": problem.errors,
        "request_id": request_id(),
        **problem.data,
    }
    return HttpResponse(
        msgspec.json.encode(document), status=problem.status, content_type=CONTENT_TYPE, headers=problem.headers
    )


_BY_KIND: tuple[tuple[tuple[type[Exception], ...], type[Problem]], ...] = (
    ((AuthenticationError,), errors.NotAuthenticated),
    ((Http404,), errors.NotFound),
    ((RequestDataTooBig,), errors.TooLarge),
    ((SuspiciousOperation, BadRequest, UnreadablePostError), errors.Malformed),
    ((OperationalError, InterfaceError, PoolTimeout, TooManyRequests), errors.Unavailable),
)
"""Other people's exceptions, the first match first."""


def from_exception(error: Exception) -> Problem:
    """What a caller may know of any exception: nothing of the inside of the system."""
    if isinstance(error, HttpError):
        # Ninja wraps whatever our parser of bodies raises.
        if isinstance(error.__cause__, Problem):
            return error.__cause__
        return _BY_STATUS.get(error.status_code, errors.Malformed)()
    if isinstance(error, Problem):
        return error
    if isinstance(error, ValidationError):
        return errors.ValidationFailed(errors=[field_problem(detail) for detail in error.errors])
    if isinstance(error, DataError):
        return errors.ValidationFailed("A value is outside what can be stored.")
    for kinds, problem in _BY_KIND:
        if isinstance(error, kinds):
            if problem is errors.Unavailable:
                log.warning("database.unavailable", error=type(error).__name__)
            return problem()
    log.error("request.failed", exc_info=error)
    return InternalError()


def field_problem(detail: Mapping[str, Any]) -> FieldProblem:
    """One of pydantic's complaints as a field problem; what was sent is never repeated."""
    location: Sequence[Any] = detail["loc"]
    code = ErrorCode.UNKNOWN_FIELD if detail["type"] == "extra_forbidden" else detail["type"]
    # Ninja names the parameter of the endpoint second (`body.payload.pickup`): callers do not know it.
    path = [location[0], *location[2:]] if location[0] == "body" and len(location) > 1 else location
    message = str(detail["msg"])
    if code in {"too_short", "too_long"} and message.startswith("Value"):
        # Pydantic counts a text's "items" where a validator of ours stands before the length.
        code, message = f"string_{code}", re.sub("Value(.*) items? after validation", r"String\1 characters", message)
    return {"field": ".".join(map(str, path)), "code": str(code), "message": message}


def install(api: NinjaAPI) -> None:
    """Let every error of every operation go through `from_exception`."""

    def handle(_request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
        return problem_response(from_exception(error if isinstance(error, Exception) else error()))

    api.add_exception_handler(Exception, handle)
    for kind in (Problem, ValidationError, HttpError, AuthenticationError, Http404):
        api.add_exception_handler(kind, handle)

"""Errors of the domain: each knows its code, its HTTP status and the data that help the caller."""

from collections.abc import Sequence
from typing import Any, ClassVar, TypedDict

from shared_contracts.errors import ErrorCode


class FieldProblem(TypedDict):
    """What is wrong with one field: its path in the request (`body.pickup.lat`), a code, a sentence."""

    field: str
    code: str
    message: str


class Problem(Exception):
    """Base of all errors that a caller may see. Subclasses set the class attributes; `detail` may be made precise."""

    status: ClassVar[int] = 409
    code: ClassVar[ErrorCode] = ErrorCode.CONFLICT
    title: ClassVar[str] = "The state of things does not allow this."

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldProblem] = (),
        headers: dict[str, str] | None = None,
        **data: Any,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = list(errors)
        self.headers = headers or {}
        self.data = data
        """Further members of the problem document, such as `current_status`."""


class Malformed(Problem):
    status, code, title = 400, ErrorCode.MALFORMED, "The request cannot be read."


class NotAuthenticated(Problem):
    status, code, title = 401, ErrorCode.NOT_AUTHENTICATED, "Sign in first."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="callout"'})


class InvalidToken(NotAuthenticated):
    code, title = ErrorCode.INVALID_TOKEN, "The token is not valid any more, or never was."


class Forbidden(Problem):
    status, code, title = 403, ErrorCode.FORBIDDEN, "You may see this, but not do that."


class NotFound(Problem):
    """Also for what one may not see: the two cannot be told apart."""

    status, code, title = 404, ErrorCode.NOT_FOUND, "There is nothing here for you."


class TooLarge(Problem):
    status, code, title = 413, ErrorCode.TOO_LARGE, "The request is too large."


class UnsupportedMediaType(Problem):
    status, code, title = 415, ErrorCode.UNSUPPORTED_MEDIA_TYPE, "This media type is not read here."


class InvalidState(Problem):
    status, code, title = 409, ErrorCode.INVALID_STATE, "Its present state does not allow this."


class RequestInFlight(Problem):
    status, code, title = 409, ErrorCode.REQUEST_IN_FLIGHT, "The same request is being answered right now."


class PreconditionFailed(Problem):
    status, code, title = 412, ErrorCode.PRECONDITION_FAILED, "It has changed since you read it."


class ValidationFailed(Problem):
    status, code, title = 422, ErrorCode.VALIDATION_FAILED, "Some of the values are not valid."


class UnknownFilter(ValidationFailed):
    code, title = ErrorCode.UNKNOWN_FILTER, "This list cannot be filtered or ordered that way."


class UnknownReference(ValidationFailed):
    code, title = ErrorCode.UNKNOWN_REFERENCE, "This kind of thing is not known here."


class IdempotencyKeyReused(ValidationFailed):
    code, title = ErrorCode.IDEMPOTENCY_KEY_REUSED, "This Idempotency-Key was used with another request."


class RateLimited(Problem):
    status, code, title = 429, ErrorCode.RATE_LIMITED, "Too many requests: wait, then try again."


class Unavailable(Problem):
    status, code, title = 503, ErrorCode.UNAVAILABLE, "A part of the platform is away for a moment; try again."

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


def invalid_field(field: str, message: str, *, code: ErrorCode = ErrorCode.VALIDATION_FAILED) -> ValidationFailed:
    """A 422 about one field of the body."""
    return ValidationFailed(message, errors=[{"field": field, "code": code, "message": message}])

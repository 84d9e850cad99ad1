"""The API as a manual: what every operation may answer, added to what Ninja knows of it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ninja import NinjaAPI
from ninja.operation import Operation

from backend.core import errors
from backend.core.errors import Problem
from backend.core.problems import CONTENT_TYPE
from shared_contracts.errors import ErrorCode

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "An RFC 9457 problem document. Switch on `code`; show `detail`; quote `request_id` when you ask us.",
    "required": ["type", "title", "status", "detail", "code", "errors", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "examples": ["urn:callout:problem:already_accepted"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "enum": [code.value for code in ErrorCode]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {
                    "field": {"type": "string", "examples": ["body.pickup.lat"]},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
        "request_id": {"type": "string"},
    },
}


def problems(*kinds: type[Problem]) -> dict[str, Any]:
    """For `openapi_extra=`: the problems of the domain that an operation may answer, beside the usual ones."""
    return {"x-problems": [f"{kind.status} {kind.code}: {kind.title}" for kind in kinds]}


def operations(api: NinjaAPI) -> Iterator[tuple[str, Operation]]:
    """Every operation with its path, as it is served."""
    for router in api._get_bound_routers():
        for path, view in router.path_operations.items():
            for operation in view.operations:
                yield (
                    "/" + "/".join(part.strip("/") for part in (router.prefix, path) if part.strip("/")) + "/",
                    operation,
                )


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add to each operation the problems it may answer, and to the document the schema of a problem."""
    document["components"]["schemas"]["Problem"] = PROBLEM_SCHEMA
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if isinstance(operation, dict):
                _complete_operation(path, method, operation)
    return document


def _complete_operation(path: str, method: str, operation: dict[str, Any]) -> None:
    texts: dict[int, list[str]] = {}
    for kind in _usual(path, method, operation):
        texts.setdefault(kind.status, []).append(f"`{kind.code}`: {kind.title}")
    for own in operation.pop("x-problems", []):
        status, text = own.split(" ", 1)
        code, title = text.split(": ", 1)
        line = f"`{code}`: {title}"
        if line not in texts.setdefault(int(status), []):
            texts[int(status)].append(line)
    for status, lines in sorted(texts.items()):
        operation["responses"][status] = {
            "description": "  \n".join(lines),
            "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    summary, _, rest = operation.get("description", "").partition("\n\n")
    if summary:
        operation["summary"] = " ".join(summary.split()).rstrip(".").replace("`", "")
        operation["description"] = rest or summary


def _usual(path: str, method: str, operation: dict[str, Any]) -> Iterable[type[Problem]]:
    yield errors.Malformed
    if "security" in operation:
        yield errors.NotAuthenticated
        yield errors.InvalidToken
        yield errors.Forbidden
    if "{" in path:
        yield errors.NotFound
    if "requestBody" in operation:
        yield errors.TooLarge
        yield errors.UnsupportedMediaType
    yield errors.ValidationFailed
    yield errors.RateLimited
    yield errors.Unavailable
    if method == "post" and "security" in operation:
        yield errors.RequestInFlight
        yield errors.IdempotencyKeyReused


Run = Callable[..., Any]


def refuse_unknown_query(operation: Operation) -> None:
    """Let the operation answer 422 to a query parameter it does not know, instead of ignoring it."""
    known = {
        name
        for model in operation.models
        if model.__ninja_param_source__ == "query"
        for name in getattr(model, "__ninja_flatten_map__", model.model_fields)
    }
    get_values = operation._get_values

    def checked(request: Any, *args: Any, **kwargs: Any) -> Any:
        unknown = sorted(set(request.GET) - known)
        if unknown:
            raise errors.UnknownFilter(
                errors=[
                    {
                        "field": f"query.{name}"[:100],
                        "code": ErrorCode.UNKNOWN_FILTER,
                        "message": f"known here: {', '.join(sorted(known)) or 'none'}",
                    }
                    for name in unknown[:10]
                ]
            )
        return get_values(request, *args, **kwargs)

    operation._get_values = checked  # type: ignore[method-assign]

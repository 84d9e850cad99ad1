"""The API as a manual: what every operation may answer, added to what Ninja knows of it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ninja import NinjaAPI
from ninja.operation import Operation

from backend.core import errors
from backend.core.errors import Problem
from backend.core.idempotency import HEADER
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

IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Your own name for this request: sent again with the same key and body, it has one effect, and the "
    "first answer comes again with `Idempotent-Replayed: true`.",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "pattern": "^[!-~]+$",
        "examples": ["0b9a2f6c-5a0e-4c55-9e59-2f8a3f0a7e11"],
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
                parts = [part.strip("/") for part in (router.prefix, path) if part.strip("/")]
                is_file = "." in path.rpartition("/")[2]
                yield "/" + "/".join(parts) + ("" if is_file else "/"), operation


def complete(api: NinjaAPI, document: dict[str, Any]) -> dict[str, Any]:
    """Add to each operation what Ninja does not know: its problems, its idempotency; and the schema of a problem."""
    document["components"]["schemas"]["Problem"] = PROBLEM_SCHEMA
    idempotent = {operation.operation_id for _, operation in operations(api) if hasattr(operation.run, "is_idempotent")}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if isinstance(operation, dict):
                for parameter in operation["parameters"]:
                    parameter.pop("examples", None)  # a list belongs into the schema, where it stands as well
                if operation["operationId"] in idempotent:
                    operation["parameters"].append(IDEMPOTENCY_KEY)
                _complete_operation(path, operation)
    return document


def _complete_operation(path: str, operation: dict[str, Any]) -> None:
    texts: dict[int, list[str]] = {}
    for kind in _usual(path, operation):
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


def _usual(path: str, operation: dict[str, Any]) -> Iterable[type[Problem]]:
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
    if IDEMPOTENCY_KEY in operation["parameters"]:
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

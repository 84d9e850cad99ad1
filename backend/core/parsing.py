"""Reading JSON strictly: bounded, unambiguous, UTF-8 (RFC 8259), before any schema sees it."""

import json
from typing import Any

from django.http import HttpRequest
from ninja.parser import Parser

from backend.core.errors import Malformed, TooLarge, UnsupportedMediaType

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_KEYS = 1000


class StrictParser(Parser):
    """Ninja's parser of bodies, replaced."""

    def parse_body(self, request: HttpRequest) -> Any:
        """The body as Python values. Raises Malformed (400), TooLarge (413) or UnsupportedMediaType (415)."""
        if request.content_type != "application/json":
            raise UnsupportedMediaType("Send JSON with Content-Type: application/json.")
        if int(request.headers.get("Content-Length") or 0) > MAX_BYTES or len(request.body) > MAX_BYTES:
            raise TooLarge(f"A body may have {MAX_BYTES} bytes at most.")
        return parse(request.body)


def parse(body: bytes) -> Any:
    """JSON without NaN, infinity, duplicate names, more than 20 levels or 1,000 names. Raises Malformed."""
    keys = 0

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal keys
        keys += len(items)
        if keys > MAX_KEYS:
            raise Malformed(f"A body may have {MAX_KEYS} names at most.")
        found = dict(items)
        if len(found) != len(items):
            raise Malformed("A name stands twice in one object.")
        return found

    def constant(name: str) -> None:
        raise Malformed(f"{name} is not JSON.")

    try:
        value = json.loads(body.decode(), object_pairs_hook=pairs, parse_constant=constant)
    except RecursionError:
        raise Malformed(f"A body may be {MAX_DEPTH} levels deep at most.") from None
    except UnicodeDecodeError:
        raise Malformed("The body is not UTF-8.") from None
    except ValueError:
        raise Malformed("The body is not JSON.") from None
    if _depth(value) > MAX_DEPTH:
        raise Malformed(f"A body may be {MAX_DEPTH} levels deep at most.")
    return value


def _depth(value: Any) -> int:
    depth, layer = 0, [value]
    while layer and depth <= MAX_DEPTH:
        containers = [item for item in layer if isinstance(item, dict | list)]
        layer = [child for item in containers for child in (item.values() if isinstance(item, dict) else item)]
        depth += bool(containers)
        if not containers:
            break
    return depth

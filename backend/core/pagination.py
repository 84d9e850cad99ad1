"""Lists by numbered page, and feeds by cursor; both bounded, both in a total order."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from django.db import models
from django.http import HttpRequest
from pydantic import Field

from backend.core.errors import invalid_field
from backend.core.schemas import QueryIn

MAX_OFFSET = 10_000
"""Whoever pages deeper than this wants a filter."""

M = TypeVar("M", bound=models.Model)


class PageIn(QueryIn):
    """Which page of a list. Base of every list's filters."""

    page: Annotated[int, Field(ge=1, le=MAX_OFFSET)] = 1
    page_size: Annotated[int, Field(ge=1, le=100)] = 20


class CursorIn(QueryIn):
    """Which part of a feed. Base of every feed's filters."""

    cursor: Annotated[str | None, Field(max_length=100)] = None
    page_size: Annotated[int, Field(ge=1, le=100)] = 20


def paginate(
    request: HttpRequest,
    rows: models.QuerySet[M] | Sequence[Any],
    asked: PageIn,
    *,
    out: Callable[[Any], Any] | None = None,
) -> dict[str, Any]:
    """One numbered page: two queries whatever its size, none of a list at hand. Raises 422 beyond the 10,000th row."""
    start = (asked.page - 1) * asked.page_size
    if start > MAX_OFFSET:
        raise invalid_field("query.page", f"a list is read to its {MAX_OFFSET}th row at most: filter it")
    count = rows.count() if isinstance(rows, models.QuerySet) else len(rows)
    found = list(rows[start : start + asked.page_size]) if start < count else []
    return {
        "count": count,
        "next": _address(request, page=asked.page + 1) if start + asked.page_size < count else None,
        "previous": _address(request, page=asked.page - 1) if asked.page > 1 else None,
        "results": [out(row) for row in found] if out else found,
    }


def paginate_found(
    request: HttpRequest, asked: PageIn, find: Callable[[int, int], tuple[int, Sequence[Any]]]
) -> dict[str, Any]:
    """A numbered page of what a search finds: `find(start, size)` gives how many there are and the page's own.

    Raises 422 beyond the 10,000th row.
    """
    start = (asked.page - 1) * asked.page_size
    if start > MAX_OFFSET:
        raise invalid_field("query.page", f"a list is read to its {MAX_OFFSET}th row at most: filter it")
    count, found = find(start, asked.page_size)
    return {
        "count": count,
        "next": _address(request, page=asked.page + 1) if start + asked.page_size < count else None,
        "previous": _address(request, page=asked.page - 1) if asked.page > 1 else None,
        "results": found,
    }


def feed(
    request: HttpRequest,
    rows: models.QuerySet[M],
    asked: CursorIn,
    *,
    newest_first: bool = True,
    out: Callable[[Sequence[M]], Sequence[Any]] | None = None,
) -> dict[str, Any]:
    """One part of a feed ordered by id: one query. `out` shapes the rows of the part all at once.

    The cursor names the row before the part and the direction of reading, so new rows never shift what is read.
    """
    backwards, edge = read_cursor(asked.cursor)
    descending = newest_first is not backwards
    if edge is not None:
        rows = rows.filter(pk__lt=edge) if descending else rows.filter(pk__gt=edge)
    found = list(rows.order_by("-pk" if descending else "pk")[: asked.page_size + 1])
    more = len(found) > asked.page_size
    part = found[: asked.page_size]
    if backwards:
        part.reverse()
    has_next = bool(part) and (more or backwards)
    has_previous = bool(part) and (more if backwards else edge is not None)
    return {
        "next": _address(request, cursor=_make_cursor("n", part[-1].pk)) if has_next else None,
        "previous": _address(request, cursor=_make_cursor("p", part[0].pk)) if has_previous else None,
        "results": out(part) if out else part,
    }


def _address(request: HttpRequest, **changes: Any) -> str:
    query = request.GET.copy()
    for name, value in changes.items():
        query[name] = str(value)
    return f"{request.path}?{query.urlencode()}"


def _make_cursor(direction: str, edge: int) -> str:
    return base64.urlsafe_b64encode(f"{direction}{edge}".encode()).decode().rstrip("=")


def read_cursor(cursor: str | None) -> tuple[bool, int | None]:
    """Whether a feed is read backwards, and the id before the part (None: from its beginning). Raises a 422."""
    if cursor is None:
        return False, None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        direction, edge = text[:1], text[1:]
        if direction not in {"n", "p"} or not edge.isdigit() or len(edge) > 18:
            raise ValueError
    except (binascii.Error, UnicodeError, ValueError):
        raise invalid_field("query.cursor", "take the cursor from `next` or `previous`") from None
    return direction == "p", int(edge)

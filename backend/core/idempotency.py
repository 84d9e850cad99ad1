"""`Idempotency-Key`: a repeated request has one effect and gets the first answer again.

The answer is stored in the work's own transaction. A twin that is still at work is noticed by an advisory lock, which
is refused at once, where a unique insert would wait. Anything but a 2xx is rolled back and not kept.
"""

import hashlib
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse

from backend.core import clock
from backend.core.auth import authenticate
from backend.core.errors import IdempotencyKeyReused, NotAuthenticated, Problem, RequestInFlight, invalid_field
from backend.core.hot import HotQuery, insert, run
from backend.core.models import IdempotentAnswer
from backend.core.problems import problem_response

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")

View = Callable[..., HttpResponse]


def idempotent(view: View) -> View:
    """One transaction around the operation; with a key, its stored answer. Use with `@decorate_view`."""

    @wraps(view)
    def run(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            actor = authenticate(request)
            key = _key_of(request)
            with transaction.atomic():
                answer = _stored_answer(request, actor.id, key) if key else None
                if answer is not None:
                    return answer
                response = view(request, *args, **kwargs)
                if not 200 <= response.status_code < 300:
                    transaction.set_rollback(True)
                elif key:
                    _store(request, actor.id, key, response)
                return response
        except NotAuthenticated:
            return view(request, *args, **kwargs)
        except Problem as problem:
            return problem_response(problem)

    run.__dict__["is_idempotent"] = True
    return run


def _key_of(request: HttpRequest) -> str | None:
    key = request.headers.get(HEADER)
    if key is not None and not _KEY.fullmatch(key):
        raise invalid_field(f"header.{HEADER}", "1 to 255 printable ASCII characters without spaces are wanted")
    return key


def _operation(request: HttpRequest) -> str:
    return f"{request.method} {request.path}"[:200]


def _body_hash(request: HttpRequest) -> bytes:
    """The digest of the body; of one that was streamed to the disk, what `core.uploads` made of it on its way."""
    streamed: bytes | None = getattr(request, "callout_body_hash", None)
    return streamed or hashlib.sha256(request.body).digest()


_STORED = HotQuery(
    lambda user_id, operation, key: IdempotentAnswer.objects.filter(
        user_id=user_id, operation=operation, key=key
    ).values_list("status", "body", "body_hash"),
    user_id=int,
    operation=str,
    key=str,
)


def _stored_answer(request: HttpRequest, user_id: int, key: str) -> HttpResponse | None:
    operation = _operation(request)
    name = hashlib.sha256(f"{user_id}\0{operation}\0{key}".encode()).digest()
    # Two statements: what the first one's wait made visible, only the next one sees.
    ((locked,),) = run("SELECT pg_try_advisory_xact_lock(%s)", [int.from_bytes(name[:8], "big", signed=True)])
    if not locked:
        raise RequestInFlight(headers={"Retry-After": "1"})
    row = _STORED.row(user_id=user_id, operation=operation, key=key)
    if row is None:
        return None
    status, body, body_hash = row
    if bytes(body_hash) != _body_hash(request):
        raise IdempotencyKeyReused
    return HttpResponse(
        bytes(body),
        status=status,
        content_type="application/json; charset=utf-8",
        headers={"Idempotent-Replayed": "true"},
    )


def _store(request: HttpRequest, user_id: int, key: str, response: HttpResponse) -> None:
    answer = IdempotentAnswer(
        user_id=user_id,
        operation=_operation(request),
        key=key,
        body_hash=_body_hash(request),
        status=response.status_code,
        body=response.content,
        created_at=clock.now(),
    )
    insert([answer])

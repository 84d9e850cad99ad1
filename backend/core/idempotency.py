"""`Idempotency-Key`: a repeated request has one effect and gets the first answer again.

The answer is stored in the work's own transaction. A twin that is still at work is noticed by an advisory lock, which
is refused at once, where a unique insert would wait. Anything but a 2xx is rolled back and not kept.

What an operation must ask elsewhere it asks before that transaction begins, and not again for a stored answer.
"""

import hashlib
import re
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, overload

from django.db import transaction
from django.http import HttpRequest, HttpResponse

from backend.core import clock
from backend.core.auth import authenticate
from backend.core.errors import IdempotencyKeyReused, NotAuthenticated, Problem, RequestInFlight, invalid_field
from backend.core.hot import HotInsert, HotQuery, run
from backend.core.models import IdempotentAnswer
from backend.core.problems import problem_response

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")

View = Callable[..., HttpResponse]
OutsideCall = Callable[[], None]
Before = Callable[[HttpRequest], OutsideCall | None]
"""From a request to the call that its operation needs, which keeps what it found with the request; or None."""


@overload
def idempotent(view: View) -> View: ...
@overload
def idempotent(*, before: Before) -> Callable[[View], View]: ...
def idempotent(view: View | None = None, *, before: Before | None = None) -> View | Callable[[View], View]:
    """One transaction around the operation; with a key, its stored answer. Use with `@decorate_view`.

    `before` keeps no transaction waiting: the call that it returns is made when who asks is known and nothing is open.
    """
    return partial(_around, before=before) if view is None else _around(view, before=before)


def _around(view: View, *, before: Before | None) -> View:
    @wraps(view)
    def run(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            actor = authenticate(request)
            key = _key_of(request)
            call = before(request) if before is not None else None
            if call is not None and not (key and _is_stored(request, actor.id, key)):
                call()
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


_IS_STORED = HotQuery(
    lambda user_id, operation, key: IdempotentAnswer.objects.filter(
        user_id=user_id, operation=operation, key=key
    ).values_list("pk"),
    user_id=int,
    operation=str,
    key=str,
)


def _is_stored(request: HttpRequest, user_id: int, key: str) -> bool:
    return _IS_STORED.row(user_id=user_id, operation=_operation(request), key=key) is not None


def _stored_answer(request: HttpRequest, user_id: int, key: str) -> HttpResponse | None:
    """The answer kept under this key, which is this request's until the end of the transaction. One query."""
    operation = _operation(request)
    name = hashlib.sha256(f"{user_id}\0{operation}\0{key}".encode()).digest()
    lock = int.from_bytes(name[:8], "big", signed=True)
    (claim,) = run("SELECT * FROM core_claim(%s, %s, %s, %s)", [lock, user_id, operation, key])
    is_claimed, status, body, body_hash = claim
    if not is_claimed:
        raise RequestInFlight(headers={"Retry-After": "1"})
    if status is None:
        return None
    if bytes(body_hash) != _body_hash(request):
        raise IdempotencyKeyReused
    return HttpResponse(
        bytes(body),
        status=status,
        content_type="application/json; charset=utf-8",
        headers={"Idempotent-Replayed": "true"},
    )


_KEEP = HotInsert(IdempotentAnswer, "user_id", "operation", "key", "body_hash", "status", "body", "created_at")


def _store(request: HttpRequest, user_id: int, key: str, response: HttpResponse) -> None:
    kept = (response.status_code, response.content, clock.now())
    _KEEP.run([(user_id, _operation(request), key, _body_hash(request), *kept)])

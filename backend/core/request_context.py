"""What every line of log, event, job and audit row says of the request that caused it."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import structlog

_request_id: ContextVar[str] = ContextVar("request_id", default="")
_client_address: ContextVar[str | None] = ContextVar("client_address", default=None)

_ACCEPTABLE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def request_id() -> str:
    return _request_id.get()


def client_address() -> str | None:
    return _client_address.get()


def acceptable_request_id(given: str | None) -> str:
    """The caller's own id where it is short and plain, else a new one."""
    return given if given and _ACCEPTABLE.fullmatch(given) else uuid.uuid4().hex


@contextmanager
def caused_by(request_id: str, *, client_address: str | None = None) -> Iterator[None]:
    """Everything inside is marked with this request's id."""
    tokens = _request_id.set(request_id), _client_address.set(client_address)
    try:
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            yield
    finally:
        _request_id.reset(tokens[0])
        _client_address.reset(tokens[1])

"""Files: on the local disk, or in S3 where a bucket is configured; who may have one gets a link that expires.

Keys are chosen here, never by a client. A file is put before the row that names it, and never while a transaction is
open; a module's own rows say which files nobody wants any more.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import structlog
from botocore.exceptions import BotoCoreError, ClientError
from django.core import signing
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from backend.core import clock
from backend.core.environment import environment
from backend.core.errors import Unavailable

SALT = "callout.files"
LINK_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'"

log = structlog.get_logger("callout.files")


def new_key(folder: str, suffix: str = "") -> str:
    """Where a new file will be: nobody can guess it."""
    return f"{folder}/{secrets.token_hex(16)}{suffix}"


def put(key: str, content: "File[Any]", *, content_type: str) -> None:
    """Store the file under this key. Raises Unavailable when the storage does not take it."""
    content.content_type = content_type  # type: ignore[attr-defined]  # what the S3 storage reads
    with _storage():
        stored = default_storage.save(key, content)
        if stored != key:
            raise OSError(f"{key} was taken")


def read(key: str) -> "File[Any]":
    """The file, opened, to be read in parts and closed. Raises Unavailable, and FileNotFoundError."""
    try:
        return default_storage.open(key)
    except FileNotFoundError:
        raise
    except (BotoCoreError, ClientError, OSError) as error:
        raise Unavailable from error


def remove(key: str) -> None:
    """Delete the file; one that is not there is no error. Raises Unavailable."""
    with _storage():
        default_storage.delete(key)


def link(key: str, *, name: str, content_type: str, expires_at: datetime, now: datetime) -> str:
    """An address that gives this file to whoever has it, as a download called `name`, until it expires.

    From S3 it is a presigned address, from the local disk a signed path on this host.
    """
    if not environment().files_bucket:
        # Signed without the present second: the same link all day, so that apps and caches know it again.
        signed = signing.Signer(salt=SALT).sign_object([key, name, content_type, int(expires_at.timestamp())])
        return f"/files/{signed}"
    parameters = {"ResponseContentDisposition": f'attachment; filename="{name}"', "ResponseContentType": content_type}
    seconds = max(1, int((expires_at - now).total_seconds()))
    url: str = default_storage.url(key, parameters=parameters, expire=seconds)  # type: ignore[call-arg]
    return url


@require_safe
def serve(_request: HttpRequest, signed: str) -> HttpResponseBase:
    """The file behind one of our own links: always a download, never a page of this host."""
    try:
        key, name, content_type, expires = signing.Signer(salt=SALT).unsign_object(signed)
    except (signing.BadSignature, ValueError):
        raise Http404 from None
    left = expires - clock.now().timestamp()
    if left <= 0:
        raise Http404
    try:
        content = default_storage.open(key)
    except FileNotFoundError:
        raise Http404 from None
    response = FileResponse(content, as_attachment=True, filename=name, content_type=content_type)
    response["Content-Security-Policy"] = LINK_POLICY
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = f"private, max-age={int(left)}"
    return response


@contextmanager
def _storage() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError, OSError) as error:
        log.error("files.unavailable", error=f"{type(error).__name__}: {error}"[:300])
        raise Unavailable from error

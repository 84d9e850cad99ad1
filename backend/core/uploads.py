"""Files on their way in: streamed to the disk, counted while they come, never whole in memory."""

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any, get_origin

from django.core.exceptions import TooManyFilesSent
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopUpload, TemporaryFileUploadHandler
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from pydantic import ValidationError
from pydantic_core import core_schema

from backend.core.auth import authenticate
from backend.core.errors import Malformed, NotAuthenticated, Problem, TooLarge, UnsupportedMediaType, invalid_field
from backend.core.problems import from_exception, problem_response
from backend.core.schemas import QueryIn
from shared_contracts.errors import ErrorCode

FORM_BYTES = 64 * 1024
"""Room for the other fields and the boundaries."""

View = Callable[..., HttpResponse]


class Upload(TemporaryUploadedFile):
    """The parameter `file: File[Upload]` of an operation."""

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        return core_schema.is_instance_schema(TemporaryUploadedFile)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        return {"type": "string", "format": "binary"}


Prepare = Callable[[TemporaryUploadedFile], Any]


def receives_file(
    *,
    max_bytes: int,
    form: type[QueryIn] = QueryIn,
    prepare: Prepare | None = None,
    name: str = "file",
    guard: Callable[[HttpRequest], Any] = authenticate,
) -> Callable[[View], View]:
    """The outermost decorator (so the last one given to `@decorate_view`) of an operation that takes one file.

    It lets in the signed-in only, or whom `guard` does, reads the multipart body whatever the method, and names it by
    its digest for `idempotent`. `name` is the file's field, and `form` names the others: any more are refused.
    `prepare` may do with the file what needs no transaction; `prepared(request)` gives what it returned.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def run(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                guard(request)
                _read(request, max_bytes=max_bytes)
                _refuse_unknown(request, form, name)
                if prepare is not None and _fits(request, form):
                    request.callout_prepared = prepare(_file_of(request, name))  # type: ignore[attr-defined]
            except NotAuthenticated:
                return view(request, *args, **kwargs)
            except TooManyFilesSent:
                return problem_response(invalid_field(f"file.{name}", "one file is wanted"))
            except MultiPartParserError:
                return problem_response(Malformed("The form cannot be read."))
            except Exception as error:  # noqa: BLE001 - Django's other complaints about a body, turned into problems
                return problem_response(from_exception(error))
            return view(request, *args, **kwargs)

        return run

    return decorate


def prepared(request: HttpRequest) -> Any:
    """What `prepare` made of the file."""
    return request.callout_prepared  # type: ignore[attr-defined]


def _read(request: HttpRequest, *, max_bytes: int) -> None:
    if request.content_type != "multipart/form-data":
        raise UnsupportedMediaType("Send multipart/form-data.")
    if int(request.headers.get("Content-Length") or 0) > max_bytes + FORM_BYTES:
        raise _too_large(max_bytes)
    quota = _Quota(request, max_bytes)
    request.upload_handlers = [quota, TemporaryFileUploadHandler(request)]
    method = request.method
    request.method = "POST"  # Django reads a form of no other method
    try:
        request._load_post_and_files()
    finally:
        request.method = method
    if quota.is_exceeded:
        raise _too_large(max_bytes)
    request.callout_body_hash = _digest(request)  # type: ignore[attr-defined]


def _refuse_unknown(request: HttpRequest, form: type[QueryIn], file_name: str) -> None:
    unknown = [f"form.{name}" for name in request.POST if name not in form.model_fields]
    unknown += [f"file.{name}" for name in request.FILES if name != file_name]
    if unknown:
        raise invalid_field(unknown[0][:100], "this field is not known here", code=ErrorCode.UNKNOWN_FIELD)
    for name, values in request.POST.lists():
        if len(values) > 1 and get_origin(form.model_fields[name].annotation) is not list:
            raise invalid_field(f"form.{name}", "this field stands here twice")


def _fits(request: HttpRequest, form: type[QueryIn]) -> bool:
    """Whether the other fields are valid; if not, Ninja says so, and nothing is done with the file."""
    try:
        form.model_validate(
            {
                name: values if get_origin(form.model_fields[name].annotation) is list else values[-1]
                for name, values in request.POST.lists()
            }
        )
    except ValidationError:
        return False
    return True


def _file_of(request: HttpRequest, name: str) -> TemporaryUploadedFile:
    file = request.FILES.get(name)
    if not isinstance(file, TemporaryUploadedFile):
        raise invalid_field(f"file.{name}", "a file is wanted")
    return file


def _digest(request: HttpRequest) -> bytes:
    digest = hashlib.sha256(repr(sorted(request.POST.lists())).encode())
    for name in sorted(request.FILES):
        digest.update(f"\0{name}\0".encode())
        for file in request.FILES.getlist(name):
            for chunk in file.chunks():
                digest.update(chunk)
            file.seek(0)
    return digest.digest()


def _too_large(max_bytes: int) -> Problem:
    return TooLarge(f"A file may have {max_bytes // 1024 // 1024} MB at most.")


class _Quota(FileUploadHandler):
    """Stops reading when more comes than is allowed, whatever the request's length claimed."""

    def __init__(self, request: HttpRequest, max_bytes: int) -> None:
        super().__init__(request)
        self._max_bytes = max_bytes
        self._received = 0
        self.is_exceeded = False

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        self._received += len(raw_data)
        if self._received > self._max_bytes:
            self.is_exceeded = True
            raise StopUpload(connection_reset=True)  # the rest is not even read
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None

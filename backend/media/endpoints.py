"""Photos, documents and their review; all that is held of a person."""

from typing import Any

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.http import HttpRequest, HttpResponse
from ninja import File, Form, Query, Router
from ninja.decorators import decorate_view
from ninja.responses import Status

from backend.accounts import public as accounts
from backend.accounts.errors import ProofRequired
from backend.core import auth, clock, etags
from backend.core.errors import InvalidState, NotFound, PreconditionFailed
from backend.core.etags import IfMatch
from backend.core.idempotency import idempotent
from backend.core.openapi import problems
from backend.core.pagination import paginate
from backend.core.schemas import Id, Page
from backend.core.uploads import Upload, prepared, receives_file
from backend.media import selectors
from backend.media.errors import InvalidDocument, InvalidImage, OwnDocument
from backend.media.models import Document, Export
from backend.media.schemas import (
    DocumentFiltersIn,
    DocumentFormIn,
    DocumentOut,
    DocumentReviewIn,
    DocumentWithFileOut,
    ExportIn,
    ExportOut,
    ReplacementFormIn,
    show_export,
    show_with_file,
)
from backend.media.services import documents, exporting, photos

router = Router()


def _kept(upload: TemporaryUploadedFile) -> documents.Kept:
    return documents.keep_file(upload, now=clock.now())


@router.put(
    "/me/photo/",
    response=accounts.PhotoOut,
    auth=auth.any_user,
    operation_id="setMyPhoto",
    openapi_extra=problems(InvalidImage),
)
@decorate_view(receives_file(max_bytes=photos.MAX_BYTES))
def set_my_photo(request: HttpRequest, file: File[Upload]) -> dict[str, str]:
    """Set my photo: a JPEG, PNG, WebP or the first frame of a GIF; at most 5 MB and 25 megapixels.

    The middle of it is kept as three squares without any metadata, the right way up.
    """
    return photos.set_photo(actor=auth.actor(request), upload=file, now=clock.now())


@router.get(
    "/me/photo/",
    response=accounts.PhotoOut,
    auth=auth.any_user,
    operation_id="readMyPhoto",
    openapi_extra=problems(NotFound),
)
def read_my_photo(request: HttpRequest) -> dict[str, str]:
    """Where my photo is."""
    return accounts.photo_links_of(actor=auth.actor(request), now=clock.now())


@router.delete("/me/photo/", response={204: None}, auth=auth.any_user, operation_id="deleteMyPhoto")
def delete_my_photo(request: HttpRequest) -> Status[None]:
    """Delete my photo."""
    photos.delete_photo(actor=auth.actor(request), now=clock.now())
    return Status(204, None)


@router.post(
    "/documents/",
    response={201: DocumentOut},
    auth=auth.any_user,
    operation_id="addDocument",
    openapi_extra=problems(InvalidDocument, InvalidImage),
)
@decorate_view(idempotent, receives_file(max_bytes=documents.MAX_BYTES, form=DocumentFormIn, prepare=_kept))
def add_document(request: HttpRequest, payload: Form[DocumentFormIn], file: File[Upload]) -> Status[Document]:
    """Show a document for review: a PDF, JPEG or PNG of at most 10 MB; pictures at most 25 megapixels.

    A picture is kept as a JPEG without metadata.
    """
    document = documents.add_document(
        actor=auth.actor(request),
        kept=prepared(request),
        type=payload.type,
        expires_on=payload.expires_on,
        now=clock.now(),
    )
    return Status(201, document)


@router.get("/documents/", response=Page[DocumentOut], auth=auth.any_user, operation_id="listDocuments")
def list_documents(request: HttpRequest, filters: Query[DocumentFiltersIn]) -> dict[str, Any]:
    """My documents, the newest first; for managers everybody's."""
    found = selectors.list_documents_for(
        auth.actor(request), status=filters.status, type=filters.type, user_id=filters.user_id
    )
    return paginate(request, found, filters)


@router.get("/documents/{document_id}/", response=DocumentWithFileOut, auth=auth.any_user, operation_id="readDocument")
def read_document(request: HttpRequest, response: HttpResponse, document_id: Id) -> dict[str, Any]:
    """A document of mine, for managers anybody's, with an address of its file that lives five minutes."""
    document = selectors.get_document_for(auth.actor(request), document_id)
    etags.tag(response, document.version)
    return show_with_file(document, now=clock.now())


@router.put(
    "/documents/{document_id}/",
    response=DocumentOut,
    auth=auth.any_user,
    operation_id="replaceDocument",
    openapi_extra=problems(InvalidDocument, InvalidImage, PreconditionFailed),
)
@decorate_view(receives_file(max_bytes=documents.MAX_BYTES, form=ReplacementFormIn))
def replace_document(
    request: HttpRequest,
    response: HttpResponse,
    document_id: Id,
    payload: Form[ReplacementFormIn],
    file: File[Upload],
    if_match: IfMatch = None,
) -> Document:
    """Replace the file of a document of mine, and its last day. The review starts again."""
    document = documents.replace_document(
        actor=auth.actor(request),
        document_id=document_id,
        upload=file,
        expires_on=payload.expires_on,
        wanted_versions=etags.wanted_versions(if_match),
        now=clock.now(),
    )
    etags.tag(response, document.version)
    return document


@router.delete("/documents/{document_id}/", response={204: None}, auth=auth.any_user, operation_id="deleteDocument")
def delete_document(request: HttpRequest, document_id: Id) -> Status[None]:
    """Delete a document of mine and its file."""
    documents.delete_document(actor=auth.actor(request), document_id=document_id, now=clock.now())
    return Status(204, None)


@router.post(
    "/documents/{document_id}/review/",
    response=DocumentOut,
    auth=auth.manager,
    operation_id="reviewDocument",
    openapi_extra=problems(InvalidState, OwnDocument, PreconditionFailed),
)
@decorate_view(idempotent)
def review_document(
    request: HttpRequest, document_id: Id, payload: DocumentReviewIn, if_match: IfMatch = None
) -> Document:
    """Approve a pending document, or reject it with a reason. Nobody reviews their own.

    With `If-Match` the decision holds only for the file that was looked at: its owner may have replaced it meanwhile.
    """
    return documents.review_document(
        actor=auth.actor(request),
        document_id=document_id,
        approve=payload.decision == "approve",
        reason=payload.reason,
        wanted_versions=etags.wanted_versions(if_match),
        now=clock.now(),
    )


@router.post(
    "/me/export/",
    response={202: ExportOut},
    auth=auth.any_user,
    operation_id="requestExport",
    openapi_extra=problems(ProofRequired),
)
def request_export(request: HttpRequest, payload: ExportIn) -> Status[dict[str, Any]]:
    """Have all that is held about me written into a ZIP of JSON and my files, in the background.

    It wants my password, or a sign-in less than five minutes old, and a code where two-factor sign-in is on. Asking
    again within an hour gives the same one; a newer one takes its place. It is kept for seven days.
    """
    # Not kept under an Idempotency-Key: asking again is harmless, and the answer may hold a link.
    actor, now = auth.actor(request), clock.now()
    export = exporting.request_export(actor=actor, password=payload.password, otp=payload.otp, now=now)
    return Status(202, _shown(export, request))


@router.get(
    "/me/export/",
    response=ExportOut,
    auth=auth.any_user,
    operation_id="readExport",
    openapi_extra=problems(NotFound),
)
def read_export(request: HttpRequest) -> dict[str, Any]:
    """Where my export stands; with a link of five minutes when it is ready.

    The link is shown to the session that asked for the export, and to every sign-in less than five minutes old.
    """
    return _shown(selectors.get_own_export(auth.actor(request)), request)


def _shown(export: Export, request: HttpRequest) -> dict[str, Any]:
    actor, now = auth.actor(request), clock.now()
    may_download = export.session_id == actor.session_id or accounts.signed_in_lately(actor, now=now)
    return show_export(export, may_download=may_download, now=now)

"""Documents: shown by their owner, replaced, deleted; reviewed by managers."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core.files.base import File
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import transaction

from backend.accounts import public as accounts
from backend.core import audit
from backend.core.actor import Actor
from backend.core.errors import NotFound, PreconditionFailed, invalid_field
from backend.core.files import new_key
from backend.core.outbox import emit
from backend.core.states import record_birth, transition
from backend.media.errors import InvalidDocument, OwnDocument
from backend.media.models import Document, DocumentType
from backend.media.selectors import get_own_document
from backend.media.services.pictures import decode
from backend.media.services.reminding import remind_before
from backend.media.services.storing import claim, keep, release
from backend.media.states import DocumentStatus
from shared_contracts.events import DocumentReviewed
from shared_contracts.rooms import user_room

MAX_BYTES = 10 * 1024 * 1024
PDF, JPEG = "application/pdf", "image/jpeg"
PDF_MARK = b"%PDF-"
PDF_END = b"%%EOF"
TAIL_BYTES = 2048
CHUNK_BYTES = 1024 * 1024
ACTIVE = re.compile(rb"/(?:JavaScript|Launch|RichMedia|EmbeddedFiles?|XFA)(?![A-Za-z0-9])")
"""What a PDF does by itself, or carries along; names may be written with `#` and two digits for a letter."""
ESCAPED = re.compile(rb"#([0-9A-Fa-f]{2})")
LONGEST_NAME = 64
"""Of those above, with every letter escaped."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that is stored, and not yet anybody's."""

    key: str
    content_type: str
    size_bytes: int


def keep_file(upload: TemporaryUploadedFile, *, now: datetime) -> Kept:
    """Store a PDF as it is, and a JPEG or PNG as a JPEG of its pixels. Not within a transaction.

    A PDF that is something else as well, or does anything by itself, is refused as far as it can be seen without
    unpacking it: so links serve it as a download of its type, which no browser looks into.
    Its type is read from its bytes, whatever it is called. Raises InvalidDocument, InvalidImage or Unavailable.
    """
    head = _head(upload)
    if head.startswith(PDF_MARK):
        return _keep_pdf(upload, "documents", now=now)
    if not head.startswith((b"\xff\xd8\xff", b"\x89PNG")):
        raise InvalidDocument("A document is a PDF, a JPEG or a PNG.")
    return _keep_picture(upload, "document", now=now)


def keep_attachment(upload: TemporaryUploadedFile, *, now: datetime) -> Kept:
    """The same for what goes with a message, which may also be a WebP or a GIF, of which the first frame is kept."""
    head = _head(upload)
    if head.startswith(PDF_MARK):
        return _keep_pdf(upload, "attachments", now=now)
    if not head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF")):
        raise InvalidDocument("A PDF, a JPEG, a PNG, a WebP or a GIF is wanted.")
    return _keep_picture(upload, "attachment", now=now)


def _head(upload: TemporaryUploadedFile) -> bytes:
    head: bytes = upload.read(8)
    upload.seek(0)
    return head


def _keep_picture(upload: TemporaryUploadedFile, purpose: str, *, now: datetime) -> Kept:
    with TemporaryDirectory(prefix=f"callout-{purpose}-") as folder:
        decode(purpose, Path(upload.temporary_file_path()), Path(folder))
        page = Path(folder, "page.jpg")
        kept = Kept(new_key(f"{purpose}s", ".jpg"), JPEG, page.stat().st_size)
        keep({kept.key: page}, content_type=JPEG, now=now)
    return kept


def _keep_pdf(upload: "File[Any]", folder: str, *, now: datetime) -> Kept:
    size = upload.size or 0
    upload.seek(max(0, size - TAIL_BYTES))
    _, end, behind = upload.read().rpartition(PDF_END)
    if not end:
        raise InvalidDocument("The PDF has no end: was it cut off?")
    if behind.strip(b"\0\t\n\f\r "):
        raise InvalidDocument("Something else stands behind the PDF's end.")
    _refuse_active(upload)
    upload.seek(0)
    kept = Kept(new_key(folder, ".pdf"), PDF, size)
    keep({kept.key: upload}, content_type=PDF, now=now)
    return kept


def _refuse_active(upload: "File[Any]") -> None:
    upload.seek(0)
    before = b""
    while chunk := upload.read(CHUNK_BYTES):
        seen = ESCAPED.sub(lambda letter: bytes.fromhex(letter[1].decode()), before + chunk)
        if ACTIVE.search(seen):
            raise InvalidDocument("The PDF runs programs or carries files: print it to a new one.")
        before = chunk[-LONGEST_NAME:]


@transaction.atomic
def add_document(
    *,
    actor: Actor,
    kept: Kept,
    type: str,  # noqa: A002 - the domain's word
    expires_on: date | None,
    now: datetime,
) -> Document:
    """Show a file for review. Raises NotFound, or a 422 for a day that is over or missing."""
    accounts.hold_active([actor.id])
    _check_expiry(type, expires_on, today=now.date())
    claim([kept.key], now=now)
    document = Document.objects.create(
        user_id=actor.id,
        type=type,
        expires_on=expires_on,
        file_id=kept.key,
        content_type=kept.content_type,
        size_bytes=kept.size_bytes,
        status=DocumentStatus.PENDING,
        created_at=now,
        updated_at=now,
    )
    record_birth(document, by=actor, now=now)
    _note(actor, "media.document_added", document, {"type": type}, now=now)
    return document


def replace_document(
    *,
    actor: Actor,
    document_id: int,
    upload: TemporaryUploadedFile,
    expires_on: date | None,
    wanted_versions: frozenset[int] | None,
    now: datetime,
) -> Document:
    """Show another file in its place: the review starts again, and the old file is deleted.

    Raises NotFound, PreconditionFailed, a 422 as for a new one, or what is wrong with the file.
    """
    document = get_own_document(actor, document_id)
    _check_version(document, wanted_versions)
    _check_expiry(document.type, expires_on, today=now.date())
    kept = keep_file(upload, now=now)
    return _replace(actor, document_id, kept, expires_on, wanted_versions, now)


@transaction.atomic
def _replace(
    actor: Actor,
    document_id: int,
    kept: Kept,
    expires_on: date | None,
    wanted_versions: frozenset[int] | None,
    now: datetime,
) -> Document:
    accounts.hold_active([actor.id])
    document = _lock(document_id, user_id=actor.id)
    _check_version(document, wanted_versions)
    before = document.file_id
    claim([kept.key], now=now)
    transition(
        document,
        expect=set(DocumentStatus),
        to=DocumentStatus.PENDING,
        by=actor,
        now=now,
        set={
            "file_id": kept.key,
            "content_type": kept.content_type,
            "size_bytes": kept.size_bytes,
            "expires_on": expires_on,
            "reason": "",
            "reviewed_at": None,
        },
    )
    release([before], now=now)
    _note(actor, "media.document_replaced", document, {}, now=now)
    return get_own_document(actor, document_id)


@transaction.atomic
def delete_document(*, actor: Actor, document_id: int, now: datetime) -> None:
    """Delete one's own document and its file. Raises NotFound."""
    document = _lock(document_id, user_id=actor.id)
    _note(actor, "media.document_deleted", document, {"type": document.type, "status": document.status}, now=now)
    release([document.file_id], now=now)
    document.delete()


@transaction.atomic
def review_document(
    *,
    actor: Actor,
    document_id: int,
    approve: bool,
    reason: str,
    wanted_versions: frozenset[int] | None,
    now: datetime,
) -> Document:
    """Approve or reject a pending document; for managers, and not of their own. A rejection needs a reason.

    Raises NotFound, OwnDocument, InvalidState, PreconditionFailed where the owner has replaced the file that was looked
    at, or a 422.
    """
    if approve is bool(reason):
        raise invalid_field("body.reason", "a rejection says why, an approval does not")
    document = _lock(document_id)
    if document.user_id == actor.id:
        raise OwnDocument
    _check_version(document, wanted_versions)
    status = DocumentStatus.APPROVED if approve else DocumentStatus.REJECTED
    transition(
        document,
        expect={DocumentStatus.PENDING},
        to=status,
        by=actor,
        now=now,
        set={"reason": reason, "reviewed_at": now, "reminded_days": None},
        reason=reason,
    )
    if approve:
        remind_before(document, now=now)
    _note(actor, "media.document_reviewed", document, {"status": status}, now=now)
    reviewed = DocumentReviewed(
        document_id=document.pk, version=document.version, document_type=document.type, status=status, reason=reason
    )
    emit(reviewed, rooms=[user_room(document.user_id)], now=now)
    return document


def _lock(document_id: int, **owner: int) -> Document:
    document = Document.objects.select_for_update(no_key=True).filter(pk=document_id, **owner).first()
    if document is None:
        raise NotFound
    return document


def _check_version(document: Document, wanted: frozenset[int] | None) -> None:
    if wanted is not None and document.version not in wanted:
        raise PreconditionFailed


def _check_expiry(type_: str, expires_on: date | None, *, today: date) -> None:
    if expires_on is None and type_ == DocumentType.DRIVING_LICENSE:
        raise invalid_field("form.expires_on", "a driving licence has a last day")
    if expires_on is not None and expires_on < today:
        raise invalid_field("form.expires_on", "this day is over")


def _note(actor: Actor, action: str, document: Document, changes: dict[str, Any], *, now: datetime) -> None:
    audit.record(actor=actor, action=action, reference=document.reference, changes=changes, now=now)

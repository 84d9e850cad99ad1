"""What the operations of media take and give."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from backend.core.files import link
from backend.core.pagination import PageIn
from backend.core.schemas import Day, Id, In, Line, Out, QueryIn, Text
from backend.media.models import Document, DocumentType, Export
from backend.media.states import DocumentStatus, ExportStatus

DOWNLOAD_LIVES = timedelta(minutes=5)

ExpiresOn = Annotated[
    Day | None,
    Field(description="The last day on which it holds; needed for a driving licence.", examples=["2031-06-30"]),
]


class DocumentFormIn(QueryIn):
    """The fields beside the `file`."""

    type: DocumentType
    expires_on: ExpiresOn = None


class ReplacementFormIn(QueryIn):
    """The field beside the `file`."""

    expires_on: ExpiresOn = None


class DocumentReviewIn(In):
    """A manager's word."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"decision": "reject", "reason": "The photo is too dark to read."}]}
    )

    decision: Literal["approve", "reject"]
    reason: Annotated[
        Line, Field(max_length=500, description="Needed for a rejection.", examples=["The photo is too dark to read."])
    ] = ""


class DocumentFiltersIn(PageIn):
    """Which documents."""

    status: DocumentStatus | None = None
    type: DocumentType | None = None
    user_id: Annotated[Id | None, Field(description="Whose; for managers.")] = None


class DocumentOut(Out):
    """A document as its owner and managers see it."""

    id: int
    user_id: int
    type: DocumentType
    status: DocumentStatus
    version: int
    expires_on: date | None
    content_type: str
    size_bytes: int
    reason: str = Field(description="Why it was rejected.")
    reviewed_at: datetime | None
    created_at: datetime
    updated_at: datetime


class DocumentWithFileOut(DocumentOut):
    """A document with an address of its file that works until it expires."""

    download_url: Annotated[str, Field(examples=["/files/WyJkb2N1bWVudHMv…"])]
    download_expires_at: datetime


def show_with_file(document: Document, *, now: datetime) -> dict[str, Any]:
    """With a link that lives five minutes."""
    expires_at = now + DOWNLOAD_LIVES
    suffix = document.file_id.rpartition(".")[2]
    url = link(
        document.file_id,
        name=f"{document.type}-{document.pk}.{suffix}",
        content_type=document.content_type,
        expires_at=expires_at,
        now=now,
    )
    shown = {name: getattr(document, name) for name in DocumentOut.model_fields}
    return {**shown, "download_url": url, "download_expires_at": expires_at}


class ExportIn(In):
    """The proof, as for deleting the account: everything at once is more than a stolen token should get."""

    password: Annotated[Text | None, Field(min_length=1, max_length=128, examples=["correct horse battery staple"])] = (
        None
    )
    otp: Annotated[Line | None, Field(min_length=6, max_length=40, examples=["492039"])] = None


class ExportOut(Out):
    """Where an export stands. Its address is shown to the session that asked, and to a sign-in of the last minutes."""

    id: int
    status: ExportStatus
    created_at: datetime
    size_bytes: int | None
    expires_at: Annotated[datetime | None, Field(description="When the file is deleted.")]
    download_url: Annotated[str | None, Field(examples=["/files/WyJleHBvcnRzLzQy…"])]
    download_expires_at: datetime | None


def show_export(export: Export, *, may_download: bool, now: datetime) -> dict[str, Any]:
    """With a link that lives five minutes, for who may have it, while there is a file."""
    shown = {name: getattr(export, name) for name in ("id", "status", "created_at", "size_bytes", "expires_at")}
    if not may_download or export.expires_at is None or export.expires_at <= now or not export.key:
        return {**shown, "download_url": None, "download_expires_at": None}
    expires_at = min(now + DOWNLOAD_LIVES, export.expires_at)
    url = link(export.key, name="my-data.zip", content_type="application/zip", expires_at=expires_at, now=now)
    return {**shown, "download_url": url, "download_expires_at": expires_at}

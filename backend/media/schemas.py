"""What the operations of media take and give."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from backend.core.files import link
from backend.core.pagination import PageIn
from backend.core.schemas import Id, In, Line, Out, QueryIn
from backend.media.models import Document, DocumentType
from backend.media.states import DocumentStatus

DOWNLOAD_LIVES = timedelta(minutes=5)

ExpiresOn = Annotated[
    date | None,
    Field(description="The last day on which it holds; needed for a driving licence.", examples=["2031-06-30"]),
]


class DocumentFormIn(QueryIn):
    """The fields beside the `file`."""

    type: DocumentType
    expires_on: ExpiresOn = None


class ReplacementFormIn(QueryIn):
    """The field beside the `file`."""

    expires_on: ExpiresOn = None


class ReviewIn(In):
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

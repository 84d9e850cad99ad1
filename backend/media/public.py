"""What other modules may know of people's files and documents."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core.files.base import File
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import transaction

from backend.core.actor import Actor, Role
from backend.core.files import link, new_key
from backend.media.models import DocumentType
from backend.media.selectors import have_approved_licence
from backend.media.services.documents import MAX_BYTES as MAX_ATTACHMENT_BYTES
from backend.media.services.documents import PDF, Kept, add_document, keep_attachment, review_document
from backend.media.services.pictures import decode
from backend.media.services.storing import claim as claim_files
from backend.media.services.storing import keep
from backend.media.services.storing import release as release_files

__all__ = [
    "MAX_ATTACHMENT_BYTES",
    "PICTURE_SIZES",
    "Kept",
    "approve_licence",
    "claim_files",
    "claim_picture",
    "has_approved_licence",
    "keep_attachment",
    "keep_made_picture",
    "keep_pdf",
    "keep_picture",
    "picture_file",
    "picture_links",
    "release_files",
    "release_picture",
]

PICTURE_SIZES = {"small": 400, "large": 1600}
"""The longer side of a picture that is shown whole, in pixels, at most."""
WEBP = "image/webp"


def has_approved_licence(user_id: int, *, on: date) -> bool:
    """Whether this person showed a driving licence that a manager approved and that holds on this day. One query."""
    return bool(have_approved_licence([user_id], on=on))


def keep_pdf(content: "File[Any]", *, now: datetime) -> Kept:
    """Store a PDF of the platform's own making, for a document to be made of it within a day.

    Not within a transaction. Raises Unavailable.
    """
    kept = Kept(new_key("documents", ".pdf"), PDF, content.size)
    keep({kept.key: content}, content_type=PDF, now=now)
    return kept


def keep_picture(upload: TemporaryUploadedFile, *, now: datetime) -> str:
    """Store a picture whole in both sizes, without metadata; returns its folder, to be claimed within a day.

    Not within a transaction. Raises InvalidImage or Unavailable.
    """
    with TemporaryDirectory(prefix="callout-picture-") as folder:
        decode("picture", Path(upload.temporary_file_path()), Path(folder), list(PICTURE_SIZES.values()))
        return _keep_sizes({size: Path(folder, f"{size}.webp") for size in PICTURE_SIZES.values()}, now=now)


def keep_made_picture(contents: "Mapping[int, File[Any]]", *, now: datetime) -> str:
    """The same for a picture of the platform's own making, a WebP of each size."""
    return _keep_sizes(contents, now=now)


def _keep_sizes(contents: "Mapping[int, Path | File[Any]]", *, now: datetime) -> str:
    picture = new_key("pictures")
    keep({_file(picture, size): content for size, content in contents.items()}, content_type=WEBP, now=now)
    return picture


def claim_picture(picture: str, *, now: datetime) -> None:
    """From the end of this transaction on it is shown by something. Raises LookupError for one too old."""
    claim_files([_file(picture, size) for size in PICTURE_SIZES.values()], now=now)


def release_picture(picture: str, *, now: datetime) -> None:
    """Nothing shows it any more: it is deleted at the next purge."""
    release_files([_file(picture, size) for size in PICTURE_SIZES.values()], now=now)


def picture_links(picture: str, *, now: datetime) -> dict[str, str]:
    """The addresses of a picture's sizes; the same from midnight to midnight (UTC), so that they can be cached."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        name: link(
            _file(picture, size),
            name=f"picture-{size}.webp",
            content_type=WEBP,
            expires_at=midnight + timedelta(days=2),
            now=now,
        )
        for name, size in PICTURE_SIZES.items()
    }


def picture_file(picture: str) -> str:
    """The key of a picture's largest size."""
    return _file(picture, max(PICTURE_SIZES.values()))


def _file(picture: str, size: int) -> str:
    return f"{picture}/{size}.webp"


@transaction.atomic
def approve_licence(*, user_id: int, reviewer_id: int, kept: Kept, expires_on: date, now: datetime) -> None:
    """Show this file as the person's driving licence and approve it, on behalf of the platform."""
    owner = Actor(id=user_id, roles=frozenset(), session_id=0)
    reviewer = Actor(id=reviewer_id, roles=frozenset({Role.MANAGER}), session_id=0)
    document = add_document(actor=owner, kept=kept, type=DocumentType.DRIVING_LICENSE, expires_on=expires_on, now=now)
    review_document(actor=reviewer, document_id=document.pk, approve=True, reason="", wanted_versions=None, now=now)

"""What other modules may know of people's files and documents."""

from datetime import date, datetime
from typing import Any

from django.core.files.base import File
from django.db import transaction

from backend.core.actor import Actor, Role
from backend.core.files import new_key
from backend.media.models import DocumentType
from backend.media.selectors import have_approved_licence
from backend.media.services.documents import MAX_BYTES as MAX_ATTACHMENT_BYTES
from backend.media.services.documents import PDF, Kept, add_document, keep_attachment, review_document
from backend.media.services.storing import claim as claim_files
from backend.media.services.storing import keep
from backend.media.services.storing import release as release_files

__all__ = [
    "MAX_ATTACHMENT_BYTES",
    "Kept",
    "approve_licence",
    "claim_files",
    "has_approved_licence",
    "keep_attachment",
    "keep_pdf",
    "release_files",
]


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


@transaction.atomic
def approve_licence(*, user_id: int, reviewer_id: int, kept: Kept, expires_on: date, now: datetime) -> None:
    """Show this file as the person's driving licence and approve it, on behalf of the platform."""
    owner = Actor(id=user_id, roles=frozenset(), session_id=0)
    reviewer = Actor(id=reviewer_id, roles=frozenset({Role.MANAGER}), session_id=0)
    document = add_document(actor=owner, kept=kept, type=DocumentType.DRIVING_LICENSE, expires_on=expires_on, now=now)
    review_document(actor=reviewer, document_id=document.pk, approve=True, reason="", wanted_versions=None, now=now)

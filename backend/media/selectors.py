"""Every read of documents: one's own, and for managers everybody's."""

from collections.abc import Collection
from datetime import date

from django.db.models import Q, QuerySet

from backend.core.actor import Actor
from backend.core.errors import NotFound
from backend.media.models import Document, DocumentType, Export
from backend.media.states import DocumentStatus


def list_documents_for(
    actor: Actor,
    *,
    status: str | None = None,
    type: str | None = None,  # noqa: A002 - the name of the filter
    user_id: int | None = None,
) -> QuerySet[Document]:
    """One's own documents, for managers everybody's; the newest first."""
    filters = {"status": status, "type": type, "user_id": user_id}
    given = {name: value for name, value in filters.items() if value is not None}
    return _visible(actor).filter(**given).order_by("-pk")


def get_document_for(actor: Actor, document_id: int) -> Document:
    """A document that this person may see. Raises NotFound. One query."""
    document = _visible(actor).filter(pk=document_id).first()
    if document is None:
        raise NotFound
    return document


def get_own_document(actor: Actor, document_id: int) -> Document:
    """A document of this person's own. Raises NotFound. One query."""
    document = Document.objects.filter(pk=document_id, user_id=actor.id).first()
    if document is None:
        raise NotFound
    return document


def have_approved_licence(user_ids: Collection[int], *, on: date) -> set[int]:
    """Those of them whose driving licence was approved and holds on this day. One query."""
    found = Document.objects.filter(
        user_id__in=user_ids,
        type=DocumentType.DRIVING_LICENSE,
        status=DocumentStatus.APPROVED,
        expires_on__gte=on,
    )
    return set(found.values_list("user_id", flat=True))


def _visible(actor: Actor) -> QuerySet[Document]:
    return Document.objects.filter(Q() if actor.is_manager else Q(user_id=actor.id))


def get_own_export(actor: Actor) -> Export:
    """The caller's export. Raises NotFound when they have not asked for one. One query."""
    export = Export.objects.filter(user_id=actor.id).first()
    if export is None:
        raise NotFound
    return export

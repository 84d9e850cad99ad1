"""The life of a document: another file begins its review anew. The life of an export of what is held of a person."""

from enum import StrEnum

from backend.core.states import Steps


class DocumentStatus(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"


STEPS: Steps = {
    DocumentStatus.PENDING: {DocumentStatus.PENDING, DocumentStatus.APPROVED, DocumentStatus.REJECTED},
    DocumentStatus.APPROVED: {DocumentStatus.PENDING},
    DocumentStatus.REJECTED: {DocumentStatus.PENDING},
}


class ExportStatus(StrEnum):
    REQUESTED = "requested"
    READY = "ready"
    FAILED = "failed"
    EXPIRED = "expired"


EXPORT_STEPS: Steps = {
    ExportStatus.REQUESTED: {ExportStatus.READY, ExportStatus.FAILED},
    ExportStatus.READY: {ExportStatus.EXPIRED},
    ExportStatus.FAILED: frozenset(),
    ExportStatus.EXPIRED: frozenset(),
}

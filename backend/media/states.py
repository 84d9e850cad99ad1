"""The life of a document: another file begins its review anew."""

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

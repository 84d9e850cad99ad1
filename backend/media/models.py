"""Files and who wants them; documents and where their review stands; exports of what is held of a person."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from backend.core.states import LifeCycleModel
from backend.media.states import EXPORT_STEPS, STEPS, DocumentStatus, ExportStatus


class DocumentType(models.TextChoices):
    DRIVING_LICENSE = "driving_license"
    INSURANCE = "insurance"
    BUSINESS_LICENSE = "business_license"
    IDENTITY = "identity"
    OTHER = "other"


class StoredFile(models.Model):
    """A file in storage. The row is there before the file: what nobody claims, and what is let go, is purged."""

    key = models.CharField(primary_key=True, max_length=80)
    created_at = models.DateTimeField()
    purge_at = models.DateTimeField(null=True)
    """Null while something shows it."""

    class Meta:
        db_table = "media_stored_file"
        indexes = [models.Index(fields=["purge_at"], condition=Q(purge_at__isnull=False), name="stored_file_unwanted")]


class Document(LifeCycleModel):
    """What a person shows of themselves: one file, its type, how long it holds, and what a manager said of it."""

    reference_kind = "document"
    steps = STEPS

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    type = models.CharField(max_length=20, choices=DocumentType.choices)
    expires_on = models.DateField(null=True)
    """The last day on which it holds; null when it does not run out."""
    file = models.OneToOneField(StoredFile, on_delete=models.PROTECT, related_name="+")
    content_type = models.CharField(max_length=20)
    size_bytes = models.PositiveIntegerField()
    reason = models.CharField(max_length=500, default="")
    """Why it was rejected."""
    reviewed_at = models.DateTimeField(null=True)
    reminded_days = models.PositiveSmallIntegerField(null=True)
    """How many days before its end the owner was last told of it, since it was approved."""

    class Meta:
        db_table = "media_document"
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=[status.value for status in DocumentStatus]), name="document_status_known"
            ),
            models.CheckConstraint(
                condition=Q(status="pending", reviewed_at__isnull=True)
                | (~Q(status="pending") & Q(reviewed_at__isnull=False)),
                name="document_reviewed_when_decided",
            ),
            models.CheckConstraint(condition=~Q(status="rejected", reason=""), name="document_rejected_for_a_reason"),
            models.CheckConstraint(
                condition=~Q(type="driving_license", expires_on__isnull=True), name="document_licence_runs_out"
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="document_of_person"),
            models.Index(fields=["status", "-id"], name="document_by_status"),
        ]


class Export(LifeCycleModel):
    """All that is held of a person, as a ZIP. Each has one at most: asking anew takes the old one's place."""

    reference_kind = "export"
    steps = EXPORT_STEPS

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    session_id = models.BigIntegerField()
    """The session that asked for it, and that its link is shown to."""
    key = models.CharField(max_length=80, default="")
    """Where its file is, while it is ready."""
    size_bytes = models.BigIntegerField(null=True)
    expires_at = models.DateTimeField(null=True)
    """When its file is deleted."""

    class Meta:
        db_table = "media_export"
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=[status.value for status in ExportStatus]), name="export_status_known"
            ),
            models.CheckConstraint(
                condition=Q(status="ready", size_bytes__isnull=False, expires_at__isnull=False) & ~Q(key="")
                | ~Q(status="ready") & Q(key=""),
                name="export_ready_has_a_file",
            ),
        ]

"""What people think of providers, the work that providers finished, and the sums of both."""

from django.db import models
from django.db.models import F, Q

MAX_COMMENT = 2000
"""Characters of a review's comment."""


class Review(models.Model):
    """What somebody thinks of a provider. Tied to a finished job it is verified: one per job and author.

    Rows are added by `services.record_review` only, which keeps the provider's standing in the same statement.
    """

    provider = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", db_index=False)
    author = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    reference = models.CharField(max_length=40, null=True)  # noqa: DJ001 - no job is not an empty one
    """The finished job, such as `assistance:9`; null: unverified, one per provider and author."""
    rating = models.PositiveSmallIntegerField()
    comment = models.CharField(max_length=MAX_COMMENT)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "catalog_review"
        constraints = [
            models.UniqueConstraint(
                fields=["reference", "author"], condition=Q(reference__isnull=False), name="review_once_per_job"
            ),
            models.UniqueConstraint(
                fields=["provider", "author"], condition=Q(reference__isnull=True), name="review_once_without_job"
            ),
            models.CheckConstraint(condition=Q(rating__range=(1, 5)), name="review_rating_range"),
            models.CheckConstraint(condition=~Q(author=F("provider")), name="review_of_another"),
        ]
        indexes = [models.Index(fields=["provider", "-id"], name="review_of_provider")]

    @property
    def is_verified(self) -> bool:
        return self.reference is not None


class FinishedWork(models.Model):
    """A job that a provider finished, noted once."""

    append_only = True

    provider = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", db_index=False)
    reference = models.CharField(max_length=40)
    finished_at = models.DateTimeField()

    class Meta:
        db_table = "catalog_finished_work"
        constraints = [models.UniqueConstraint(fields=["provider", "reference"], name="finished_work_once")]


class ProviderStanding(models.Model):
    """The sums behind a provider's average, and how many jobs they finished."""

    user = models.OneToOneField("accounts.User", on_delete=models.PROTECT, primary_key=True, related_name="+")
    rating_sum = models.BigIntegerField(db_default=0)
    rating_count = models.BigIntegerField(db_default=0)
    """Verified reviews; the unverified ones stand apart, because they never count beside them."""
    unverified_sum = models.BigIntegerField(db_default=0)
    unverified_count = models.BigIntegerField(db_default=0)
    finished_jobs = models.BigIntegerField(db_default=0)

    class Meta:
        db_table = "catalog_provider_standing"

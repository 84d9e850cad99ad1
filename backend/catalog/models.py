"""What is offered and by whom, what people think of them, the work they finished, and the sums of both."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, GistIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Func, Q

from backend.core.fields import PeriodsField, PointField
from backend.core.money import MAX_MINOR
from backend.core.references import make_reference

MAX_TITLE = 200
MAX_DESCRIPTION = 4000
MAX_COMMENT = 2000
"""Characters of a review's comment, and of the reply to it."""
MAX_DEPTH = 4
"""Levels of the tree of categories."""
MAX_RADIUS_KM = 500
OWN_RADIUS_KM = 50
"""How far a provider comes who does not say."""
MAX_MINUTES = 24 * 60
"""No booking lasts longer, and so no service."""


def searchable(*columns: str) -> models.GeneratedField:
    """The words of these columns for full-text search, kept by the database; the first column's weigh most.

    `catalog_words` and `catalog_fold` are functions of the first migration.
    """
    words = Func(*map(F, columns), function="catalog_words", output_field=SearchVectorField())
    return models.GeneratedField(expression=words, output_field=SearchVectorField(), db_persist=True)


class Category(models.Model):
    """A node of the tree of what is offered.

    `depth` follows from the parent's in the database, which refuses more than four levels, and with them every cycle:
    on a cycle depths would have no end.
    """

    name = models.CharField(max_length=100)
    description = models.CharField(max_length=1000, default="")
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, related_name="children", db_constraint=False
    )
    parent_depth = models.PositiveSmallIntegerField(null=True)
    """The parent's `depth`: half of the foreign key `category_parent`, which follows changes of it."""
    depth = models.GeneratedField(
        expression=Func(
            F("parent_depth"),
            template="coalesce(%(expressions)s, 0) + 1",
            output_field=models.PositiveSmallIntegerField(),
        ),
        output_field=models.PositiveSmallIntegerField(),
        db_persist=True,
    )
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "catalog_category"
        constraints = [
            models.UniqueConstraint(fields=["parent", "name"], name="category_name_once", nulls_distinct=False),
            models.UniqueConstraint(fields=["id", "depth"], name="category_depth_referred_to"),
            models.CheckConstraint(condition=Q(depth__lte=MAX_DEPTH), name="category_depth_bounded"),
            models.CheckConstraint(
                condition=Q(parent__isnull=True, parent_depth__isnull=True)
                | Q(parent__isnull=False, parent_depth__isnull=False),
                name="category_depth_of_parent",
            ),
        ]


class Provider(models.Model):
    """A provider as the catalogue shows them. The row is made when they first show or offer something."""

    user = models.OneToOneField("accounts.User", primary_key=True, on_delete=models.PROTECT, related_name="+")
    business_name = models.CharField(max_length=MAX_TITLE, default="")
    business_description = models.CharField(max_length=MAX_DESCRIPTION, default="")
    years_of_experience = models.PositiveSmallIntegerField(null=True)
    license_number = models.CharField(max_length=100, default="")
    insurance_info = models.CharField(max_length=1000, default="")
    service_radius_km = models.PositiveSmallIntegerField(null=True)
    """How far from `position` they come; null: `OWN_RADIUS_KM`."""
    hourly_rate = models.BigIntegerField(null=True)
    """In minor units of `currency`."""
    currency = models.CharField(max_length=3, default="")
    lat = models.FloatField(null=True)
    lng = models.FloatField(null=True)
    position = PointField(null=True)
    """The same place on the map."""
    contact_public = models.BooleanField(default=False)
    is_onboarded = models.BooleanField(default=False)
    """Whether the profile is complete (`rules.is_complete`)."""
    categories = models.ManyToManyField(Category, through="ProviderCategory", related_name="+")
    # Copies of what accounts knows, taken in the transaction of each change there.
    name = models.CharField(max_length=150)
    city = models.CharField(max_length=100)
    is_listed = models.BooleanField()
    """Whether the account is active and a provider's."""
    category_words = models.TextField(default="")
    """The names of the categories and of those above them, to be found by."""
    words = searchable("business_name", "name", "category_words", "business_description")
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "catalog_provider"
        constraints = [
            models.CheckConstraint(
                # A comparison with null would be let pass.
                condition=Q(lat__isnull=True, lng__isnull=True, position__isnull=True)
                | Q(lat__isnull=False, lng__isnull=False, position__isnull=False, lat__range=(-90, 90))
                & Q(lng__range=(-180, 180)),
                name="provider_place_on_earth",
            ),
            models.CheckConstraint(
                condition=Q(hourly_rate__isnull=True) | Q(hourly_rate__range=(0, MAX_MINOR)) & ~Q(currency=""),
                name="provider_rate_range",
            ),
            models.CheckConstraint(
                condition=Q(service_radius_km__isnull=True) | Q(service_radius_km__range=(1, MAX_RADIUS_KM)),
                name="provider_radius_range",
            ),
        ]
        indexes = [
            GinIndex(fields=["words"], name="provider_words"),
            GistIndex(fields=["position"], condition=Q(is_listed=True), name="provider_place"),
            models.Index(fields=["user"], condition=Q(is_listed=True), name="provider_listed"),
        ]


class ProviderCategory(models.Model):
    """A category in which a provider works."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="+", db_index=False)
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="+")

    class Meta:
        db_table = "catalog_provider_category"
        constraints = [models.UniqueConstraint(fields=["provider", "category"], name="provider_category_once")]


class CalendarOpenings(models.Model):
    """When one of a provider's calendars can still be booked, kept by the module that books. Of whom nothing was said:
    at any time."""

    provider = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+", db_index=False)
    place = models.PositiveSmallIntegerField()
    """The how many-th of the provider's it is; who can never be booked has one without periods."""
    service_ids = ArrayField(models.BigIntegerField(), default=list)
    """What can be booked there; none named: everything."""
    notice_minutes = models.PositiveIntegerField(default=0)
    """So long before a booking's start they want to know."""
    periods = PeriodsField()
    """A booking may be anywhere within one of them: the distance that they keep from others is taken away already."""
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "catalog_calendar_openings"
        constraints = [models.UniqueConstraint(fields=["provider", "place"], name="openings_once_per_calendar")]
        indexes = [
            models.Index(fields=["provider"], condition=~Q(service_ids=[]), name="openings_for_some_services"),
        ]


class Service(models.Model):
    """Something that a provider does for a price. Archived it leaves every list; bookings keep it."""

    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="services", db_index=False)
    category = models.ForeignKey(Category, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    title = models.CharField(max_length=MAX_TITLE)
    description = models.CharField(max_length=MAX_DESCRIPTION, default="")
    price = models.BigIntegerField()
    """In minor units of `currency`."""
    currency = models.CharField(max_length=3)
    price_thousandths = models.BigIntegerField()
    """The price in thousandths of the currency's unit: what filters and orders compare, whatever its decimals."""
    duration_minutes = models.PositiveIntegerField()
    category_words = models.TextField(default="")
    """The names of the category and of those above it, to be found by."""
    head = searchable("title", "category_words")
    words = searchable("title", "category_words", "description")
    archived_at = models.DateTimeField(null=True)
    is_shown = models.BooleanField(default=True)
    """Whether anybody finds it: it is not archived, and its provider is listed."""
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "catalog_service"
        constraints = [
            models.CheckConstraint(condition=Q(price__range=(0, MAX_MINOR)), name="service_price_range"),
            models.CheckConstraint(
                condition=Q(duration_minutes__range=(1, MAX_MINUTES)), name="service_duration_range"
            ),
            models.CheckConstraint(condition=~Q(title=""), name="service_has_a_title"),
            models.CheckConstraint(
                condition=Q(is_shown=False) | Q(archived_at__isnull=True), name="service_archived_is_not_shown"
            ),
        ]
        indexes = [
            GinIndex(fields=["head"], condition=Q(is_shown=True), name="service_head"),
            GinIndex(fields=["words"], condition=Q(is_shown=True), name="service_words"),
            models.Index(fields=["price_thousandths", "id"], condition=Q(is_shown=True), name="service_price"),
            models.Index(fields=["created_at", "id"], condition=Q(is_shown=True), name="service_age"),
            # All that lists without words look at stands in these two: they read no row that they do not show.
            models.Index(
                fields=["provider", "id"],
                include=["is_shown", "created_at", "price_thousandths", "category", "duration_minutes"],
                name="service_of_provider",
            ),
            models.Index(
                fields=["category", "created_at", "id"],
                include=["is_shown", "price_thousandths", "provider", "duration_minutes"],
                name="service_in_category",
            ),
        ]

    @property
    def reference(self) -> str:
        return make_reference("service", self.pk)


class Word(models.Model):
    """A word that services and providers are found by, as the timetable last counted them: typing errors are mended
    to one of these."""

    word = models.CharField(primary_key=True, max_length=60)
    uses = models.PositiveIntegerField()
    """In how many texts it is."""

    class Meta:
        db_table = "catalog_word"


class PortfolioItem(models.Model):
    """A piece of work that a provider shows."""

    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="portfolio", db_index=False)
    title = models.CharField(max_length=MAX_TITLE)
    description = models.CharField(max_length=MAX_DESCRIPTION, default="")
    completed_on = models.DateField(null=True)
    picture = models.CharField(max_length=60)
    """The folder of its sizes in storage."""
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "catalog_portfolio_item"
        indexes = [models.Index(fields=["provider", "-id"], name="portfolio_of_provider")]


class Review(models.Model):
    """What somebody thinks of another. Tied to finished work it is verified: one per job and author.

    Only those that are visible and not removed count; `services.reviews` keeps the standing in the same statement.
    """

    reviewed = models.ForeignKey("accounts.User", db_index=False, on_delete=models.PROTECT, related_name="+")
    author = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    reference = models.CharField(max_length=40, null=True)  # noqa: DJ001 - no job is not an empty one
    """The finished job, such as `assistance:9`; null: unverified, one per provider and author."""
    rating = models.PositiveSmallIntegerField()
    comment = models.CharField(max_length=MAX_COMMENT)
    is_visible = models.BooleanField()
    visible_from = models.DateTimeField()
    """When it is shown at the latest, where both sides may write and the other has not yet."""
    reply = models.CharField(max_length=MAX_COMMENT, default="")
    replied_at = models.DateTimeField(null=True)
    removed_at = models.DateTimeField(null=True)
    """When a manager took it away. The row stays: its author has had their say."""
    created_at = models.DateTimeField()

    class Meta:
        db_table = "catalog_review"
        constraints = [
            models.UniqueConstraint(
                fields=["reference", "author"], condition=Q(reference__isnull=False), name="review_once_per_job"
            ),
            models.UniqueConstraint(
                fields=["reviewed", "author"], condition=Q(reference__isnull=True), name="review_once_without_job"
            ),
            models.CheckConstraint(condition=Q(rating__range=(1, 5)), name="review_rating_range"),
            models.CheckConstraint(condition=~Q(author=F("reviewed")), name="review_of_another"),
            models.CheckConstraint(
                condition=Q(is_visible=True) | Q(reference__isnull=False), name="review_hidden_for_a_job"
            ),
            models.CheckConstraint(
                condition=Q(replied_at__isnull=True, reply="") | Q(replied_at__isnull=False) & ~Q(reply=""),
                name="review_replied_when_said",
            ),
        ]
        indexes = [
            models.Index(
                fields=["reviewed", "-id"],
                condition=Q(is_visible=True, removed_at__isnull=True),
                name="review_of_person",
            ),
            models.Index(
                fields=["visible_from"],
                condition=Q(is_visible=False, removed_at__isnull=True),
                name="review_hidden",
            ),
        ]

    @property
    def own_reference(self) -> str:
        return make_reference("review", self.pk)

    @property
    def is_verified(self) -> bool:
        return self.reference is not None


class ReviewReport(models.Model):
    """Somebody's word that a review should not stand: once per person."""

    review = models.ForeignKey(Review, on_delete=models.CASCADE, related_name="reports", db_index=False)
    reporter = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=MAX_COMMENT)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "catalog_review_report"
        constraints = [models.UniqueConstraint(fields=["review", "reporter"], name="review_reported_once")]


class FinishedWork(models.Model):
    """A job that a provider finished, noted once; it says who may write a verified review of whom.

    Its row is locked by whoever writes such a review: of two who write at once, one sees the other's.
    """

    provider = models.ForeignKey("accounts.User", db_index=False, on_delete=models.PROTECT, related_name="+")
    client = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    reference = models.CharField(max_length=40)
    both_sides_review = models.BooleanField()
    """Whether the provider may review the client too; then both reviews are hidden until both are written."""
    finished_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)
    """When it turned out not to have been done after all (a no-show): it counts no more."""

    class Meta:
        db_table = "catalog_finished_work"
        constraints = [
            models.UniqueConstraint(fields=["provider", "reference"], name="finished_work_once"),
            models.CheckConstraint(condition=~Q(client=F("provider")), name="finished_work_for_another"),
        ]
        indexes = [models.Index(fields=["reference"], name="finished_work_reference")]


class ProviderStanding(models.Model):
    """The sums behind a person's average, and how many jobs they finished."""

    user = models.OneToOneField("accounts.User", primary_key=True, on_delete=models.PROTECT, related_name="+")
    rating_sum = models.BigIntegerField(db_default=0)
    rating_count = models.BigIntegerField(db_default=0)
    """Verified reviews that are visible; the unverified ones stand apart, because they never count beside them."""
    unverified_sum = models.BigIntegerField(db_default=0)
    unverified_count = models.BigIntegerField(db_default=0)
    finished_jobs = models.BigIntegerField(db_default=0)
    average = models.GeneratedField(
        expression=Func(
            template="CASE WHEN rating_count > 0 THEN round(rating_sum::numeric / rating_count, 2)"
            " WHEN unverified_count > 0 THEN round(unverified_sum::numeric / unverified_count, 2) END",
            output_field=models.DecimalField(max_digits=3, decimal_places=2),
        ),
        output_field=models.DecimalField(max_digits=3, decimal_places=2, null=True),
        db_persist=True,
    )
    """Of the verified ones; of the unverified ones where there are no others."""

    class Meta:
        db_table = "catalog_provider_standing"

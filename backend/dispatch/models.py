"""Assistants as dispatch sees them, tariffs, quotes, roadside jobs, and how each was offered."""

from decimal import Decimal

from django.contrib.postgres.indexes import GistIndex
from django.db import models
from django.db.models import CheckConstraint, Q, UniqueConstraint

from backend.core.geo import Point
from backend.core.money import Money
from backend.core.states import LifeCycleModel, Steps
from backend.dispatch import states
from backend.dispatch.fields import PointField
from backend.dispatch.rules import Rate
from backend.dispatch.states import OfferStatus, Status

ONE_OPEN_JOB = "assistance_one_open_per_assistant"
ONE_OPEN_REQUEST = "assistance_one_open_per_client"


def on_earth(prefix: str = "") -> Q:
    return Q(**{f"{prefix}lat__range": (-90, 90), f"{prefix}lng__range": (-180, 180)})


def nowhere(prefix: str = "") -> Q:
    return Q(**{f"{prefix}lat__isnull": True, f"{prefix}lng__isnull": True})


class DispatchAssistant(models.Model):
    """Everything that matching asks of an assistant, in one row: duty, position, and copies of vehicle and licence.

    Accounts owns the copied columns; they are taken over on going on duty and whenever they change.
    """

    user = models.OneToOneField("accounts.User", on_delete=models.CASCADE, primary_key=True, related_name="+")
    on_duty = models.BooleanField(default=False)
    service_type = models.CharField(max_length=6)
    vehicle_class = models.CharField(max_length=5)
    licence_category = models.CharField(max_length=1)
    licence_expires_on = models.DateField()
    lat = models.FloatField(null=True)
    lng = models.FloatField(null=True)
    heading = models.FloatField(null=True)
    """Degrees clockwise from north."""
    speed = models.FloatField(null=True)
    """Metres per second."""
    accuracy = models.FloatField(null=True)
    """Metres."""
    position = PointField(null=True)
    """The same place on the map in which the nearest are found."""
    located_at = models.DateTimeField(null=True)
    """When the position was measured."""
    fresh_at = models.DateTimeField(null=True)
    """When the phone was last heard of; a position is on the map for so long after it."""
    tracked_at = models.DateTimeField(null=True)
    """When a position was last kept for the track of a job."""

    class Meta:
        db_table = "dispatch_assistant"
        constraints = [CheckConstraint(condition=nowhere() | on_earth(), name="dispatch_assistant_on_earth")]
        indexes = [GistIndex(fields=["position"], name="dispatch_assistant_nearest", condition=Q(on_duty=True))]

    @property
    def place(self) -> Point | None:
        return None if self.lat is None or self.lng is None else Point(self.lat, self.lng)


class Tariff(models.Model):
    """What a service costs from a day on; rows are only ever added. Amounts in minor units."""

    append_only = True

    service_type = models.CharField(max_length=6)
    vehicle_class = models.CharField(max_length=5)
    base = models.BigIntegerField()
    per_km = models.BigIntegerField()
    minimum = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    road_factor = models.DecimalField(max_digits=4, decimal_places=2, default=Decimal("1.30"))
    """The way by road is so many times the great circle."""
    valid_from = models.DateTimeField()
    created_at = models.DateTimeField()

    class Meta:
        db_table = "dispatch_tariff"
        constraints = [
            UniqueConstraint(fields=["service_type", "vehicle_class", "valid_from"], name="tariff_once_per_moment"),
            CheckConstraint(condition=Q(base__gte=0, per_km__gte=0, minimum__gte=0), name="tariff_not_negative"),
            CheckConstraint(condition=Q(road_factor__range=(1, 5)), name="tariff_road_factor"),
        ]

    @property
    def rate(self) -> Rate:
        return Rate(self.base, self.per_km, self.minimum, self.currency, self.road_factor)


class Priced(models.Model):
    """What is asked for where, and its price: shared by quotes and jobs."""

    pickup_lat = models.FloatField()
    pickup_lng = models.FloatField()
    dropoff_lat = models.FloatField(null=True)
    dropoff_lng = models.FloatField(null=True)
    vehicle_class = models.CharField(max_length=5)
    distance_m = models.PositiveIntegerField(null=True)
    """From pickup to drop-off by road."""
    estimated = models.BooleanField(default=True)
    """Whether the distance is made from the straight line; else it is that of a route."""
    total_price = models.BigIntegerField(null=True)
    """Minor units; null until the work is priced on the spot."""
    minimum_price = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, default="")

    class Meta:
        abstract = True

    @property
    def pickup(self) -> Point:
        return Point(self.pickup_lat, self.pickup_lng)

    @property
    def dropoff(self) -> Point | None:
        return (
            None if self.dropoff_lat is None or self.dropoff_lng is None else Point(self.dropoff_lat, self.dropoff_lng)
        )

    def money(self, minor: int | None) -> Money | None:
        return None if minor is None else Money(minor, self.currency)


class Quote(Priced):
    """A price that holds for some minutes, for the one who asked."""

    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    service_type = models.CharField(max_length=6)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "dispatch_quote"
        indexes = [models.Index(fields=["expires_at"], name="quote_expiry")]
        constraints = [
            CheckConstraint(
                condition=on_earth("pickup_") & (nowhere("dropoff_") | on_earth("dropoff_")), name="quote_on_earth"
            ),
        ]


class Assistance(LifeCycleModel, Priced):
    """A roadside job from request to end. A round is one search for an assistant; giving back starts another."""

    reference_kind = "assistance"
    steps: Steps = states.STEPS

    client = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    assistant = models.ForeignKey("accounts.User", on_delete=models.PROTECT, null=True, related_name="+")
    requested_service = models.CharField(max_length=6, null=True)  # noqa: DJ001 - nothing was named
    """What was asked for; null: whatever the assistant who comes can do."""
    service_type = models.CharField(max_length=6, null=True)  # noqa: DJ001 - not known yet
    """What is done: as asked for, or that of the assistant who has the job."""
    vehicle_type = models.CharField(max_length=100, default="")
    note = models.CharField(max_length=1000, default="")
    quote = models.ForeignKey(Quote, on_delete=models.SET_NULL, null=True, related_name="+")
    round = models.PositiveSmallIntegerField(default=1)
    expires_at = models.DateTimeField()
    """When the present round ends, if nobody accepts."""
    requested_at = models.DateTimeField()
    """When the present round began."""
    accepted_at = models.DateTimeField(null=True)
    ongoing_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    conversation_id = models.BigIntegerField(null=True)
    assistant_added_event_id = models.BigIntegerField(null=True)
    """The assistant's own `member.added`: what they may see of the room begins there. The client sees all of it."""
    rating = models.PositiveSmallIntegerField(null=True)

    class Meta:
        db_table = "dispatch_assistance"
        constraints = [
            UniqueConstraint(fields=["assistant"], condition=Q(status__in=sorted(states.TAKEN)), name=ONE_OPEN_JOB),
            UniqueConstraint(fields=["client"], condition=Q(status__in=sorted(states.OPEN)), name=ONE_OPEN_REQUEST),
            CheckConstraint(condition=Q(status__in=list(Status)), name="assistance_status_known"),
            CheckConstraint(
                condition=~Q(status__in=sorted(states.TAKEN | {Status.COMPLETED})) | Q(assistant__isnull=False),
                name="assistance_taken_by_someone",
            ),
            CheckConstraint(
                condition=~Q(status=Status.REQUESTED) | Q(assistant__isnull=True), name="assistance_requested_is_free"
            ),
            CheckConstraint(condition=Q(rating__isnull=True) | Q(rating__range=(1, 5)), name="assistance_rating_range"),
            CheckConstraint(
                condition=on_earth("pickup_") & (nowhere("dropoff_") | on_earth("dropoff_")), name="assistance_on_earth"
            ),
        ]
        indexes = [
            models.Index(fields=["client", "-id"], name="assistance_of_client"),
            models.Index(fields=["assistant", "-id"], name="assistance_of_assistant"),
            models.Index(fields=["status", "-id"], name="assistance_by_status"),
        ]

    @property
    def taken_by(self) -> int:
        """The assistant's id, where the state says that there is one. Raises LookupError."""
        if self.assistant_id is None:
            raise LookupError(f"{self.reference} is {self.status} and nobody's")
        return self.assistant_id


class Wave(models.Model):
    """One search of a round, kept as it was: how far, when, and who near was left out and why."""

    append_only = True

    assistance = models.ForeignKey(Assistance, on_delete=models.CASCADE, related_name="waves")
    round = models.PositiveSmallIntegerField()
    number = models.PositiveSmallIntegerField()
    radius_m = models.PositiveIntegerField()
    left_out = models.JSONField()
    """The nearest who were not asked: `[{assistant_id, distance_m, reason}]`."""
    at = models.DateTimeField()

    class Meta:
        db_table = "dispatch_wave"
        constraints = [UniqueConstraint(fields=["assistance", "round", "number"], name="wave_once")]


class Offer(models.Model):
    """One job offered to one assistant, and the answer."""

    assistance = models.ForeignKey(Assistance, on_delete=models.CASCADE, related_name="offers")
    assistant = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    round = models.PositiveSmallIntegerField()
    wave = models.PositiveSmallIntegerField()
    distance_m = models.PositiveIntegerField()
    """From the assistant to the pickup, straight line."""
    eta_minutes = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=9, default=OfferStatus.OPEN)
    offered_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    """When it was accepted, declined or withdrawn."""

    class Meta:
        db_table = "dispatch_offer"
        constraints = [
            UniqueConstraint(fields=["assistance", "round", "assistant"], name="offer_once_per_round"),
            CheckConstraint(condition=Q(status__in=list(OfferStatus)), name="offer_status_known"),
        ]
        indexes = [
            models.Index(fields=["assistant"], condition=Q(status=OfferStatus.OPEN), name="offer_open_of_assistant"),
        ]


class TrackPoint(models.Model):
    """Where the assistant of a job was, every few seconds."""

    assistance = models.ForeignKey(Assistance, on_delete=models.CASCADE, related_name="track")
    lat = models.FloatField()
    lng = models.FloatField()
    speed = models.FloatField(null=True)
    at = models.DateTimeField()

    class Meta:
        db_table = "dispatch_track_point"
        indexes = [
            models.Index(fields=["assistance", "at"], name="track_of_job"),
            models.Index(fields=["at"], name="track_age"),
        ]

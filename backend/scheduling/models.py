"""Chairs, opening hours, times off, policies and bookings."""

from datetime import timedelta

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, BigIntegerRangeField, DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import CheckConstraint, F, Func, Q, UniqueConstraint, Value

from backend.core.geo import Point
from backend.core.money import Money
from backend.core.states import LifeCycleModel, Steps
from backend.scheduling import rules, states
from backend.scheduling.states import OPEN, Side, Status

NO_OVERLAP = "booking_no_overlap"
LONGEST_BOOKING = timedelta(hours=24)


class Resource(models.Model):
    """A chair, a room, a barber: whatever one booking at a time takes. A provider starts with one."""

    provider = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=100)
    is_active = models.BooleanField(default=True)
    is_first = models.BooleanField(default=False)
    """It came with the provider; there is one of these at most."""
    service_ids = ArrayField(models.BigIntegerField(), default=list)
    """What can be done here; none named: everything."""
    user = models.ForeignKey("accounts.User", on_delete=models.SET_NULL, null=True, related_name="+")
    """The crew member who works here, and acts as provider on its bookings."""
    deleted_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "scheduling_resource"
        constraints = [
            UniqueConstraint(fields=["provider"], condition=Q(is_first=True), name="resource_one_first"),
        ]
        indexes = [models.Index(fields=["provider", "id"], name="resource_of_provider")]


class Policy(models.Model):
    """On what terms a provider takes bookings; without a row, those of `rules.Terms`."""

    provider = models.OneToOneField("accounts.User", on_delete=models.CASCADE, primary_key=True, related_name="+")
    time_zone = models.CharField(max_length=64)
    buffer_before_minutes = models.PositiveSmallIntegerField()
    buffer_after_minutes = models.PositiveSmallIntegerField()
    minimum_notice_minutes = models.PositiveIntegerField()
    horizon_days = models.PositiveSmallIntegerField()
    hold_minutes = models.PositiveSmallIntegerField()
    auto_confirm_minutes = models.PositiveSmallIntegerField(null=True)
    free_cancellation_hours = models.PositiveSmallIntegerField()
    late_fee_percent = models.PositiveSmallIntegerField()
    no_show_fee_percent = models.PositiveSmallIntegerField()
    notify_emails = ArrayField(models.CharField(max_length=254), default=list)
    version = models.PositiveIntegerField(default=1)
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "scheduling_policy"
        constraints = [
            CheckConstraint(
                condition=Q(late_fee_percent__lte=100, no_show_fee_percent__lte=100), name="policy_percentages"
            ),
        ]


class Availability(models.Model):
    """When bookings may be: every week on a day, or on one date, whose rows replace the weekly ones.

    Half-open, by the clock on the wall; an end at midnight is the day's.
    """

    provider = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+", db_index=False)
    resource = models.ForeignKey(Resource, on_delete=models.CASCADE, null=True, related_name="+")
    """Null: every calendar of the provider that has no hours of its own."""
    day_of_week = models.PositiveSmallIntegerField(null=True)
    """0 is Monday."""
    date = models.DateField(null=True)
    start_time = models.TimeField()
    end_time = models.TimeField()
    time_zone = models.CharField(max_length=64)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "scheduling_availability"
        constraints = [
            CheckConstraint(
                condition=Q(day_of_week__range=(0, 6), date__isnull=True)
                | Q(day_of_week__isnull=True, date__isnull=False),
                name="availability_weekly_or_dated",
            ),
            CheckConstraint(
                condition=Q(start_time__lt=F("end_time")) | Q(end_time="00:00"), name="availability_in_order"
            ),
        ]
        indexes = [models.Index(fields=["provider", "id"], name="availability_of_provider")]


class TimeOff(models.Model):
    """A period without bookings."""

    provider = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+", db_index=False)
    resource = models.ForeignKey(Resource, on_delete=models.CASCADE, null=True, related_name="+")
    """Null: all of the provider's calendars."""
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=200, default="")
    created_at = models.DateTimeField()

    class Meta:
        db_table = "scheduling_time_off"
        constraints = [CheckConstraint(condition=Q(starts_at__lt=F("ends_at")), name="time_off_in_order")]
        indexes = [models.Index(fields=["provider", "ends_at"], name="time_off_of_provider")]


class Int8Range(Func):
    function = "int8range"
    output_field = BigIntegerRangeField()


class Booking(LifeCycleModel):
    """An appointment of a client with a provider at one of their calendars."""

    reference_kind = "booking"
    steps: Steps = states.STEPS

    client = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", db_index=False)
    provider = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", db_index=False)
    resource = models.ForeignKey(Resource, on_delete=models.PROTECT, related_name="+", db_index=False)
    service_id = models.BigIntegerField(null=True)
    service_title = models.CharField(max_length=200, default="")
    """As it was when it was booked, like the price."""
    category_id = models.BigIntegerField(null=True)
    price_minor = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, default="")
    estimated_cost_minor = models.BigIntegerField(null=True)
    estimated_cost_currency = models.CharField(max_length=3, default="")
    """A note of the people's; nothing is reckoned with it."""
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    blocked = DateTimeRangeField()
    """The time with its buffers, as they were when it was booked."""
    holds_slot = models.BooleanField()
    """Whether nobody else may have the time."""
    proposed_by = models.CharField(max_length=8, choices=[(side.value, side.value) for side in Side])
    notes = models.CharField(max_length=2000, default="")
    address = models.CharField(max_length=500, default="")
    lat = models.FloatField(null=True)
    lng = models.FloatField(null=True)
    reason = models.CharField(max_length=500, default="")
    """Why it was cancelled."""
    free_cancellation_hours = models.PositiveSmallIntegerField()
    late_fee_percent = models.PositiveSmallIntegerField()
    no_show_fee_percent = models.PositiveSmallIntegerField()
    committed_starts_at = models.DateTimeField(null=True)
    """The start that a fee is judged against (`rules.committed_after_move`); null: the client is held to nothing."""
    committed_price_minor = models.BigIntegerField(null=True)
    """The highest price that the client has been held to since; a fee is reckoned from no less."""
    fee_minor = models.BigIntegerField(null=True)
    held_until = models.DateTimeField(null=True)
    confirms_at = models.DateTimeField(null=True)
    """When the timetable confirms it, if nobody did before."""
    day_reminder_at = models.DateTimeField(null=True)
    """When both are reminded of the day; null: not (any more). The hour's likewise."""
    hour_reminder_at = models.DateTimeField(null=True)
    next_step_at = models.DateTimeField(null=True)
    """When the timetable has something to do; a job is waiting for that moment."""
    cancelled_by_id = models.BigIntegerField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    rescheduled_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "scheduling_booking"
        constraints = [
            ExclusionConstraint(
                name=NO_OVERLAP,
                index_type="GIST",
                expressions=[
                    (Int8Range(F("resource_id"), F("resource_id"), Value("[]")), RangeOperators.OVERLAPS),
                    (F("blocked"), RangeOperators.OVERLAPS),
                ],
                condition=Q(holds_slot=True),
            ),
            CheckConstraint(condition=Q(status__in=list(Status)), name="booking_status_known"),
            CheckConstraint(condition=Q(starts_at__lt=F("ends_at")), name="booking_in_order"),
            CheckConstraint(condition=Q(ends_at__lte=F("starts_at") + LONGEST_BOOKING), name="booking_not_without_end"),
            CheckConstraint(
                condition=Q(
                    blocked__contains=Func(
                        F("starts_at"), F("ends_at"), function="tstzrange", output_field=DateTimeRangeField()
                    )
                ),
                name="booking_blocks_its_time",
            ),
            CheckConstraint(
                condition=~Q(status__in=[Status.CONFIRMED, Status.COMPLETED]) | Q(holds_slot=True),
                name="booking_confirmed_holds",
            ),
            CheckConstraint(
                condition=~Q(status__in=[Status.CANCELLED, Status.NO_SHOW, Status.EXPIRED]) | Q(holds_slot=False),
                name="booking_over_holds_nothing",
            ),
            CheckConstraint(condition=~Q(client=F("provider")), name="booking_with_another"),
            CheckConstraint(
                condition=Q(committed_price_minor__isnull=True) | Q(committed_starts_at__isnull=False),
                name="booking_held_to_a_price_and_a_start",
            ),
            CheckConstraint(condition=Q(fee_minor__isnull=True) | Q(fee_minor__gte=0), name="booking_fee_not_negative"),
            CheckConstraint(
                condition=Q(lat__isnull=True, lng__isnull=True) | Q(lat__range=(-90, 90), lng__range=(-180, 180)),
                name="booking_on_earth",
            ),
        ]
        indexes = [
            models.Index(fields=["client", "-starts_at", "-id"], name="booking_of_client"),
            models.Index(fields=["provider", "-starts_at", "-id"], name="booking_of_provider"),
            models.Index(fields=["resource", "-starts_at"], name="booking_of_resource"),
            models.Index(fields=["-starts_at", "-id"], name="booking_by_start"),
            models.Index(fields=["status", "-starts_at"], name="booking_by_status"),
        ]

    @property
    def location(self) -> Point | None:
        return None if self.lat is None or self.lng is None else Point(self.lat, self.lng)

    @property
    def price(self) -> Money | None:
        return None if self.price_minor is None else Money(self.price_minor, self.currency)

    @property
    def fee(self) -> Money | None:
        return None if self.fee_minor is None else Money(self.fee_minor, self.currency)

    @property
    def estimated_cost(self) -> Money | None:
        minor = self.estimated_cost_minor
        return None if minor is None else Money(minor, self.estimated_cost_currency)

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    def plan_next_step(self) -> None:
        """Say anew when the timetable has something to do."""
        self.next_step_at = rules.next_step_at(self)


class Move(models.Model):
    """A booking's change of time or chair, beside the line of its history with the same version."""

    append_only = True

    booking = models.ForeignKey(Booking, on_delete=models.CASCADE, related_name="moves", db_index=False)
    version = models.PositiveIntegerField()
    from_resource_id = models.BigIntegerField()
    from_starts_at = models.DateTimeField()
    from_ends_at = models.DateTimeField()
    to_resource_id = models.BigIntegerField()
    to_starts_at = models.DateTimeField()
    to_ends_at = models.DateTimeField()

    class Meta:
        db_table = "scheduling_move"
        constraints = [UniqueConstraint(fields=["booking", "version"], name="move_once_per_version")]


class StaleOpenings(models.Model):
    """A provider whose openings have changed since the catalogue was told. Rows are taken by whoever tells it."""

    provider = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")

    class Meta:
        db_table = "scheduling_stale_openings"


class CalendarLink(models.Model):
    """How often a person renewed the link of their feed: the link is derived from it, and no secret is kept."""

    user = models.OneToOneField("accounts.User", on_delete=models.CASCADE, primary_key=True, related_name="+")
    generation = models.PositiveIntegerField(default=1)
    renewed_at = models.DateTimeField()

    class Meta:
        db_table = "scheduling_calendar_link"

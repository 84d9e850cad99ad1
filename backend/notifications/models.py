"""What people are told, through which channels it went, and how they want it."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from backend.notifications.states import DeliveryStatus
from backend.notifications.values import OUTSIDE

_PERSON = "accounts.User"


class Inbox(models.Model):
    """How much of what a person was shown is unread. Locked before anything in their list changes."""

    user = models.OneToOneField(_PERSON, on_delete=models.CASCADE, primary_key=True, related_name="+")
    unread = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "notifications_inbox"


class Notification(models.Model):
    """One thing that one person was told, in the words and the language in which it was said."""

    user = models.ForeignKey(_PERSON, on_delete=models.CASCADE, null=True, related_name="+", db_index=False)
    address = models.CharField(max_length=254, default="")
    """An e-mail address instead of a person; empty for people."""
    addressed_by = models.ForeignKey(_PERSON, on_delete=models.CASCADE, null=True, related_name="+", db_index=False)
    """Who has things sent to that address."""
    type = models.CharField(max_length=40)
    source = models.CharField(max_length=100)
    """What it comes from, such as `event:812`: nobody is told of it twice."""
    is_shown = models.BooleanField()
    """Whether it stands in the person's list: not when they want it elsewhere only, or have deleted it."""
    title = models.CharField(max_length=200)
    body = models.CharField(max_length=1000)
    reference = models.CharField(max_length=60, default="")
    language = models.CharField(max_length=10)
    created_at = models.DateTimeField()
    read_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "notifications_notification"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "type", "source"], condition=Q(user__isnull=False), name="notification_once"
            ),
            models.UniqueConstraint(
                fields=["address", "type", "source"], condition=Q(user__isnull=True), name="notification_mail_once"
            ),
            models.CheckConstraint(
                condition=Q(user__isnull=False, address="") | (Q(user__isnull=True, is_shown=False) & ~Q(address="")),
                name="notification_is_somebodys",
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], condition=Q(is_shown=True), name="notification_of_person"),
            models.Index(
                fields=["user", "-id"], condition=Q(is_shown=True, read_at__isnull=True), name="notification_unread"
            ),
            models.Index(
                fields=["addressed_by"], condition=Q(addressed_by__isnull=False), name="notification_addressed_by"
            ),
            models.Index(fields=["created_at"], name="notification_age"),
        ]

    @property
    def is_read(self) -> bool:
        return self.read_at is not None


class Delivery(models.Model):
    """What becomes of a notification in one channel outside; for pushes, on one device."""

    notification = models.ForeignKey(Notification, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    user_id = models.BigIntegerField(null=True)
    channel = models.CharField(max_length=5, choices=[(one.value, one.value) for one in OUTSIDE])
    device_id = models.BigIntegerField(default=0)
    """0 for all but pushes."""
    status = models.CharField(max_length=11, choices=[(one.value, one.value) for one in DeliveryStatus])
    reason = models.CharField(max_length=300, default="")
    attempts = models.PositiveSmallIntegerField(default=0)
    """Written down before each."""
    due_at = models.DateTimeField()
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)
    gathered_in = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="gathered")

    class Meta:
        db_table = "notifications_delivery"
        constraints = [
            models.UniqueConstraint(fields=["notification", "channel", "device_id"], name="delivery_once"),
        ]
        indexes = [
            models.Index(fields=["-id"], condition=Q(status="undelivered"), name="delivery_undelivered"),
            models.Index(fields=["user_id"], condition=Q(status="waiting"), name="delivery_waiting"),
        ]

    @property
    def key(self) -> str:
        """Its stable name on the other side: the same at every attempt, and after a restore of the database."""
        return f"notifications.{self.pk}.{self.created_at:%Y%m%d%H%M%S}"


class Preferences(models.Model):
    """How a person wants to be told; without a row, as the table says."""

    user = models.OneToOneField(_PERSON, on_delete=models.CASCADE, primary_key=True, related_name="+")
    choices = models.JSONField(default=dict)
    """Type → channel → whether: what differs from the table."""
    quiet_from = models.TimeField(null=True)
    """By the person's own clock."""
    quiet_until = models.TimeField(null=True)
    daily_email = models.BooleanField(default=False)
    language = models.CharField(max_length=10, null=True)  # noqa: DJ001 - null is the account's own
    updated_at = models.DateTimeField()
    version = models.PositiveIntegerField(default=1, db_default=1)
    """1 also without a row."""

    class Meta:
        db_table = "notifications_preferences"
        constraints = [
            models.CheckConstraint(
                condition=Q(quiet_from__isnull=True, quiet_until__isnull=True)
                | (Q(quiet_from__isnull=False, quiet_until__isnull=False) & ~Q(quiet_from=models.F("quiet_until"))),
                name="preferences_quiet_is_a_period",
            )
        ]


class Device(models.Model):
    """A browser or phone that takes pushes, for as long as the session that registered it lives."""

    user = models.ForeignKey(_PERSON, on_delete=models.CASCADE, related_name="+")
    session_id = models.BigIntegerField()
    kind = models.CharField(max_length=7, choices=[("webpush", "webpush"), ("fcm", "fcm")])
    token = models.CharField(max_length=2048)
    """The endpoint of Web Push, or the registration token of FCM."""
    digest = models.BinaryField(max_length=32)
    """SHA-256 of kind and token: a device is one person's at a time."""
    public_key = models.CharField(max_length=100, default="")
    """`p256dh` of Web Push."""
    secret = models.CharField(max_length=40, default="")
    """`auth` of Web Push."""
    created_at = models.DateTimeField()

    class Meta:
        db_table = "notifications_device"
        constraints = [models.UniqueConstraint(fields=["digest"], name="device_once")]


class Bounce(models.Model):
    """An e-mail address or phone number that was refused for good: not tried again until proved or changed."""

    address = models.CharField(max_length=254, primary_key=True)
    """In small letters."""
    reason = models.CharField(max_length=300)
    at = models.DateTimeField()

    class Meta:
        db_table = "notifications_bounce"
        constraints = [models.CheckConstraint(condition=Q(address=Lower("address")), name="bounce_in_small_letters")]

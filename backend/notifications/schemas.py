"""What the operations of notifications take and give; a notification itself is in `shared_contracts.events`."""

from datetime import datetime, time
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from backend.core.pagination import CursorIn, PageIn
from backend.core.schemas import Id, In, Line, Out
from backend.notifications.models import Delivery, Preferences
from backend.notifications.services.choices import wants
from backend.notifications.table import KINDS
from backend.notifications.values import Channel, NotificationType

Language = Annotated[
    Literal["en", "fr", "ar", "ru", "es"] | None,
    Field(description="Of what I am told; null: that of my account.", examples=["fr"]),
]
Offered = Annotated[
    bool | None, Field(description="Null where this type does not use the channel; left out: as it is by default.")
]
ClockTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["22:00"])]


class NotificationFiltersIn(CursorIn):
    """Which notifications."""

    is_read: bool | None = None
    type: NotificationType | None = None


class UnreadOut(Out):
    """How many I have not read."""

    unread_count: int


class ChangedOut(Out):
    """How many that concerned."""

    changed: int


class TypeChoiceIn(In):
    """Through which channels I want one type."""

    type: NotificationType
    in_app: Offered = None
    email: Offered = None
    sms: Offered = None
    push: Offered = None


class QuietHoursIn(In):
    """From when until when I am left in peace, by the clock of my time zone."""

    start: ClockTime
    until: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["07:00"])]


class PreferencesIn(In):
    """How I want to be told; what is left out is as by default."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "types": [{"type": "announcement", "email": False}],
                    "quiet_hours": {"start": "22:00", "until": "07:00"},
                    "daily_email": True,
                    "language": "fr",
                }
            ]
        }
    )

    types: Annotated[list[TypeChoiceIn], Field(max_length=100)] = []
    quiet_hours: QuietHoursIn | None = None
    daily_email: Annotated[bool, Field(description="What may wait comes as one e-mail a day.")] = False
    language: Language = None


class TypeChoiceOut(Out):
    """Through which channels I am told of one type."""

    type: NotificationType
    in_app: bool | None
    email: bool | None
    sms: bool | None
    push: bool | None
    is_urgent: bool = Field(description="Passes quiet hours, and waits for no daily e-mail.")


class QuietHoursOut(Out):
    """From when until when I am left in peace, by the clock of my time zone."""

    start: str
    until: str


class PreferencesOut(Out):
    """How I am told."""

    types: list[TypeChoiceOut]
    quiet_hours: QuietHoursOut | None
    daily_email: bool
    language: str | None


def show_preferences(preferences: Preferences) -> dict[str, Any]:
    """All types, with what holds for this person."""
    quiet = None
    if preferences.quiet_from is not None and preferences.quiet_until is not None:
        quiet = {"start": _clock(preferences.quiet_from), "until": _clock(preferences.quiet_until)}
    return {
        "types": [
            {
                "type": kind.type,
                "is_urgent": kind.is_urgent,
                **{one: wants(preferences, kind, one) if one in kind.channels else None for one in Channel},
            }
            for kind in KINDS.values()
        ],
        "quiet_hours": quiet,
        "daily_email": preferences.daily_email,
        "language": preferences.language,
    }


def _clock(at: time) -> str:
    return f"{at:%H:%M}"


class DeviceIn(In):
    """A browser's push subscription (`webpush`: what `PushSubscription.toJSON()` gives), or a phone's token (`fcm`)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"kind": "fcm", "token": "dGhpcyBpcyBhIHRva2Vu"},
                {
                    "kind": "webpush",
                    "endpoint": "https://push.example.org/send/abc",
                    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
                    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
                },
            ]
        }
    )

    kind: Literal["webpush", "fcm"]
    token: Annotated[Line | None, Field(max_length=2048, description="Of `fcm`.", examples=[None])] = None
    endpoint: Annotated[Line | None, Field(max_length=2048, description="Of `webpush`.", examples=[None])] = None
    p256dh: Annotated[Line | None, Field(max_length=100, description="Of `webpush`.", examples=[None])] = None
    auth: Annotated[Line | None, Field(max_length=40, description="Of `webpush`.", examples=[None])] = None


class DeviceOut(Out):
    """A device that takes pushes while the session that registered it lives."""

    id: int
    kind: Literal["webpush", "fcm"]
    created_at: datetime


class PushKeyOut(Out):
    """The key that browsers subscribe with (`applicationServerKey`)."""

    public_key: str | None = Field(
        description="Uncompressed P-256 point, base64url; null where no Web Push is set up.",
        examples=["BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"],
    )


class UnsubscribedOut(Out):
    """What goes to this person by e-mail no more."""

    type: str = Field(examples=["announcement"])


class UndeliveredFiltersIn(PageIn):
    """Which of what was given up."""

    channel: Literal["email", "sms", "push"] | None = None
    user_id: Id | None = None


class UndeliveredOut(Out):
    """Something that was tried and given up. What it says and the address are its owner's."""

    id: int
    user_id: int | None = Field(description="Null for a plain address.")
    type: str
    reference: str
    channel: Literal["email", "sms", "push"]
    status: Literal["undelivered", "queued"]
    reason: str
    attempts: int
    created_at: datetime
    failed_at: datetime | None


def show_undelivered(delivery: Delivery) -> dict[str, Any]:
    """For managers: what, to whom, and why not."""
    return {
        "id": delivery.pk,
        "user_id": delivery.user_id,
        "type": delivery.notification.type,
        "reference": delivery.notification.reference,
        "channel": delivery.channel,
        "status": delivery.status,
        "reason": delivery.reason,
        "attempts": delivery.attempts,
        "created_at": delivery.created_at,
        "failed_at": delivery.settled_at,
    }

"""The words of notifications: channels, types, and what one is told."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Channel(StrEnum):
    IN_APP = "in_app"
    EMAIL = "email"
    SMS = "sms"
    PUSH = "push"


OUTSIDE = (Channel.EMAIL, Channel.SMS, Channel.PUSH)


class NotificationType(StrEnum):
    """What a notification is about; it names its texts, and a row of everybody's preferences."""

    ASSISTANCE_ACCEPTED = "assistance.accepted"
    ASSISTANCE_ARRIVED = "assistance.arrived"
    ASSISTANCE_COMPLETED = "assistance.completed"
    ASSISTANCE_CANCELED = "assistance.canceled"
    ASSISTANCE_EXPIRED = "assistance.expired"
    ASSISTANCE_GIVEN_BACK = "assistance.given_back"
    MESSAGE_CREATED = "message.created"
    DOCUMENT_APPROVED = "document.approved"
    DOCUMENT_REJECTED = "document.rejected"
    DOCUMENT_EXPIRING = "document.expiring"
    BOOKING_REQUESTED = "booking.requested"
    BOOKING_CONFIRMED = "booking.confirmed"
    BOOKING_UNCONFIRMED = "booking.unconfirmed"
    BOOKING_MOVED = "booking.moved"
    BOOKING_CANCELLED = "booking.cancelled"
    BOOKING_COMPLETED = "booking.completed"
    BOOKING_NO_SHOW = "booking.no_show"
    BOOKING_EXPIRED = "booking.expired"
    BOOKING_REMINDER = "booking.reminder"
    REVIEW_CREATED = "review.created"
    ACCOUNT_NOTICE = "account.notice"
    ANNOUNCEMENT = "announcement"


DIGEST = "digest"
"""The type of the daily e-mail's own row, which nobody sees in a list."""


class Default(StrEnum):
    """How a channel of a type stands before its person says otherwise; channels left out are not offered."""

    ALWAYS = "always"
    """Not to be switched off."""
    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of notification."""

    type: NotificationType
    channels: Mapping[Channel, Default]
    is_urgent: bool = False
    """It passes quiet hours, and waits for no daily e-mail."""
    is_needed: bool = False
    """Its e-mail belongs to the service itself (RFC 8058 unsubscribing is for the others), and goes out at once."""

    def default(self, channel: Channel) -> bool:
        return self.channels.get(channel) in {Default.ON, Default.ALWAYS}


@dataclass(frozen=True, slots=True)
class Telling:
    """What some people are to be told: a type, the values of its texts, and the thing that it is about."""

    type: NotificationType
    user_ids: Collection[int]
    values: Mapping[str, Any] = field(default_factory=dict)
    reference: str = ""
    """Such as `assistance:7`."""
    addresses: Collection[str] = ()
    """E-mail addresses of those without an account."""
    addressed_by: int | None = None
    """The person who named these addresses: they are written to in this person's language, by this person's clock."""
    source: str = ""
    """What it comes from, where that is not the event itself."""


def message_source(message_id: int) -> str:
    """What a notification of this message comes from."""
    return f"message:{message_id}"


def message_of(source: str) -> int:
    """The id of the message that a notification tells of."""
    return int(source.removeprefix("message:"))

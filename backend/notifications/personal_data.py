"""What notifications holds of a person: their list, how they want to be told, their devices."""

from collections.abc import Iterator
from datetime import datetime

from backend.accounts import public as accounts
from backend.core import personal_data
from backend.core.personal_data import Part
from backend.notifications.models import Bounce, Delivery, Device, Inbox, Notification, Preferences


def export(user_id: int) -> Iterator[Part]:
    """Everything but the keys of devices, which are of no use to anybody else, and of harm in other hands."""
    notifications = Notification.objects.filter(user_id=user_id).order_by("pk")
    yield Part(
        name="notifications/notifications.json",
        rows=notifications.values("type", "title", "body", "reference", "created_at", "read_at").iterator(),
    )
    deliveries = Delivery.objects.filter(user_id=user_id).order_by("pk")
    yield Part(
        name="notifications/deliveries.json",
        rows=deliveries.values("channel", "status", "reason", "created_at", "settled_at").iterator(),
    )
    preferences = Preferences.objects.filter(pk=user_id)
    columns = "choices", "quiet_from", "quiet_until", "daily_email", "language", "updated_at"
    yield Part(name="notifications/preferences.json", rows=map(_readable, preferences.values(*columns)))
    yield Part(
        name="notifications/devices.json", rows=Device.objects.filter(user_id=user_id).values("kind", "created_at")
    )


def _readable(row: dict[str, object]) -> dict[str, object]:
    """Times of a clock as text."""
    return {name: f"{value:%H:%M}" if name.startswith("quiet_") and value else value for name, value in row.items()}


def erase(*, user_id: int, now: datetime) -> None:
    """All of it goes; what is on its way finds no delivery, and does nothing.

    What others were told of this person is theirs, until it is purged.
    """
    person = accounts.hold_recipients([user_id]).get(user_id)
    addresses = [] if person is None else [person.email or "", person.phone_number or ""]
    Bounce.objects.filter(pk__in=[address.lower() for address in addresses if address]).delete()
    own = Delivery.objects.filter(user_id=user_id)
    own.update(gathered_in=None)
    own.delete()
    Notification.objects.filter(addressed_by_id=user_id).delete()
    for model in (Notification, Device, Preferences, Inbox):
        model._base_manager.filter(user_id=user_id).delete()


personal_data.holds("notifications", export=export, erase=erase)

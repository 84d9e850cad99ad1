"""What a person wants of a type and a channel, and when: their own word, else the table's."""

from collections.abc import Collection
from datetime import datetime

from backend.notifications.models import Preferences
from backend.notifications.rules import end_of_quiet
from backend.notifications.table import KINDS
from backend.notifications.values import Channel, Default, Kind, NotificationType


def wants(preferences: Preferences, kind: Kind, channel: Channel) -> bool:
    if kind.channels.get(channel) in {None, Default.ALWAYS}:
        return kind.default(channel)
    chosen: bool = preferences.choices.get(kind.type, {}).get(channel, kind.default(channel))
    return chosen


def unwanted_mail(preferences: Preferences) -> Collection[NotificationType]:
    """The types that are not to come by e-mail."""
    return [kind.type for kind in KINDS.values() if not wants(preferences, kind, Channel.EMAIL)]


def quiet_until(preferences: Preferences, *, time_zone: str, at: datetime) -> datetime | None:
    """When the quiet hours end that this moment falls into; None outside them."""
    start, until = preferences.quiet_from, preferences.quiet_until
    if start is None or until is None:
        return None
    return end_of_quiet(at, quiet_from=start, quiet_until=until, time_zone=time_zone)


def language_of(preferences: Preferences, of_account: str) -> str:
    return preferences.language or of_account

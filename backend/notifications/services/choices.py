"""What a person wants of a type and a channel: their own word, else the table's."""

from backend.notifications.models import Preferences
from backend.notifications.values import Channel, Default, Kind


def wants(preferences: Preferences, kind: Kind, channel: Channel) -> bool:
    if kind.channels.get(channel) in {None, Default.ALWAYS}:
        return kind.default(channel)
    chosen: bool = preferences.choices.get(kind.type, {}).get(channel, kind.default(channel))
    return chosen


def language_of(preferences: Preferences, of_account: str) -> str:
    return preferences.language or of_account

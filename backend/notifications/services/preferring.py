"""How a person wants to be told; unsubscribing from e-mails."""

from collections.abc import Collection, Mapping
from datetime import datetime, time

from django.db import transaction

from backend.accounts import public as accounts
from backend.core.actor import Actor
from backend.core.errors import PreconditionFailed, invalid_field
from backend.notifications.models import Preferences
from backend.notifications.table import KINDS
from backend.notifications.values import DIGEST, Channel, Default, NotificationType

Choices = Mapping[NotificationType, Mapping[Channel, bool]]


@transaction.atomic
def replace_preferences(
    *,
    actor: Actor,
    choices: Choices,
    quiet_hours: tuple[time, time] | None,
    daily_email: bool,
    language: str | None,
    wanted_versions: Collection[int] | None,
    now: datetime,
) -> Preferences:
    """Put these in place of all before.

    Raises PreconditionFailed, or a 422 for a channel that a type lacks, or that is always on.
    """
    accounts.hold_active([actor.id])
    for type_, wanted in choices.items():
        for channel, is_on in wanted.items():
            _check(type_, channel, is_on=is_on)
    if quiet_hours is not None and quiet_hours[0] == quiet_hours[1]:
        raise invalid_field("body.quiet_hours.until", "quiet hours end at another time than they begin")
    preferences = _hold(actor.id, now=now)
    if wanted_versions is not None and preferences.version not in wanted_versions:
        raise PreconditionFailed
    preferences.choices = {type_: dict(wanted) for type_, wanted in choices.items() if wanted}
    preferences.quiet_from, preferences.quiet_until = quiet_hours or (None, None)
    preferences.daily_email, preferences.language = daily_email, language
    return _keep(preferences, now=now)


def _hold(user_id: int, *, now: datetime) -> Preferences:
    """The person's preferences, locked until the end of the transaction. Two queries, or one more for the first."""
    Preferences.objects.get_or_create(user_id=user_id, defaults={"updated_at": now})
    return Preferences.objects.select_for_update(no_key=True).get(pk=user_id)


def _keep(preferences: Preferences, *, now: datetime) -> Preferences:
    preferences.updated_at = now
    preferences.version += 1
    preferences.save()
    return preferences


def _check(type_: NotificationType, channel: Channel, *, is_on: bool) -> None:
    offered = KINDS[type_].channels.get(channel)
    if offered is None:
        raise invalid_field("body.types", f"{type_} does not go out by {channel}")
    if offered is Default.ALWAYS and not is_on:
        raise invalid_field("body.types", f"{type_} cannot be switched off in {channel}")


@transaction.atomic
def switch_off_mail(*, user_id: int, type_: str, now: datetime) -> None:
    """No more e-mails of this type for this person; with `digest`, no daily e-mail. Twice is once."""
    preferences = _hold(user_id, now=now)
    if type_ == DIGEST:
        # What it would gather does not begin to come one by one.
        for kind in KINDS.values():
            if not (kind.is_needed or kind.is_urgent) and Channel.EMAIL in kind.channels:
                preferences.choices.setdefault(kind.type, {})[Channel.EMAIL] = False
        preferences.daily_email = False
    else:
        preferences.choices.setdefault(type_, {})[Channel.EMAIL] = False
    _keep(preferences, now=now)


def unneeded_mail() -> Collection[NotificationType]:
    """The types whose e-mails one can unsubscribe from with one click."""
    return [kind.type for kind in KINDS.values() if Channel.EMAIL in kind.channels and not kind.is_needed]

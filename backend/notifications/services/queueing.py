"""What is to leave the house: a delivery for each channel and device, due at once, after quiet hours, or tomorrow."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from backend.accounts.public import RecipientView
from backend.core.environment import environment
from backend.core.hot import HotQuery
from backend.core.jobs import enqueue_all
from backend.notifications.models import Delivery, Device, Preferences
from backend.notifications.rules import next_daily_email
from backend.notifications.services.choices import quiet_until, wants
from backend.notifications.states import DeliveryStatus
from backend.notifications.values import Channel, Kind

FEW = 20
"""Who are told together by no more than so many are told before the many."""
_DEVICES = HotQuery(
    lambda people: Device.objects.filter(user__pk__any=people).order_by("pk").values_list("user_id", "pk"), people=list
)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A notification that may leave the house. Without a recipient it is for a plain address, by e-mail."""

    notification_id: int
    recipient: RecipientView | None
    preferences: Preferences


def send_out(kind: Kind, outgoing: Sequence[Outgoing], *, now: datetime, begin_at: datetime | None) -> None:
    """Make their deliveries and the jobs for them; with `begin_at` paced from then on."""
    devices = _devices(kind, outgoing)
    deliveries = [delivery for one in outgoing for delivery in _deliveries(kind, one, devices, now)]
    if begin_at is not None:
        pause = timedelta(seconds=1 / environment().fan_out_per_second)
        for place, delivery in enumerate(deliveries):
            delivery.due_at = max(delivery.due_at, begin_at + place * pause)
    _have_gathered([one for one in deliveries if one.status == DeliveryStatus.WAITING], now=now)
    Delivery.objects.bulk_create(deliveries)
    queued = [one for one in deliveries if one.status == DeliveryStatus.QUEUED]
    queue(queued, now=now, to_many=begin_at is not None or len(outgoing) > FEW)


def queue(deliveries: Collection[Delivery], *, now: datetime, to_many: bool = False) -> None:
    """A job for each of these, when it is due; those to many let the others pass."""
    calls = [(delivery.due_at, {"delivery_id": delivery.pk}) for delivery in deliveries]
    if calls:
        enqueue_all("notifications.deliver_to_many" if to_many else "notifications.deliver", calls, now=now)


def _devices(kind: Kind, outgoing: Sequence[Outgoing]) -> Mapping[int, list[int]]:
    """The devices of those who want pushes of this kind."""
    wanting = [
        one.recipient.id for one in outgoing if one.recipient is not None and wants(one.preferences, kind, Channel.PUSH)
    ]
    found: dict[int, list[int]] = {}
    if wanting:
        for user_id, device_id in _DEVICES.rows(people=wanting):
            found.setdefault(user_id, []).append(device_id)
    return found


def _deliveries(kind: Kind, one: Outgoing, devices: Mapping[int, Sequence[int]], now: datetime) -> Iterator[Delivery]:
    recipient, chosen = one.recipient, one.preferences

    def delivery(channel: Channel, device_id: int = 0) -> Delivery:
        return Delivery(
            notification_id=one.notification_id,
            user_id=recipient.id if recipient else None,
            channel=channel,
            device_id=device_id,
            status=DeliveryStatus.QUEUED,
            due_at=_due_at(kind, one, now),
            created_at=now,
        )

    if recipient is None:
        yield delivery(Channel.EMAIL)
        return
    if wants(chosen, kind, Channel.EMAIL) and may_mail(recipient, kind):
        mail = delivery(Channel.EMAIL)
        if chosen.daily_email and not (kind.is_urgent or kind.is_needed):
            mail.status = DeliveryStatus.WAITING
            mail.due_at = next_daily_email(now, time_zone=recipient.time_zone)
        yield mail
    if wants(chosen, kind, Channel.SMS) and recipient.phone_verified_at is not None:
        yield delivery(Channel.SMS)
    for device_id in devices.get(recipient.id, ()):
        yield delivery(Channel.PUSH, device_id)


def may_mail(recipient: RecipientView, kind: Kind) -> bool:
    """What is not needed goes only where somebody proved that the address is theirs."""
    return recipient.email is not None and (kind.is_needed or recipient.email_verified_at is not None)


def _due_at(kind: Kind, one: Outgoing, now: datetime) -> datetime:
    if kind.is_urgent or one.recipient is None:
        return now
    return quiet_until(one.preferences, time_zone=one.recipient.time_zone, at=now) or now


def _have_gathered(waiting: Collection[Delivery], *, now: datetime) -> None:
    """A job that writes the daily e-mail, for each person who has none ahead of them."""
    people = {delivery.user_id: delivery.due_at for delivery in waiting}
    if not people:
        return
    ahead = Delivery.objects.filter(user_id__in=people, status=DeliveryStatus.WAITING).values_list("user_id", flat=True)
    calls = [(due_at, {"user_id": user_id}) for user_id, due_at in people.items() if user_id not in set(ahead)]
    if calls:
        enqueue_all("notifications.write_daily_email", calls, now=now)

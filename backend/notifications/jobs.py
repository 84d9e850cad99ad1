"""What notifications does in the background: telling people, sending, the daily e-mail, forgetting."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from backend.core.jobs import OutsideCall, enqueue, job, outside_job
from backend.core.timetable import every
from backend.notifications import subscribers
from backend.notifications.services import delivering, forgetting, gathering, telling
from backend.notifications.values import NotificationType, Telling
from shared_contracts.jobs import Queue


@job("notifications.tell_of_event")
def tell_of_event(
    *,
    now: datetime,
    type: str,  # noqa: A002 - the argument of every subscriber
    event: Mapping[str, Any],
    rooms: list[str],
    event_id: int | None,
    **_: object,
) -> None:
    """Tell whoever an event concerns, once."""
    subscribers.tell_of(type_=type, event=event, rooms=rooms, event_id=event_id, now=now)


# Many, and none of them urgent: they wait behind what is.
@job("notifications.tell_of_message", queue=Queue.BULK)
def tell_of_message(*, now: datetime, event: Mapping[str, Any], **_: object) -> None:
    """Tell who has not read it of this message, or of one that came after it."""
    subscribers.tell_of_said(event, now=now)


@job("notifications.read_messages", queue=Queue.BULK)
def read_messages(*, now: datetime, event: Mapping[str, Any], **_: object) -> None:
    subscribers.read_messages(event, now=now)


@job("notifications.tell", queue=Queue.BULK)
def tell(
    *,
    now: datetime,
    type: str,  # noqa: A002 - the notification's
    user_ids: list[int],
    values: Mapping[str, Any],
    reference: str,
    source: str,
    begin_at: str,
    addresses: Collection[str] = (),
    addressed_by: int | None = None,
    **_: object,
) -> None:
    """Tell up to 500 people of a fan-out."""
    one = Telling(NotificationType(type), user_ids, values, reference, addresses, addressed_by)
    telling.tell(one, source=source, now=now, begin_at=datetime.fromisoformat(begin_at))


_sending = partial(outside_job, max_attempts=24, first_pause=timedelta(seconds=2), dead_letter=delivering.give_up)


@_sending("notifications.deliver", queue=Queue.PROMPT)
def deliver(*, now: datetime, delivery_id: int, **_: object) -> OutsideCall | None:
    """Send one notification through one channel, to one device."""
    return delivering.prepare(delivery_id=delivery_id, now=now)


# Those to many wait behind those to few.
_sending("notifications.deliver_to_many", queue=Queue.BULK)(deliver)


@job("notifications.write_daily_email", queue=Queue.BULK)
def write_daily_email(*, now: datetime, user_id: int, **_: object) -> None:
    gathering.write_daily_email(user_id=user_id, now=now)


@job("notifications.purge", queue=Queue.BULK)
def purge(*, now: datetime, after_device: int = 0, **_: object) -> None:
    """Forget a batch, and leave the rest to a job of its own."""
    more = forgetting.forget(now=now)
    last_device = forgetting.forget_devices(after_id=after_device)
    if more or last_device is not None:
        enqueue("notifications.purge", now=now, after_device=last_device or 2**62)


every(name="notifications.purge", seconds=3600, job="notifications.purge")

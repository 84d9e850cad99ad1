"""What leaves the house: looked at again when it is due, sent, and settled.

`prepare` writes the attempt down and gives the call, which is made in no transaction. What a killed worker leaves
behind is tried once more with the same key; what is given up is kept for managers.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import QuerySet

from backend.accounts import public as accounts
from backend.accounts.public import RecipientView
from backend.core import clock, mail, sms
from backend.core.auth import session_source
from backend.core.jobs import NobodyThereError, OutsideCall
from backend.notifications import selectors
from backend.notifications.models import Bounce, Delivery, Device, Inbox, Notification, Preferences
from backend.notifications.push import fcm, web
from backend.notifications.services import unsubscribing
from backend.notifications.services.choices import quiet_until, unwanted_mail, wants
from backend.notifications.services.queueing import may_mail, queue
from backend.notifications.states import DeliveryStatus
from backend.notifications.table import KINDS
from backend.notifications.values import DIGEST, Channel, Kind, NotificationType

TOO_LATE = timedelta(days=1)
"""A push or an SMS that was held up for so long tells nobody anything any more."""
LONGEST_SMS = 300
MOST_ATTEMPTS = 100
"""Quiet hours give a delivery that keeps failing a new beginning; after so many attempts in all there is none."""
MOST_IN_DIGEST = 50
"""So many stand in one mail, the newest; of the others it says how many there are."""
_SKEW = timedelta(minutes=1)
"""By which this clock may be behind the one that the job was due by."""


class _Suppressed(Exception):
    """It is not to go out; the message says why."""


class _QuietNow(Exception):
    """It is not to go out before then."""

    def __init__(self, until: datetime) -> None:
        self.until = until


def prepare(*, delivery_id: int, now: datetime) -> OutsideCall | None:
    """The call that sends it; None when it is settled already, or is not to go out any more."""
    delivery = (
        Delivery.objects.select_for_update(no_key=True, of=("self",))
        .select_related("notification")
        .filter(pk=delivery_id, status=DeliveryStatus.QUEUED)
        .first()
    )
    if delivery is None:
        return None
    try:
        send = _way(delivery, now)
    except _Suppressed as why:
        _settle(delivery, DeliveryStatus.SUPPRESSED, reason=str(why), now=now)
        return None
    except _QuietNow as quiet:
        _put_off(delivery, quiet.until, now=now)
        return None
    delivery.attempts += 1
    delivery.save(update_fields=["attempts"])

    def call() -> None:
        send()
        _settle(delivery, DeliveryStatus.SENT, now=clock.now())

    return call


@transaction.atomic
def give_up(*, delivery_id: int, error: Exception, now: datetime) -> None:
    """Keep what could not be delivered for managers; what is nobody's address is not tried by itself again."""
    delivery = Delivery.objects.filter(pk=delivery_id, status=DeliveryStatus.QUEUED).first()
    if delivery is None:
        return
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    if isinstance(error, NobodyThereError) and delivery.channel == Channel.PUSH:
        Device.objects.filter(pk=delivery.device_id).delete()
        _settle(delivery, DeliveryStatus.SUPPRESSED, reason=reason, now=now)
        return
    if isinstance(error, NobodyThereError):
        address = _address_of(delivery)
        if address:
            Bounce.objects.update_or_create(address=address.lower(), defaults={"reason": reason, "at": now})
    _settle(delivery, DeliveryStatus.UNDELIVERED, reason=reason, now=now)


def _put_off(delivery: Delivery, until: datetime, *, now: datetime) -> None:
    """It stays queued, with a job of its own for then; no attempt is counted."""
    if delivery.attempts >= MOST_ATTEMPTS:
        reason = f"not delivered in {delivery.attempts} attempts"
        _settle(delivery, DeliveryStatus.UNDELIVERED, reason=reason, now=now)
    elif delivery.due_at != until:  # else it was put off already, and has that job
        delivery.due_at = until
        delivery.save(update_fields=["due_at"])
        queue([delivery], now=now)


def _settle(delivery: Delivery, to: DeliveryStatus, *, now: datetime, reason: str = "") -> None:
    """From queued, once: whoever comes later changes nothing."""
    rows = Delivery.objects.filter(pk=delivery.pk, status=DeliveryStatus.QUEUED)
    rows.update(status=to, reason=reason, settled_at=now)


def _way(delivery: Delivery, now: datetime) -> Callable[[], None]:
    """How it is sent, as things stand now. Raises _Suppressed or _QuietNow."""
    if delivery.channel != Channel.EMAIL and now - delivery.due_at > TOO_LATE:
        raise _Suppressed("too late")
    if delivery.user_id is None:
        return _mail(delivery, delivery.notification.address, verified_at=None, preferences=Preferences())
    recipient = accounts.hold_recipients([delivery.user_id]).get(delivery.user_id)
    if recipient is None:
        raise _Suppressed("the account is closed")
    preferences = selectors.preferences_of(recipient.id)
    _check_wanted(delivery, preferences)
    _check_quiet(delivery, preferences, recipient, now)
    match delivery.channel:
        case Channel.EMAIL:
            if not recipient.email or not _may_mail(delivery, recipient):
                raise _Suppressed("no e-mail address")
            return _mail(delivery, recipient.email, verified_at=recipient.email_verified_at, preferences=preferences)
        case Channel.SMS:
            if not recipient.phone_number or recipient.phone_verified_at is None:
                raise _Suppressed("no phone number")
            return _sms(delivery, recipient.phone_number, verified_at=recipient.phone_verified_at)
        case _:
            return _push(delivery, recipient.id, now)


def kind_of(delivery: Delivery) -> Kind | None:
    """None for the daily e-mail, and for types that a later version has retired."""
    known = delivery.notification.type in set(NotificationType)
    return KINDS[NotificationType(delivery.notification.type)] if known else None


def _check_wanted(delivery: Delivery, preferences: Preferences) -> None:
    """A daily e-mail goes out for as long as something in it is wanted, if only once more."""
    kind = kind_of(delivery)
    if delivery.notification.type == DIGEST:
        is_wanted = gathered_in(delivery, preferences).exists()
    else:
        is_wanted = kind is not None and wants(preferences, kind, Channel(delivery.channel))
    if not is_wanted:
        raise _Suppressed("switched off")


def _check_quiet(delivery: Delivery, preferences: Preferences, recipient: RecipientView, now: datetime) -> None:
    """Also what was held up, paced, or queued before the quiet hours were set."""
    kind = kind_of(delivery)
    until = quiet_until(preferences, time_zone=recipient.time_zone, at=now + _SKEW)
    if until is not None and not (kind and kind.is_urgent):
        raise _QuietNow(until)


def gathered_in(delivery: Delivery, preferences: Preferences) -> QuerySet[Notification]:
    """What a daily e-mail tells of: what it gathered, but for what was switched off since."""
    rows = Notification.objects.filter(deliveries__gathered_in=delivery)
    return rows.exclude(type__in=unwanted_mail(preferences))


def _may_mail(delivery: Delivery, recipient: RecipientView) -> bool:
    kind = kind_of(delivery)
    return recipient.email_verified_at is not None if kind is None else may_mail(recipient, kind)


def _check_bounce(address: str, verified_at: datetime | None) -> None:
    bounce = Bounce.objects.filter(pk=address.lower()).first()
    if bounce is not None and (verified_at is None or verified_at <= bounce.at):
        raise _Suppressed("the address was refused before")


def _mail(
    delivery: Delivery, address: str, *, verified_at: datetime | None, preferences: Preferences
) -> Callable[[], None]:
    _check_bounce(address, verified_at)
    notification, kind = delivery.notification, kind_of(delivery)
    context: dict[str, object] = {"title": notification.title, "body": notification.body}
    headers = {}
    if delivery.user_id is not None and not (kind and kind.is_needed):
        link = unsubscribing.link_for(user_id=delivery.user_id, type_=notification.type)
        context["unsubscribe_url"] = link
        headers = unsubscribing.headers_for(link)
    template = "notification"
    if notification.type == DIGEST:
        template = "digest"
        gathered = gathered_in(delivery, preferences)
        newest = list(gathered.order_by("-pk").values("title", "body")[:MOST_IN_DIGEST])
        context["notifications"] = newest[::-1]
        context["more"] = gathered.count() - len(newest)
    message = mail.compose(
        f"notifications/mail/{template}",
        to=address,
        language=notification.language,
        key=delivery.key,
        context=context,
        headers=headers,
    )
    return partial(mail.deliver, message)


def _sms(delivery: Delivery, number: str, *, verified_at: datetime) -> Callable[[], None]:
    _check_bounce(number, verified_at)
    notification = delivery.notification
    text = f"Callout: {notification.title}. {' '.join(notification.body.split())}"[:LONGEST_SMS]
    return partial(sms.deliver, to=number, text=text)


def _push(delivery: Delivery, user_id: int, now: datetime) -> Callable[[], None]:
    device = Device.objects.filter(pk=delivery.device_id, user_id=user_id).first()
    if device is None:
        raise _Suppressed("the device is gone")
    if not session_source().actors_of([(device.session_id, device.user_id)]):
        # Who signed out, or was signed out, reads nothing of this account on that device.
        device.delete()
        raise _Suppressed("the device is signed out")
    notification, kind = delivery.notification, kind_of(delivery)
    payload = {
        "id": notification.pk,
        "type": notification.type,
        "title": notification.title,
        "body": notification.body,
        "reference": notification.reference,
        "unread_count": Inbox.objects.filter(pk=device.user_id).values_list("unread", flat=True).first() or 0,
    }
    is_urgent = kind is not None and kind.is_urgent
    if device.kind == "fcm":
        return partial(fcm.send, device.token, payload, key=delivery.key, is_urgent=is_urgent)
    return partial(web.send, device, payload, key=delivery.key, is_urgent=is_urgent, now=now)


def _address_of(delivery: Delivery) -> str | None:
    """Where it would go now."""
    if delivery.user_id is None:
        return delivery.notification.address
    recipient = accounts.hold_recipients([delivery.user_id]).get(delivery.user_id)
    if recipient is None:
        return None
    return recipient.email if delivery.channel == Channel.EMAIL else recipient.phone_number

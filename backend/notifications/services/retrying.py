"""What was given up is tried again because a manager says so."""

from datetime import datetime

from django.db import transaction

from backend.accounts import public as accounts
from backend.core import audit
from backend.core.actor import Actor
from backend.core.errors import InvalidState, NotFound
from backend.core.references import make_reference
from backend.notifications.models import Bounce, Delivery
from backend.notifications.services.queueing import queue
from backend.notifications.states import DeliveryStatus


@transaction.atomic
def retry_delivery(*, actor: Actor, delivery_id: int, now: datetime) -> Delivery:
    """Try it again from the beginning, under its old key. Raises NotFound, or InvalidState when it is not given up."""
    rows = Delivery.objects.select_related("notification").filter(pk=delivery_id)
    changed = rows.filter(status=DeliveryStatus.UNDELIVERED).update(
        status=DeliveryStatus.QUEUED, attempts=0, reason="", due_at=now, settled_at=None
    )
    delivery = rows.first()
    if delivery is None:
        raise NotFound
    if not changed:
        raise InvalidState(current_status=delivery.status)
    _forget_bounce(delivery)
    queue([delivery], now=now)
    audit.record(
        actor=actor,
        action="notifications.delivery_retried",
        reference=make_reference("delivery", delivery.pk),
        changes={"channel": delivery.channel},
        now=now,
    )
    return delivery


def _forget_bounce(delivery: Delivery) -> None:
    """A manager's word counts for more than an old refusal."""
    addresses = [delivery.notification.address]
    if delivery.user_id is not None:
        recipient = accounts.hold_recipients([delivery.user_id]).get(delivery.user_id)
        addresses = [recipient.email or "", recipient.phone_number or ""] if recipient else []
    Bounce.objects.filter(pk__in=[address.lower() for address in addresses if address]).delete()

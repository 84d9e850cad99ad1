"""The daily e-mail: what waited for it in one mail, which is delivered like any other."""

from datetime import datetime

from django.db import transaction

from backend.accounts import public as accounts
from backend.notifications import selectors
from backend.notifications.models import Delivery, Notification
from backend.notifications.services.choices import language_of
from backend.notifications.services.inboxes import lock_inboxes
from backend.notifications.services.queueing import queue
from backend.notifications.states import DeliveryStatus
from backend.notifications.values import DIGEST, Channel

MOST = 50
"""So many stand in one mail; older ones are left out."""


@transaction.atomic
def write_daily_email(*, user_id: int, now: datetime) -> None:
    """Gather what waits for this person. Nothing waits: nothing is written."""
    recipient = accounts.hold_recipients([user_id]).get(user_id)
    waiting = Delivery.objects.filter(user_id=user_id, status=DeliveryStatus.WAITING)
    if recipient is None:
        waiting.update(status=DeliveryStatus.SUPPRESSED, reason="the account is closed", settled_at=now)
        return
    lock_inboxes([user_id])
    newest = list(waiting.order_by("-pk").values_list("pk", flat=True)[:MOST])
    if not newest:
        return
    preferences = selectors.preferences_of(user_id)
    mail = Notification.objects.create(
        user_id=user_id,
        type=DIGEST,
        source=f"deliveries:{newest[-1]}-{newest[0]}",
        is_shown=False,
        title="",
        body="",
        language=language_of(preferences, recipient.language),
        created_at=now,
    )
    delivery = Delivery.objects.create(
        notification=mail,
        user_id=user_id,
        channel=Channel.EMAIL,
        status=DeliveryStatus.QUEUED,
        due_at=now,
        created_at=now,
    )
    waiting.filter(pk__in=newest).update(status=DeliveryStatus.GATHERED, gathered_in=delivery, settled_at=now)
    waiting.update(status=DeliveryStatus.SUPPRESSED, reason="too many for one day", settled_at=now)
    queue([delivery], now=now)

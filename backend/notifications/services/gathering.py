"""The daily e-mail: what waited for it in one mail, which is delivered like any other."""

from datetime import datetime

from django.db import transaction

from backend.accounts import public as accounts
from backend.notifications import selectors
from backend.notifications.models import Delivery, Notification
from backend.notifications.services.choices import language_of, unwanted_mail
from backend.notifications.services.inboxes import lock_inboxes
from backend.notifications.services.queueing import queue
from backend.notifications.states import DeliveryStatus
from backend.notifications.values import DIGEST, Channel


@transaction.atomic
def write_daily_email(*, user_id: int, now: datetime) -> None:
    """Gather what waits for this person and is still wanted. Nothing is: nothing is written.

    Also when the daily e-mail was switched off meanwhile: what waits is in a last one.
    """
    recipient = accounts.hold_recipients([user_id]).get(user_id)
    waiting = Delivery.objects.filter(user_id=user_id, status=DeliveryStatus.WAITING)
    if recipient is None:
        waiting.update(status=DeliveryStatus.SUPPRESSED, reason="the account is closed", settled_at=now)
        return
    lock_inboxes([user_id])
    preferences = selectors.preferences_of(user_id)
    unwanted = waiting.filter(notification__type__in=unwanted_mail(preferences)).values("pk")
    waiting.filter(pk__in=unwanted).update(status=DeliveryStatus.SUPPRESSED, reason="switched off", settled_at=now)
    gathered = list(waiting.order_by("pk").values_list("pk", flat=True))
    if not gathered:
        return
    mail = Notification.objects.create(
        user_id=user_id,
        type=DIGEST,
        source=f"deliveries:{gathered[0]}-{gathered[-1]}",
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
    waiting.filter(pk__in=gathered).update(status=DeliveryStatus.GATHERED, gathered_in=delivery, settled_at=now)
    queue([delivery], now=now)

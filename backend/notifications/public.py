"""What the modules above may have people told: ids and plain text in."""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from backend.notifications.services.telling import fan_out
from backend.notifications.values import NotificationType, Telling


@transaction.atomic
def announce(*, user_ids: Collection[int], title: str, text: str, source: str, now: datetime) -> None:
    """Tell any number of people something in words of our own, in jobs of 500; once for each `source`.

    `source` is the announcement's own name, such as `announcement:12`.
    """
    telling = Telling(NotificationType.ANNOUNCEMENT, user_ids, values={"title": title, "text": text})
    fan_out(telling, source=source, now=now)

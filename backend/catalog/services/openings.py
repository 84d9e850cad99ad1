"""When providers can be booked, as the module that books knows it."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from backend.catalog.models import Openings
from backend.core.fields import Period


@transaction.atomic
def set_openings(*, provider_id: int, openings: Sequence[Period], now: datetime) -> None:
    """Say when this provider can still be booked: half-open periods in UTC. Of whom nothing is said: at any time.

    Whoever asks for providers free in a period gets those with an opening that holds all of it; beyond the last
    opening nobody is free. One statement.
    """
    Openings.objects.bulk_create(
        [Openings(provider_id=provider_id, periods=list(openings), updated_at=now)],
        update_conflicts=True,
        update_fields=["periods", "updated_at"],
        unique_fields=["provider"],
    )

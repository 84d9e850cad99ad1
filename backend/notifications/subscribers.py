"""Events of every module become notifications, as the table says."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from backend.core.outbox import subscribe
from backend.notifications.services.telling import tell_all
from backend.notifications.table import ROWS


def tell_of(*, type_: str, event: Mapping[str, Any], rooms: Sequence[str], event_id: int | None, now: datetime) -> None:
    """One call for every row of the table with this event. An event's own id makes that nobody is told twice."""
    for row in ROWS:
        if row.event.type == type_:
            tellings = row.tell(row.event.model_validate(event), rooms)
            tell_all(tellings, source=f"event:{event_id}", now=now)


def listen() -> None:
    """Called once when the apps are ready."""
    for row in ROWS:
        subscribe(row.event, job=row.job, when=row.when, after=row.after())

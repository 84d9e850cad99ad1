"""Who changed what, when and from where: written by services in the change's own transaction, only ever read after."""

from datetime import datetime
from typing import Any

from backend.core.actor import Actor
from backend.core.models import AuditRow
from backend.core.request_context import client_address, request_id


def record(
    *, actor: Actor | None, action: str, reference: str, now: datetime, changes: dict[str, Any] | None = None
) -> None:
    """Note an act on a thing. `changes` must hold no secret; personal values only by the names of their fields."""
    AuditRow.objects.create(
        actor_id=actor.id if actor else None,
        action=action,
        reference=reference,
        changes=changes or {},
        request_id=request_id(),
        client_address=client_address(),
        at=now,
    )

"""What the spine itself holds of a person: their own acts, and the answers that their repeated requests would get."""

from collections.abc import Iterator
from datetime import datetime

from backend.core import personal_data
from backend.core.models import AuditRow, IdempotentAnswer, StateChange
from backend.core.personal_data import Part, rows_of


def export(user_id: int) -> Iterator[Part]:
    acts = AuditRow.objects.filter(actor_id=user_id)
    yield Part(name="core/acts.json", rows=rows_of(acts, "action", "reference", "client_address", "at"))


def erase(*, user_id: int, now: datetime) -> None:
    """Who did what stays, by ids: the history of the platform, without their words why. The answers hold what the
    person saw."""
    StateChange.objects.filter(by_id=user_id).exclude(reason="").update(reason="")
    IdempotentAnswer.objects.filter(user_id=user_id).delete()


personal_data.holds("core", export=export, erase=erase)

"""What the tests of accounts share: sign-up forms, and the whole state of a person's tables to compare."""

from typing import Any

from django.db.models import Model

from backend.accounts.models import AssistantProfile, RefreshToken, Session, User
from backend.core.models import AuditRow, EventRow

PASSWORD = "correct horse battery"

ASSISTANT_FIELDS: dict[str, Any] = {
    "service_type": "towing",
    "vehicle_type": "Renault tow truck",
    "vehicle_class": "heavy",
    "driving_license": {"category": "c", "number": "DZ-2210457", "expires_on": "2031-06-30"},
    "vehicle_registration_number": "00123-116-16",
}


def form(**fields: Any) -> dict[str, Any]:
    """What a client sends to sign up; `None` leaves a field out."""
    filled = {"roles": ["client"], "name": "Amel Haddad", "email": "amel@example.org", "password": PASSWORD, **fields}
    return {name: value for name, value in filled.items() if value is not None}


TABLES: tuple[type[Model], ...] = (User, AssistantProfile, Session, RefreshToken, EventRow, AuditRow)


def everything() -> list[list[dict[str, Any]]]:
    """All rows that accounts writes: a refusal leaves them as they were."""
    return [list(table._base_manager.order_by("pk").values()) for table in TABLES]

"""What other modules may know of people and do for them: ids and plain values in, frozen dataclasses out.

A module that keeps copies of an assistant's vehicle and licence registers itself in `AppConfig.ready()`:
`ASSISTANT_CHANGED.answered_by("dispatch", listener)`. Its `listener(user_id=…, now=…)` runs in the transaction of every
change (registered, role taken or withdrawn, vehicle or licence changed, deactivated) and asks `assistants([user_id])`
what holds now; a person who is missing in the answer is no assistant any more.
"""

from collections.abc import Collection
from datetime import datetime

from django.db import connection

from backend.accounts.questions import ASSISTANT_CHANGED, AssistantListener
from backend.accounts.rules import one_line
from backend.accounts.schemas import AssistantFieldsIn, PlaceIn
from backend.accounts.selectors import assistant_of, assistants, people
from backend.accounts.services.assistants import update_assistant_profile
from backend.accounts.services.registration import NewAccount, create_account
from backend.accounts.values import AssistantFields, AssistantView, DrivingLicense, PersonView
from backend.core.actor import Role
from backend.core.errors import NotFound

__all__ = [
    "ASSISTANT_CHANGED",
    "AssistantFields",
    "AssistantFieldsIn",
    "AssistantListener",
    "AssistantView",
    "DrivingLicense",
    "NewAccount",
    "PersonView",
    "PlaceIn",
    "assistant_of",
    "assistants",
    "create_admin",
    "hold_active",
    "people",
    "person",
    "register_user",
    "update_assistant_profile",
]


def person(user_id: int) -> PersonView:
    """One person as others may see them. Raises NotFound. One query."""
    found = people([user_id]).get(user_id)
    if found is None:
        raise NotFound
    return found


def hold_active(user_ids: Collection[int]) -> None:
    """Keep these people active until the end of the transaction: before something is opened for them.

    It locks their rows, in order of id, against deactivation and deletion only (`FOR KEY SHARE`). Raises NotFound when
    one is missing or no longer active. One query.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM accounts_user WHERE id = ANY(%s) AND is_active ORDER BY id FOR KEY SHARE",
            [sorted(set(user_ids))],
        )
        found = cursor.fetchall()
    if len(found) < len(set(user_ids)):
        raise NotFound


def register_user(*, account: NewAccount, password: str, now: datetime) -> int:
    """Create an account on behalf of the platform, with any roles and without signing in; returns the person's id.

    Raises EmailTaken, PhoneTaken, UsernameTaken, or a 422 that names each field at fault.
    """
    return create_account(account=account, password=password, now=now).pk


def create_admin(*, email: str, name: str, password: str, now: datetime) -> int:
    """Create the account of an admin; returns their id. Raises EmailTaken, or a 422 for a weak password."""
    account = NewAccount(roles=[Role.ADMIN], name=one_line(name), email=email)
    return register_user(account=account, password=password, now=now)

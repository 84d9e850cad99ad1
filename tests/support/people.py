"""People for tests, made straight in the tables: what signing up does is tested where it is built."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

from backend.accounts.models import AssistantProfile, Session, User
from backend.core import clock
from backend.core.actor import Actor
from backend.core.tokens import mint_access

_numbers = count(1)


@dataclass(frozen=True)
class Member:
    """A signed-in person."""

    user: User
    session: Session
    access: str

    @property
    def id(self) -> int:
        return self.user.pk

    @property
    def actor(self) -> Actor:
        return Actor(id=self.user.pk, roles=frozenset(self.user.roles), session_id=self.session.pk)


def make_member(*roles: str, now: datetime | None = None, **fields: Any) -> Member:
    """A person who holds these roles (client when none is named) and an open session."""
    now = now or clock.now()
    number = next(_numbers)
    name = fields.pop("name", f"Person {number}")
    assistant = fields.pop("assistant", {})
    first, _, last = name.partition(" ")
    user = User.objects.create(
        **{
            "username": f"person{number}-{datetime.now(UTC).timestamp():.0f}",
            "email": f"person{number}-{datetime.now(UTC).timestamp():.0f}@example.org",
            "name": name,
            "first_name": first,
            "last_name": last,
            "roles": list(roles) or ["client"],
            "password": "!",
            "created_at": now,
            "updated_at": now,
            **fields,
        }
    )
    if "assistant" in roles:
        AssistantProfile.objects.create(
            **{
                "user": user,
                "service_type": "towing",
                "vehicle_type": "Tow truck",
                "vehicle_class": "heavy",
                "licence_category": "c",
                "licence_number": f"L-{number}",
                "licence_expires_on": date(2040, 1, 1),
                "vehicle_registration_number": f"{number:05}-116-16",
                "updated_at": now,
                **assistant,
            }
        )
    session = Session.objects.create(
        user=user, created_at=now, last_seen_at=now, expires_at=now + timedelta(days=30), agent="tests"
    )
    access = mint_access(user_id=user.pk, session_id=session.pk, roles=frozenset(user.roles), now=now)
    return Member(user=user, session=session, access=access)

"""Reads of the directory, the list of devices, and one's own addresses."""

from collections.abc import Collection
from datetime import datetime

from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Lower

from backend.accounts.models import Address, Session, User
from backend.core.actor import MANAGERS, Actor
from backend.core.errors import NotFound


def is_free(*, username: str | None, email: str | None) -> bool:
    """Whether no account has this username, or this e-mail address. One query."""
    people = User.objects.alias(small_email=Lower("email"), small_name=Lower("username"))
    if email is not None:
        return not people.filter(small_email=Lower(Value(email))).exists()
    return not people.filter(small_name=Lower(Value(username))).exists()


def list_sessions_of(actor: Actor, *, now: datetime) -> QuerySet[Session]:
    """The caller's live sessions, the newest first."""
    return Session.objects.filter(user_id=actor.id, ended_at=None, expires_at__gt=now).order_by("-pk")


def list_addresses_of(actor: Actor) -> QuerySet[Address]:
    """The caller's addresses, the primary one first."""
    return Address.objects.filter(user_id=actor.id).order_by("-is_primary", "pk")


def _public() -> QuerySet[User]:
    """Whom anybody may find. Who runs the platform is not in its directory."""
    return User.objects.filter(is_active=True).exclude(roles__overlap=[role.value for role in MANAGERS])


def list_people(
    *, roles: Collection[str], not_roles: Collection[str], search: str, city: str, ordering: str
) -> QuerySet[User]:
    """The directory: who holds one of `roles` and none of `not_roles`; `search` is in names and usernames."""
    people = _public()
    if roles:
        people = people.filter(roles__overlap=list(roles))
    if not_roles:
        people = people.exclude(roles__overlap=list(not_roles))
    if search:
        people = people.filter(Q(name__icontains=search) | Q(username__icontains=search))
    if city:
        people = people.filter(city__iexact=city)
    return people.order_by(ordering, "-pk" if ordering.startswith("-") else "pk")


def get_person(*, user_id: int = 0, username: str | None = None) -> User:
    """One person as anybody may see them, by id or username. Raises NotFound. One query."""
    people = _public().alias(small_name=Lower("username"))
    found = people.filter(pk=user_id) if username is None else people.filter(small_name=Lower(Value(username)))
    person = found.first()
    if person is None:
        raise NotFound
    return person

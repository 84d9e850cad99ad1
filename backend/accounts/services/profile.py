"""A person's own profile."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from django.db import transaction
from django.db.models import F

from backend.accounts.models import User
from backend.accounts.selectors import get_own
from backend.accounts.services.codes import ask_for_change
from backend.accounts.services.names import names_of
from backend.accounts.services.notices import notify
from backend.accounts.services.proof import prove
from backend.accounts.services.uniqueness import decided_by_the_database
from backend.core import audit
from backend.core.actor import Actor
from backend.core.errors import NotFound, PreconditionFailed
from backend.core.geo import Point
from backend.core.jobs import enqueue
from backend.core.limits import Limit, enforce
from backend.core.outbox import emit
from backend.core.references import Question, make_reference
from shared_contracts.events import AccessChanged
from shared_contracts.rooms import user_room

CONTACTS = ("email", "phone_number")
NEW_CONTACTS = Limit("contacts", 5, 86_400, strict=True)
"""Of one account: as many as codes for one address. What is sent there may annoy a stranger."""
NAMES = ("name", "first_name", "last_name")
CHANGEABLE = frozenset(
    {*NAMES, *CONTACTS, "username", "bio", "city", "country", "address", "location"}
    | {"time_zone", "language", "hide_presence"}
)


COPIED = frozenset({"name", "city", "roles", "is_active"})


class PersonListener(Protocol):
    """Takes note, in the transaction of the change, that a person is called otherwise, moved, or is something else."""

    def __call__(self, *, user_id: int, now: datetime) -> None: ...


PERSON_CHANGED: Question[PersonListener] = Question("who keeps copies of a person's name, city, roles and activity")


def change_profile(
    *,
    actor: Actor,
    changes: Mapping[str, Any],
    wanted_versions: Collection[int] | None,
    now: datetime,
    password: str | None = None,
) -> User:
    """Change the given ones of CHANGEABLE; the others stay.

    A new e-mail address or phone number is pending until it is confirmed with what is sent there (`verification`); the
    present one given again withdraws it. Whether another account has it shows neither here nor in the time it takes.
    `location` is a Point or None. `wanted_versions` None accepts any present version. Raises PreconditionFailed,
    UsernameTaken, or a 422; ProofRequired when the e-mail address or phone number is to change without the password or
    a sign-in less than five minutes old, and RateLimited when that is tried too often.
    """
    if unknown := set(changes) - CHANGEABLE:
        raise ValueError(f"not changeable: {unknown}")
    if not changes.keys().isdisjoint(CONTACTS):
        user = get_own(actor)
        new = [changes[name] for name in CONTACTS if name in changes and getattr(user, name) != changes[name]]
        if new:
            # A password is hashed in no transaction.
            prove(actor=actor, user=user, password=password, now=now)
        for _ in filter(None, new):
            enforce(NEW_CONTACTS, str(user.pk))
    return _change(actor, changes, wanted_versions, now=now)


@transaction.atomic
def _change(
    actor: Actor, changes: Mapping[str, Any], wanted_versions: Collection[int] | None, *, now: datetime
) -> User:
    user = lock_active(actor.id)
    if wanted_versions is not None and user.version not in wanted_versions:
        raise PreconditionFailed
    values = {**_columns(user, changes), **_contacts(user, changes, now=now)}
    different = {name: value for name, value in values.items() if getattr(user, name) != value}
    asked = [values[f"pending_{name}"] for name in CONTACTS if values.get(f"pending_{name}") is not None]
    if not different and not asked:
        return user
    for name in set(CONTACTS) & set(different):
        different |= {"is_verified": False, f"{name.removesuffix('_number')}_verified_at": None}
    told = Reached.of(user)
    with decided_by_the_database():
        save_changes(user, different, now=now)
    if "hide_presence" in different:
        # The sidecar asks again for this person's rooms, and learns whether to show that they are there.
        emit(AccessChanged(), rooms=[user_room(user.pk)], now=now)
        if user.hide_presence:
            enqueue("accounts.forget_presence", now=now, user_id=user.pk)
    audit.record(
        actor=actor,
        action="accounts.profile_changed",
        reference=make_reference("user", user.pk),
        changes={"fields": sorted(different)},
        now=now,
    )
    tell_of_contacts(user, told, now=now)
    for address in asked:
        ask_for_change(user=user, address=address, now=now)
    return user


def _contacts(user: User, changes: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """The columns of the contacts that were given: removed at once, or pending from now on, or pending no more."""
    given = {name: changes[name] for name in CONTACTS if name in changes}
    pending = {f"pending_{name}": None if value == getattr(user, name) else value for name, value in given.items()}
    values = {**pending, **{name: None for name, value in given.items() if value is None}}
    if any(pending.values()):
        return {**values, "pending_since": now}
    left = {name: getattr(user, name) for name in ("pending_email", "pending_phone_number")} | pending
    return values if any(left.values()) else {**values, "pending_since": None}


@dataclass(frozen=True, slots=True)
class Reached:
    """Where a person was reached before a change."""

    email: str | None
    phone_number: str | None
    is_number_proved: bool

    @classmethod
    def of(cls, user: User) -> "Reached":
        return cls(user.email, user.phone_number, is_number_proved=user.phone_verified_at is not None)


def tell_of_contacts(user: User, before: Reached, *, now: datetime) -> None:
    """Tell the owner where they were reached until now that they are no longer.

    A number that nobody proved hears nothing: it may be a stranger's, and an SMS costs money.
    """
    if before.email is not None and user.email != before.email:
        notify(user_id=user.pk, kind="email_changed", to=before.email, now=now)
    if before.phone_number is not None and user.phone_number != before.phone_number:
        told = before.email or (before.phone_number if before.is_number_proved else None)
        if told is not None:
            notify(user_id=user.pk, kind="phone_changed", to=told, now=now)


def lock_active(user_id: int) -> User:
    """The row of an active person, held until the end of the transaction. Raises NotFound."""
    user = User.objects.select_for_update(no_key=True).filter(pk=user_id, is_active=True).first()
    if user is None:
        raise NotFound
    return user


def save_changes(user: User, values: Mapping[str, Any], *, now: datetime) -> None:
    """Write columns of a row that the caller has locked, and raise its version."""
    written = {**values, "version": user.version + 1, "updated_at": now}
    User.objects.filter(pk=user.pk).update(**written)
    for name, value in written.items():
        setattr(user, name, value)
    if not COPIED.isdisjoint(values):
        for kind in sorted(PERSON_CHANGED.kinds):
            PERSON_CHANGED.about(kind)(user_id=user.pk, now=now)


def _columns(user: User, changes: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in changes.items() if name not in {*NAMES, *CONTACTS, "location"}}
    if "location" in changes:
        location: Point | None = changes["location"]
        values["lat"], values["lng"] = (location.lat, location.lng) if location else (None, None)
    if "name" in changes:
        values.update(names_of(**{name: changes.get(name) for name in NAMES}))
    elif not changes.keys().isdisjoint(NAMES):
        first, last = (changes.get(name, getattr(user, name)) for name in ("first_name", "last_name"))
        values.update(names_of(name=None, first_name=first, last_name=last))
    return values


@transaction.atomic
def set_photo(*, actor: Actor, photo: str, now: datetime) -> str:
    """Show the photo whose squares are in this folder of the storage, or none; returns the one shown before, or "".

    Whether the files are there is the caller's to know. Raises NotFound.
    """
    user = lock_active(actor.id)
    before = user.photo
    if before != photo:
        save_changes(user, {"photo": photo}, now=now)
        audit.record(
            actor=actor,
            action="accounts.photo_changed",
            reference=make_reference("user", user.pk),
            changes={"shown": bool(photo)},
            now=now,
        )
    return before


def set_location(*, user_id: int, lat: float, lng: float, now: datetime) -> None:
    """Keep where a person says they are; WGS 84 degrees. It is no change of the profile that anyone would audit."""
    User.objects.filter(pk=user_id, is_active=True).update(lat=lat, lng=lng, version=F("version") + 1, updated_at=now)

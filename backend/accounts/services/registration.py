"""New accounts."""

import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction

from backend.accounts import rules
from backend.accounts.errors import UsernameTaken
from backend.accounts.models import CodePurpose, User
from backend.accounts.services.assistants import (
    NOTHING_GIVEN,
    AssistantFields,
    check_fields,
    save_profile,
    tell_assistant_changed,
)
from backend.accounts.services.codes import ask_if_allowed
from backend.accounts.services.invitations import accept_token, is_email_invited
from backend.accounts.services.names import names_of
from backend.accounts.services.passwords import hash_password
from backend.accounts.services.signing_in import Device, Tokens, open_session
from backend.accounts.services.uniqueness import decided_by_the_database
from backend.core import audit
from backend.core.actor import SELF_SERVICE, Role
from backend.core.errors import FieldProblem, Forbidden, ValidationFailed
from backend.core.geo import Point
from backend.core.references import make_reference

MADE_USERNAME_TRIES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """What a person says of themselves. A whole name, or first and last; an e-mail address, a phone number, or both.

    `phone_number` is E.164; `country` ISO 3166-1 alpha-2 or empty.
    """

    roles: Collection[str]
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone_number: str | None = None
    username: str | None = None
    city: str = ""
    country: str = ""
    address: str = ""
    location: Point | None = None
    assistant: AssistantFields = NOTHING_GIVEN


def register(
    *, account: NewAccount, password: str, device: Device, now: datetime, invitation: str | None = None
) -> tuple[User, Tokens]:
    """Create an account by its own owner, and sign them in. The token of an invitation makes them a manager.

    Raises Forbidden for roles that are given and not taken, EmailTaken, PhoneTaken, UsernameTaken, or a 422 that names
    each field at fault.
    """
    account = replace(account, roles=_roles_allowed(account, has_token=invitation is not None, now=now))
    _check(account, now=now)
    encoded = hash_password(password, person=_person_of(account))
    with transaction.atomic():
        user = add_user(account=account, encoded=encoded, now=now)
        if invitation is not None:
            accept_token(token=invitation, user=user, now=now)
        _ask_for_proof(user, now=now)
        return user, open_session(user=user, device=device, now=now)


def _ask_for_proof(user: User, *, now: datetime) -> None:
    """Send a code to the e-mail address, or to the phone of who gave none: messages cost money."""
    if user.email is not None:
        ask_if_allowed(purpose=CodePurpose.VERIFY_EMAIL, address=user.email, now=now)
    elif user.phone_number is not None:
        ask_if_allowed(purpose=CodePurpose.VERIFY_PHONE, address=user.phone_number, now=now)


def create_account(*, account: NewAccount, password: str, now: datetime) -> User:
    """Create an account on behalf of the platform itself (demo data, the command line), with any roles.

    Raises as `register` does.
    """
    _check(account, now=now)
    encoded = hash_password(password, person=_person_of(account))
    with transaction.atomic():
        return add_user(account=account, encoded=encoded, now=now)


def _person_of(account: NewAccount) -> User:
    """Who it will be, for their password: neither whole nor saved."""
    return User(
        email=account.email,
        phone_number=account.phone_number,
        username=account.username or "",
        **names_of(name=account.name, first_name=account.first_name, last_name=account.last_name),
    )


def _roles_allowed(account: NewAccount, *, has_token: bool, now: datetime) -> Collection[str]:
    """The roles to begin with. Who is invited by e-mail begins as what else they are, and as a client at least."""
    wanted = set(account.roles)
    if has_token:
        wanted.add(Role.MANAGER)
    elif Role.MANAGER in wanted and account.email is not None and is_email_invited(account.email, now=now):
        wanted = wanted - {Role.MANAGER} or {Role.CLIENT}
    if not (SELF_SERVICE | ({Role.MANAGER} if has_token else set())).issuperset(wanted):
        raise Forbidden("Nobody makes themselves a manager.")
    return wanted


def _check(account: NewAccount, *, now: datetime) -> None:
    missing: list[str] = []
    if account.name is None:
        missing = [name for name in ("first_name", "last_name") if getattr(account, name) is None]
    if len(missing) == 2:
        missing = ["name"]
    if account.email is None and account.phone_number is None:
        missing.append("email")
    problems: list[FieldProblem] = [
        {"field": f"body.{name}", "code": "missing", "message": _WANTED[name]} for name in missing
    ]
    if problems:
        raise ValidationFailed(errors=problems)
    check_fields(roles=account.roles, given=account.assistant, today=now.date())


_WANTED = {
    "name": "a name, or a first name and a last name, is wanted",
    "first_name": "a last name wants a first name",
    "last_name": "a first name wants a last name; give `name` for a single one",
    "email": "an e-mail address, a phone number or both are wanted",
}


def add_user(*, account: NewAccount, encoded: str, now: datetime) -> User:
    """Insert an account whose fields were checked; `encoded` is its password's hash. Raises as `register` does."""
    user = User(
        password=encoded,
        email=account.email,
        phone_number=account.phone_number,
        roles=[role.value for role in Role if role in account.roles],
        city=account.city,
        country=account.country,
        address=account.address,
        lat=account.location.lat if account.location else None,
        lng=account.location.lng if account.location else None,
        created_at=now,
        updated_at=now,
        **names_of(name=account.name, first_name=account.first_name, last_name=account.last_name),
    )
    _save_under_a_username(user, wanted=account.username)
    if Role.ASSISTANT in account.roles:
        save_profile(user=user, given=account.assistant, now=now)
        tell_assistant_changed(user_id=user.pk, now=now)
    audit.record(
        actor=None,
        action="accounts.registered",
        reference=make_reference("user", user.pk),
        changes={"roles": user.roles},
        now=now,
    )
    return user


def _save_under_a_username(user: User, *, wanted: str | None) -> None:
    """Insert the row. A made username that another has just taken is made again."""
    tries = iter([wanted]) if wanted is not None else _usernames(user)
    for username in tries:
        user.username = username
        try:
            with decided_by_the_database():
                user.save(force_insert=True)
        except UsernameTaken:
            continue
        return
    raise UsernameTaken


def _usernames(user: User) -> Iterator[str]:
    base = rules.username_base(user.name)
    yield base
    for _ in range(MADE_USERNAME_TRIES):
        yield f"{base}-{secrets.randbelow(10**6):06}"

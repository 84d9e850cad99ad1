"""Proving an e-mail address or a phone number with a code that went there, or the mail's link."""

from datetime import datetime
from typing import Literal

from django.db import transaction

from backend.accounts.errors import InvalidCode
from backend.accounts.models import NOTHING_PENDING, Session, User
from backend.accounts.services import codes
from backend.accounts.services.invitations import grant_for_verified_email
from backend.accounts.services.profile import Reached, save_changes, tell_of_contacts
from backend.accounts.services.uniqueness import decided_by_the_database
from backend.core import audit
from backend.core.limits import whose_address
from backend.core.references import make_reference
from backend.core.request_context import client_address


def verify(*, address: str, code: str, now: datetime) -> User:
    """Take the address (e-mail or E.164) as proved; one that was pending is the account's from now on.

    Raises InvalidCode, and where another account has it already EmailTaken or PhoneTaken: then nothing changes.
    """
    with transaction.atomic(durable=True):
        user = codes.redeem(purpose=codes.verifying(address), address=address, code=code, now=now)
        if user is not None:
            _prove(user, address, now=now)
    # Only now: the try must be counted although the answer is an error.
    if user is None:
        raise InvalidCode
    return user


@transaction.atomic
def verify_by_link(*, token: str, now: datetime) -> User:
    """Take the e-mail address that this link went to as proved. Raises as `verify` does."""
    found = codes.redeem_token(token=token, now=now)
    if found is None:
        raise InvalidCode
    user, address = found
    if user.is_pending(address) or user.email_verified_at is None:
        _prove(user, address, now=now)
    return user


def language_of_link(*, token: str, now: datetime) -> str:
    """The language of the person whom this link would prove; it proves nothing yet. Raises InvalidCode."""
    user = codes.whose_link(token=token, now=now)
    if user is None:
        raise InvalidCode
    return user.language


def _prove(user: User, address: str, *, now: datetime) -> None:
    if user.is_pending(address):
        _take_pending(user, "email" if "@" in address else "phone_number", now=now)
    mark_verified(user, address=address, is_owner=_is_here(user, now=now), now=now)


def _take_pending(user: User, name: Literal["email", "phone_number"], *, now: datetime) -> None:
    """Make the pending contact the account's, on its locked row, and tell who was reached at the old one."""
    other = user.pending_phone_number if name == "email" else user.pending_email
    done = {f"pending_{name}": None} if other is not None else NOTHING_PENDING
    before = Reached.of(user)
    with decided_by_the_database():
        save_changes(user, {name: getattr(user, f"pending_{name}"), **done}, now=now)
    tell_of_contacts(user, before, now=now)
    audit.record(
        actor=None,
        action="accounts.contact_changed",
        reference=make_reference("user", user.pk),
        changes={"fields": [name]},
        now=now,
    )


def _is_here(user: User, *, now: datetime) -> bool:
    """Whether this account is signed in on the network that the proof comes from. One query.

    If not, a stranger may have made it with somebody's address, who confirms what came by mail. Then it stays the
    stranger's until the owner comes: a reset by that mail, or a sign-in elsewhere that knows it, takes it over.
    """
    alive = Session.objects.filter(user=user, ended_at=None, expires_at__gt=now)
    known = {whose_address(address) for address in alive.values_list("client_address", flat=True) if address}
    return whose_address(client_address()) in known


def mark_verified(user: User, *, address: str, is_owner: bool, now: datetime) -> None:
    """Write down, on the row that the caller has locked, that this address of theirs was proved.

    `is_owner`: whoever did has the account, too. If not, an invitation of the address waits for who has.
    """
    channel = "email" if "@" in address else "phone"
    proved = {f"{channel}_verified_at": now, "is_verified": True}
    save_changes(user, {**proved, "email_proved_apart": not is_owner} if channel == "email" else proved, now=now)
    if channel == "email" and is_owner:
        grant_for_verified_email(user=user, now=now)
    audit.record(actor=None, action=f"accounts.{channel}_verified", reference=make_reference("user", user.pk), now=now)

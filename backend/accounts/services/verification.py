"""Proving an e-mail address or a phone number with a code that went there, or the mail's link."""

from datetime import datetime

from django.db import transaction

from backend.accounts.errors import InvalidCode
from backend.accounts.models import CodePurpose, Session, User
from backend.accounts.services import codes
from backend.accounts.services.invitations import grant_for_verified_email
from backend.accounts.services.profile import save_changes
from backend.core import audit
from backend.core.limits import whose_address
from backend.core.references import make_reference
from backend.core.request_context import client_address


def verify(*, address: str, code: str, now: datetime) -> User:
    """Take the address (e-mail or E.164) as proved. Raises InvalidCode."""
    purpose = CodePurpose.VERIFY_EMAIL if "@" in address else CodePurpose.VERIFY_PHONE
    with transaction.atomic(durable=True):
        user = codes.redeem(purpose=purpose, address=address, code=code, now=now)
        if user is not None:
            mark_verified(user, address=address, is_owner=_is_here(user, now=now), now=now)
    # Only now: the try must be counted although the answer is an error.
    if user is None:
        raise InvalidCode
    return user


@transaction.atomic
def verify_by_link(*, token: str, now: datetime) -> User:
    """Take the e-mail address that this link went to as proved. Raises InvalidCode."""
    user = codes.redeem_token(token=token, now=now)
    if user is None:
        raise InvalidCode
    if user.email_verified_at is None:
        mark_verified(user, address=user.email or "", is_owner=_is_here(user, now=now), now=now)
    return user


def language_of_link(*, token: str, now: datetime) -> str:
    """The language of the person whom this link would prove; it proves nothing yet. Raises InvalidCode."""
    user = codes.whose_link(token=token, now=now)
    if user is None:
        raise InvalidCode
    return user.language


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

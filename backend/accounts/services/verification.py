"""Proving an e-mail address or a phone number with a code that went there, or the mail's link."""

from datetime import datetime

from django.db import transaction

from backend.accounts.errors import InvalidCode
from backend.accounts.models import CodePurpose, User
from backend.accounts.services import codes
from backend.accounts.services.invitations import grant_for_verified_email
from backend.accounts.services.profile import save_changes
from backend.core import audit
from backend.core.references import make_reference


def verify(*, address: str, code: str, now: datetime) -> User:
    """Take the address (e-mail or E.164) as proved. Raises InvalidCode."""
    purpose = CodePurpose.VERIFY_EMAIL if "@" in address else CodePurpose.VERIFY_PHONE
    with transaction.atomic(durable=True):
        user = codes.redeem(purpose=purpose, address=address, code=code, now=now)
        if user is not None:
            mark_verified(user, address=address, now=now)
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
        mark_verified(user, address=user.email or "", now=now)
    return user


def language_of_link(*, token: str, now: datetime) -> str:
    """The language of the person whom this link would prove; it proves nothing yet. Raises InvalidCode."""
    user = codes.whose_link(token=token, now=now)
    if user is None:
        raise InvalidCode
    return user.language


def mark_verified(user: User, *, address: str, now: datetime) -> None:
    """Write down, on the row that the caller has locked, that this address of theirs was proved."""
    channel = "email" if "@" in address else "phone"
    save_changes(user, {f"{channel}_verified_at": now, "is_verified": True}, now=now)
    if channel == "email":
        grant_for_verified_email(user=user, now=now)
    audit.record(actor=None, action=f"accounts.{channel}_verified", reference=make_reference("user", user.pk), now=now)

"""Notices of what matters to an account's safety: an event, and an e-mail, or an SMS to those who have no address."""

from datetime import datetime
from functools import partial
from typing import Literal

from backend.accounts.models import RecoveryCode, User
from backend.core import limits, mail, sms
from backend.core.jobs import NeverDoneError, OutsideCall, enqueue
from backend.core.limits import Limit
from backend.core.outbox import emit
from shared_contracts.events import AccountNotice
from shared_contracts.rooms import user_room

NOTICES_A_DAY = 20
"""Tries that a mail server's absence costs are counted, too."""

Kind = Literal[
    "password_changed",
    "email_changed",
    "phone_changed",
    "session_reused",
    "two_factor_on",
    "two_factor_off",
    "recovery_code_used",
    "recovery_codes_renewed",
    "identity_linked",
    "account_deleted",
]


def notify(*, user_id: int, kind: Kind, now: datetime, to: str | None = None) -> None:
    """Have the owner told, in the transaction of the change; at `to` when it is no longer their own address."""
    emit(AccountNotice(kind=kind), rooms=[user_room(user_id)], now=now)
    # Where it goes is looked up by the job; only an address that was given up must be in its row.
    enqueue("accounts.send_notice", now=now, user_id=user_id, kind=kind, to=to)


def say_farewell(user: User, *, now: datetime) -> None:
    """Tell who is about to be nobody that the account is gone, where they could be reached: it may not have been them.

    No event: nobody listens any more. The address stands in the job's row until that is purged.
    """
    to = user.email or _proved_number(user)
    if to is not None:
        enqueue("accounts.send_notice", now=now, user_id=user.pk, kind="account_deleted", to=to, language=user.language)


def prepare(*, user_id: int, kind: Kind, to: str | None, language: str | None, key: str) -> OutsideCall | None:
    """The call that tells them; for the job. `language` is that of who has none any more."""
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        return None
    address = to or user.email or _proved_number(user)
    if address is None:
        return None
    language = language or user.language
    context: dict[str, object] = {"kind": kind}
    if kind == "recovery_code_used":
        context["left"] = RecoveryCode.objects.filter(factor_id=user_id).count()
    if "@" not in address:
        text = mail.write_text("accounts/sms/notice", language=language, context=context)
        return partial(_within_limits, address, partial(sms.deliver, to=address, text=text))
    message = mail.compose("accounts/mail/notice", to=address, language=language, key=key, context=context)
    return partial(_within_limits, address, partial(mail.deliver, message))


def _within_limits(address: str, call: OutsideCall) -> None:
    _spend(address)
    call()


def _proved_number(user: User) -> str | None:
    """An SMS costs money, and a number that nobody proved may be a stranger's."""
    return user.phone_number if user.phone_verified_at is not None else None


def _spend(address: str) -> None:
    """So many a day for an address or number: it may be a stranger's, to be annoyed. Raises NeverDoneError."""
    verdict = limits.check([(Limit("notices", NOTICES_A_DAY, 86_400, strict=True), address.lower())])
    if verdict is not None and not verdict.allowed:
        raise NeverDoneError("this address was written to often enough today")

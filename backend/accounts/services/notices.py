"""Notices of what matters to an account's safety: an event, and an e-mail, or an SMS to those who have no address."""

from datetime import datetime
from functools import partial
from typing import Literal

from backend.accounts.models import RecoveryCode, User
from backend.core import mail, sms
from backend.core.jobs import OutsideCall, enqueue
from backend.core.outbox import emit
from shared_contracts.events import AccountNotice
from shared_contracts.rooms import user_room

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
]


def notify(*, user_id: int, kind: Kind, now: datetime, to: str | None = None) -> None:
    """Have the owner told, in the transaction of the change; at `to` when it is no longer their own address."""
    emit(AccountNotice(kind=kind), rooms=[user_room(user_id)], now=now)
    # Where it goes is looked up by the job; only an address that was given up must be in its row.
    enqueue("accounts.send_notice", now=now, user_id=user_id, kind=kind, to=to)


def prepare(*, user_id: int, kind: Kind, to: str | None, key: str) -> OutsideCall | None:
    """The call that tells them; for the job."""
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        return None
    address = to or user.email or user.phone_number
    if address is None:
        return None
    context: dict[str, object] = {"kind": kind}
    if kind == "recovery_code_used":
        context["left"] = RecoveryCode.objects.filter(factor_id=user_id).count()
    if "@" not in address:
        text = mail.write_text("accounts/sms/notice", language=user.language, context=context)
        return partial(sms.deliver, to=address, text=text)
    message = mail.compose("accounts/mail/notice", to=address, language=user.language, key=key, context=context)
    return partial(mail.deliver, message)

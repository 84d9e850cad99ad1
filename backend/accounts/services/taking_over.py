"""An account that goes to who proved its address: a stranger may have made it, and waits for the owner to come.

Whoever proves an address for the first time by a reset, or by an account elsewhere, gets the account, and nothing that
a stranger may have put there opens it any more: linked accounts elsewhere, the second factor, the other address or
number (which could reset the password, proved or not), and what other modules hand out without a sign-in. Sessions,
the password and what is pending are the caller's to end.
"""

from datetime import datetime
from typing import Literal, Protocol

from backend.accounts.models import ExternalIdentity, SecondFactor, User
from backend.accounts.services.notices import notify
from backend.accounts.services.profile import save_changes
from backend.core import audit
from backend.core.references import Question, make_reference


class Closer(Protocol):
    """Ends, in the transaction of the change, what shows a person's things to who is not signed in."""

    def __call__(self, *, user_id: int, now: datetime) -> None: ...


TAKEN_OVER: Question[Closer] = Question("what opens without a sign-in and must end when an account changes hands")


def shut_out_strangers(user: User, *, proved: Literal["email", "phone"], now: datetime) -> None:
    """End all other ways into the account of this locked row, whose `proved` contact was just proved first."""
    ExternalIdentity.objects.filter(user=user).delete()
    SecondFactor.objects.filter(user=user).delete()
    if proved == "email":
        save_changes(user, {"phone_number": None, "phone_verified_at": None}, now=now)
    elif user.email is not None:
        before = user.email
        save_changes(user, {"email": None, "email_verified_at": None}, now=now)
        notify(user_id=user.pk, kind="email_changed", to=before, now=now)
    for kind in sorted(TAKEN_OVER.kinds):
        TAKEN_OVER.about(kind)(user_id=user.pk, now=now)
    audit.record(actor=None, action="accounts.taken_over", reference=make_reference("user", user.pk), now=now)

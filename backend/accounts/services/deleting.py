"""Deleting an account: what was personal is gone at once, what others rely on stays and names nobody.

The row itself stays, as NOBODY's: jobs, messages and books refer to its id. Every module says through
`core.personal_data` what stands in the way and how it forgets.
"""

from datetime import datetime

from django.db import transaction

from backend.accounts.errors import AccountInUse
from backend.accounts.models import User
from backend.accounts.services import notices
from backend.accounts.services.ending import end_all_sessions
from backend.accounts.services.two_factor import prove_fully
from backend.core import audit, personal_data
from backend.core.actor import Actor
from backend.core.errors import NotFound
from backend.core.references import make_reference


def delete_account(*, actor: Actor, password: str | None, otp: str | None, now: datetime) -> None:
    """Delete one's own account, for good.

    Raises ProofRequired without the password (or a sign-in less than five minutes old) and, where the second factor is
    on, a code; RateLimited after wrong passwords; AccountInUse while something is under way.
    """
    _refuse_while_in_use(actor.id)  # a code is not used up in vain
    prove_fully(actor=actor, password=password, otp=otp, now=now)
    _delete(actor, now=now)


@transaction.atomic
def _delete(actor: Actor, *, now: datetime) -> None:
    # The strongest row lock: whoever opens something for this person (FOR KEY SHARE) waits for it, and it for them.
    user = User.objects.select_for_update().filter(pk=actor.id, is_active=True).first()
    if user is None:
        raise NotFound
    _refuse_while_in_use(actor.id)
    notices.say_farewell(user, now=now)
    end_all_sessions(actor=actor, user_id=actor.id, reason="account_deleted", now=now)
    personal_data.erase(user_id=actor.id, now=now)
    audit.record(actor=actor, action="accounts.deleted", reference=make_reference("user", actor.id), now=now)


def _refuse_while_in_use(user_id: int) -> None:
    obstacles = personal_data.obstacles_of(user_id)
    if obstacles:
        raise AccountInUse(obstacles=[{"code": one.code, "detail": one.detail} for one in obstacles])

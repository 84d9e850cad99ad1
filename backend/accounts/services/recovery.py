"""A new password: with a code for who forgot the old one, with the old one for who is signed in."""

from datetime import datetime

from django.db import transaction

from backend.accounts.errors import InvalidCode
from backend.accounts.models import NOTHING_PENDING, CodePurpose, User
from backend.accounts.selectors import get_own
from backend.accounts.services import codes
from backend.accounts.services.delays import forgive_account
from backend.accounts.services.ending import end_all_sessions, end_other_sessions
from backend.accounts.services.notices import notify
from backend.accounts.services.passwords import check_strength, hash_password
from backend.accounts.services.profile import lock_active, save_changes
from backend.accounts.services.proof import check_password_of, prove
from backend.accounts.services.signing_in import AGENT_LENGTH, Device
from backend.accounts.services.taking_over import shut_out_strangers
from backend.accounts.services.verification import mark_verified
from backend.core import audit
from backend.core.actor import Actor
from backend.core.references import make_reference


def reset_password(*, address: str, code: str, new_password: str, device: Device, now: datetime) -> None:
    """Set a new password with the code that went to this address (e-mail or E.164), and end every session.

    The device that brings the code is known from then on: whoever keeps trying passwords elsewhere keeps nobody out.
    An address that this proves for the first time, or that was proved by nobody who had the account, takes the account
    over (`taking_over`). One hash whether or not an account has the address. Raises InvalidCode, or a 422 for a weak
    password.
    """
    asked_for = User(email=address) if "@" in address else User(phone_number=address)
    encoded = hash_password(new_password, person=asked_for, field="new_password")
    with transaction.atomic(durable=True):
        agent = device.agent[:AGENT_LENGTH]
        user = codes.redeem(purpose=CodePurpose.RESET_PASSWORD, address=address, code=code, agent=agent, now=now)
        if user is not None:
            # Whoever has no code must not learn what the account's owner is called. The code can be given again.
            check_strength(new_password, person=user, field="new_password")
            if not _is_proved(user, address):
                shut_out_strangers(user, proved="email" if "@" in address else "phone", now=now)
            mark_verified(user, address=address, is_owner=True, now=now)
            _set(user, encoded, by=None, now=now)
            end_all_sessions(actor=None, user_id=user.pk, reason="password_reset", now=now)
            forgive_account(user, device_agent=agent, now=now)
    # Only now: the try must be counted although the answer is an error.
    if user is None:
        raise InvalidCode


def _is_proved(user: User, address: str) -> bool:
    return user.owns_email if "@" in address else user.phone_verified_at is not None


def change_password(*, actor: Actor, password: str | None, new_password: str, now: datetime) -> None:
    """Set a new password and end every other session.

    An account without a password proves itself by having signed in just now. Raises ProofRequired, RateLimited after
    wrong passwords, or a 422 for a weak one.
    """
    user = get_own(actor)
    if user.has_usable_password():
        check_password_of(user, password or "", now=now)
    else:
        prove(actor=actor, user=user, password=None, now=now)
    encoded = hash_password(new_password, person=user, field="new_password")
    with transaction.atomic():
        _set(lock_active(actor.id), encoded, by=actor, now=now)
        end_other_sessions(actor=actor, reason="password_changed", now=now)


def _set(user: User, encoded: str, *, by: Actor | None, now: datetime) -> None:
    # Whoever knew the old one may have wanted another address for the account, and wait to confirm it.
    save_changes(user, {"password": encoded, **NOTHING_PENDING}, now=now)
    audit.record(actor=by, action="accounts.password_changed", reference=make_reference("user", user.pk), now=now)
    notify(user_id=user.pk, kind="password_changed", now=now)

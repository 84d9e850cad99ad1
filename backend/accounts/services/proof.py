"""Fresh proof that it is the owner who asks, for what a stolen token alone must not do (ASVS 5.0, 7.5)."""

from datetime import datetime, timedelta

from backend.accounts.errors import ProofRequired
from backend.accounts.models import Session, User
from backend.accounts.services import delays
from backend.accounts.services.passwords import is_password_of
from backend.core.actor import Actor

FRESH = timedelta(minutes=5)
"""Whoever signed in so shortly ago needs no further proof."""


def signed_in_lately(actor: Actor, *, now: datetime) -> bool:
    """Whether the caller's session began within the last five minutes. One query."""
    return Session.objects.filter(pk=actor.session_id, created_at__gt=now - FRESH).exists()


def prove(*, actor: Actor, user: User, password: str | None, now: datetime) -> None:
    """Pass with the right password, or a sign-in less than five minutes old when none is given.

    Takes a hash, so call it in no transaction. Raises ProofRequired, and RateLimited after wrong passwords.
    """
    if password is None:
        if not signed_in_lately(actor, now=now):
            raise ProofRequired
        return
    check_password_of(user, password, now=now)


def check_password_of(user: User, password: str, *, now: datetime) -> None:
    """Pass with the right password only. Raises ProofRequired, and RateLimited after wrong ones."""
    tried = delays.begin_proof(user=user, now=now)
    if not is_password_of(user, password):
        raise ProofRequired
    delays.forgive(tried, now=now)

"""Forgets what has run out: codes, delays of signing in, invitations, sessions and their chains of refresh tokens, and
addresses that nobody confirmed."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet

from backend.accounts.models import NOTHING_PENDING, Code, Invitation, RefreshToken, Session, SignInDelay, User
from backend.accounts.services.signing_in import KEEP_REPLACED
from backend.core.purging import BATCH, purge_batch

KEEP_CODES = timedelta(days=1, hours=1)
"""The limits of a day count them."""
KEEP_DELAYS = timedelta(days=2)
KEEP_SESSIONS = timedelta(days=1)
KEEP_PENDING = timedelta(days=7)
KEEP_INVITATIONS = timedelta(days=30)
"""After they ran out, whatever became of them: admins look back at the list. The audit log keeps them for good."""


def forget(*, now: datetime) -> bool:
    """Delete up to a thousand rows of each kind; true when there may be more."""
    more = [purge_batch(rows) for rows in _outlived(now)]
    return any([*more, _withdraw(_unconfirmed(now), now=now)])


def _unconfirmed(now: datetime) -> QuerySet[User]:
    return User.objects.filter(pending_since__lt=now - KEEP_PENDING).order_by("pending_since")


@transaction.atomic(savepoint=False)
def _withdraw(old: QuerySet[User], *, now: datetime) -> bool:
    """Forget what up to a thousand people did not confirm; those whose row is held are left to the next time."""
    found = [user.pk for user in old.select_for_update(skip_locked=True, no_key=True).only("pk")[:BATCH]]
    User.objects.filter(pk__in=found).update(**NOTHING_PENDING, version=F("version") + 1, updated_at=now)
    return len(found) == BATCH


def _outlived(now: datetime) -> Iterable[QuerySet[Any]]:
    yield Code.objects.filter(created_at__lt=now - KEEP_CODES).order_by("created_at")
    yield SignInDelay.objects.filter(tried_at__lt=now - KEEP_DELAYS).order_by("tried_at")
    yield Invitation.objects.filter(expires_at__lt=now - KEEP_INVITATIONS).order_by("expires_at")
    yield RefreshToken.objects.filter(successor__issued_at__lt=now - KEEP_REPLACED).order_by("successor__issued_at")
    # A session goes when its chain is gone, or one of them could take thousands of rows along.
    is_chained = Exists(RefreshToken.objects.filter(session=OuterRef("pk")))
    since = now - KEEP_SESSIONS
    yield RefreshToken.objects.filter(session__ended_at__lt=since).order_by("session__ended_at")
    yield RefreshToken.objects.filter(session__expires_at__lt=since).order_by("session__expires_at")
    yield Session.objects.filter(~is_chained, ended_at__lt=since).order_by("ended_at")
    yield Session.objects.filter(~is_chained, expires_at__lt=since).order_by("expires_at")

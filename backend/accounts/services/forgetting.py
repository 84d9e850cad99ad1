"""Forgets what has run out: codes, delays of signing in, ended sessions."""

from datetime import datetime, timedelta

from backend.accounts.models import Code, Session, SignInDelay
from backend.core.purging import purge_batch

KEEP_CODES = timedelta(days=1, hours=1)
"""The limits of a day count them."""
KEEP_DELAYS = timedelta(days=2)
KEEP_SESSIONS = timedelta(days=1)


def forget(*, now: datetime) -> bool:
    """Delete up to a thousand rows of each kind; true when there may be more."""
    outlived = (
        Code.objects.filter(created_at__lt=now - KEEP_CODES),
        SignInDelay.objects.filter(tried_at__lt=now - KEEP_DELAYS),
        Session.objects.filter(expires_at__lt=now - KEEP_SESSIONS),
    )
    more = [purge_batch(rows) for rows in outlived]
    return any(more)

"""The secret link of a person's calendar feed.

It is derived from SECRET_KEY and how often the person renewed it, so it can be shown again although no table and no
backup holds it. Changing SECRET_KEY ends all links.
"""

import base64
import hashlib
import hmac
import re
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q

from backend.accounts import public as accounts
from backend.core.actor import Actor
from backend.core.environment import environment
from backend.core.errors import NotFound
from backend.scheduling.models import CalendarLink, Policy

SAME_FOR = timedelta(seconds=10)
"""A link that was renewed just now is not renewed again: a second click, or a retry, asks for the same."""
_TOKEN = re.compile(r"([1-9a-z][0-9a-z]{0,12})-([A-Za-z0-9_-]{32})")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@transaction.atomic
def link_of(*, actor: Actor, now: datetime) -> CalendarLink:
    """The person's link; it comes into being when it is first asked for. One query from then on."""
    link = CalendarLink.objects.filter(pk=actor.id).first()
    if link is not None:
        return link
    accounts.hold_active([actor.id])
    CalendarLink.objects.bulk_create([CalendarLink(user_id=actor.id, renewed_at=now)], ignore_conflicts=True)
    return CalendarLink.objects.get(pk=actor.id)


@transaction.atomic
def renew_link(*, actor: Actor, now: datetime) -> CalendarLink:
    """Give them another link; the old one stops. Asked twice within ten seconds, they get one new link, twice.

    So a repeated request has one effect without a stored answer, which would hold the secret. Three queries.
    """
    link_of(actor=actor, now=now)
    first_or_older = Q(generation=1) | Q(renewed_at__lte=now - SAME_FOR)
    renewed = CalendarLink.objects.filter(first_or_older, pk=actor.id)
    renewed.update(generation=F("generation") + 1, renewed_at=now)
    return CalendarLink.objects.get(pk=actor.id)


def end_link(*, user_id: int, now: datetime) -> None:
    """Stop the person's link, and mails of their bookings to addresses they named; for an account taken over."""
    CalendarLink.objects.filter(pk=user_id).update(generation=F("generation") + 1, renewed_at=now)
    Policy.objects.filter(provider_id=user_id).update(notify_emails=[], version=F("version") + 1, updated_at=now)


def token_of(link: CalendarLink) -> str:
    """192 bits that nobody can guess, behind the person's number."""
    return f"{_base36(link.user_id)}-{_proof(link.user_id, link.generation)}"


def address_of(link: CalendarLink) -> str:
    return f"{environment().link_base}/api/v1/calendars/{token_of(link)}.ics"


def owner_of(token: str) -> int:
    """Whose feed this token opens. Raises NotFound. One query."""
    match = _TOKEN.fullmatch(token)
    user_id = int(match[1], 36) if match else 0
    if match is None or not 0 < user_id < 2**63:
        raise NotFound
    link = CalendarLink.objects.filter(pk=user_id, user__is_active=True).first()
    expected = _proof(user_id, link.generation if link else 0)
    if link is None or not hmac.compare_digest(expected.encode(), match[2].encode()):
        raise NotFound
    return user_id


def _proof(user_id: int, generation: int) -> str:
    key = environment().secret_key.encode()
    digest = hmac.new(key, f"callout calendar {user_id} {generation}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:24]).decode()


def _base36(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text

"""One-click unsubscribing (RFC 8058): links in e-mails that tell who no longer wants what, for as long as they exist.

The link is signed with a key of its own made from SECRET_KEY and runs out never: an e-mail may be read years later.
It opens nothing else.
"""

from dataclasses import dataclass
from datetime import datetime

from django.core.signing import BadSignature, Signer

from backend.accounts import public as accounts
from backend.core.environment import environment
from backend.core.errors import NotFound
from backend.notifications.selectors import preferences_of
from backend.notifications.services.preferring import switch_off_mail, unneeded_mail
from backend.notifications.values import DIGEST

LONGEST = 200


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a link is about: a person's e-mails of one type, or their daily e-mail."""

    user_id: int
    type: str
    language: str


def link_for(*, user_id: int, type_: str) -> str:
    return f"{environment().link_base}/api/v1/unsubscribe/{_signer().sign(f'{user_id}~{type_}')}/"


def headers_for(link: str) -> dict[str, str]:
    """What lets mail programs show a button for it."""
    return {"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def read_link(token: str) -> Subscription:
    """What the link is about. Raises NotFound for anything that is not ours, or of a person who is gone."""
    try:
        user, _, type_ = _signer().unsign(token[:LONGEST]).partition("~")
    except BadSignature:
        raise NotFound from None
    if type_ != DIGEST and type_ not in unneeded_mail():
        raise NotFound
    recipient = accounts.hold_recipients([int(user)]).get(int(user))
    if recipient is None:
        raise NotFound
    return Subscription(recipient.id, type_, preferences_of(recipient.id).language or recipient.language)


def unsubscribe(*, token: str, now: datetime) -> Subscription:
    """No more of it. Raises NotFound; doing it twice is doing it once."""
    subscription = read_link(token)
    switch_off_mail(user_id=subscription.user_id, type_=subscription.type, now=now)
    return subscription


def _signer() -> Signer:
    return Signer(salt="notifications.unsubscribe", sep=":")

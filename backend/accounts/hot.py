"""`GET /me/`, which apps repeat all the time: one statement, and byte for byte what `UserOut` shows."""

import re
from datetime import datetime

import msgspec

from backend.accounts.models import Session
from backend.accounts.schemas.account import UserOut
from backend.accounts.selectors import photo_links
from backend.core.fast_lane import Asked, Found, HotRead, serve
from backend.core.hot import HotQuery

_FIELDS = tuple(UserOut.model_fields)
_SHOWN = tuple(name for name in _FIELDS if name not in {"location", "photo"})
"""What is shown as it is kept."""
_COLUMNS = (*_SHOWN, "lat", "lng", "photo", "version")
_ME = HotQuery(
    lambda user, session, now: Session.objects.filter(
        pk=session, user_id=user, ended_at=None, expires_at__gt=now, user__is_active=True
    ).values_list(*(f"user__{name}" for name in _COLUMNS)),
    user=int,
    session=int,
    now=datetime,
)

_encode = msgspec.json.Encoder().encode


def read_me(asked: Asked) -> Found | None:
    """One's own profile."""
    if asked.query:
        return None
    row = _ME.row(user=asked.user_id, session=asked.session_id, now=asked.now)
    if row is None:
        return None
    *shown, lat, lng, photo, version = row
    known = dict(zip(_SHOWN, shown, strict=True))
    known["location"] = None if lat is None or lng is None else {"lat": lat, "lng": lng}
    known["photo"] = photo_links(photo, now=asked.now)
    return Found(_encode({name: known[name] for name in _FIELDS}), version=version)


def take_the_fast_lane() -> None:
    """Called once when the apps are ready."""
    serve(HotRead(re.compile("/api/v1/me/"), "api/v1/me/", read_me))

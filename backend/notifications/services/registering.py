"""Browsers and phones that take pushes."""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

from django.db import transaction

from backend.accounts import public as accounts
from backend.core.actor import Actor
from backend.core.environment import environment
from backend.core.errors import NotFound, invalid_field
from backend.notifications.models import Device
from backend.notifications.push.encryption import is_public_key

MOST_DEVICES = 10
"""Of one person; the oldest goes when there is one more."""
SECRET_BYTES = 16


@dataclass(frozen=True, slots=True)
class NewDevice:
    """What a browser's subscription or a phone says of itself. Keys are empty for FCM."""

    kind: Literal["webpush", "fcm"]
    token: str
    public_key: str = ""
    secret: str = ""


@transaction.atomic
def register_device(*, actor: Actor, device: NewDevice, now: datetime) -> Device:
    """Have pushes sent there while this session lives. A device that was another person's is theirs no more.

    Raises a 422 for keys that are none, and for an endpoint that is no https address.
    """
    if device.kind == "webpush":
        _check_subscription(device)
    accounts.hold_active([actor.id])
    row, _ = Device.objects.update_or_create(
        digest=hashlib.sha256(f"{device.kind}\n{device.token}".encode()).digest(),
        defaults={
            "user_id": actor.id,
            "session_id": actor.session_id,
            "kind": device.kind,
            "token": device.token,
            "public_key": device.public_key,
            "secret": device.secret,
            "created_at": now,
        },
    )
    newest = Device.objects.filter(user_id=actor.id).order_by("-created_at", "-pk").values("pk")[:MOST_DEVICES]
    Device.objects.filter(user_id=actor.id).exclude(pk__in=newest).delete()
    return row


@transaction.atomic
def remove_device(*, actor: Actor, device_id: int) -> None:
    """Send nothing there any more. Raises NotFound."""
    deleted, _ = Device.objects.filter(pk=device_id, user_id=actor.id).delete()
    if not deleted:
        raise NotFound


def _check_subscription(device: NewDevice) -> None:
    schemes = {"https"} if environment().environment == "production" else {"https", "http"}
    try:
        parts = urlsplit(device.token)
        is_address = bool(parts.hostname) and parts.scheme in schemes
    except ValueError:
        is_address = False
    if not is_address:
        raise invalid_field("body.endpoint", "the https address of a push service")
    if not is_public_key(_decoded(device.public_key)):
        raise invalid_field("body.p256dh", "a point of P-256, uncompressed, in base64url")
    if len(_decoded(device.secret)) != SECRET_BYTES:
        raise invalid_field("body.auth", f"{SECRET_BYTES} bytes in base64url")


def _decoded(text: str) -> bytes:
    """Empty for what is no base64url."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""

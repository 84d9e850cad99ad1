"""Web Push (RFC 8030): an encrypted text to the address that a browser gave us."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from backend.core import outbound
from backend.core.jobs import NeverDoneError, NobodyThereError, NotDoneError
from backend.notifications.models import Device
from backend.notifications.push import vapid
from backend.notifications.push.encryption import LONGEST_TEXT, encrypt

LIVES = timedelta(days=1)
"""A device that is off for longer need not hear of it."""
GONE = {404, 410}
LATER = {408, 425, 429}


def send(device: Device, payload: Mapping[str, Any], *, key: str, is_urgent: bool, now: datetime) -> None:
    """One push. Raises NotDoneError, NeverDoneError, or NobodyThereError when the subscription is over."""
    authorization = vapid.authorization(device.token, now=now)
    if authorization is None:
        raise NeverDoneError("Web Push is not set up")
    body = encrypt(_fitting(payload), public_key=vapid.decoded(device.public_key), secret=vapid.decoded(device.secret))
    headers = {
        "Authorization": authorization,
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(int(LIVES.total_seconds())),
        "Urgency": "high" if is_urgent else "normal",
        # One that waits for the device gives way to its own repetition (RFC 8030, section 5.4).
        "Topic": hashlib.sha256(key.encode()).hexdigest()[:32],
    }
    try:
        status = outbound.post(device.token, body=body, headers=headers)
    except outbound.NotReached as error:
        raise NotDoneError(f"the push service is not reached: {error}") from None
    _judge(status, "the push service")


def _judge(status: int, who: str) -> None:
    sentence = f"{who} answered {status}"
    if status in GONE:
        raise NobodyThereError(sentence)
    if status in LATER or status >= 500:
        raise NotDoneError(sentence)
    if not 200 <= status < 300:
        raise NeverDoneError(sentence)


def _fitting(payload: Mapping[str, Any]) -> bytes:
    """As JSON, the body cut where it would be too long."""
    text = msgspec.json.encode(payload)
    body: str = payload["body"]
    while len(text) > LONGEST_TEXT:
        body = body[: len(body) // 2]
        text = msgspec.json.encode({**payload, "body": f"{body}…"})
    return text

"""Firebase Cloud Messaging, HTTP v1: for phones. A service account signs for the token that opens it (RFC 7523)."""

import threading
import time
from collections.abc import Mapping
from typing import Any

import httpx2
import jwt

from backend.core.environment import FcmAccount, environment
from backend.core.jobs import NeverDoneError, NobodyThereError, NotDoneError
from backend.core.outbound import certificates

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
TIMEOUT_SECONDS = 5
EARLY_SECONDS = 60

_lock = threading.Lock()
_token: tuple[str, float] = ("", 0.0)
"""The access token, and until when it is taken, by this machine's own clock."""


def send(token: str, payload: Mapping[str, Any], *, key: str, is_urgent: bool) -> None:
    """One push. Raises NotDoneError, NeverDoneError, or NobodyThereError when the app is gone from the phone."""
    account = environment().fcm_service_account
    if account is None:
        raise NeverDoneError("FCM is not set up")
    message = {
        "token": token,
        "notification": {"title": payload["title"], "body": payload["body"]},
        "data": {name: str(payload[name]) for name in ("id", "type", "reference", "unread_count")},
        # A repetition takes the place of the first on the screen. No `collapse_key`: of those, FCM keeps four for a
        # phone that is off.
        "android": {"priority": "HIGH" if is_urgent else "NORMAL", "ttl": "86400s", "notification": {"tag": key}},
        "apns": {"headers": {"apns-collapse-id": key[:64], "apns-priority": "10" if is_urgent else "5"}},
    }
    url = f"{environment().fcm_url.rstrip('/')}/v1/projects/{account.project_id}/messages:send"
    answer = _post(url, json={"message": message}, headers={"Authorization": f"Bearer {_access_token(account)}"})
    status = answer.status_code
    if status == 401:
        _forget()
    if status == 404 or (status == 400 and "UNREGISTERED" in answer.text):
        raise NobodyThereError(f"FCM answered {status}")
    if status in {401, 403, 429} or status >= 500:
        raise NotDoneError(f"FCM answered {status}")
    if status != 200:
        raise NeverDoneError(f"FCM answered {status}")


def _access_token(account: FcmAccount) -> str:
    """Kept until a minute before its end. Raises NotDoneError."""
    global _token  # noqa: PLW0603 - one small cache per process
    with _lock:
        token, until = _token
        if time.time() < until:
            return token
        now = int(time.time())
        claims = {"iss": account.client_email, "scope": SCOPE, "aud": account.token_uri, "iat": now, "exp": now + 3600}
        assertion = jwt.encode(claims, account.private_key, algorithm="RS256")
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
        answer = _post(account.token_uri, data=form)
        if answer.status_code != 200:
            raise NotDoneError(f"the token of FCM was refused: {answer.status_code}")
        try:
            found = answer.json()
            _token = (str(found["access_token"]), now + int(found["expires_in"]) - EARLY_SECONDS)
        except (KeyError, TypeError, ValueError):
            raise NotDoneError("the token of FCM cannot be read") from None
        return _token[0]


def _forget() -> None:
    global _token  # noqa: PLW0603 - see above
    _token = ("", 0.0)


def _post(url: str, **sent: Any) -> httpx2.Response:
    try:
        return httpx2.post(
            url, verify=certificates(), timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False, **sent
        )
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise NotDoneError(f"FCM is not reached: {type(error).__name__}") from error

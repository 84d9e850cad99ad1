"""SMS through one small interface: Twilio's API, or without an account of it a file that a developer can open.

What is sent costs money, so a day's number of messages is bounded, for each country's prefix and in all.
"""

from typing import Protocol
from uuid import uuid4

import httpx2
import phonenumbers
import structlog

from backend.core import limits
from backend.core.environment import environment
from backend.core.jobs import NeverDoneError, NobodyThereError, NotDoneError
from backend.core.keeping import keep_private
from backend.core.limits import Limit
from backend.core.outbound import certificates

NOBODY_THERE = frozenset({21211, 21214, 21217, 21219, 21401, 21407, 21421, 21610, 21614})
"""Twilio's codes for a number that is none, takes no SMS, or has unsubscribed (twilio.com/docs/api/errors)."""
DAY_SECONDS = 86_400
TIMEOUT_SECONDS = 10

log = structlog.get_logger("callout.sms")


class Sender(Protocol):
    """Puts a text on the way to a number in E.164. Raises as an outside call does."""

    def send(self, *, to: str, text: str) -> None: ...


def deliver(*, to: str, text: str) -> None:
    """Send one SMS within the day's budget; for the call of an outside job.

    Raises NotDoneError, NeverDoneError or NobodyThereError where that is certain.
    """
    _spend(to)
    sender().send(to=to, text=text)


def sender() -> Sender:
    """The way that the settings name."""
    env = environment()
    if env.twilio_account_sid:
        return Twilio(
            url=env.twilio_url,
            account_sid=env.twilio_account_sid,
            auth_token=env.twilio_auth_token,
            number=env.twilio_number,
        )
    return Console()


def _spend(to: str) -> None:
    """Count it against the budgets, which hold without Redis too. Raises NeverDoneError when one is used up."""
    env = environment()
    verdict = limits.check(
        [
            (Limit("sms", env.sms_per_day, DAY_SECONDS, strict=True), "all"),
            (Limit("sms-prefix", env.sms_per_prefix_per_day, DAY_SECONDS, strict=True), _prefix(to)),
        ]
    )
    if verdict is not None and not verdict.allowed:
        log.error("sms.budget_spent", limit=verdict.limit.name, prefix=_prefix(to))
        raise NeverDoneError(f"the day's budget is spent: {verdict.limit.name}")


def _prefix(number: str) -> str:
    try:
        return str(phonenumbers.parse(number).country_code)
    except phonenumbers.NumberParseException:
        return "unknown"


class Twilio:
    """Twilio's Messages resource: one form, basic authentication."""

    def __init__(self, *, url: str, account_sid: str, auth_token: str, number: str) -> None:
        self._url = f"{url.rstrip('/')}/2010-04-01/Accounts/{account_sid}/Messages.json"
        self._auth = (account_sid, auth_token)
        self._number = number

    def send(self, *, to: str, text: str) -> None:
        form = {"To": to, "From": self._number, "Body": text}
        try:
            answer = httpx2.post(
                self._url,
                data=form,
                auth=self._auth,
                verify=certificates(),
                timeout=TIMEOUT_SECONDS,
                follow_redirects=False,
                trust_env=False,
            )
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise NotDoneError(f"Twilio is not reached: {type(error).__name__}") from error
        if answer.status_code in {401, 403, 429}:
            raise NotDoneError(f"Twilio answered {answer.status_code}")
        if 400 <= answer.status_code < 500 and _code_of(answer) in NOBODY_THERE:
            raise NobodyThereError(f"Twilio answered {answer.status_code}, error {_code_of(answer)}")
        if 400 <= answer.status_code < 500:
            raise NeverDoneError(f"Twilio answered {answer.status_code}")
        answer.raise_for_status()


def _code_of(answer: httpx2.Response) -> object:
    """Twilio's own error code, if the answer has one."""
    try:
        body = answer.json()
    except ValueError:
        return None
    code = body.get("code") if isinstance(body, dict) else None
    return code if isinstance(code, int) else None


class Console:
    """Keeps messages as files under CALLOUT_HOME/sms instead of sending them; production refuses to."""

    def send(self, *, to: str, text: str) -> None:
        if environment().environment == "production":
            raise NotDoneError("TWILIO_ACCOUNT_SID is not set")
        file = keep_private("sms", f"{uuid4().hex}.txt", f"To: {to}\n\n{text}\n".encode())
        log.info("sms.kept", file=file.name)

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from backend.core import environment as env
from backend.core import limits, sms
from backend.core.jobs import NeverDoneError, NobodyThereError, NotDoneError
from tests.support.outside import HttpServer, http_server

NUMBER = "+213550123456"


def settle(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    changed = env.environment().model_copy(update=changes)
    for module in ("sms", "limits", "keeping"):
        monkeypatch.setattr(f"backend.core.{module}.environment", lambda: changed)


@pytest.fixture
def twilio(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpServer]:
    with http_server() as server:
        settings = {"twilio_account_sid": "AC1", "twilio_auth_token": "secret", "twilio_number": "+15005550006"}
        settle(monkeypatch, twilio_url=server.url, **settings)
        yield server


class TestTwilio:
    def test_posts_one_form(self, twilio: HttpServer) -> None:
        sms.deliver(to=NUMBER, text="012345 هو رمزك & more")
        (path, authorization, form) = twilio.forms[0]
        assert path == "/2010-04-01/Accounts/AC1/Messages.json"
        assert authorization == f"Basic {b64encode(b'AC1:secret').decode()}"
        assert form == {"To": [NUMBER], "From": ["+15005550006"], "Body": ["012345 هو رمزك & more"]}
        assert len(twilio.forms) == 1

    @pytest.mark.parametrize(
        ("status", "meaning"),
        [
            (400, NeverDoneError),
            (404, NeverDoneError),
            (401, NotDoneError),
            (429, NotDoneError),
            (500, httpx2.HTTPStatusError),
            (302, httpx2.HTTPStatusError),
        ],
    )
    def test_says_what_an_answer_means(self, twilio: HttpServer, status: int, meaning: type[Exception]) -> None:
        twilio.status = status
        with pytest.raises(meaning):
            sms.deliver(to=NUMBER, text="x")
        assert len(twilio.forms) == 1

    @pytest.mark.parametrize("code", sorted(sms.NOBODY_THERE))
    def test_says_that_a_number_is_nobody_s(self, twilio: HttpServer, code: int) -> None:
        """Seen red with every refusal taken for one of this text alone."""
        twilio.status, twilio.answer = 400, json.dumps({"code": code, "message": "…", "status": 400})
        with pytest.raises(NobodyThereError, match=str(code)):
            sms.deliver(to=NUMBER, text="x")

    @pytest.mark.parametrize("answer", ['{"code": 21617}', '{"code": [21211]}', "[21211]", "null", "<html>21211"])
    def test_says_that_of_no_other(self, twilio: HttpServer, answer: str) -> None:
        twilio.status, twilio.answer = 400, answer
        with pytest.raises(NeverDoneError) as raised:
            sms.deliver(to=NUMBER, text="x")
        assert raised.type is NeverDoneError

    def test_says_that_nothing_was_done_when_nobody_listens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settle(monkeypatch, twilio_account_sid="AC1", twilio_url="http://127.0.0.1:1")
        with pytest.raises(NotDoneError):
            sms.deliver(to=NUMBER, text="x")


class TestBudget:
    @pytest.mark.parametrize("redis_url", ["", "redis://127.0.0.1:1/0"], ids=["with Redis", "without Redis"])
    def test_bounds_what_a_day_costs(
        self, twilio: HttpServer, limits_on: None, monkeypatch: pytest.MonkeyPatch, redis_url: str
    ) -> None:
        changes: dict[str, Any] = {"rate_limits": True, "sms_per_day": 7, "sms_per_prefix_per_day": 4}
        settings = {"twilio_account_sid": "AC1", "twilio_url": twilio.url}
        settle(monkeypatch, **changes, **settings)
        monkeypatch.setattr("backend.core.limits._local", type(limits._local)())
        if redis_url:
            monkeypatch.setattr("backend.core.limits._redis", type("Away", (), {"evaluate": lambda *_: None})())
        refused = 0
        for prefix in ("+21355", "+336"):
            for number in range(10):
                try:
                    sms.deliver(to=f"{prefix}{number:07}", text="x")
                except NeverDoneError:
                    refused += 1
        assert (len(twilio.forms), refused) == (7, 13)


class TestConsole:
    def test_keeps_messages_as_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        settle(monkeypatch, callout_home=str(tmp_path))
        sms.deliver(to=NUMBER, text="012345")
        (file,) = (tmp_path / "sms").iterdir()
        assert file.read_text() == f"To: {NUMBER}\n\n012345\n"
        settle(monkeypatch, environment="production")
        with pytest.raises(NotDoneError):
            sms.deliver(to=NUMBER, text="012345")

"""What somebody calls themselves, on its way to another: the bytes that leave through each channel."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from pytest_django import Settings

from backend.core import environment as env
from backend.notifications.models import Preferences
from backend.notifications.services.telling import tell
from backend.notifications.values import NotificationType, Telling
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.jobs import run_jobs
from tests.support.outside import HttpServer, MailServer, http_server, mail_server
from tests.support.people import Member
from tests.support.push import Browser, PushServer, push_server

pytestmark = pytest.mark.django_db

TYPE = NotificationType.BOOKING_REQUESTED
TURNING = re.compile("[\u200e\u200f\u202a-\u202e]")
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f\u2028\u2029]")


@dataclass
class Outside:
    mail: MailServer
    sms: HttpServer
    push: PushServer
    browser: Browser


@pytest.fixture
def outside(
    amel: Member, at: Moment, api: Api, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Outside]:
    """Real servers of every channel, all of which Amel wants."""
    with ExitStack() as stack:
        mail, sms = stack.enter_context(mail_server()), stack.enter_context(http_server())
        push = stack.enter_context(push_server())
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", mail.port, False
        twilio = {"twilio_account_sid": "AC1", "twilio_auth_token": "secret", "twilio_number": "+15005550006"}
        changed = env.environment().model_copy(update={"twilio_url": sms.url, **twilio})
        monkeypatch.setattr("backend.core.sms.environment", lambda: changed)
        browser = Browser()
        assert api.as_(amel).post("/devices/", browser.subscription(f"{push.url}/send/1")).status == 201
        Preferences.objects.create(user_id=amel.id, choices={TYPE: {"sms": True, "email": True}}, updated_at=at.now)
        yield Outside(mail, sms, push, browser)


class TestHostileNames:
    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("<script>alert('x')</script> & <b>", "<script>alert('x')</script> & <b>"),
            ("A\r\nBcc: all@example.org\r\n\r\nHello", "A Bcc: all@example.org Hello"),
            ("\u202egro.elpmaxe\u202c\u2066x\u200f\x00\u2028", "gro.elpmaxex"),
            ("x" * 300, "x" * 119 + "…"),
            ("\U0001f600\U0001f468\u200d\U0001f469" * 60, None),
        ],
        ids=["html", "headers", "right to left", "long", "emoji"],
    )
    def test_do_no_harm_through_any_channel(
        self, outside: Outside, amel: Member, at: Moment, name: str, said: str | None
    ) -> None:
        """Seen red with values put in as they came, and with HTML that is not escaped."""
        values = {"client": name, "service": name, "provider": name, "starts_at": "2030-05-16T10:00:00+00:00"}
        tell(Telling(TYPE, [amel.id], values), source="event:1", now=at.now)
        run_jobs("notifications.deliver")

        (raw,), (mail,) = outside.mail.raw, outside.mail.mails
        head = raw.partition(b"\r\n\r\n")[0]
        assert max(map(len, raw.split(b"\r\n"))) <= 998
        assert head.isascii()
        assert mail.keys().count("Subject") == mail.keys().count("To") == 1
        assert (mail["To"], mail["Bcc"]) == ("amel@example.org", None)
        assert not re.search(rb"(?im)^(bcc|cc):", head)
        text, html = mail.get_body(("plain",)), mail.get_body(("html",))
        assert text is not None
        assert html is not None
        shown = html.get_content()
        assert "<script" not in shown
        assert "<b>" not in shown

        ((_, _, form),) = outside.sms.forms
        assert form["To"] == ["+213550000001"]
        (push,) = outside.push.got
        assert len(push.body) <= 4096
        read = outside.browser.read(push.body)
        lines = [str(mail["Subject"]).strip(), form["Body"][0], read["title"]]
        for one in (*lines, read["body"], text.get_content(), shown):
            assert not TURNING.search(one), one
            assert not CONTROL.search(one.replace("\r\n", "\n")), one
        assert not any("\n" in one for one in lines)
        assert len(form["Body"][0]) <= 300
        if said is not None:
            assert lines[0] == lines[2] == f"New booking from {said}"
            assert form["Body"][0].startswith(f"Callout: New booking from {said}. {said}"[:300])

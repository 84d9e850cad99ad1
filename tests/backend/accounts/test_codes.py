"""Codes, and what they prove (RELIABILITY.md A5, A7, L7)."""

import base64
import hashlib
import re
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.mail import EmailMessage
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.accounts.models import Code, CodePurpose, Session, User
from backend.accounts.services import codes
from backend.accounts.services.passwords import hash_password, is_password_of
from backend.core.environment import environment
from backend.core.models import AuditRow, EventRow, JobRow
from backend.core.passwords import Argon2id
from tests.backend.accounts.support import PASSWORD, everything, form
from tests.conftest import Moment
from tests.support.api import Answer, Api
from tests.support.jobs import run_jobs
from tests.support.people import Member

pytestmark = pytest.mark.django_db

MakeMember = Callable[..., Member]
EMAIL, PHONE = "amel@example.org", "+213550123456"
NEW = "another battery staple"


@pytest.fixture
def amel(at: Moment, member: MakeMember) -> Member:
    return member(email="Amel@example.org", phone_number=PHONE, password=hash_password(PASSWORD), language="fr")


class Phones:
    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    def send(self, *, to: str, text: str) -> None:
        self.texts.append((to, text))


@pytest.fixture
def phones(monkeypatch: pytest.MonkeyPatch) -> Phones:
    phones = Phones()
    monkeypatch.setattr("backend.core.sms.sender", lambda: phones)
    return phones


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = environment().model_copy(update={"rate_limits": True})
    monkeypatch.setattr("backend.accounts.services.codes.environment", lambda: changed)


def code_in(mail: EmailMessage) -> str:
    (found,) = re.findall(r"\b[0-9]{6}\b", str(mail.body))
    return str(found)


def link_in(mail: EmailMessage) -> str:
    (found,) = re.findall(r"token=(\S+)", str(mail.body))
    return str(found)


def ask(api: Api, path: str = "/auth/email/verification/", **body: str) -> Answer:
    answer = api.post(path, body or {"email": EMAIL})
    run_jobs("accounts.send_code")
    return answer


def press(api: Api, token: str, more: str = "") -> Answer:
    """The button of the page that the link opens."""
    form = urlencode({"token": token}) + more
    return api.raw("POST", "/auth/email/verify/form/", form.encode(), "application/x-www-form-urlencoded")


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06}"


class TestEmailVerification:
    def test_sends_a_code_that_proves_the_address_once(
        self, api: Api, amel: Member, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        answer = ask(api)
        assert (answer.status, answer.body) == (202, {"channel": "email", "expires_in_seconds": 600})
        (mail,) = mailoutbox
        assert (mail.to, mail.subject) == (["Amel@example.org"], "Confirmez votre adresse e-mail")
        at.forward(minutes=9)
        body = {"email": "AMEL@example.org", "code": code_in(mail)}
        assert api.post("/auth/email/verify/", body).body == {"channel": "email", "is_verified": True}
        user = User.objects.get(pk=amel.id)
        assert (user.is_verified, user.email_verified_at, user.phone_verified_at) == (True, at.now, None)
        assert AuditRow.objects.filter(action="accounts.email_verified", reference=f"user:{amel.id}").count() == 1
        assert api.post("/auth/email/verify/", body).code == "invalid_code"

    @pytest.mark.parametrize("by", ["GET", "POST"])
    def test_sends_a_link_too_that_an_app_may_use_twice(
        self, api: Api, amel: Member, at: Moment, mailoutbox: list[EmailMessage], by: str
    ) -> None:
        ask(api)
        token = link_in(mailoutbox[0])
        for _ in range(2):
            answer = (
                api.with_headers(Accept="application/json").get("/auth/email/verify/", token=token)
                if by == "GET"
                else api.post("/auth/email/verify/", {"token": token})
            )
            assert (answer.status, answer.body) == (200, {"channel": "email", "is_verified": True})
        at.forward(minutes=10)
        assert api.with_headers(Accept="application/json").get("/auth/email/verify/", token=token).code == (
            "invalid_code"
        )

    def test_a_look_at_the_link_proves_nothing_but_the_pages_button_does(
        self, api: Api, amel: Member, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        """Scanners of mails open every link. Planted: a page that used the link when it was shown."""
        ask(api)
        token = link_in(mailoutbox[0])
        before = everything()
        for accept in ("text/html,application/json;q=0.9,*/*;q=0.8", "*/*", ""):
            page = api.with_headers(Accept=accept, Accept_Language="ar").get("/auth/email/verify/", token=token)
            assert page.status == 200
            assert "Confirmez votre adresse e-mail" in page.body.decode()
        assert (everything(), Code.objects.get().used_at) == (before, None)
        ((method, action, name, value),) = re.findall(
            '<form method="(.*?)" action="(.*?)"><input type="hidden" name="(.*?)" value="(.*?)">', page.body.decode()
        )
        assert (method, action, name, value) == ("post", "form/", "token", token)
        for _ in range(2):
            done = press(api, token)
            assert done.status == 200
            assert "Votre adresse e-mail est confirmée" in done.body.decode()
        assert User.objects.get(pk=amel.id).email_verified_at == at.now

    def test_the_page_needs_no_script_and_nothing_of_another_host(
        self, api: Api, amel: Member, mailoutbox: list[EmailMessage]
    ) -> None:
        ask(api)
        page = api.get("/auth/email/verify/", token=link_in(mailoutbox[0]))
        text = page.body.decode()
        assert "<script" not in text
        assert "://" not in text
        (style,) = re.findall("<style>(.*?)</style>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert page.headers["Content-Security-Policy"] == (
            f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'"
        )
        assert 'style="' not in text  # which the policy would not let pass
        assert (page.headers["Referrer-Policy"], page.headers["Cache-Control"]) == ("no-referrer", "no-store")

    @pytest.mark.parametrize("token", ["x" * 73, "", "\0", "é", "x" * 5000])
    def test_a_link_that_works_no_more_says_so_in_the_browsers_language(
        self, api: Api, amel: Member, token: str
    ) -> None:
        browser = api.with_headers(Accept="text/html", Accept_Language="ar")
        dead = press(browser, token)
        assert dead.status == 422
        assert 'dir="rtl"' in dead.body.decode()
        assert press(api, token).code == "invalid_code"
        assert browser.get("/auth/email/verify/", token="x" * 73).body == dead.body

    def test_the_button_sends_a_form_and_nothing_else(
        self, api: Api, amel: Member, mailoutbox: list[EmailMessage]
    ) -> None:
        ask(api)
        token = link_in(mailoutbox[0])
        assert api.post("/auth/email/verify/form/", {"token": token}).code == "invalid_code"
        assert api.upload("POST", "/auth/email/verify/form/", b"", token=token).code == "invalid_code"
        assert press(api, "x" * 300_000).status == 413
        assert press(api, token, "&token=x").code == "invalid_code"
        assert User.objects.get(pk=amel.id).email_verified_at is None

    @pytest.mark.parametrize("token", ["x", "0" * 32 + "." + "0" * 40, ".", "é" * 40, "\U0001f600"])
    def test_refuses_made_up_links(self, api: Api, amel: Member, token: str) -> None:
        ask(api)
        assert api.post("/auth/email/verify/", {"token": token}).code == "invalid_code"
        assert User.objects.get(pk=amel.id).is_verified is False

    def test_a_new_code_replaces_the_old_one(
        self, api: Api, amel: Member, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        ask(api)
        at.forward(seconds=1)
        ask(api)
        old, new = mailoutbox
        assert api.post("/auth/email/verify/", {"email": EMAIL, "code": code_in(old)}).code == "invalid_code"
        assert api.post("/auth/email/verify/", {"token": link_in(old)}).code == "invalid_code"
        assert api.post("/auth/email/verify/", {"email": EMAIL, "code": code_in(new)}).status == 200

    def test_runs_out_after_ten_minutes(
        self, api: Api, amel: Member, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        ask(api)
        at.forward(minutes=10)
        assert api.post("/auth/email/verify/", {"email": EMAIL, "code": code_in(mailoutbox[0])}).code == "invalid_code"

    def test_dies_after_five_tries(self, api: Api, amel: Member, mailoutbox: list[EmailMessage]) -> None:
        ask(api)
        code = code_in(mailoutbox[0])
        for _ in range(5):
            assert api.post("/auth/email/verify/", {"email": EMAIL, "code": wrong(code)}).code == "invalid_code"
        assert api.post("/auth/email/verify/", {"email": EMAIL, "code": code}).code == "invalid_code"
        assert Code.objects.get().tries == 5

    def test_gives_an_account_twenty_tries_a_day_over_all_codes(
        self, api: Api, amel: Member, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        for _ in range(4):
            ask(api)
            for _ in range(5):
                api.post("/auth/email/verify/", {"email": EMAIL, "code": wrong(code_in(mailoutbox[-1]))})
            at.forward(minutes=1)
        ask(api, "/auth/password/reset/", email=EMAIL)
        body = {"email": EMAIL, "code": code_in(mailoutbox[-1]), "new_password": NEW}
        assert api.post("/auth/password/reset/confirm/", body).code == "invalid_code"
        at.forward(hours=25)
        ask(api)
        assert api.post("/auth/email/verify/", {"email": EMAIL, "code": code_in(mailoutbox[-1])}).status == 200

    def test_proves_nothing_of_another_purpose_or_address(
        self, api: Api, amel: Member, member: MakeMember, mailoutbox: list[EmailMessage]
    ) -> None:
        other = member(email="other@example.org")
        ask(api, "/auth/password/reset/", email=EMAIL)
        code = code_in(mailoutbox[0])
        assert api.post("/auth/email/verify/", {"email": EMAIL, "code": code}).code == "invalid_code"
        assert api.post("/auth/email/verify/", {"token": f"{Code.objects.get().pk.hex}.x"}).code == "invalid_code"
        body = {"email": "other@example.org", "code": code, "new_password": NEW}
        assert api.post("/auth/password/reset/confirm/", body).code == "invalid_code"
        assert User.objects.get(pk=other.id).password == "!"

    def test_is_worthless_when_the_address_was_changed_meanwhile(
        self, api: Api, amel: Member, mailoutbox: list[EmailMessage]
    ) -> None:
        ask(api)
        User.objects.filter(pk=amel.id).update(email="new@example.org")
        body = {"email": EMAIL, "code": code_in(mailoutbox[0])}
        assert api.post("/auth/email/verify/", body).code == "invalid_code"

    def test_keeps_no_code_in_clear(self, api: Api, amel: Member, mailoutbox: list[EmailMessage]) -> None:
        ask(api)
        code = code_in(mailoutbox[0])
        assert code not in str(list(JobRow.objects.values()))
        row = Code.objects.values("address", "tries", "digest").get()
        assert len(bytes(row["digest"] or b"")) == 32

    def test_a_repeated_job_sends_the_same_code(
        self, api: Api, amel: Member, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        ask(api)
        JobRow.objects.update(status="pending")
        at.forward(minutes=3)
        run_jobs("accounts.send_code")
        first, second = mailoutbox
        assert code_in(first) == code_in(second)
        assert first.extra_headers["Message-ID"] == second.extra_headers["Message-ID"]
        at.forward(minutes=7)
        assert api.post("/auth/email/verify/", {"email": EMAIL, "code": code_in(first)}).code == "invalid_code"

    def test_registering_sends_it(self, api: Api, at: Moment, mailoutbox: list[EmailMessage], phones: Phones) -> None:
        api.post("/auth/register/", form(phone_number=PHONE))
        api.post("/auth/register/", form(email=None, phone_number="+213550000001"))
        run_jobs()
        assert [mail.to for mail in mailoutbox] == [[EMAIL]]
        assert [to for to, _ in phones.texts] == ["+213550000001"]
        assert api.post("/auth/email/verify/", {"email": EMAIL, "code": code_in(mailoutbox[0])}).status == 200

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"email": EMAIL},
            {"code": "012345"},
            {"email": EMAIL, "code": "012345", "token": "x"},
            {"email": EMAIL, "code": "12345"},
            {"email": EMAIL, "code": "1234567"},
            {"email": EMAIL, "code": "١٢٣٤٥٦"},
            {"email": EMAIL, "code": 123456},
            {"email": EMAIL, "code": "012345", "is_verified": True},
        ],
    )
    def test_refuses_what_is_not_valid(self, api: Api, amel: Member, body: dict[str, Any]) -> None:
        ask(api)
        assert api.post("/auth/email/verify/", body).status == 422
        assert Code.objects.get().tries == 0


class TestPhoneVerification:
    def test_sends_a_code_that_proves_the_number(self, api: Api, amel: Member, at: Moment, phones: Phones) -> None:
        assert ask(api, "/auth/phone/verification/", phone_number="0550 12 34 56").body["channel"] == "sms"
        ((to, text),) = phones.texts
        assert to == PHONE
        assert text.endswith("est votre code Callout. Il est valable 10 minutes. Ne le donnez à personne.")
        body = {"phone_number": "0550123456", "code": text[:6]}
        assert api.post("/auth/phone/verify/", body).body == {"channel": "sms", "is_verified": True}
        assert User.objects.get(pk=amel.id).phone_verified_at == at.now


class TestPasswordReset:
    def test_sets_a_new_password_and_ends_every_session(
        self, api: Api, amel: Member, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        ask(api, "/auth/password/reset/", email=EMAIL)
        body = {"email": EMAIL, "code": code_in(mailoutbox[0]), "new_password": NEW}
        assert api.post("/auth/password/reset/confirm/", body).status == 204
        user = User.objects.get(pk=amel.id)
        assert is_password_of(user, NEW)
        assert user.email_verified_at == at.now
        assert api.as_(amel).get("/me/").code == "invalid_token"
        assert [row.data for row in EventRow.objects.filter(type="session.ended")] == [
            '{"session_id":null,"reason":"password_reset"}'
        ]
        run_jobs("accounts.send_notice")
        assert mailoutbox[-1].subject == "Votre mot de passe a été changé"
        assert api.post("/auth/password/reset/confirm/", body).code == "invalid_code"

    def test_works_by_phone(self, api: Api, amel: Member, phones: Phones) -> None:
        ask(api, "/auth/password/reset/", phone_number="0550123456")
        body = {"phone_number": PHONE, "code": phones.texts[0][1][:6], "new_password": NEW}
        assert api.post("/auth/password/reset/confirm/", body).status == 204

    def test_refuses_a_weak_password_before_a_try_is_counted(
        self, api: Api, amel: Member, mailoutbox: list[EmailMessage]
    ) -> None:
        ask(api, "/auth/password/reset/", email=EMAIL)
        body = {"email": EMAIL, "code": code_in(mailoutbox[0]), "new_password": "password1"}
        answer = api.post("/auth/password/reset/confirm/", body)
        assert (answer.status, answer.fields) == (422, {"body.new_password": "validation_failed"})
        assert Code.objects.get().tries == 0

    def test_sends_nothing_to_an_account_out_of_use(
        self, api: Api, amel: Member, mailoutbox: list[EmailMessage]
    ) -> None:
        User.objects.filter(pk=amel.id).update(is_active=False)
        assert ask(api, "/auth/password/reset/", email=EMAIL).status == 202
        assert mailoutbox == []


class TestDiscovery:
    """Nobody learns whether an account exists (A7)."""

    @pytest.mark.parametrize("by", ["email", "phone_number"])
    @pytest.mark.parametrize(
        ("path", "extra"),
        [
            ("/auth/{channel}/verification/", {}),
            ("/auth/password/reset/", {}),
            ("/auth/{channel}/verify/", {"code": "012345"}),
            ("/auth/password/reset/confirm/", {"code": "012345", "new_password": NEW}),
        ],
    )
    def test_answers_and_costs_the_same(
        self,
        api: Api,
        amel: Member,
        phones: Phones,
        limited: None,
        monkeypatch: pytest.MonkeyPatch,
        path: str,
        extra: dict[str, str],
        by: str,
    ) -> None:
        """Planted, each by e-mail and by phone: a try that is counted only where there is an account, a hash only
        there, and a request that is written only there."""
        known, unknown = (EMAIL, "none@example.org") if by == "email" else (PHONE, "+213550999999")
        channel = by.removesuffix("_number")
        for address in (known, unknown):
            ask(api, "/auth/password/reset/", **{by: address})
            ask(api, f"/auth/{channel}/verification/", **{by: address})
        # Who is there has a code, and who is not has none: else it would be no comparison.
        assert set(Code.objects.exclude(digest=None).values_list("address", flat=True)) == {known}
        hashes: list[str] = []
        original = Argon2id.encode

        def counted(self: Argon2id, password: str, salt: str) -> str:
            hashes.append("encode")
            return original(self, password, salt)

        monkeypatch.setattr(Argon2id, "encode", counted)
        seen = []
        for address in (known, unknown):
            with CaptureQueriesContext(connection) as queries:
                body = {by: address, **extra}
                answer = api.with_headers(X_Request_ID="same").post(path.format(channel=channel), body)
            statements = [" ".join(re.sub(r"'[^']*'|[^A-Za-z_ ]", "", query["sql"]).split())[:50] for query in queries]
            seen.append((answer.status, answer.body, answer.headers, statements, len(hashes)))
            hashes.clear()
        assert seen[0] == seen[1]


class TestLimits:
    """Mails and messages cannot be pumped (L7)."""

    def test_asks_five_times_a_day_for_an_address(
        self, api: Api, amel: Member, limited: None, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        statuses = []
        for _ in range(6):
            statuses.append(ask(api).status)
            at.forward(seconds=1)
        assert statuses == [202] * 5 + [429]
        refused = ask(api, "/auth/password/reset/", email="AMEL@example.org")
        assert (refused.status, refused.headers["Retry-After"]) == (429, str(86_400 - 6))
        assert len(mailoutbox) == 5
        at.forward(hours=24)
        assert [ask(api, email="none@example.org").status for _ in range(6)] == [202] * 5 + [429]

    def test_asks_ten_times_a_day_from_a_network(self, api: Api, limited: None, at: Moment) -> None:
        statuses = [ask(api, email=f"nobody{number}@example.org").status for number in range(12)]
        assert statuses == [202] * 10 + [429] * 2
        assert Code.objects.count() == 10

    def test_registering_goes_on_without_a_code(
        self, api: Api, limited: None, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        for number in range(12):
            assert api.post("/auth/register/", form(email=f"n{number}@example.org")).status == 201
        run_jobs()
        assert len(mailoutbox) == 10


class TestCode:
    def test_is_drawn_evenly_with_leading_zeros(self) -> None:
        """A5. Seen red with codes below 2**19, and with codes from 100,000 on."""
        drawn = [codes._code(uuid.uuid4()) for _ in range(10_000)]
        assert all(re.fullmatch("[0-9]{6}", code) for code in drawn)
        assert any(code.startswith("00") for code in drawn)
        for position in range(6):
            counts = Counter(code[position] for code in drawn)
            # Chi-square with nine degrees of freedom: 45 is exceeded once in a million times.
            assert sum((counts[str(digit)] - 1000) ** 2 / 1000 for digit in range(10)) < 45

    def test_purpose_is_one_of_three(self) -> None:
        assert set(CodePurpose.values) == {"verify_email", "verify_phone", "reset_password"}


class TestForgetting:
    def test_deletes_what_has_run_out(self, api: Api, amel: Member, at: Moment) -> None:
        ask(api)
        at.forward(days=1)
        run_all = ("accounts.purge",)
        JobRow.objects.create(name="accounts.purge", queue="bulk", arguments={}, request_id="", run_at=at.now)
        run_jobs(*run_all)
        assert Code.objects.count() == 1
        at.forward(days=32)
        JobRow.objects.create(name="accounts.purge", queue="bulk", arguments={}, request_id="", run_at=at.now)
        run_jobs(*run_all)
        assert (Code.objects.count(), Session.objects.count()) == (0, 0)

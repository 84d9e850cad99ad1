from collections.abc import Callable
from typing import Any

import pyotp
import pytest
from django.core.mail import EmailMessage
from pytest_django import DjangoAssertNumQueries

from backend.accounts import sessions
from backend.accounts.models import RecoveryCode, SecondFactor, Session
from backend.accounts.services import two_factor
from backend.accounts.services.passwords import hash_password
from backend.core.environment import environment
from backend.core.models import AuditRow, EventRow
from tests.backend.accounts.support import PASSWORD, everything
from tests.backend.accounts.test_sessions import ended_events, second_session
from tests.conftest import Moment
from tests.support.api import Answer, Api
from tests.support.jobs import run_jobs
from tests.support.people import Member, make_member

pytestmark = pytest.mark.django_db

Json = dict[str, Any]


@pytest.fixture
def amel(at: Moment, member: Callable[..., Member]) -> Member:
    return member("client", username="amel", email="amel@example.org", password=hash_password(PASSWORD))


@pytest.fixture
def set_up(api: Api, amel: Member, at: Moment) -> Json:
    """Two-factor is on, and the step of its set-up has passed."""
    return turned_on(api, amel, at)


def subjects(mailoutbox: list[EmailMessage]) -> list[str]:
    """Of the notices that are sent now, and of those before."""
    run_jobs("accounts.send_notice")
    return [str(mail.subject) for mail in mailoutbox]


def turned_on(api: Api, person: Member, at: Moment) -> Json:
    body: Json = api.as_(person).post("/auth/two-factor/", {}).body
    assert api.as_(person).post("/auth/two-factor/confirm/", {"otp": code(body, at)}).status == 204
    at.forward(seconds=60)
    return body


def code(body: Json, at: Moment, *, steps: int = 0) -> str:
    return pyotp.TOTP(body["secret"]).at(at.now, counter_offset=steps)


def login(api: Api, otp: str | None = None, **fields: Any) -> Answer:
    body = {"identifier": "amel", "password": PASSWORD, **fields}
    return api.post("/auth/login/", body if otp is None else {**body, "otp": otp})


def outcome(answer: Answer) -> str:
    return "in" if answer.status == 200 else answer.code


class TestBeginTwoFactor:
    def test_shows_a_secret_and_ten_recovery_codes(
        self, api: Api, amel: Member, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        # session, own row, lately?; row held, on?, what was begun and its codes go, row, codes, audit; savepoint
        with django_assert_num_queries(11):
            answer = api.as_(amel).post("/auth/two-factor/", {})
        assert answer.status == 201
        secret = answer.body["secret"]
        assert answer.body["otpauth_uri"] == f"otpauth://totp/Callout:amel%40example.org?secret={secret}&issuer=Callout"
        assert len(set(answer.body["recovery_codes"])) == 10
        assert AuditRow.objects.values_list("action", "actor_id", "changes").get() == (
            "accounts.two_factor_begun",
            amel.id,
            {},
        )

    def test_keeps_neither_secret_nor_codes_in_clear(self, api: Api, amel: Member) -> None:
        body = api.as_(amel).post("/auth/two-factor/", {}).body
        kept = bytes(SecondFactor.objects.get().sealed_secret)
        digests = [bytes(row.digest) for row in RecoveryCode.objects.all()]
        assert body["secret"].encode() not in kept
        assert not [plain for plain in body["recovery_codes"] if any(plain.encode() in digest for digest in digests)]
        assert body["secret"] not in str(everything())

    def test_guards_nothing_before_it_is_confirmed(self, api: Api, amel: Member) -> None:
        api.as_(amel).post("/auth/two-factor/", {})
        assert outcome(login(api)) == "in"

    def test_replaces_what_was_never_confirmed(self, api: Api, amel: Member, at: Moment) -> None:
        first, second = (api.as_(amel).post("/auth/two-factor/", {}).body for _ in range(2))
        assert RecoveryCode.objects.count() == 10
        assert api.as_(amel).post("/auth/two-factor/confirm/", {"otp": code(first, at)}).status == 422
        assert api.as_(amel).post("/auth/two-factor/confirm/", {"otp": code(second, at)}).status == 204

    def test_wants_the_password_of_who_signed_in_longer_ago(self, api: Api, amel: Member, at: Moment) -> None:
        at.forward(minutes=5)
        before = everything()
        for body in ({}, {"password": None}, {"password": "a wrong one"}):
            answer = api.as_(amel).post("/auth/two-factor/", body)
            assert (answer.status, answer.code) == (403, "proof_required")
        assert everything() == before
        assert SecondFactor.objects.count() == 0
        assert api.as_(amel).post("/auth/two-factor/", {"password": PASSWORD}).status == 201

    def test_refuses_who_has_it(self, api: Api, amel: Member, set_up: Json) -> None:
        before = SecondFactor.objects.values().get()
        answer = api.as_(amel).post("/auth/two-factor/", {"password": PASSWORD})
        assert (answer.status, answer.code) == (409, "two_factor_on")
        assert SecondFactor.objects.values().get() == before


class TestConfirmTwoFactor:
    def test_turns_it_on(
        self, api: Api, amel: Member, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        body = api.as_(amel).post("/auth/two-factor/", {}).body
        # session; row, code taken, on, audit, event, other sessions, notice with its event; savepoint
        with django_assert_num_queries(11):
            answer = api.as_(amel).post("/auth/two-factor/confirm/", {"otp": code(body, at)})
        assert answer.status == 204
        assert SecondFactor.objects.get().confirmed_at == at.now
        assert list(EventRow.objects.order_by("id").values_list("type", "room")) == [
            ("access.changed", f"user:{amel.id}"),
            ("account.notice", f"user:{amel.id}"),
        ]
        assert AuditRow.objects.latest("id").action == "accounts.two_factor_on"

    def test_ends_the_other_sessions_and_tells_the_owner(
        self, api: Api, amel: Member, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        """They began with a password alone. Planted: without their end."""
        other, stranger = second_session(amel, at), make_member()
        turned_on(api, amel, at)
        assert ended_events() == [(f"user:{amel.id}", {"session_id": other.pk, "reason": "two_factor_on_elsewhere"})]
        assert [api.as_(one).get("/me/").status for one in (amel, stranger)] == [200, 200]
        assert subjects(mailoutbox) == ["Two-factor sign-in was switched on"]

    def test_takes_a_code_that_signs_nobody_in(self, api: Api, amel: Member, at: Moment) -> None:
        body = api.as_(amel).post("/auth/two-factor/", {}).body
        api.as_(amel).post("/auth/two-factor/confirm/", {"otp": code(body, at)})
        assert outcome(login(api, code(body, at))) == "invalid_credentials"
        assert outcome(login(api, code(body, at, steps=1))) == "in"

    def test_refuses_a_wrong_code_and_counts_it(self, api: Api, amel: Member, at: Moment) -> None:
        body = api.as_(amel).post("/auth/two-factor/", {}).body
        for wanted in (1, 2, 3, 4, 5, 5):
            answer = api.as_(amel).post("/auth/two-factor/confirm/", {"otp": code(body, at, steps=9)})
            assert (answer.status, answer.fields) == (422, {"body.otp": "validation_failed"})
            assert SecondFactor.objects.get().failures == wanted
        assert api.as_(amel).post("/auth/two-factor/confirm/", {"otp": code(body, at)}).status == 422
        assert SecondFactor.objects.get().confirmed_at is None

    def test_takes_no_recovery_code(self, api: Api, amel: Member) -> None:
        body = api.as_(amel).post("/auth/two-factor/", {}).body
        answer = api.as_(amel).post("/auth/two-factor/confirm/", {"otp": body["recovery_codes"][0]})
        assert answer.status == 422
        assert RecoveryCode.objects.count() == 10

    def test_refuses_where_nothing_was_begun_or_all_is_done(
        self, api: Api, amel: Member, member: Callable[..., Member], set_up: Json, at: Moment
    ) -> None:
        other = api.as_(member()).post("/auth/two-factor/confirm/", {"otp": code(set_up, at)})
        again = api.as_(amel).post("/auth/two-factor/confirm/", {"otp": code(set_up, at)})
        assert [(one.status, one.code) for one in (other, again)] == [(409, "two_factor_off"), (409, "two_factor_on")]


class TestLoginWithTwoFactor:
    def test_asks_for_a_code_only_after_the_right_password(self, api: Api, set_up: Json) -> None:
        before = everything()
        assert outcome(login(api)) == "otp_required"
        assert outcome(login(api, password="a wrong one")) == "invalid_credentials"
        assert outcome(login(api, roles=["admin"])) == "invalid_credentials"
        assert login(api).headers["WWW-Authenticate"] == 'Bearer realm="callout"'
        assert everything() == before

    def test_does_not_spend_a_code_on_a_wrong_password(self, api: Api, set_up: Json, at: Moment) -> None:
        assert outcome(login(api, code(set_up, at), password="a wrong one")) == "invalid_credentials"
        assert outcome(login(api, code(set_up, at))) == "in"

    def test_takes_the_code_of_a_step_before_and_after(
        self, api: Api, set_up: Json, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for steps, wanted in (
            (-2, "invalid_credentials"),
            (-1, "in"),
            (0, "in"),
            (1, "in"),
            (3, "invalid_credentials"),
        ):
            assert outcome(login(api, code(set_up, at, steps=steps))) == wanted, steps
        at.forward(minutes=2)
        with django_assert_num_queries(10):  # as without; row held, code taken, savepoint
            assert outcome(login(api, code(set_up, at))) == "in"

    def test_takes_no_code_twice_however_late(self, api: Api, set_up: Json, at: Moment) -> None:
        used = code(set_up, at)
        assert outcome(login(api, used)) == "in"
        for seconds in (0, 1, 28, 32, 28):  # +0, +1, +29, +61, +89
            at.forward(seconds=seconds)
            assert outcome(login(api, used)) == "invalid_credentials"
        assert SecondFactor.objects.get().failures <= 2  # what was right once is no guess, until it is out of reach
        assert outcome(login(api, code(set_up, at))) == "in"

    def test_takes_no_code_older_than_the_last(self, api: Api, set_up: Json, at: Moment) -> None:
        older = code(set_up, at)
        assert outcome(login(api, code(set_up, at, steps=1))) == "in"
        assert outcome(login(api, older)) == "invalid_credentials"

    def test_waits_after_five_wrong_ones_longer_every_time(self, api: Api, set_up: Json, at: Moment) -> None:
        for _ in range(5):
            assert outcome(login(api, "000000")) == "invalid_credentials"
        assert outcome(login(api, code(set_up, at))) == "invalid_credentials"
        at.forward(minutes=14, seconds=59)
        assert outcome(login(api, code(set_up, at))) == "invalid_credentials"
        at.forward(seconds=1)
        assert outcome(login(api, "000000")) == "invalid_credentials"
        at.forward(minutes=29)
        assert outcome(login(api, code(set_up, at))) == "invalid_credentials"
        at.forward(minutes=1)
        assert outcome(login(api, code(set_up, at))) == "in"
        assert SecondFactor.objects.get().failures == 0

    def test_counts_a_wrong_one_of_whoever_began_first(self, api: Api, set_up: Json, at: Moment) -> None:
        """Two at once are judged in turn, not in the order of their clocks. Seen red with a pause before the fifth."""
        for _ in range(2):
            assert outcome(login(api, "000000")) == "invalid_credentials"
            at.forward(milliseconds=-1)
        assert SecondFactor.objects.get().failures == 2

    def test_never_shuts_the_owner_out_for_good(self, api: Api, amel: Member, set_up: Json, at: Moment) -> None:
        SecondFactor.objects.update(failures=32767, failed_at=at.now)
        assert outcome(login(api, set_up["recovery_codes"][0])) == "in"
        at.forward(days=1)
        assert outcome(login(api, code(set_up, at))) == "in"

    def test_takes_each_recovery_code_once(self, api: Api, set_up: Json) -> None:
        first, second, *_ = set_up["recovery_codes"]
        assert outcome(login(api, first)) == "in"
        assert outcome(login(api, first)) == "invalid_credentials"
        assert outcome(login(api, f" {second.upper().replace('-', ' ')} ")) == "in"
        rows = AuditRow.objects.filter(action="accounts.two_factor_recovery_code_used").order_by("id")
        assert [row.changes for row in rows] == [{"left": 9}, {"left": 8}]

    def test_tells_the_owner_of_a_recovery_code(self, api: Api, set_up: Json, mailoutbox: list[EmailMessage]) -> None:
        login(api, "wrong1-wrong2")
        login(api, set_up["recovery_codes"][0])
        assert subjects(mailoutbox) == ["Two-factor sign-in was switched on", "A recovery code was used"]
        assert "Recovery codes left: 9." in str(mailoutbox[-1].body)

    def test_keeps_another_persons_codes_out(
        self, api: Api, set_up: Json, member: Callable[..., Member], at: Moment
    ) -> None:
        theirs = turned_on(api, member(), at)
        assert outcome(login(api, code(theirs, at))) == "invalid_credentials"
        assert outcome(login(api, theirs["recovery_codes"][0])) == "invalid_credentials"

    def test_reads_no_secret_moved_from_another_row(
        self, api: Api, amel: Member, set_up: Json, member: Callable[..., Member], at: Moment
    ) -> None:
        theirs = turned_on(api, member(), at)
        moved = SecondFactor.objects.exclude(pk=amel.id).get().sealed_secret
        SecondFactor.objects.filter(pk=amel.id).update(sealed_secret=moved)
        assert outcome(login(api, code(theirs, at))) == "invalid_credentials"
        assert outcome(login(api, set_up["recovery_codes"][0])) == "in"

    def test_leaves_recovery_codes_when_the_secret_key_was_changed(
        self, api: Api, set_up: Json, at: Moment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        changed = environment().model_copy(update={"secret_key": "another secret that is long enough to be one"})
        monkeypatch.setattr(two_factor, "environment", lambda: changed)
        assert outcome(login(api, code(set_up, at))) == "invalid_credentials"
        assert outcome(login(api, set_up["recovery_codes"][0])) == "in"

    @pytest.mark.parametrize("otp", ["12345", "", "1" * 41, 123456, ["123456"]])
    def test_refuses_what_is_not_valid(self, api: Api, set_up: Json, otp: Any) -> None:
        answer = login(api, otp)
        assert (answer.status, list(answer.fields)) == (422, ["body.otp"])


class TestEndTwoFactor:
    def test_turns_it_off(self, api: Api, amel: Member, set_up: Json, at: Moment) -> None:
        me = api.as_(amel)
        answer = me._send("DELETE", "/auth/two-factor/", {"password": PASSWORD, "otp": code(set_up, at)})
        assert answer.status == 204
        assert (SecondFactor.objects.count(), RecoveryCode.objects.count()) == (0, 0)
        assert AuditRow.objects.latest("id").action == "accounts.two_factor_off"
        assert outcome(login(api)) == "in"

    def test_ends_the_other_sessions_and_tells_the_owner(
        self, api: Api, amel: Member, set_up: Json, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        other = second_session(amel, at)
        api.as_(amel)._send("DELETE", "/auth/two-factor/", {"password": PASSWORD, "otp": code(set_up, at)})
        assert ended_events() == [(f"user:{amel.id}", {"session_id": other.pk, "reason": "two_factor_off_elsewhere"})]
        assert subjects(mailoutbox)[1:] == ["Two-factor sign-in was switched off"]

    def test_wants_both_proofs(self, api: Api, amel: Member, set_up: Json, at: Moment) -> None:
        me = api.as_(amel)
        for body in (
            {"otp": code(set_up, at)},
            {"otp": code(set_up, at), "password": "a wrong one"},
            {"otp": "000000", "password": PASSWORD},
        ):
            answer = me._send("DELETE", "/auth/two-factor/", body)
            assert (answer.status, answer.code) == (403, "proof_required")
        assert me._send("DELETE", "/auth/two-factor/", {"password": PASSWORD}).fields == {"body.otp": "missing"}
        assert SecondFactor.objects.get().confirmed_at is not None
        # A wrong password has not used up the code.
        assert outcome(login(api, code(set_up, at))) == "in"

    def test_wants_a_fresh_session_of_who_has_no_password(
        self, api: Api, member: Callable[..., Member], at: Moment
    ) -> None:
        me = member()
        body = turned_on(api, me, at)
        at.forward(minutes=5)
        assert api.as_(me)._send("DELETE", "/auth/two-factor/", {"otp": code(body, at)}).code == "proof_required"
        Session.objects.filter(pk=me.session.pk).update(created_at=at.now)
        assert api.as_(me)._send("DELETE", "/auth/two-factor/", {"otp": code(body, at)}).status == 204

    def test_refuses_where_it_is_off(self, api: Api, amel: Member) -> None:
        api.as_(amel).post("/auth/two-factor/", {})
        answer = api.as_(amel)._send("DELETE", "/auth/two-factor/", {"password": PASSWORD, "otp": "000000"})
        assert (answer.status, answer.code) == (409, "two_factor_off")


class TestRenewRecoveryCodes:
    def test_replaces_them_and_tells_the_owner(
        self, api: Api, amel: Member, set_up: Json, at: Moment, mailoutbox: list[EmailMessage]
    ) -> None:
        body = {"password": PASSWORD, "otp": code(set_up, at)}
        answer = api.as_(amel).post("/auth/two-factor/recovery-codes/", body)
        assert (answer.status, list(answer.body)) == (201, ["recovery_codes"])
        new = answer.body["recovery_codes"]
        assert len(set(new)) == 10
        assert not set(new) & set(set_up["recovery_codes"])
        assert outcome(login(api, set_up["recovery_codes"][0])) == "invalid_credentials"
        assert outcome(login(api, new[0])) == "in"
        assert AuditRow.objects.filter(action="accounts.two_factor_recovery_codes_renewed", actor_id=amel.id).exists()
        assert subjects(mailoutbox)[1:] == ["Your recovery codes were renewed", "A recovery code was used"]

    def test_takes_a_recovery_code_of_who_lost_the_phone(self, api: Api, amel: Member, set_up: Json) -> None:
        body = {"password": PASSWORD, "otp": set_up["recovery_codes"][9]}
        assert api.as_(amel).post("/auth/two-factor/recovery-codes/", body).status == 201
        assert RecoveryCode.objects.count() == 10

    def test_wants_both_proofs(self, api: Api, amel: Member, set_up: Json, at: Moment) -> None:
        before = everything(), list(RecoveryCode.objects.order_by("id").values())
        for body in (
            {"otp": code(set_up, at)},
            {"otp": code(set_up, at), "password": "a wrong one"},
            {"otp": "000000", "password": PASSWORD},
        ):
            assert api.as_(amel).post("/auth/two-factor/recovery-codes/", body).code == "proof_required"
        assert (everything(), list(RecoveryCode.objects.order_by("id").values())) == before

    def test_refuses_where_it_is_off(self, api: Api, amel: Member) -> None:
        answer = api.as_(amel).post("/auth/two-factor/recovery-codes/", {"password": PASSWORD, "otp": "000000"})
        assert (answer.status, answer.code) == (409, "two_factor_off")


class TestPasswordsTried:
    """A stolen token does not serve for guessing the password (A6, A10). Planted: a check that counted nothing."""

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/auth/two-factor/"),
            ("DELETE", "/auth/two-factor/"),
            ("POST", "/auth/two-factor/recovery-codes/"),
        ],
    )
    def test_are_counted_and_made_to_wait(
        self,
        api: Api,
        amel: Member,
        at: Moment,
        monkeypatch: pytest.MonkeyPatch,
        method: str,
        path: str,
    ) -> None:
        limited = environment().model_copy(update={"rate_limits": True})
        monkeypatch.setattr("backend.accounts.services.delays.environment", lambda: limited)
        begins = path == "/auth/two-factor/" and method == "POST"
        more = {} if begins else {"otp": code(turned_on(api, amel, at), at)}
        at.forward(minutes=5)
        tries = [api.as_(amel)._send(method, path, {"password": "wrong", **more}) for _ in range(6)]
        assert [answer.status for answer in tries] == [403] * 5 + [429]
        refused = api.as_(amel)._send(method, path, {"password": PASSWORD, **more})
        assert (refused.status, refused.headers["Retry-After"]) == (429, "30")


class TestManagersWhereTwoFactorIsRequired:
    @pytest.fixture(autouse=True)
    def required(self, monkeypatch: pytest.MonkeyPatch) -> None:
        on = environment().model_copy(update={"require_two_factor_for_managers": True})
        monkeypatch.setattr(sessions, "environment", lambda: on)

    @pytest.mark.parametrize("role", ["manager", "admin"])
    def test_their_roles_sleep_until_it_is_on(
        self, api: Api, member: Callable[..., Member], at: Moment, role: str
    ) -> None:
        me = member(role, "client", password=hash_password(PASSWORD), username="amel")
        mine = api.as_(me)
        assert outcome(login(api)) == "in"
        refused = mine.post("/tariffs/", {})
        assert (refused.status, refused.code) == (403, "forbidden")
        body = turned_on(api, me, at)
        assert mine.post("/tariffs/", {}).status == 422
        assert mine._send("DELETE", "/auth/two-factor/", {"password": PASSWORD, "otp": code(body, at)}).status == 204
        assert mine.post("/tariffs/", {}).status == 403

    def test_so_they_do_for_sockets(self, member: Callable[..., Member], at: Moment, api: Api) -> None:
        people = [member("manager"), member("manager", "crew"), member("client")]
        pairs = [(person.session.pk, person.id) for person in people]
        actors = sessions.Sessions().actors_of(pairs)
        roles = [actors[session_id].roles for session_id, _ in pairs]
        assert roles == [frozenset(), {"crew"}, {"client"}]
        turned_on(api, people[0], at)
        assert sessions.Sessions().actors_of(pairs)[people[0].session.pk].roles == {"manager"}

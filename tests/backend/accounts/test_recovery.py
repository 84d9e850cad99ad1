"""Strangers cannot keep the owner out of recovery, and guess no more for it (A5, A6)."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from django.core.mail import EmailMessage
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.accounts.models import Code, CodePurpose, Session, User
from backend.accounts.services import codes
from backend.accounts.services.passwords import hash_password
from backend.core.environment import environment
from backend.core.errors import RateLimited
from backend.core.request_context import caused_by
from tests.backend.accounts.strangers import from_address
from tests.backend.accounts.support import PASSWORD
from tests.backend.accounts.test_codes import NEW, ask, code_in, wrong
from tests.conftest import Moment
from tests.support.api import Answer, Api
from tests.support.people import Member

pytestmark = pytest.mark.django_db

MakeMember = Callable[..., Member]
EMAIL = "amel@example.org"
RESET = "/auth/password/reset/"
HERE, PHONE = "198.51.100.5", "Phone/1"


@pytest.fixture(autouse=True)
def _limited(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = environment().model_copy(update={"rate_limits": True})
    for module in ("codes", "delays"):
        monkeypatch.setattr(f"backend.accounts.services.{module}.environment", lambda: changed)


@pytest.fixture
def amel(at: Moment, member: MakeMember) -> Member:
    """Signed in on a phone; the address is proved."""
    amel = member(email=EMAIL, email_verified_at=at.now, password=hash_password(PASSWORD))
    Session.objects.filter(user=amel.user).update(agent=PHONE, client_address=HERE)
    return amel


@pytest.fixture
def phone(api: Api) -> Api:
    return from_address(HERE).with_headers(User_Agent=PHONE)


def confirm(api: Api, code: str) -> Answer:
    return api.post("/auth/password/reset/confirm/", {"email": EMAIL, "code": code, "new_password": NEW})


def guess(now: datetime, *, address: str, code: str, agent: str = PHONE) -> User | None:
    with caused_by("test", client_address=address):
        return codes.redeem(purpose=CodePurpose.RESET_PASSWORD, address=EMAIL, code=code, agent=agent, now=now)


def spend_everything(at: Moment) -> list[bool]:
    """What strangers can: all requests, and all tries of the codes, from many networks and from the owner's."""
    asked = []
    for turn in range(6):
        address = HERE if turn % 2 else f"203.0.113.{turn}"
        with caused_by("test", client_address=address), suppress(RateLimited):
            codes.ask(purpose=CodePurpose.RESET_PASSWORD, address=EMAIL, now=at.now)
        row = Code.objects.filter(lane="").order_by("-created_at")[0]
        asked.append(row.created_at == at.now)
        if asked[-1]:
            codes.prepare(code_id=row.pk, key="k", now=at.now)
        for _ in range(5):
            assert guess(at.now, address=address, code=wrong(codes._code(row.pk)), agent="Stranger/1") is None
        at.forward(seconds=1)
    return asked


class TestStrangers:
    @pytest.mark.parametrize("first", ["strangers", "owner"])
    def test_do_not_keep_out_who_comes_on_a_known_device(
        self, phone: Api, amel: Member, at: Moment, mailoutbox: list[EmailMessage], first: str
    ) -> None:
        """Seen red with one lane for all: requests, tries of an account, tries of a code, and who asked last."""
        if first == "owner":
            assert ask(phone, RESET, email=EMAIL).status == 202
            mine = code_in(mailoutbox[-1])
            at.forward(seconds=1)
        assert spend_everything(at) == [True] * 5 + [False]
        assert sum(Code.objects.values_list("tries", flat=True)) == codes.TRIES_A_DAY
        elsewhere = from_address("203.0.113.99").with_headers(User_Agent=PHONE)
        assert ask(elsewhere, RESET, email=EMAIL).status == 429
        if first == "strangers":
            assert ask(phone, RESET, email="AMEL@example.org").status == 202
            mine = code_in(mailoutbox[-1])
        assert confirm(elsewhere, mine).code == "invalid_code"
        assert confirm(phone, mine).status == 204
        assert confirm(phone, mine).code == "invalid_code"

    def test_have_no_more_by_registering_with_the_address(
        self, api: Api, at: Moment, member: MakeMember, mailoutbox: list[EmailMessage]
    ) -> None:
        """Seen red when the account's device was enough, and when an address proved by somebody else was."""
        for proved in ({}, {"email_verified_at": at.now, "email_proved_apart": True}):
            Code.objects.all().delete()
            User.objects.filter(email=EMAIL).update(email=None, phone_number="+213550000001")
            theirs = member(email=EMAIL, **proved)
            Session.objects.filter(user=theirs.user).update(client_address="127.0.0.1")
            devices = [from_address("203.0.113.7")] * 5 + [api.with_headers(User_Agent="tests")]
            assert [ask(device, RESET, email=EMAIL).status for device in devices] == [202] * 5 + [429]

    def test_learn_nothing_from_what_it_costs(self, amel: Member, at: Moment) -> None:
        """A7, for a proved address, too. Seen red when nothing more was asked where no account has proved it."""
        seen = []
        purpose = CodePurpose.RESET_PASSWORD
        for address in (EMAIL, "none@example.org"):
            with CaptureQueriesContext(connection) as queries, caused_by("test", client_address="203.0.113.7"):
                codes.ask(purpose=purpose, address=address, agent="Stranger/1", now=at.now)
                assert codes.redeem(purpose=purpose, address=address, code="000000", now=at.now) is None
            seen.append([re.sub(r"'[^']*'|[^A-Za-z_]", "", query["sql"])[:200] for query in queries])
        assert seen[0] == seen[1]

    def test_have_no_more_from_a_device_of_their_own_account(
        self, phone: Api, amel: Member, member: MakeMember
    ) -> None:
        Session.objects.filter(user=member().user).update(agent="Stranger/1", client_address=HERE)
        devices = [from_address("203.0.113.7")] * 5 + [phone.with_headers(User_Agent="Stranger/1")]
        assert [ask(device, RESET, email=EMAIL).status for device in devices] == [202] * 5 + [429]

    def test_leave_a_code_that_was_asked_for_on_the_phone_to_other_devices_while_they_are_quiet(
        self, phone: Api, amel: Member, mailoutbox: list[EmailMessage]
    ) -> None:
        """Whoever leaves the house has another address by then."""
        ask(phone, RESET, email=EMAIL)
        assert confirm(from_address("203.0.113.7"), code_in(mailoutbox[0])).status == 204


class TestGuesses:
    """A5. Seen red with tries of strangers and owners in one count, with two counts and no limit for the owner's, and
    with a comparison with two codes that was one try."""

    def test_are_forty_a_day_in_all(self, amel: Member, at: Moment) -> None:
        day, judged = at.now, {"stranger": 0, "owner": 0}
        # An odd number is left, and each guess below is compared with two codes.
        Code.objects.create(
            purpose=CodePurpose.VERIFY_EMAIL, address=EMAIL, user=amel.user, tries=1, owner_tries=1, created_at=day
        )
        for turn in range(14):
            at.forward(minutes=11)
            for lane in ("", codes.OWNER):
                row = Code(purpose=CodePurpose.RESET_PASSWORD, address=EMAIL, lane=lane, asked_from="", user=amel.user)
                row.digest, row.created_at, row.expires_at = b"x" * 32, at.now, at.now + timedelta(minutes=10)
                row.save()
            for address in ("203.0.113.7", HERE)[turn % 2 :]:
                for _ in range(2):
                    assert guess(at.now, address=address, code="000000") is None
        assert at.now - day < timedelta(days=1)
        for row in Code.objects.all():
            judged["stranger"] += row.tries
            judged["owner"] += row.owner_tries
        assert judged == {"stranger": codes.TRIES_A_DAY, "owner": codes.TRIES_A_DAY}

    def test_are_five_of_a_code_by_the_owner_too(
        self, phone: Api, amel: Member, mailoutbox: list[EmailMessage]
    ) -> None:
        ask(phone, RESET, email=EMAIL)
        code = code_in(mailoutbox[0])
        assert [confirm(phone, wrong(code)).status for _ in range(5)] == [422] * 5
        assert confirm(phone, code).code == "invalid_code"
        assert Code.objects.values_list("tries", "owner_tries").get() == (0, 5)

    def test_of_owners_ask_five_times_a_day(self, phone: Api, amel: Member, at: Moment) -> None:
        statuses = []
        for _ in range(6):
            statuses.append(ask(phone, RESET, email=EMAIL).status)
            at.forward(seconds=1)
        assert statuses == [202] * 5 + [429]
        assert ask(from_address("203.0.113.7"), RESET, email=EMAIL).status == 202

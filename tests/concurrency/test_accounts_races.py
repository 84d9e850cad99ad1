"""Real connections racing for what only one may have."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any, TypeVar

import pyotp
import pytest
from django.db import connection, transaction
from pytest_django import DjangoDbBlocker

from backend.accounts import public
from backend.accounts.errors import EmailTaken
from backend.accounts.models import (
    Code,
    ExternalIdentity,
    Invitation,
    RecoveryCode,
    RefreshToken,
    SecondFactor,
    Session,
    SignInDelay,
    User,
)
from backend.accounts.services import codes, openid, roles, verification
from backend.accounts.services.openid_tokens import Claims
from backend.accounts.services.passwords import hash_password
from backend.core import clock
from backend.core.environment import OpenIdProvider, environment
from backend.core.errors import NotFound
from backend.core.models import EventRow
from tests.backend.accounts.support import PASSWORD, form
from tests.concurrency.rivals import all_at_once, committed, in_background, until_somebody_waits
from tests.support.api import Answer, Api
from tests.support.people import Member, make_member

T = TypeVar("T")

ROUNDS = 10
AT_ONCE = 20


@pytest.fixture(autouse=True)
def nobody_is_left(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The people who are made are deleted again, since here everything is committed."""
    with committed(django_db_blocker):
        known = set(User.objects.values_list("pk", flat=True))
        yield
        Code.objects.all().delete()
        SignInDelay.objects.all().delete()
        User.objects.exclude(pk__in=known).delete()


def crowd(act: Callable[[int], T]) -> list[T]:
    """Do it in so many threads, let go at the same moment: more than connections, so some wait for the pool."""
    barrier = Barrier(AT_ONCE)

    def run(number: int) -> T:
        try:
            barrier.wait(timeout=10)
            return act(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(run, range(AT_ONCE)))


def refresh(token: str, *, agent: str) -> Answer:
    return Api().with_headers(User_Agent=agent).post("/auth/token/refresh/", {"refresh": token})


def sign_up(number: int) -> dict[str, Any]:
    answer = Api().with_headers(User_Agent="Phone/1").post("/auth/register/", form(email=f"r{number}@example.org"))
    assert answer.status == 201
    body: dict[str, Any] = answer.body
    return body


class TestRefresh:
    """Seen red with the bug planted: look first whether there is a successor, and insert it then."""

    def test_gives_one_successor_to_twenty_calls_of_one_device(self) -> None:
        for number in range(ROUNDS):
            token = sign_up(number)["refresh"]
            answers = crowd(lambda _, token=token: refresh(token, agent="Phone/1"))  # type: ignore[misc]
            assert Counter(answer.status for answer in answers) == {200: AT_ONCE}
            assert len({answer.body["refresh"] for answer in answers}) == 1
            session = Session.objects.get(user__email=f"r{number}@example.org")
            assert session.ended_at is None
            assert RefreshToken.objects.filter(session=session).count() == 2

    def test_ends_the_session_once_when_two_devices_race(self) -> None:
        for number in range(ROUNDS):
            token = sign_up(number)["refresh"]
            answers = crowd(lambda index, token=token: refresh(token, agent=f"Phone/{index}"))  # type: ignore[misc]
            assert sum(answer.status == 200 for answer in answers) == 1
            assert sum(answer.status == 401 for answer in answers) == AT_ONCE - 1
            session = Session.objects.get(user__email=f"r{number}@example.org")
            assert session.end_reason == "refresh_reused"
            assert EventRow.objects.filter(type="session.ended", room=f"user:{session.user_id}").count() == 1
            assert RefreshToken.objects.filter(session=session).count() == 2


class TestRegister:
    @pytest.mark.parametrize(
        ("fields", "code"),
        [
            ({"email": "same@example.org"}, "email_taken"),
            ({"phone_number": "+213550123456"}, "phone_taken"),
            ({"username": "same-name"}, "username_taken"),
        ],
    )
    def test_gives_what_is_unique_to_one_of_many(self, fields: dict[str, str], code: str) -> None:
        def register(number: int) -> Answer:
            return Api().post("/auth/register/", form(**{"email": f"u{number}@example.org", **fields}))

        answers = crowd(register)
        assert Counter(answer.status for answer in answers) == {201: 1, 409: AT_ONCE - 1}
        assert {answer.code for answer in answers if answer.status == 409} == {code}
        assert User.objects.filter(**fields).count() == 1

    def test_makes_a_username_for_each_of_many_of_one_name(self) -> None:
        answers = crowd(lambda number: Api().post("/auth/register/", form(email=f"n{number}@example.org")))
        assert {answer.status for answer in answers} == {201}
        assert len({answer.body["user"]["username"] for answer in answers}) == AT_ONCE


class TestProfile:
    def test_takes_each_version_once(self) -> None:
        me: Member = make_member()
        mine = Api().as_(me).with_headers(If_Match='"1"')
        answers = crowd(lambda number: mine.patch("/me/", {"city": f"City {number}"}))
        assert Counter(answer.status for answer in answers) == {200: 1, 412: AT_ONCE - 1}
        assert User.objects.get(pk=me.id).version == 2

    def test_gives_a_role_once(self) -> None:
        me = make_member()
        answers = crowd(lambda _: Api().as_(me).post("/me/roles/", {"role": "crew"}))
        assert Counter(answer.status for answer in answers) == {201: 1, 409: AT_ONCE - 1}
        assert EventRow.objects.filter(type="access.changed", room=f"user:{me.id}").count() == 1


class TestPendingContacts:
    def test_become_one_accounts_when_two_confirm_one_address_at_once(self) -> None:
        """By code and by link. Seen red, as a 500, without the savepoint in which the constraint decides."""
        for number in range(4):
            address, now = f"both{number}@example.org", clock.now()
            calls: list[Callable[[], User]] = []
            pair = [make_member(), make_member()]
            for person in pair:
                User.objects.filter(pk=person.id).update(pending_email=address, pending_since=now)
                with transaction.atomic():
                    codes.ask_for_change(user=person.user, address=address, now=now)
                    row = Code.objects.get(user=person.user)
                    assert codes.prepare(code_id=row.pk, key="k", now=now) is not None
                token, code = codes._token(row.pk), codes._code(row.pk)
                by_link = partial(verification.verify_by_link, token=token, now=now)
                by_code = partial(verification.verify, address=address, code=code, now=now)
                calls.append(by_link if (number >> len(calls)) % 2 else by_code)
            before = {user.pk: user for user in User.objects.filter(pk__in=[person.id for person in pair])}
            outcomes = all_at_once(calls)
            (loser,) = (one for one, what in zip(pair, outcomes, strict=True) if isinstance(what, EmailTaken))
            (winner,) = (one for one, what in zip(pair, outcomes, strict=True) if isinstance(what, User))
            assert User.objects.get(pk=winner.id).email == address
            kept = User.objects.get(pk=loser.id)
            assert (kept.email, kept.pending_email, kept.version) == (
                before[loser.id].email, address, before[loser.id].version,
            )  # fmt: skip
            assert not Code.objects.filter(user=loser.user).exclude(used_at=None).exists()


class TestDeactivation:
    def test_waits_for_whoever_opens_something_for_the_person(self) -> None:
        manager, me = make_member("manager"), make_member()
        with transaction.atomic():
            public.hold_active([me.id])
            deactivated = in_background(
                lambda: roles.deactivate_user(actor=manager.actor, user_id=me.id, now=clock.now())
            )
            until_somebody_waits()
            assert User.objects.get(pk=me.id).is_active
        assert isinstance(deactivated(), User)
        assert not User.objects.get(pk=me.id).is_active

    def test_lets_nothing_be_opened_after_it(self) -> None:
        manager, me = make_member("manager"), make_member()
        with transaction.atomic():
            roles.deactivate_user(actor=manager.actor, user_id=me.id, now=clock.now())
            held = in_background(lambda: public.hold_active([me.id]))
            until_somebody_waits()
        assert isinstance(held(), NotFound)

    def test_leaves_no_session_to_who_signs_in_meanwhile(self) -> None:
        manager = make_member("manager")
        me = User.objects.get(pk=sign_up(0)["user"]["id"])
        with transaction.atomic():
            roles.deactivate_user(actor=manager.actor, user_id=me.pk, now=clock.now())
            signed_in = in_background(
                lambda: Api().post("/auth/login/", {"identifier": "r0@example.org", "password": PASSWORD})
            )
            until_somebody_waits()
        answer = signed_in()
        assert isinstance(answer, Answer)
        assert answer.code == "invalid_credentials"
        assert not Session.objects.filter(user=me, ended_at=None).exists()


class TestTwoFactor:
    @pytest.fixture
    def factor(self) -> tuple[Member, dict[str, Any]]:
        person = make_member("client", username="racer", password=hash_password(PASSWORD))
        body = Api().as_(person).post("/auth/two-factor/", {}).body
        SecondFactor.objects.update(confirmed_at=clock.now())
        return person, body

    def test_lets_one_of_twenty_in_with_the_same_code(self, factor: tuple[Member, dict[str, Any]]) -> None:
        person, body = factor
        for otp in (pyotp.TOTP(body["secret"]).now(), body["recovery_codes"][0]):
            asked = {"identifier": "racer", "password": PASSWORD, "otp": otp}
            answers = crowd(lambda _, asked=asked: Api().post("/auth/login/", asked))  # type: ignore[misc]
            assert Counter(answer.status for answer in answers) == {200: 1, 401: AT_ONCE - 1}
        assert Session.objects.filter(user_id=person.id).count() == 3
        assert RecoveryCode.objects.count() == 9

    def test_judges_five_of_twenty_wrong_codes(self, factor: tuple[Member, dict[str, Any]]) -> None:
        asked = {"identifier": "racer", "password": PASSWORD, "otp": "000000"}
        answers = crowd(lambda _: Api().post("/auth/login/", asked))
        assert Counter(answer.code for answer in answers) == {"invalid_credentials": AT_ONCE}
        assert SecondFactor.objects.get().failures == 5


class TestInvitations:
    def test_make_one_manager_of_twenty_who_show_the_token(self) -> None:
        admin = make_member("admin")
        try:
            token = Api().as_(admin).post("/admin/invitations/", {}).body["token"]
            answers = crowd(
                lambda number: Api().post("/auth/register/", form(email=f"m{number}@example.org", invitation=token))
            )
            assert Counter(answer.status for answer in answers) == {201: 1, 422: AT_ONCE - 1}
            assert User.objects.filter(roles__contains=["manager"]).count() == 1
            assert not User.objects.filter(email__startswith="m", roles=["client"]).exists()
        finally:
            Invitation.objects.all().delete()


class TestOpenId:
    def test_makes_one_account_for_twenty_first_sign_ins(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The token itself is checked elsewhere: here it says at once whose it is."""
        claims = Claims(issuer="https://id.example", subject="1", email="first@example.org", name="First")
        provider = OpenIdProvider(issuers=("x",), client_ids=("x",), jwks_url="https://id.example/keys")
        settings = environment().model_copy(update={"openid_providers": {"google": provider}})
        monkeypatch.setattr(openid, "environment", lambda: settings)
        monkeypatch.setattr(openid, "verify", lambda **_: claims)
        answers = crowd(lambda _: Api().post("/auth/login/google/", {"token": "x"}))
        assert Counter(answer.status for answer in answers) == {200: AT_ONCE}
        assert len({answer.body["user"]["id"] for answer in answers}) == 1
        assert ExternalIdentity.objects.filter(subject="1").count() == 1

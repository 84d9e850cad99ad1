"""Real connections racing for what only one may have."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from backend.accounts.models import RefreshToken, Session, User
from backend.core.models import EventRow
from tests.backend.accounts.support import form
from tests.support.api import Answer, Api
from tests.support.people import Member, make_member

T = TypeVar("T")

ROUNDS = 10
AT_ONCE = 20


@pytest.fixture(autouse=True)
def committed(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Lets every thread commit for real; the people who were made are deleted again."""
    with django_db_blocker.unblock():
        known = set(User.objects.values_list("pk", flat=True))
        yield
        User.objects.exclude(pk__in=known).delete()
        connection.close()


def at_once(act: Callable[[int], T], times: int = AT_ONCE) -> list[T]:
    """Do it in so many threads, all let go at the same moment, each with a connection of its own."""
    barrier = Barrier(times)

    def run(number: int) -> T:
        try:
            barrier.wait(timeout=10)
            return act(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(run, range(times)))


def refresh(token: str, *, agent: str) -> Answer:
    return Api().with_headers(User_Agent=agent).post("/auth/token/refresh/", {"refresh": token})


def sign_up(number: int) -> dict[str, str]:
    answer = Api().with_headers(User_Agent="Phone/1").post("/auth/register/", form(email=f"r{number}@example.org"))
    assert answer.status == 201
    tokens: dict[str, str] = answer.body
    return tokens


class TestRefresh:
    def test_gives_one_successor_to_twenty_calls_of_one_device(self) -> None:
        for number in range(ROUNDS):
            token = sign_up(number)["refresh"]
            answers = at_once(lambda _, token=token: refresh(token, agent="Phone/1"))  # type: ignore[misc]
            assert Counter(answer.status for answer in answers) == {200: AT_ONCE}
            assert len({answer.body["refresh"] for answer in answers}) == 1
            session = Session.objects.get(user__email=f"r{number}@example.org")
            assert session.ended_at is None
            assert RefreshToken.objects.filter(session=session).count() == 2

    def test_ends_the_session_once_when_two_devices_race(self) -> None:
        for number in range(ROUNDS):
            token = sign_up(number)["refresh"]
            answers = at_once(lambda index, token=token: refresh(token, agent=f"Phone/{index}"))  # type: ignore[misc]
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

        answers = at_once(register, times=8)
        assert Counter(answer.status for answer in answers) == {201: 1, 409: 7}
        assert {answer.code for answer in answers if answer.status == 409} == {code}
        assert User.objects.filter(**fields).count() == 1

    def test_makes_a_username_for_each_of_many_of_one_name(self) -> None:
        answers = at_once(lambda number: Api().post("/auth/register/", form(email=f"n{number}@example.org")), times=8)
        assert {answer.status for answer in answers} == {201}
        assert len({answer.body["user"]["username"] for answer in answers}) == 8


class TestProfile:
    def test_takes_each_version_once(self) -> None:
        me: Member = make_member()
        mine = Api().as_(me).with_headers(If_Match='"1"')
        answers = at_once(lambda number: mine.patch("/me/", {"city": f"City {number}"}), times=8)
        assert Counter(answer.status for answer in answers) == {200: 1, 412: 7}
        assert User.objects.get(pk=me.id).version == 2

    def test_gives_a_role_once(self) -> None:
        me = make_member()
        answers = at_once(lambda _: Api().as_(me).post("/me/roles/", {"role": "crew"}), times=8)
        assert Counter(answer.status for answer in answers) == {201: 1, 409: 7}
        assert EventRow.objects.filter(type="access.changed", room=f"user:{me.id}").count() == 1

"""One's own profile by the fast lane: what the ordinary way answers, for everyone who is signed in."""

from collections.abc import Callable
from datetime import timedelta
from typing import NoReturn

import pytest
from django.db import OperationalError
from pytest_django import DjangoAssertNumQueries

from backend.config.wsgi import application
from backend.core import clock
from tests.conftest import Moment
from tests.support.fast_lane import ask, took_the_lane
from tests.support.people import Member

pytestmark = pytest.mark.django_db

MakeMember = Callable[..., Member]


class TestReadMe:
    def test_shows_what_the_ordinary_way_shows(self, at: Moment, member: MakeMember) -> None:
        """Red with the roles in another order than the row's, and with the location left out of where it belongs."""
        for one in (
            member(),
            member("contractor", "client", "assistant", phone_number="+213550123456", is_verified=True),
            member("manager", lat=36.7, lng=-3.0, bio='"Ωμέγα" <b>\u202e\\</b>', city="Oran", country="DZ"),
            member(email=None, phone_number="+213550123457", photo="photos/one", time_zone="Asia/Kolkata"),
        ):
            assert took_the_lane("/me/", one)

    def test_whoever_is_not_signed_in_goes_the_ordinary_way(self, at: Moment, member: MakeMember) -> None:
        """Red with the condition on the session's end, its expiry or the person's activity left out."""
        assert not took_the_lane("/me/", None)
        ended, expired, inactive = member(), member(), member()
        type(ended.session).objects.filter(pk=ended.session.pk).update(ended_at=at.now)
        type(ended.session).objects.filter(pk=expired.session.pk).update(expires_at=at.now - timedelta(seconds=1))
        type(ended.user).objects.filter(pk=inactive.id).update(is_active=False)
        for one in (ended, expired, inactive):
            assert not took_the_lane("/me/", one)

    def test_a_query_goes_the_ordinary_way(self, at: Moment, member: MakeMember) -> None:
        assert not took_the_lane("/me/", member(), "fields=name")

    def test_a_clock_that_cannot_be_asked_goes_the_ordinary_way(
        self, at: Moment, member: MakeMember, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """O3. Seen red: where the clock may be moved, a restart of PostgreSQL answered with a 500."""
        me = member()

        def away() -> NoReturn:
            raise OperationalError("the connection is closed")

        monkeypatch.setattr(clock, "now", away)
        assert ask(application, "/me/", me)[0].startswith("503")

    def test_is_one_statement(
        self, at: Moment, member: MakeMember, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        me = member()
        with django_assert_num_queries(1):
            ask(application, "/me/", me)

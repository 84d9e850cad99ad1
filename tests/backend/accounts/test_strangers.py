"""Nobody learns from signing in who has an account (A7), and messages cannot be pumped (L7)."""

import re
from collections.abc import Callable
from typing import Any

import pyotp
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from backend.accounts.services.passwords import hash_password
from backend.core.environment import environment
from backend.core.passwords import Argon2id
from tests.backend.accounts.strangers import Provider, pump
from tests.backend.accounts.support import PASSWORD
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.people import Member

pytestmark = pytest.mark.django_db

MakeMember = Callable[..., Member]
PER_DAY, PER_PREFIX = 36, 24


@pytest.fixture
def every_limit_on(limits_on: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in production, with small budgets."""
    changed = environment().model_copy(
        update={"rate_limits": True, "sms_per_day": PER_DAY, "sms_per_prefix_per_day": PER_PREFIX}
    )
    for module in ("core.sms", "accounts.services.codes", "accounts.services.delays"):
        monkeypatch.setattr(f"backend.{module}.environment", lambda: changed)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    provider = Provider()
    monkeypatch.setattr("backend.core.sms.sender", lambda: provider)
    return provider


class TestSignIn:
    @pytest.mark.parametrize("kind", ["plain", "without a password", "with two-factor", "out of use"])
    def test_answers_and_costs_the_same_for_who_is_there_and_who_is_not(
        self,
        api: Api,
        member: MakeMember,
        at: Moment,
        every_limit_on: None,
        monkeypatch: pytest.MonkeyPatch,
        kind: str,
    ) -> None:
        """The same number of hashes and queries, to the byte the same answer, by address, number and name. Planted: no
        hash for who is not there, or whose identifier is a number; a code asked for before the password."""
        me = member(
            email="there@example.org",
            phone_number="+213550123456",
            username="there",
            password="!" if kind == "without a password" else hash_password(PASSWORD),
            is_active=kind != "out of use",
        )
        if kind == "with two-factor":
            secret = api.as_(me).post("/auth/two-factor/", {"password": PASSWORD}).body["secret"]
            confirmed = api.as_(me).post("/auth/two-factor/confirm/", {"otp": pyotp.TOTP(secret).at(at.now)})
            assert confirmed.status == 204
        hashes = 0
        original: Callable[..., bool] = Argon2id.verify

        def counted(self: Argon2id, password: str, encoded: str) -> bool:
            nonlocal hashes
            hashes += 1
            return original(self, password, encoded)

        monkeypatch.setattr(Argon2id, "verify", counted)
        seen: list[tuple[Any, ...]] = []
        identifiers = ("there@example.org", "+213550123456", "there")
        for identifier in (*identifiers, "other@example.org", "+213550999999", "other"):
            hashes = 0
            with CaptureQueriesContext(connection) as queries:
                asked = {"identifier": identifier, "password": "a wrong one"}
                answer = api.with_headers(X_Request_ID="same").post("/auth/login/", asked)
            shapes = [re.sub(r"'[^']*'|[0-9]+", "", query["sql"])[:200] for query in queries]
            headers = {name: value for name, value in answer.headers.items() if not name.startswith("RateLimit")}
            seen.append((answer.status, answer.body, headers, hashes, shapes))
        assert seen == [seen[0]] * 6
        assert seen[0][0] == 401
        assert seen[0][3] == 1


NUMBERS = {prefix: [f"{prefix}{number:05}" for number in range(30)] for prefix in ("+2135501", "+336701")}
MANY_NETWORKS = [f"198.51.{block}.{host}" for block in range(2) for host in range(1, 101)]
ONE_NETWORK = [f"2001:db8::{host:x}" for host in range(1, 5)]


class TestPumping:
    """Whoever asks, however often. Planted, each seen: no budget for a country, none for all, no limit for a number,
    none for a network, networks of IPv6 counted by address."""

    @pytest.mark.parametrize(
        ("numbers", "addresses", "requests", "messages"),
        [
            (NUMBERS["+336701"][:4], MANY_NETWORKS, 60, 4 * 5),
            (NUMBERS["+336701"], [*ONE_NETWORK, "198.51.100.1"], 80, 2 * 10),
            (NUMBERS["+336701"], MANY_NETWORKS, 40, PER_PREFIX),
            (NUMBERS["+336701"] + NUMBERS["+2135501"], MANY_NETWORKS, 80, PER_DAY),
        ],
        ids=["a few numbers", "from two networks", "of one country", "of two countries"],
    )
    def test_messages_sends_as_many_as_may_be_and_no_more(
        self,
        member: MakeMember,
        at: Moment,
        every_limit_on: None,
        provider: Provider,
        numbers: list[str],
        addresses: list[str],
        requests: int,
        messages: int,
    ) -> None:
        for number in numbers:
            member(phone_number=number)
        statuses = pump(
            requests=requests, numbers=numbers, addresses=addresses, seed=7, wait=lambda: at.forward(seconds=1)
        )
        assert set(statuses) <= {202, 429}
        assert sum(provider.sent.values()) == messages
        assert max(provider.sent.values()) <= 5

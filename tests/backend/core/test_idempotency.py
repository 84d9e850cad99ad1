"""Repeated requests, on an operation that creates something: asking for a quote."""

from collections.abc import Callable
from typing import Any

import pytest

from backend.core import idempotency
from backend.core.models import IdempotentAnswer
from backend.dispatch import public as dispatch
from backend.dispatch.models import Quote
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.people import Member

BODY = {"service_type": "towing", "pickup": {"lat": 36.75, "lng": 3.05}, "dropoff": {"lat": 36.7, "lng": 3.1}}
PATH = "/assistance/quote/"


@pytest.fixture
def anna(at: Moment, member: Callable[..., Member]) -> Member:
    dispatch.ensure_demo_tariffs(now=at.now)
    return member()


@pytest.fixture
def keyed(api: Api, anna: Member) -> Api:
    return api.as_(anna).with_headers(Idempotency_Key="k-1")


class TestIdempotencyKey:
    def test_the_same_request_has_one_effect_and_gets_the_first_answer_again(self, keyed: Api) -> None:
        first, second = keyed.post(PATH, BODY), keyed.post(PATH, BODY)
        assert (first.status, second.status) == (201, 201)
        assert second.body == first.body
        assert second.headers["Idempotent-Replayed"] == "true"
        assert "Idempotent-Replayed" not in first.headers
        assert Quote.objects.count() == 1

    def test_without_a_key_every_request_counts(self, api: Api, anna: Member) -> None:
        assert {api.as_(anna).post(PATH, BODY).status for _ in range(2)} == {201}
        assert (Quote.objects.count(), IdempotentAnswer.objects.count()) == (2, 0)

    def test_another_body_under_the_same_key_is_refused(self, keyed: Api) -> None:
        keyed.post(PATH, BODY)
        other = keyed.post(PATH, {**BODY, "vehicle_class": "heavy"})
        assert (other.status, other.code) == (422, "idempotency_key_reused")
        assert Quote.objects.count() == 1

    def test_a_key_is_its_owner_s_and_its_operation_s_alone(
        self, keyed: Api, api: Api, member: Callable[..., Member]
    ) -> None:
        other = api.as_(member()).with_headers(Idempotency_Key="k-1")
        assert [keyed.post(PATH, BODY).status, other.post(PATH, BODY).status] == [201, 201]
        assert keyed.post("/assistance/", BODY).status == 201
        assert Quote.objects.count() == 2

    def test_what_failed_is_not_kept_and_may_be_tried_again(self, keyed: Api) -> None:
        bad: dict[str, Any] = {**BODY, "pickup": {"lat": 99, "lng": 3.05}}
        assert keyed.post(PATH, bad).status == 422
        assert IdempotentAnswer.objects.count() == 0
        assert keyed.post(PATH, BODY).status == 201

    @pytest.mark.parametrize("key", ["", " ", "two words", "x" * 256, "é"])
    def test_a_key_that_is_none_is_refused(self, api: Api, anna: Member, key: str) -> None:
        answer = api.as_(anna).with_headers(Idempotency_Key=key).post(PATH, BODY)
        assert (answer.status, answer.fields) == (422, {"header.Idempotency-Key": "validation_failed"})
        assert Quote.objects.count() == 0

    def test_without_signing_in_nothing_is_kept(self, api: Api, db: None) -> None:
        assert api.with_headers(Idempotency_Key="k-1").post(PATH, BODY).status == 401
        assert IdempotentAnswer.objects.count() == 0

    def test_a_twin_at_work_is_told_at_once(self, keyed: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        """The lock is asked for, never waited for; here the answer to that question is no."""

        monkeypatch.setattr(idempotency, "run", lambda _statement, _parameters: [(False, None, None, None)])
        answer = keyed.post(PATH, BODY)
        assert (answer.status, answer.code, answer.headers["Retry-After"]) == (409, "request_in_flight", "1")
        assert Quote.objects.count() == 0

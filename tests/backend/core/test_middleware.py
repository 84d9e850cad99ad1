"""What happens around every request."""

import re

import pytest
from django.db import OperationalError
from django.test import Client, RequestFactory

from backend.core import idempotency, middleware
from backend.core.environment import environment
from backend.core.middleware import address_of
from shared_contracts.internal import CREDENTIAL_HEADER
from tests.support.api import Api

pytestmark = pytest.mark.django_db


class TestRequestId:
    def test_is_made_and_told(self, api: Api) -> None:
        answer = api.get("/me/")
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
        assert answer.body["request_id"] == answer.headers["X-Request-ID"]

    def test_the_caller_s_own_is_kept(self, api: Api) -> None:
        assert api.with_headers(X_Request_ID="app-7.f").get("/me/").body["request_id"] == "app-7.f"

    @pytest.mark.parametrize("bad", ["", "x" * 65, "a b", 'a"b', "a\tb"])
    def test_one_that_could_forge_a_line_of_log_is_replaced(self, api: Api, bad: str) -> None:
        assert re.fullmatch("[0-9a-f]{32}", api.with_headers(X_Request_ID=bad).get("/me/").body["request_id"])


class TestProblems:
    @pytest.mark.parametrize(
        ("method", "path", "status", "code"),
        [
            ("GET", "/api/v1/nothing/", 404, "not_found"),
            ("GET", "/nothing", 404, "not_found"),
            ("POST", "/api/v1/me/", 405, "method_not_allowed"),
            ("TRACE", "/api/v1/me/", 405, "method_not_allowed"),
            ("GET", "/api/v1/assistance/99999999999999999999/", 401, "not_authenticated"),
            ("GET", "/api/v1/assistance/none/", 401, "not_authenticated"),
        ],
    )
    def test_what_django_answers_itself_is_a_problem_document_too(
        self, method: str, path: str, status: int, code: str
    ) -> None:
        response = Client(raise_request_exception=False).generic(method, path)
        assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
        document = response.json()
        assert (document["status"], document["code"]) == (status, code)
        assert document["type"] == f"urn:callout:problem:{code}"
        assert document.keys() >= {"title", "detail", "errors", "request_id"}

    def test_a_mistake_of_ours_tells_nothing_of_the_inside(
        self, api: Api, limits_on: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object) -> None:
            raise RuntimeError("the secret inside")

        monkeypatch.setattr(middleware.RateLimits, "_asked", broken)
        answer = api.get("/tariffs/")
        assert (answer.status, answer.code) == (500, "internal_error")
        assert "secret" not in str(answer.body)

    def test_a_database_lost_around_a_view_is_unavailable_not_broken(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Red with: Django's own handler before ours, which made it a 500 that no line of the log told of."""

        def lost(*_: object) -> None:
            raise OperationalError("the connection is closed")

        monkeypatch.setattr(idempotency, "authenticate", lost)
        answer = api.post("/assistance/7/accept/")
        assert (answer.status, answer.code) == (503, "unavailable")

    def test_an_unknown_filter_is_refused(self, api: Api) -> None:
        answer = api.get("/tariffs/", ordering="password", user__password__startswith="a")
        assert (answer.status, answer.code) == (422, "unknown_filter")
        assert set(answer.fields) == {"query.ordering", "query.user__password__startswith"}


class TestHeaders:
    def test_answers_are_safe_by_default(self, api: Api) -> None:
        headers = api.get("/tariffs/").headers
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("path", ["/api/docs", "/api/redoc"])
    def test_the_api_pages_load_nothing_from_another_host(self, client: Client, path: str) -> None:
        response = client.get(path)
        assert response.status_code == 200
        assert re.findall(r"(?:src|href)=[\"'](https?:)?//", response.content.decode()) == []
        assert "'self'" in response["Content-Security-Policy"]

    def test_another_host_s_name_has_no_api_here(self, api: Api) -> None:
        answer = api.with_headers(Host="evil.example.org").get("/tariffs/")
        assert (answer.status, answer.code) == (400, "malformed")

    def test_the_sidecar_and_probes_may_call_by_any_name(self, api: Api, client: Client) -> None:
        sidecar = api.with_headers(Host="backend:8000", **{CREDENTIAL_HEADER: environment().realtime_credential})
        assert sidecar.get("/tariffs/").status == 200
        assert client.get("/healthz", headers={"Host": "10.0.0.7"}).status_code == 200

    def test_other_origins_are_let_in_only_by_name(self, api: Api, settings: object) -> None:
        settings.CORS_ALLOWED_ORIGINS = ["https://app.example.org"]  # type: ignore[attr-defined]
        allowed = api.with_headers(Origin="https://app.example.org").get("/tariffs/").headers
        refused = api.with_headers(Origin="https://evil.example.org").get("/tariffs/").headers
        assert allowed["access-control-allow-origin"] == "https://app.example.org"
        assert "access-control-allow-origin" not in refused


class TestAddressOf:
    @pytest.fixture(autouse=True)
    def _proxies(self, monkeypatch: pytest.MonkeyPatch) -> None:
        behind = environment().model_copy(update={"trusted_proxies": ("10.0.0.0/8",)})
        monkeypatch.setattr(middleware, "environment", lambda: behind)
        middleware._trusted_networks.cache_clear()

    @pytest.mark.parametrize(
        ("peer", "forwarded", "address"),
        [
            ("192.0.2.1", None, "192.0.2.1"),
            ("192.0.2.1", "203.0.113.9", "192.0.2.1"),  # not a trusted hop: what it says of others does not count
            ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
            ("10.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),  # the first one is the client's own invention
            ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
            ("10.0.0.1", "nonsense", None),
            ("10.0.0.1", None, "10.0.0.1"),
        ],
    )
    def test_believes_only_the_hops_that_are_trusted(self, peer: str, forwarded: str | None, address: str) -> None:
        headers = {"X-Forwarded-For": forwarded} if forwarded else {}
        assert address_of(RequestFactory().get("/", headers=headers, REMOTE_ADDR=peer)) == address

    def test_believes_the_sidecar_by_its_credential(self) -> None:
        def seen(credential: str) -> str | None:
            headers = {"X-Forwarded-For": "203.0.113.9", CREDENTIAL_HEADER: credential}
            return address_of(RequestFactory().get("/", headers=headers, REMOTE_ADDR="192.0.2.1"))

        assert seen(environment().realtime_credential) == "203.0.113.9"
        assert seen("a guess") == "192.0.2.1"


class TestRateLimits:
    @pytest.fixture(autouse=True)
    def _on(self, limits_on: None, monkeypatch: pytest.MonkeyPatch) -> None:
        on = environment().model_copy(update={"limit_sign_in_per_address_per_minute": 5})
        monkeypatch.setattr(middleware, "environment", lambda: on)

    def test_sign_in_is_limited_by_address_whatever_the_headers_say(self) -> None:
        client = Client(raise_request_exception=False)
        answers = [
            client.post(
                "/api/v1/auth/login/",
                {"identifier": f"person{number}@example.org", "password": "wrong"},
                content_type="application/json",
                headers={"X-Forwarded-For": f"203.0.113.{number}"},
            )
            for number in range(8)
        ]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 3
        assert answers[-1].json()["code"] == "rate_limited"
        assert 1 <= int(answers[-1]["Retry-After"]) <= 12
        assert answers[0]["RateLimit-Policy"] == '"sign-in";q=5;w=60'
        assert answers[0]["RateLimit"].startswith('"sign-in";r=4;')

    def test_what_is_not_the_api_is_not_limited(self, client: Client) -> None:
        assert "RateLimit" not in client.get("/healthz")

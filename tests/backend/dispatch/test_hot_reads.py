"""The fast lane answers what the ordinary way answers: the same status, headers and bytes, for everyone."""

from datetime import timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from backend.config.wsgi import application
from backend.core import fast_lane, limits
from backend.core.limits import Limit, Verdict
from backend.dispatch.selectors import hot
from backend.dispatch.states import Status
from tests.backend.dispatch.conftest import Stage
from tests.support.fast_lane import ask, took_the_lane


class TestDetail:
    @pytest.mark.parametrize(
        "status", [Status.REQUESTED, Status.ACCEPTED, Status.ONGOING, Status.COMPLETED, Status.CANCELED]
    )
    def test_shows_each_party_the_job_in_every_state(self, stage: Stage, status: Status) -> None:
        job = stage.job(status)
        assert took_the_lane(job.path, job.client)
        taken = status in {Status.ACCEPTED, Status.ONGOING, Status.COMPLETED}
        assert took_the_lane(job.path, job.assistant) is taken

    def test_shows_what_is_missing_as_null(self, stage: Stage) -> None:
        client = stage.client(phone_number="+213550000001")
        job = stage.request(client, service_type=None, dropoff=None).assistance
        assert took_the_lane(f"/assistance/{job.pk}/", client)

    def test_another_host_s_name_goes_the_ordinary_way(self, stage: Stage) -> None:
        job = stage.job(Status.ACCEPTED)
        for host in ("evil.example.org", "localhost:8000:1", ""):
            assert not took_the_lane(job.path, job.client, HTTP_HOST=host)

    def test_whoever_is_no_party_goes_the_ordinary_way(self, stage: Stage) -> None:
        job = stage.job(Status.ACCEPTED)
        for other in (stage.client(), stage.manager(), stage.assistant(north_km=2), None):
            assert not took_the_lane(job.path, other)
        assert not took_the_lane("/assistance/999999/", job.client)

    def test_a_party_who_is_manager_too_goes_the_ordinary_way(self, stage: Stage) -> None:
        job = stage.job(Status.CANCELED)
        job.client.user.roles = ["client", "manager"]
        job.client.user.save()
        assert not took_the_lane(job.path, job.client)

    def test_a_session_that_is_over_goes_the_ordinary_way(self, stage: Stage) -> None:
        for end in ({"ended_at": stage.now}, {"expires_at": stage.now - timedelta(seconds=1)}):
            job = stage.job(Status.ACCEPTED)
            type(job.client.session).objects.filter(pk=job.client.session.pk).update(**end)
            assert not took_the_lane(job.path, job.client)

    def test_a_deactivated_person_goes_the_ordinary_way(self, stage: Stage) -> None:
        job = stage.job(Status.ACCEPTED)
        type(job.client.user).objects.filter(pk=job.client.id).update(is_active=False)
        assert not took_the_lane(job.path, job.client)

    @pytest.mark.parametrize(
        "more", [{"HTTP_ORIGIN": "https://app.example.org"}, {"HTTP_X_CALLOUT_CREDENTIAL": "x", "x": ""}]
    )
    def test_unusual_headers_go_the_ordinary_way(self, stage: Stage, more: dict[str, str]) -> None:
        job = stage.job(Status.ACCEPTED)
        name = {"HTTP_X_CALLOUT_CREDENTIAL": fast_lane._UNUSUAL[-1]}
        assert not took_the_lane(job.path, job.client, **{name.get(key, key): value for key, value in more.items()})

    def test_is_one_statement(self, stage: Stage, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        job = stage.job(Status.ACCEPTED)
        with django_assert_num_queries(1):
            ask(application, job.path, job.client)

    def test_carries_the_ids_and_limits_of_the_ordinary_way(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = stage.job(Status.ACCEPTED)
        verdict = Verdict(Limit("user", 600, 60), True, 599, 1, 0)
        monkeypatch.setattr(limits, "check", lambda asked: verdict)
        status, headers, _ = ask(application, job.path, job.client)
        assert status == "200 OK"
        assert headers["ratelimit"] == '"user";r=599;t=1'
        assert took_the_lane(job.path, job.client)

    def test_who_asks_too_much_is_counted_once(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        job = stage.job(Status.ACCEPTED)
        counted: list[object] = []
        verdict = Verdict(Limit("user", 600, 60), False, 0, 60, 1)

        def check(asked: object) -> Verdict:
            counted.append(asked)
            return verdict

        monkeypatch.setattr(limits, "check", check)
        assert ask(application, job.path, job.client)[0].startswith("429")
        assert len(counted) == 1


class TestFirstPage:
    def test_lists_ones_own_jobs_and_those_on_offer(self, stage: Stage) -> None:
        job = stage.job(Status.COMPLETED)
        stage.request(job.client)
        for member in (job.client, job.assistant):
            for query in ("", "status=completed", "status=completed&status=requested"):
                assert took_the_lane("/assistance/", member, query)
        helper = stage.assistant(north_km=2)
        stage.request()
        assert took_the_lane("/assistance/", helper)

    def test_counts_more_than_it_shows(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        client = stage.client()
        for _ in range(hot.PAGE_SIZE + 1):
            stage.move(client, stage.request(client).assistance, Status.CANCELED)
        assert took_the_lane("/assistance/", client)
        assert took_the_lane("/assistance/", client, "status=canceled")
        body = ask(application, "/assistance/", client, "status=canceled")[2]
        assert b'"count":21,"next":"/api/v1/assistance/?status=canceled&page=2"' in body

    @pytest.mark.parametrize(
        "query",
        [
            "page=2",
            "page_size=5",
            "ordering=created_at",
            "status=lost",
            "status=",
            "color=red",
            "status=completed&page=1",
        ],
    )
    def test_every_other_query_goes_the_ordinary_way(self, stage: Stage, query: str) -> None:
        assert not took_the_lane("/assistance/", stage.job(Status.COMPLETED).client, query)

    def test_an_empty_list_goes_the_ordinary_way(self, stage: Stage) -> None:
        assert not took_the_lane("/assistance/", stage.client())
        assert not took_the_lane("/assistance/", stage.manager())

    def test_is_one_statement(self, stage: Stage, django_assert_num_queries: DjangoAssertNumQueries) -> None:
        job = stage.job(Status.COMPLETED)
        with django_assert_num_queries(1):
            ask(application, "/assistance/", job.client, "status=completed")

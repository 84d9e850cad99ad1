import json
from datetime import date

import pytest
from pytest_django import DjangoAssertNumQueries

from backend.core.models import EventRow, StateChange
from backend.dispatch.models import Assistance, DispatchAssistant, Offer
from backend.dispatch.states import Status
from backend.messaging.models import Conversation, Member
from tests.backend.dispatch.conftest import Stage
from tests.support.api import Answer, Api


def events(room: str) -> list[tuple[str, dict[str, object]]]:
    return [(row.type, json.loads(row.data)) for row in EventRow.objects.filter(room=room).order_by("id")]


def statuses(assistance: Assistance) -> dict[int, str]:
    return dict(Offer.objects.filter(assistance=assistance).values_list("assistant_id", "status"))


class TestAcceptAssistance:
    def test_gives_the_job_to_the_first(self, stage: Stage, api: Api) -> None:
        client = stage.client()
        winner, loser = stage.assistant(name="Amel Hamdi"), stage.assistant(north_km=2)
        assistance = stage.request(client).assistance
        stage.at.forward(seconds=5)
        answer = api.as_(winner).post(f"/assistance/{assistance.pk}/accept/")
        assert answer.status == 200
        assert (answer.body["status"], answer.body["version"]) == ("accepted", 2)
        assert answer.body["assistant"] == {"id": winner.id, "name": "Amel Hamdi", "phone_number": None}
        assert answer.body["accepted_at"] == "2030-05-15T09:30:05Z"
        assert statuses(assistance) == {winner.id: "accepted", loser.id: "withdrawn"}
        conversation = Conversation.objects.get(pk=answer.body["conversation_id"])
        assert conversation.subject == f"assistance:{assistance.pk}"
        assert set(Member.objects.values_list("user_id", flat=True)) == {client.id, winner.id}
        room = events(f"assistance:{assistance.pk}")
        assert [type_ for type_, _ in room] == [
            "member.added",
            "assistance.status",
            "member.added",
            "assistance.status",
        ]
        assert room[2][1] == {"user": {"id": winner.id, "name": "Amel Hamdi"}}
        assert room[3][1]["status"] == "accepted"
        assert room[3][1]["conversation_id"] == conversation.pk
        assert events(f"assistant:{loser.id}")[-1] == (
            "assistance.withdrawn",
            {"assistance_id": assistance.pk, "version": 2, "reason": "accepted_by_another"},
        )
        assert [type_ for type_, _ in events(f"assistant:{winner.id}")] == ["assistance.offered", "assistance.status"]

    def test_refuses_the_second_assistant(self, stage: Stage, api: Api) -> None:
        winner, loser = stage.assistant(), stage.assistant(north_km=2)
        assistance = stage.request().assistance
        stage.accept(winner, assistance)
        before = EventRow.objects.count()
        answer = api.as_(loser).post(f"/assistance/{assistance.pk}/accept/")
        assert (answer.status, answer.code, answer.body["current_status"]) == (409, "already_accepted", "accepted")
        assert Assistance.objects.get().assistant_id == winner.id
        assert EventRow.objects.count() == before
        assert statuses(assistance)[loser.id] == "withdrawn"

    def test_a_second_tap_of_the_winner_changes_nothing(self, stage: Stage, api: Api) -> None:
        winner = stage.assistant()
        assistance = stage.request().assistance
        first = api.as_(winner).post(f"/assistance/{assistance.pk}/accept/")
        second = api.as_(winner).post(f"/assistance/{assistance.pk}/accept/")
        assert (second.status, second.body) == (200, first.body)
        assert StateChange.objects.count() == 2

    def test_who_was_never_asked_finds_nothing(self, stage: Stage, api: Api) -> None:
        assistance = stage.request().assistance
        self.refused(api.as_(stage.assistant()).post(f"/assistance/{assistance.pk}/accept/"), 404, "not_found")

    def test_only_assistants_accept(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.REQUESTED)
        for caller in (job.client, stage.manager()):
            self.refused(api.as_(caller).post(f"{job.path}accept/"), 403, "forbidden")
        assert api.post(f"{job.path}accept/").status == 401

    @pytest.mark.parametrize("status", [Status.CANCELED])
    def test_a_canceled_job_is_gone(self, stage: Stage, api: Api, status: Status) -> None:
        job = stage.job(status)
        self.refused(api.as_(job.assistant).post(f"{job.path}accept/"), 409, "offer_gone")

    def test_a_declined_offer_is_gone(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.REQUESTED)
        api.as_(job.assistant).post(f"{job.path}decline/")
        self.refused(api.as_(job.assistant).post(f"{job.path}accept/"), 409, "offer_gone")
        assert job.fresh().status == "requested"

    def test_one_open_job_at_a_time(self, stage: Stage, api: Api) -> None:
        helper = stage.assistant()
        first, second = stage.request().assistance, stage.request().assistance
        stage.accept(helper, first)
        self.refused(api.as_(helper).post(f"/assistance/{second.pk}/accept/"), 409, "assistant_busy")
        assert Assistance.objects.get(pk=second.pk).status == "requested"
        assert statuses(second) == {helper.id: "open"}

    def test_the_index_decides_when_the_check_did_not_see_the_other_job(
        self, stage: Stage, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from backend.dispatch.services import offers

        helper = stage.assistant()
        first, second = stage.request().assistance, stage.request().assistance
        stage.accept(helper, first)
        monkeypatch.setattr(offers, "obstacle_at_claim", lambda *_, **__: (None, "towing"))
        self.refused(api.as_(helper).post(f"/assistance/{second.pk}/accept/"), 409, "assistant_busy")
        assert Assistance.objects.get(pk=second.pk).status == "requested"

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"on_duty": False}, "not_on_duty"),
            ({"licence_expires_on": date(2030, 5, 14)}, "licence_expired"),
            ({"service_type": "repair"}, "offer_gone"),
        ],
    )
    def test_checks_the_assistant_again(self, stage: Stage, api: Api, change: dict[str, object], code: str) -> None:
        job = stage.job(Status.REQUESTED)
        DispatchAssistant.objects.filter(pk=job.assistant.id).update(**change)
        self.refused(api.as_(job.assistant).post(f"{job.path}accept/"), 409, code)
        assert job.fresh().status == "requested"
        assert not Conversation.objects.exists()

    def test_an_old_position_is_no_obstacle(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.REQUESTED)
        stage.at.forward(minutes=9)
        assert api.as_(job.assistant).post(f"{job.path}accept/").status == 200

    @pytest.mark.parametrize(
        ("service", "total", "minimum"), [("towing", "1500.00", "1500.00"), ("repair", None, "1000.00")]
    )
    def test_an_open_service_is_the_winners(
        self, stage: Stage, api: Api, service: str, total: str | None, minimum: str
    ) -> None:
        helper = stage.assistant(service_type=service)
        assistance = stage.request(service_type=None, dropoff=None).assistance
        body = api.as_(helper).post(f"/assistance/{assistance.pk}/accept/").body
        assert body["service_type"] == service
        assert body["total_price"] == (total and {"amount": total, "currency": "DZD"})
        assert body["minimum_price"] == {"amount": minimum, "currency": "DZD"}

    @pytest.mark.parametrize("rivals", [0, 5])
    def test_costs_as_many_queries_however_many_were_asked(
        self, stage: Stage, rivals: int, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        winner = stage.assistant()
        for _ in range(rivals):
            stage.assistant(north_km=2)
        assistance = stage.request().assistance
        with django_assert_num_queries(27):
            stage.accept(winner, assistance)

    def refused(self, answer: Answer, status: int, code: str) -> None:
        assert (answer.status, answer.code) == (status, code)


class TestDeclineAssistance:
    def test_is_remembered_and_may_be_repeated(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.REQUESTED)
        for _ in range(2):
            answer = api.as_(job.assistant).post(f"{job.path}decline/")
            assert (answer.status, answer.body["offer"]["status"]) == (200, "declined")
        assert statuses(job.assistance) == {job.assistant.id: "declined"}
        assert job.fresh().status == "requested"

    def test_a_job_that_is_gone_cannot_be_declined(self, stage: Stage, api: Api) -> None:
        loser = stage.assistant(north_km=2)
        job = stage.job(Status.ACCEPTED)
        answer = api.as_(loser).post(f"{job.path}decline/")
        assert (answer.status, answer.code) == (409, "already_accepted")
        assert statuses(job.assistance)[loser.id] == "withdrawn"

    def test_who_was_never_asked_finds_nothing(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.REQUESTED)
        assert api.as_(stage.assistant()).post(f"{job.path}decline/").status == 404
        assert api.as_(job.client).post(f"{job.path}decline/").status == 403

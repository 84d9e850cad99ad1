import json
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from backend.catalog.models import FinishedWork, Review
from backend.core.models import AuditRow, EventRow, StateChange
from backend.dispatch.models import Assistance, TrackPoint
from backend.dispatch.states import OPEN, Status
from backend.messaging.models import Conversation, Message
from tests.backend.dispatch.conftest import Job, Stage
from tests.support.api import Api
from tests.support.people import Member


def caller_of(stage: Stage, job: Job, who: str) -> Member:
    return {"client": job.client, "assistant": job.assistant}.get(who) or stage.manager()


class TestChangeStatus:
    @pytest.mark.parametrize("who", ["client", "assistant", "manager"])
    @pytest.mark.parametrize("to", ["ongoing", "completed", "canceled"])
    @pytest.mark.parametrize("status", ["requested", "accepted", "ongoing", "completed", "canceled"])
    def test_each_may_what_the_table_says(self, stage: Stage, api: Api, status: str, to: str, who: str) -> None:
        job = stage.job(Status(status))
        caller = caller_of(stage, job, who)
        if who == "assistant" and status in {"requested", "canceled"}:
            expected = 403 if status == "requested" else 404
        elif who == "client" and to != "canceled":
            expected = 403
        else:
            legal = {"ongoing": {"accepted"}, "completed": {"ongoing"}, "canceled": OPEN}
            expected = 200 if status in legal[to] else 409
        before = (job.fresh().version, EventRow.objects.count(), StateChange.objects.count())
        answer = api.as_(caller).post(f"{job.path}status/", {"status": to})
        assert answer.status == expected, answer.body
        if expected == 200:
            gives_back = who == "assistant" and (status, to) == ("accepted", "canceled")
            assert answer.body["status"] == job.fresh().status == ("requested" if gives_back else to)
        else:
            assert (job.fresh().version, EventRow.objects.count(), StateChange.objects.count()) == before
            if expected == 409:
                assert (answer.code, answer.body["current_status"]) == ("invalid_state", status)

    def test_strangers_find_nothing(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.ACCEPTED)
        for stranger in (stage.client(), stage.assistant()):
            assert api.as_(stranger).post(f"{job.path}status/", {"status": "canceled"}).status == 404
        assert api.post(f"{job.path}status/", {"status": "canceled"}).status == 401

    def test_each_change_is_one_event_for_both(self, stage: Stage) -> None:
        job = stage.job(Status.ACCEPTED)
        EventRow.objects.all().delete()
        stage.move(job.assistant, job.assistance, Status.ONGOING, reason="Here")
        events = list(EventRow.objects.order_by("room").values_list("room", "type"))
        assert events == [
            (f"assistance:{job.assistance.pk}", "assistance.status"),
            (f"assistant:{job.assistant.id}", "assistance.status"),
            (f"conversation:{job.assistance.conversation_id}", "message.created"),
            *(
                (room, "conversation.updated")
                for room in sorted(f"user:{who.id}" for who in (job.client, job.assistant))
            ),
        ]
        data = json.loads(EventRow.objects.order_by("room")[0].data)
        assert (data["status"], data["version"], data["reason"]) == ("ongoing", 3, "Here")
        assert data["assistant"]["id"] == job.assistant.id

    def test_the_steps_are_stamped(self, stage: Stage) -> None:
        job = stage.job(Status.ACCEPTED)
        arrived = stage.at.forward(minutes=7)
        stage.move(job.assistant, job.assistance, Status.ONGOING)
        done = stage.at.forward(minutes=30)
        stage.move(job.assistant, job.assistance, Status.COMPLETED)
        assert (job.fresh().ongoing_at, job.fresh().finished_at) == (arrived, done)

    def test_canceling_withdraws_the_offers(self, stage: Stage) -> None:
        job = stage.job(Status.REQUESTED)
        stage.move(job.client, job.assistance, Status.CANCELED)
        last = EventRow.objects.filter(room=f"assistant:{job.assistant.id}").order_by("id").last()
        assert last is not None
        assert (last.type, json.loads(last.data)["reason"]) == ("assistance.withdrawn", "canceled")

    def test_a_managers_change_is_audited(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.ACCEPTED)
        manager = stage.manager()
        api.as_(manager).post(f"{job.path}status/", {"status": "canceled", "reason": "Fraud"})
        row = AuditRow.objects.get(action="dispatch.status_changed")
        assert (row.actor_id, row.reference) == (manager.id, f"assistance:{job.assistance.pk}")
        assert row.changes == {"status": ["accepted", "canceled"], "reason": "Fraud"}
        assert job.fresh().status == "canceled"

    def test_a_manager_can_take_a_job_from_an_assistant(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.ACCEPTED)
        answer = api.as_(stage.manager()).post(f"{job.path}status/", {"status": "canceled", "reoffer": True})
        assert (answer.status, answer.body["status"], answer.body["assistant"]) == (200, "requested", None)

    @pytest.mark.parametrize(
        ("who", "body", "field"),
        [
            ("client", {"status": "canceled", "reoffer": False}, "body.reoffer"),
            ("assistant", {"status": "ongoing", "reoffer": True}, "body.reoffer"),
            ("assistant", {"status": "ongoing", "total_price": {"amount": "1", "currency": "DZD"}}, "body.total_price"),
            ("assistant", {"status": "flown"}, "body.status"),
            ("assistant", {"status": "expired"}, "body.status"),
        ],
    )
    def test_refuses_what_makes_no_sense(
        self, stage: Stage, api: Api, who: str, body: dict[str, Any], field: str
    ) -> None:
        job = stage.job(Status.ACCEPTED)
        answer = api.as_(caller_of(stage, job, who)).post(f"{job.path}status/", body)
        assert (answer.status, list(answer.fields)) == (422, [field])
        assert job.fresh().version == 2

    def test_costs_a_fixed_number_of_queries(
        self, stage: Stage, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        job = stage.job(Status.ACCEPTED)
        with django_assert_num_queries(12):
            stage.move(job.assistant, job.assistance, Status.ONGOING)


class TestFinalPrice:
    def repair(self, stage: Stage) -> Job:
        client, mechanic = stage.client(), stage.assistant(service_type="repair")
        assistance = stage.request(client, service_type="repair").assistance
        stage.accept(mechanic, assistance)
        stage.move(mechanic, assistance, Status.ONGOING)
        return Job(client, mechanic, Assistance.objects.get(pk=assistance.pk))

    @pytest.mark.parametrize(("given", "amount"), [(None, "1000.00"), ("1000", "1000.00"), ("2350.5", "2350.50")])
    def test_of_a_repair_is_the_assistants(self, stage: Stage, api: Api, given: str | None, amount: str) -> None:
        job = self.repair(stage)
        body = {"status": "completed", **({"total_price": {"amount": given, "currency": "DZD"}} if given else {})}
        answer = api.as_(job.assistant).post(f"{job.path}status/", body)
        assert (answer.status, answer.body["total_price"]) == (200, {"amount": amount, "currency": "DZD"})

    @pytest.mark.parametrize(
        ("amount", "currency", "field"),
        [
            ("999.99", "DZD", "body.total_price.amount"),
            ("1000.001", "DZD", "body.total_price.amount"),
            ("-5", "DZD", "body.total_price.amount"),
            ("NaN", "DZD", "body.total_price.amount"),
            ("99999999999999", "DZD", "body.total_price.amount"),
            ("2000", "EUR", "body.total_price.currency"),
        ],
    )
    def test_of_a_repair_keeps_to_the_tariff(
        self, stage: Stage, api: Api, amount: str, currency: str, field: str
    ) -> None:
        job = self.repair(stage)
        body = {"status": "completed", "total_price": {"amount": amount, "currency": currency}}
        answer = api.as_(job.assistant).post(f"{job.path}status/", body)
        assert (answer.status, list(answer.fields)) == (422, [field])
        assert job.fresh().status == "ongoing"

    def test_of_towing_is_what_was_said(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.ONGOING)
        body = {"status": "completed", "total_price": {"amount": "9999", "currency": "DZD"}}
        refused = api.as_(job.assistant).post(f"{job.path}status/", body)
        assert (refused.status, list(refused.fields)) == (422, ["body.total_price"])
        done = api.as_(job.assistant).post(f"{job.path}status/", {"status": "completed"})
        assert done.body["total_price"]["amount"] == str(job.assistance.money(job.assistance.total_price))


class TestRateAssistance:
    def test_is_kept_once_and_counts(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.COMPLETED)
        assert FinishedWork.objects.get().reference == f"assistance:{job.assistance.pk}"
        answer = api.as_(job.client).post(f"{job.path}rating/", {"rating": 4, "comment": "Quick"})
        assert answer.status == 201
        assert answer.body == {
            "assistance_id": job.assistance.pk,
            "rating": 4,
            "comment": "Quick",
            "created_at": "2030-05-15T09:30:00Z",
        }
        review = Review.objects.get()
        assert (review.author_id, review.reviewed_id, review.rating) == (job.client.id, job.assistant.id, 4)
        again = api.as_(job.client).post(f"{job.path}rating/", {"rating": 1})
        assert (again.status, again.code) == (409, "already_rated")
        assert api.as_(job.client).get(job.path).body["rating"] == 4
        mine = api.as_(job.assistant).get("/me/assistant/").body
        assert (mine["average_rating"], mine["total_reviews"]) == ("4.00", 1)

    @pytest.mark.parametrize("status", ["requested", "accepted", "ongoing", "canceled"])
    def test_is_for_finished_work(self, stage: Stage, api: Api, status: str) -> None:
        job = stage.job(Status(status))
        answer = api.as_(job.client).post(f"{job.path}rating/", {"rating": 5})
        assert (answer.status, answer.code) == (409, "invalid_state")
        assert not Review.objects.exists()

    @pytest.mark.parametrize("rating", [0, 6, -1, 4.5, "five", None])
    def test_is_one_to_five(self, stage: Stage, api: Api, rating: Any) -> None:
        job = stage.job(Status.COMPLETED)
        assert api.as_(job.client).post(f"{job.path}rating/", {"rating": rating}).status == 422

    def test_is_the_clients(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.COMPLETED)
        assert api.as_(job.assistant).post(f"{job.path}rating/", {"rating": 5}).status == 403
        assert api.as_(stage.client()).post(f"{job.path}rating/", {"rating": 5}).status == 404
        assert not Review.objects.exists()


class TestReadTrack:
    def test_tells_path_distance_and_durations(self, stage: Stage, api: Api) -> None:
        client, helper = stage.client(), stage.assistant()
        assistance = stage.request(client).assistance
        stage.at.forward(seconds=10)
        stage.accept(helper, assistance)
        for minute, lat in ((1, 36.75), (2, 36.76), (3, 36.77)):
            at = stage.now + timedelta(minutes=minute)
            TrackPoint.objects.create(assistance=assistance, lat=lat, lng=3.05, speed=10, at=at)
        TrackPoint.objects.create(assistance=assistance, lat=0, lng=0, at=stage.now - timedelta(seconds=1))
        stage.at.forward(minutes=5)
        stage.move(helper, assistance, Status.ONGOING)
        track = api.as_(client).get(f"/assistance/{assistance.pk}/track/").body
        assert [point["lat"] for point in track["points"]] == [36.75, 36.76, 36.77]
        assert track["distance_km"] == 2.22
        assert (track["waiting_s"], track["approach_s"], track["work_s"]) == (10.0, 300.0, None)

    def test_is_empty_before_anybody_comes(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.REQUESTED)
        assert api.as_(job.client).get(f"{job.path}track/").body["points"] == []
        assert api.as_(job.assistant).get(f"{job.path}track/").status == 404


class TestMessages:
    def test_both_sides_talk(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.ACCEPTED)
        said = api.as_(job.client).post(f"{job.path}messages/", {"content": "Where are you?", "client_id": "a-1"})
        assert (said.status, said.body["conversation_id"]) == (201, job.assistance.conversation_id)
        read = api.as_(job.assistant).get(f"{job.path}messages/")
        contents = [message["content"] for message in read.body["results"]]
        assert contents == ["Where are you?", "The assistant is on the way."]

    def test_the_conversation_notes_what_becomes_of_the_job(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.COMPLETED)
        notes = api.as_(job.client).get(f"{job.path}messages/", order="oldest").body["results"]
        parameters = {"assistant_id": str(job.assistant.id)}
        assert [(note["sender"], note["content"], note["system"]) for note in notes] == [
            (None, "The assistant is on the way.", {"code": "assistance.accepted", "parameters": parameters}),
            (None, "The assistant is there.", {"code": "assistance.ongoing", "parameters": parameters}),
            (None, "The job is done.", {"code": "assistance.completed", "parameters": parameters}),
        ]

    @pytest.mark.parametrize(("who", "code"), [("client", "canceled"), ("assistant", "given_back")])
    def test_the_last_note_of_a_closed_conversation_says_why(self, stage: Stage, who: str, code: str) -> None:
        job = stage.job(Status.ACCEPTED)
        stage.move(getattr(job, who), job.assistance, Status.CANCELED)
        assert job.assistance.conversation_id is not None
        conversation = Conversation.objects.get(pk=job.assistance.conversation_id)
        last = Message.objects.filter(conversation=conversation).order_by("-pk")[0]
        assert (conversation.closed_at, last.system_code) == (stage.now, f"assistance.{code}")

    def test_there_is_nobody_to_talk_to_before(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.REQUESTED)
        for answer in (
            api.as_(job.client).get(f"{job.path}messages/"),
            api.as_(job.client).post(f"{job.path}messages/", {"content": "Hello?"}),
        ):
            assert (answer.status, answer.code) == (409, "invalid_state")
        assert api.as_(job.assistant).get(f"{job.path}messages/").status == 404

    def test_managers_do_not_listen(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.ACCEPTED)
        assert api.as_(stage.manager()).get(f"{job.path}messages/").status == 404
        assert api.as_(stage.manager()).post(f"{job.path}messages/", {"content": "Hi"}).status == 404

    def test_a_canceled_jobs_talk_is_over(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.ACCEPTED)
        stage.move(job.client, job.assistance, Status.CANCELED)
        answer = api.as_(job.client).post(f"{job.path}messages/", {"content": "Sorry"})
        assert (answer.status, answer.code) == (409, "conversation_closed")

"""Seen red with the bug planted: a wave that does not write the timer of the next one."""

import json
from datetime import timedelta

from backend.core import jobs
from backend.core.models import EventRow, JobRow, StateChange
from backend.dispatch.models import Assistance, Offer, Wave
from backend.dispatch.states import Status
from tests.backend.dispatch.conftest import Stage
from tests.support.api import Api
from tests.support.people import Member


def run_due_jobs(stage: Stage) -> list[str]:
    """What the relay and the workers do, without them: all of dispatch's that is due, once, in order."""
    ran = []
    waiting = JobRow.objects.filter(status="pending", name__startswith="dispatch.").order_by("run_at", "id")
    while row := waiting.filter(run_at__lte=stage.now).first():
        jobs.definition(row.name).run(now=stage.now, **row.arguments)
        JobRow.objects.filter(pk=row.pk).update(status="done")
        ran.append(row.name)
    return ran


def asked(assistance: Assistance, wave: int) -> list[int]:
    offers = Offer.objects.filter(assistance=assistance, round=assistance.round, wave=wave)
    return list(offers.order_by("distance_m").values_list("assistant_id", flat=True))


def keep_fresh(stage: Stage, *members: Member) -> None:
    from backend.dispatch.models import DispatchAssistant

    DispatchAssistant.objects.filter(pk__in=[member.id for member in members]).update(fresh_at=stage.now)


class TestWaves:
    def test_grow_every_twenty_seconds(self, stage: Stage) -> None:
        near, second, third, none = (stage.assistant(north_km=km) for km in (4, 9, 19, 21))
        assistance = stage.request().assistance
        assert asked(assistance, 1) == [near.id]
        stage.at.forward(seconds=19.9)
        assert run_due_jobs(stage) == []
        stage.at.forward(seconds=0.1)
        assert run_due_jobs(stage) == ["dispatch.offer_next_wave"]
        assert asked(assistance, 2) == [second.id]
        stage.at.forward(seconds=20)
        run_due_jobs(stage)
        assert asked(assistance, 3) == [third.id]
        assert list(Wave.objects.order_by("number").values_list("radius_m", flat=True)) == [5_000, 10_000, 20_000]
        assert not Offer.objects.filter(assistant_id=none.id).exists()

    def test_the_last_radius_repeats_for_who_comes_later(self, stage: Stage) -> None:
        assistance = stage.request().assistance
        for _ in range(3):
            stage.at.forward(seconds=20)
            run_due_jobs(stage)
        late = stage.assistant(north_km=15)
        stage.at.forward(seconds=20)
        run_due_jobs(stage)
        assert asked(assistance, 5) == [late.id]

    def test_ask_the_ten_nearest_and_then_the_next(self, stage: Stage) -> None:
        ids = [stage.assistant(north_km=1 + index / 10).id for index in range(12)]
        assistance = stage.request().assistance
        assert asked(assistance, 1) == ids[:10]
        stage.at.forward(seconds=20)
        run_due_jobs(stage)
        assert asked(assistance, 2) == ids[10:]

    def test_one_that_comes_due_after_the_end_asks_nobody(self, stage: Stage) -> None:
        stage.request()
        far = stage.assistant(north_km=9)
        stage.at.forward(minutes=11)
        keep_fresh(stage, far)
        assert run_due_jobs(stage) == ["dispatch.offer_next_wave", "dispatch.expire_request"]
        assert not Offer.objects.exists()

    def test_a_job_that_runs_twice_asks_once(self, stage: Stage) -> None:
        stage.request()
        stage.at.forward(seconds=20)
        row = JobRow.objects.get(name="dispatch.offer_next_wave")
        for _ in range(2):
            jobs.definition(row.name).run(now=stage.now, **row.arguments)
        assert list(Wave.objects.order_by("number").values_list("number", flat=True)) == [1, 2]
        assert JobRow.objects.filter(name="dispatch.offer_next_wave").count() == 2

    def test_stop_when_somebody_has_the_job(self, stage: Stage) -> None:
        stage.job(Status.ACCEPTED)
        stage.at.forward(minutes=10)
        assert run_due_jobs(stage) == ["dispatch.offer_next_wave", "dispatch.expire_request"]
        assert Wave.objects.count() == 1
        assert Assistance.objects.get().status == "accepted"

    def test_none_is_planned_beyond_the_end(self, stage: Stage) -> None:
        assistance = stage.request().assistance
        for _ in range(40):
            stage.at.forward(seconds=20)
            run_due_jobs(stage)
        assert Wave.objects.count() == 30
        assert not JobRow.objects.filter(status="pending", name__startswith="dispatch.").exists()
        assert Assistance.objects.get(pk=assistance.pk).status == "expired"


class TestExpireRequest:
    def test_ends_what_nobody_accepted(self, stage: Stage) -> None:
        helper = stage.assistant()
        assistance = stage.request().assistance
        stage.at.forward(minutes=10)
        run_due_jobs(stage)
        expired = Assistance.objects.get(pk=assistance.pk)
        assert (expired.status, expired.finished_at) == ("expired", stage.now)
        assert Offer.objects.get(assistant_id=helper.id).status == "withdrawn"
        last = EventRow.objects.filter(room=f"assistant:{helper.id}").order_by("id").last()
        assert last is not None
        assert json.loads(last.data)["reason"] == "expired"
        change = StateChange.objects.get(to_status="expired")
        assert (change.by_id, change.from_status) == (None, "requested")
        stage.request(stage.client())

    def test_the_client_may_ask_again(self, stage: Stage, api: Api) -> None:
        client = stage.client()
        stage.request(client)
        stage.at.forward(minutes=10)
        run_due_jobs(stage)
        stage.request(client)
        assert Assistance.objects.filter(client_id=client.id).count() == 2


class TestGivingBack:
    def test_starts_another_round_without_who_had_it(self, stage: Stage, api: Api) -> None:
        other = stage.assistant(north_km=2)
        job = stage.job(Status.ACCEPTED)
        first_conversation = job.assistance.conversation_id
        stage.at.forward(minutes=1)
        keep_fresh(stage, other, job.assistant)
        answer = api.as_(job.assistant).post(f"{job.path}status/", {"status": "canceled", "reason": "Flat tyre"})
        assert answer.status == 200
        now = job.fresh()
        assert (now.status, now.round, now.assistant_id, now.conversation_id) == ("requested", 2, None, None)
        assert now.expires_at == stage.now + timedelta(minutes=10)
        assert asked(now, 1) == [other.id]
        trace = Wave.objects.get(round=2)
        assert trace.left_out[0]["assistant_id"] == job.assistant.id
        assert trace.left_out[0]["reason"] == "asked_before"
        from backend.messaging.models import Conversation

        assert Conversation.objects.filter(pk=first_conversation or 0, closed_at=stage.now).exists()
        kinds = list(EventRow.objects.filter(room=f"assistance:{now.pk}").order_by("id").values_list("type", flat=True))
        assert kinds[-2:] == ["member.removed", "assistance.status"]
        assert api.as_(job.assistant).get(job.path).status == 404
        again = api.as_(other).post(f"{job.path}accept/").body
        assert again["conversation_id"] != first_conversation

    def test_the_old_rounds_timers_do_nothing(self, stage: Stage) -> None:
        job = stage.job(Status.ACCEPTED)
        stage.at.forward(minutes=9)
        stage.move(job.assistant, job.assistance, Status.CANCELED)
        stage.at.forward(minutes=1)
        run_due_jobs(stage)
        assert job.fresh().status == "requested"
        stage.at.forward(minutes=9)
        run_due_jobs(stage)
        assert job.fresh().status == "expired"

    def test_an_open_service_is_open_again(self, stage: Stage) -> None:
        job = stage.job(Status.ACCEPTED, service_type=None)
        assert job.assistance.service_type == "towing"
        stage.move(job.assistant, job.assistance, Status.CANCELED)
        now = job.fresh()
        assert (now.service_type, now.total_price, now.minimum_price, now.distance_m) == (None, None, None, None)

    def test_the_former_assistant_gets_409_for_another_try(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.ACCEPTED)
        stage.move(job.assistant, job.assistance, Status.CANCELED)
        answer = api.as_(job.assistant).post(f"{job.path}accept/")
        assert (answer.status, answer.code) == (409, "offer_gone")

    def test_can_be_for_good(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.ACCEPTED)
        answer = api.as_(job.assistant).post(f"{job.path}status/", {"status": "canceled", "reoffer": False})
        assert (answer.status, answer.body["status"]) == (200, "canceled")
        assert job.fresh().round == 1

    def test_is_over_once_the_work_began(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.ONGOING)
        answer = api.as_(job.assistant).post(f"{job.path}status/", {"status": "canceled", "reoffer": True})
        assert (answer.status, answer.code) == (409, "invalid_state")
        assert job.fresh().status == "ongoing"
        answer = api.as_(job.assistant).post(f"{job.path}status/", {"status": "canceled"})
        assert (answer.status, answer.body["status"]) == (200, "canceled")


class TestTrace:
    def test_tells_managers_everything(self, stage: Stage, api: Api) -> None:
        winner, loser = stage.assistant(name="Amel Hamdi"), stage.assistant(north_km=2)
        mechanic = stage.assistant(north_km=3, service_type="repair")
        assistance = stage.request().assistance
        stage.at.forward(seconds=7)
        stage.accept(winner, assistance)
        answer = api.as_(stage.manager()).get(f"/assistance/{assistance.pk}/trace/")
        assert answer.status == 200
        (wave,) = answer.body["waves"]
        assert (wave["round"], wave["wave"], wave["radius_km"], wave["at"]) == (1, 1, 5.0, "2030-05-15T09:30:00Z")
        assert [(offer["assistant"]["id"], offer["status"]) for offer in wave["offers"]] == [
            (winner.id, "accepted"),
            (loser.id, "withdrawn"),
        ]
        assert wave["offers"][0]["assistant"]["name"] == "Amel Hamdi"
        assert wave["offers"][0]["answered_at"] == "2030-05-15T09:30:07Z"
        assert [(one["assistant"]["id"], one["reason"]) for one in wave["left_out"]] == [(mechanic.id, "wrong_service")]

    def test_tells_nobody_else(self, stage: Stage, api: Api) -> None:
        job = stage.job(Status.ACCEPTED)
        for caller in (job.client, job.assistant):
            assert api.as_(caller).get(f"{job.path}trace/").status == 403
        assert api.get(f"{job.path}trace/").status == 401
        assert api.as_(stage.manager()).get("/assistance/99999/trace/").status == 404

    def test_a_full_wave_tells_whom_it_passed_by(self, stage: Stage) -> None:
        passed = stage.assistant(north_km=0.5, service_type="repair")
        for index in range(10):
            stage.assistant(north_km=1 + index / 10)
        stage.assistant(north_km=4, service_type="repair")
        stage.request()
        assert [one["assistant_id"] for one in Wave.objects.get().left_out] == [passed.id]

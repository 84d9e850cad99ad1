"""Life-cycles, on a roadside job: the first thing that has one."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from backend.core.errors import InvalidState, Problem
from backend.core.models import StateChange
from backend.core.states import history_of, record_birth, transition
from backend.dispatch.models import Assistance
from tests.support.people import Member

pytestmark = pytest.mark.django_db
NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Gone(Problem):
    title = "Gone already."


@pytest.fixture
def job(member: Callable[..., Member]) -> Assistance:
    job = Assistance.objects.create(
        status="requested",
        client_id=member().id,
        pickup_lat=36.0,
        pickup_lng=3.0,
        vehicle_class="light",
        requested_at=NOW,
        expires_at=NOW,
        created_at=NOW,
        updated_at=NOW,
    )
    record_birth(job, by=None, now=NOW)
    return job


class TestTransition:
    def test_moves_the_row_raises_its_version_and_writes_its_history(
        self, job: Assistance, member: Callable[..., Member]
    ) -> None:
        actor = member().actor
        before = transition(
            job, expect={"requested"}, to="canceled", set={"finished_at": NOW}, by=actor, now=NOW, reason="rain"
        )
        assert before == "requested"
        assert (job.status, job.version, job.finished_at, job.updated_at) == ("canceled", 2, NOW, NOW)
        job.refresh_from_db()
        assert (job.status, job.version, job.finished_at) == ("canceled", 2, NOW)
        rows = history_of(job).values_list("version", "from_status", "to_status", "by_id", "reason")
        assert list(rows) == [(1, "", "requested", None, ""), (2, "requested", "canceled", actor.id, "rain")]

    def test_whoever_changes_no_row_gets_the_error_with_the_present_state(self, job: Assistance) -> None:
        twin = Assistance.objects.get(pk=job.pk)
        transition(job, expect={"requested"}, to="canceled", by=None, now=NOW)
        for otherwise in (InvalidState, Gone):
            with pytest.raises(otherwise) as refused:
                transition(twin, expect={"requested"}, to="expired", by=None, now=NOW, otherwise=otherwise)
            assert refused.value.data == {"current_status": "canceled"}
        assert StateChange.objects.filter(reference=job.reference).count() == 2

    def test_further_conditions_must_hold_too(self, job: Assistance) -> None:
        with pytest.raises(InvalidState):
            transition(job, expect={"requested"}, where={"round": 9}, to="canceled", by=None, now=NOW)
        transition(job, expect={"requested"}, where={"round": 1, "assistant_id": None}, to="canceled", by=None, now=NOW)
        assert job.status == "canceled"

    def test_a_step_that_the_table_does_not_have_is_a_mistake_in_the_code(self, job: Assistance) -> None:
        with pytest.raises(ValueError, match="no step from requested to completed"):
            transition(job, expect={"requested"}, to="completed", by=None, now=NOW)
        assert StateChange.objects.filter(reference=job.reference).count() == 1

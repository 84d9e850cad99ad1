from collections.abc import Iterator
from datetime import timedelta

import pytest

from backend.core import purging
from backend.core.models import EventRow, IdempotentAnswer, JobRow, RoomHead
from backend.core.timetable import entries
from tests.conftest import Moment

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(purging, "BATCH", 3)
    return iter(())


def make_event(at: Moment, days: float, number: int | None) -> None:
    created_at = at.now - timedelta(days=days)
    EventRow.objects.create(
        room="user:1", partition=0, number=number, type="t", data="{}", request_id="", created_at=created_at
    )


def make_job(at: Moment, days: float, status: str) -> None:
    finished_at = None if status == "pending" else at.now - timedelta(days=days)
    JobRow.objects.create(
        name=f"tests.{status}", queue="bulk", arguments={}, request_id="", run_at=at.now - timedelta(days=days),
        status=status, finished_at=finished_at,
    )  # fmt: skip


class TestPurge:
    def test_deletes_numbered_events_after_seven_days_and_no_head(self, at: Moment) -> None:
        RoomHead.objects.create(room="user:1", head=2)
        make_event(at, 7.01, 1)
        make_event(at, 6.99, 2)
        make_event(at, 30, None)
        purging.purge(now=at.now)
        assert set(EventRow.objects.values_list("number", flat=True)) == {2, None}
        assert RoomHead.objects.get().head == 2

    def test_deletes_done_jobs_after_seven_days_and_never_dead_ones(self, at: Moment) -> None:
        for status in ("done", "dead", "pending"):
            make_job(at, 400, status)
        make_job(at, 6.99, "done")
        purging.purge(now=at.now)
        assert sorted(JobRow.objects.values_list("name", flat=True)) == ["tests.dead", "tests.done", "tests.pending"]

    def test_deletes_stored_answers_after_thirty_days(self, at: Moment) -> None:
        for days in (29.99, 30.01):
            IdempotentAnswer.objects.create(
                user_id=1, operation="POST /x/", key=str(days), body_hash=b"", status=201, body=b"",
                created_at=at.now - timedelta(days=days),
            )  # fmt: skip
        purging.purge(now=at.now)
        assert IdempotentAnswer.objects.get().key == "29.99"

    def test_leaves_the_rest_of_many_to_a_job_of_its_own(self, at: Moment) -> None:
        for number in range(1, 5):
            make_event(at, 8, number)
        purging.purge(now=at.now)
        assert EventRow.objects.count() == 1
        assert list(JobRow.objects.values_list("name", "queue")) == [("core.purge", "bulk")]
        JobRow.objects.all().delete()
        purging.purge(now=at.now)
        assert (EventRow.objects.count(), JobRow.objects.count()) == (0, 0)

    def test_runs_every_hour(self) -> None:
        assert ("core.purge", timedelta(hours=1)) in {(entry.job, entry.period) for entry in entries()}

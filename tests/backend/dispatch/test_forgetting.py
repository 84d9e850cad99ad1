"""What of dispatch is purged and when, and what stays: taken quotes, and the tracks of jobs that go on."""

from datetime import timedelta

import pytest
from django.db import connection

from backend.core import purging
from backend.core.environment import environment
from backend.core.models import JobRow
from backend.core.proof import prove
from backend.core.timetable import entries
from backend.dispatch.jobs import purge
from backend.dispatch.models import Assistance, Quote, TrackPoint
from backend.dispatch.public import ensure_demo_tariffs
from backend.dispatch.services import forgetting, requests
from backend.dispatch.states import Status
from tests.backend.dispatch.conftest import DROPOFF, PICKUP, Stage
from tests.conftest import Moment
from tests.support.people import Member

LITTLE = timedelta(microseconds=1)
KEPT = timedelta(days=environment().position_history_days)


def quote(stage: Stage, client: Member) -> Quote:
    return requests.quote_assistance(
        actor=client.actor, service_type="towing", vehicle_class="light", pickup=PICKUP, dropoff=DROPOFF, now=stage.now
    )


def pass_by(assistance: Assistance, stage: Stage, *, count: int = 1) -> None:
    TrackPoint.objects.bulk_create(
        TrackPoint(assistance=assistance, lat=36.7, lng=3.0, at=stage.now) for _ in range(count)
    )


class TestQuotes:
    def test_go_a_day_after_they_ran_out(self, stage: Stage) -> None:
        """Exactly a day old they stay: seen red with `__lte`."""
        expired_at = quote(stage, stage.client()).expires_at
        purge(now=expired_at + timedelta(days=1))
        assert Quote.objects.count() == 1
        purge(now=expired_at + timedelta(days=1) + LITTLE)
        assert Quote.objects.count() == 0

    def test_stay_while_a_job_names_them(self, stage: Stage) -> None:
        """Seen red without NOT EXISTS: the job had lost its quote."""
        client = stage.client()
        taken, _ = quote(stage, client), quote(stage, client)
        job = stage.request(client, quote_id=taken.pk).assistance
        stage.at.forward(days=30)
        purge(now=stage.now)
        assert Quote.objects.get() == taken
        assert Assistance.objects.get().quote_id == taken.pk == job.quote_id


class TestTracks:
    def test_go_after_the_days_of_the_setting(self, stage: Stage) -> None:
        """Exactly so old they stay: seen red with `__lte`."""
        job = stage.job(Status.COMPLETED)
        pass_by(job.assistance, stage)
        purge(now=stage.now + KEPT)
        assert TrackPoint.objects.count() == 1
        purge(now=stage.now + KEPT + LITTLE)
        assert TrackPoint.objects.count() == 0
        assert Assistance.objects.get() == job.assistance

    @pytest.mark.parametrize(
        ("status", "left"),
        [(Status.ACCEPTED, 2), (Status.ONGOING, 2), (Status.COMPLETED, 0), (Status.CANCELED, 0)],
    )
    def test_of_a_job_that_goes_on_stay(self, stage: Stage, status: Status, left: int) -> None:
        """Seen red without the look at the job's state."""
        pass_by(stage.job(status).assistance, stage, count=2)
        stage.at.forward(days=4000)
        purge(now=stage.now)
        assert TrackPoint.objects.count() == left


class TestPurge:
    def test_takes_batches_and_leaves_the_rest_to_a_job_of_its_own(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(purging, "BATCH", 3)
        pass_by(stage.job(Status.COMPLETED).assistance, stage, count=5)
        JobRow.objects.all().delete()
        now = stage.now + KEPT + LITTLE
        purge(now=now, of_tomorrow=1)
        assert TrackPoint.objects.count() == 2
        assert list(JobRow.objects.values_list("name", "queue")) == [("dispatch.purge", "bulk")]
        JobRow.objects.all().delete()
        purge(now=now)
        assert (TrackPoint.objects.count(), JobRow.objects.count()) == (0, 0)

    def test_runs_every_hour(self) -> None:
        assert ("dispatch.purge", timedelta(hours=1)) in {(entry.job, entry.period) for entry in entries()}

    def test_breaks_no_invariant(self, stage: Stage) -> None:
        client = stage.client()
        stage.request(client, quote_id=quote(stage, client).pk)
        for status in (Status.COMPLETED, Status.ONGOING):
            pass_by(stage.job(status).assistance, stage)
        before = {finding.invariant.name for finding in prove(now=stage.now, patience_s=30) if not finding.holds}
        purge(now=stage.now + timedelta(days=4000))
        after = {finding.invariant.name for finding in prove(now=stage.now, patience_s=30) if not finding.holds}
        assert after == before
        assert (Quote.objects.count(), TrackPoint.objects.count()) == (1, 1)


class TestFinding:
    """Of many, the few that are old are found by an index: no table is read from end to end."""

    def test_takes_the_index_of_each_table(self, as_owner: None, at: Moment) -> None:
        ensure_demo_tariffs(now=at.now)
        job = Stage(at).job(Status.COMPLETED)
        with connection.cursor() as cursor:
            cursor.execute(
                MANY, {"user": job.client.id, "job": job.assistance.pk, "now": at.now, "since": at.now - KEPT}
            )
        quotes, tracks = [
            rows.select_for_update(skip_locked=True, of=("self",)).only("pk")[: purging.BATCH].explain()
            for rows in forgetting._outlived(at.now)
        ]
        assert "Index Scan using quote_expiry" in quotes
        assert "Index Scan using track_age" in tracks
        assert "Seq Scan on dispatch_quote" not in quotes
        assert "Seq Scan on dispatch_track_point" not in tracks


MANY = """
INSERT INTO dispatch_quote
    (pickup_lat, pickup_lng, vehicle_class, currency, user_id, service_type, created_at, expires_at)
SELECT 36.7, 3.0, 'light', 'DZD', %(user)s, 'towing', %(now)s, %(now)s - interval '2 days' + n * interval '1 hour'
FROM generate_series(1, 20000) AS n;
INSERT INTO dispatch_track_point (assistance_id, lat, lng, at)
SELECT %(job)s, 36.7, 3.0, %(since)s - interval '1 day' + n * interval '1 hour'
FROM generate_series(1, 20000) AS n;
ANALYZE dispatch_quote, dispatch_track_point, dispatch_assistance
"""

from datetime import timedelta
from functools import partial

import pytest

from backend.core import jobs
from backend.core.models import JobRow, Timer
from backend.core.timetable import every
from tests.conftest import Moment
from tests.worker.conftest import running, until
from worker.relay import timetable


def _more_than(count: int) -> bool:
    return JobRow.objects.count() > count


@pytest.fixture(autouse=True)
def _entry(known_jobs: None, spine: None) -> None:
    @jobs.job("tests.tick")
    def tick(**_: object) -> None:
        pass

    every(name="tests.each_minute", seconds=60, job="tests.tick")


class TestTimetable:
    def test_enqueues_at_once_and_then_once_a_period(self, at: Moment) -> None:
        for _ in range(2):
            timetable.one_round()
        assert JobRow.objects.count() == 1
        at.forward(seconds=59)
        timetable.one_round()
        assert JobRow.objects.count() == 1
        at.forward(seconds=1)
        timetable.one_round()
        assert list(JobRow.objects.values_list("name", "run_at").order_by("id"))[1:] == [("tests.tick", at.now)]
        assert Timer.objects.get().next_run_at == at.now + timedelta(seconds=60)

    def test_makes_one_run_of_an_outage_and_keeps_its_beat(self, at: Moment) -> None:
        timetable.one_round()
        began = at.now
        at.forward(minutes=90, seconds=20)
        for _ in range(3):
            timetable.one_round()
        assert JobRow.objects.count() == 2
        assert Timer.objects.get().next_run_at == began + timedelta(minutes=91)

    def test_ticks_once_for_all_relays(self, at: Moment) -> None:
        timetable.one_round()
        with running(*[timetable.run] * 4):
            for _ in range(3):
                before = JobRow.objects.count()
                at.forward(minutes=1)
                until(partial(_more_than, before), seconds=2)
        assert JobRow.objects.count() == 4

    def test_enqueues_nothing_when_the_tick_is_not_kept(self, at: Moment, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(jobs, "_registry", {})
        with pytest.raises(LookupError):
            timetable.one_round()
        assert Timer.objects.get().next_run_at == at.now

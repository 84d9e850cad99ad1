"""T3: whatever runs again, beside itself, or after a kill leaves what it leaves when it runs once. Every job there is.

Jobs are written twice, as rows of their own, so that nothing but the job itself keeps the second from doing it again;
with an effect outside it is the row that keeps two workers apart, so both get the same one. A kill is an exception that
nobody catches, before each statement that writes, in one attempt after the other.
"""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection, transaction
from pytest_django import DjangoDbBlocker

from backend.core import jobs, live, mail
from backend.core.models import JobRow
from tests.conftest import Moment, pinned_clock
from tests.support.world import World, make_world
from tests.worker.committed import Committed, Rows, Snapshot
from tests.worker.twice import CASES, Case
from worker.running import Runner

JOBS = sorted(definition.name for definition in jobs.definitions())
WRITES = re.compile(r"\b(INSERT INTO|DELETE FROM|(?<!FOR )(?<!KEY )UPDATE)\b")
WORKED_WITH = "core_job"
NEW_IDS_FROM = 10**6
NEW_ID = re.compile(r"\b10000\d\d\b")
"""A row that was rolled back leaves a hole in the ids: which one a new row got is chance."""


class Killed(BaseException):
    """Nothing of ours catches it, as nothing of ours goes on after a kill."""


class Stage:
    """One job's beginning, to which every variant returns."""

    def __init__(self, database: Committed, name: str, case: Case, at: Moment, sent: list[str]) -> None:
        self.database, self.name, self.case, self.at, self.sent = database, name, case, at, sent
        self.arguments: Any = {}
        self.beginning: Snapshot

    def write(self, times: int) -> list[int]:
        """Begin from the beginning, with so many rows of the job."""
        self.database.restore(self.beginning)
        self.sent.clear()
        with transaction.atomic():
            return [jobs.enqueue(self.name, now=self.at.now, **self.arguments) for _ in range(times)]

    def run(self, job_id: int) -> str | None:
        """As a worker does when the relay has sent it (again)."""
        JobRow.objects.filter(pk=job_id).update(sent_at=self.at.now, lease_until=None)
        return Runner().run(job_id)

    def outcome(self, ids: list[int]) -> Rows:
        """What is in the database now but for these jobs themselves, and for what the case calls chance."""
        if self.case.then:
            for job_id in JobRow.objects.filter(name=self.case.then, status="pending").values_list("pk", flat=True):
                assert self.run(job_id) == "done"
        found = self.database.rows(self.case.volatile | {"created_at", "written_at", "sent_at", "lease_until"})
        for table in self.case.leaves:
            del found[table]
        mine = {f'"id": {job_id},' for job_id in ids}
        found[WORKED_WITH] = Counter(
            row
            for row in found[WORKED_WITH].elements()
            if not any(one in row for one in mine) and f'"name": "{self.case.then}"' not in row
        )
        return {table: Counter(NEW_ID.sub("new", row) for row in rows.elements()) for table, rows in found.items()}


@contextmanager
def killed_before(write: int) -> Iterator[list[int]]:
    """Nobody survives this write, counted from one; what it gives counts them."""
    counted = [0]

    def count(execute: Any, statement: Any, *rest: Any) -> Any:
        if WRITES.search(str(statement)):
            counted[0] += 1
            if counted[0] == write:
                raise Killed
        return execute(statement, *rest)

    with connection.execute_wrapper(count):
        yield counted


@pytest.fixture(scope="module")
def moment() -> Iterator[Moment]:
    with pinned_clock(datetime.now(UTC)) as moment:
        yield moment


@pytest.fixture(scope="module")
def database(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Committed]:
    with django_db_blocker.unblock():
        database = Committed()
        untouched = database.take()
        yield database
        database.restore(untouched)
        database.close()
        connection.close()


@pytest.fixture(scope="module")
def committed_world(database: Committed, moment: Moment) -> tuple[World, Snapshot]:
    return make_world(), database.take()


@pytest.fixture
def stage(
    request: pytest.FixtureRequest,
    database: Committed,
    committed_world: tuple[World, Snapshot],
    moment: Moment,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stage]:
    """The world, and on top of it what this job needs."""
    world, committed = committed_world
    sent: list[str] = []
    monkeypatch.setattr(mail, "deliver", lambda message: sent.append(message.extra_headers["Message-ID"]))
    monkeypatch.setattr(live, "forget_presence", lambda user_id: sent.__iadd__([f"forgotten {user_id}"]))
    assert request.param in CASES, "tests/worker/twice.py says of every job what it needs to have something to do"
    stage = Stage(database, request.param, CASES[request.param], moment, sent)
    began = moment.now
    database.restore(committed)
    stage.arguments = stage.case.prepare(world, moment.now)
    moment.now += stage.case.after
    stage.beginning = database.take(next_ids_from=NEW_IDS_FROM)
    yield stage
    moment.now = began


class TestJobs:
    @pytest.mark.parametrize("stage", JOBS, indirect=True)
    def test_leave_the_same_twice_at_once_and_after_a_kill(self, stage: Stage) -> None:
        """Seen red with reminders that do not ask whether they were given, and with a group's news told unasked."""
        ids = stage.write(0)
        before = stage.outcome(ids)
        ids = stage.write(1)
        assert stage.run(ids[0]) == "done"
        once = stage.outcome(ids)
        assert len(stage.sent) == stage.case.calls
        assert once != before or stage.sent, "it had nothing to do"
        assert stage.run(ids[0]) is None
        assert self._differences(once, stage.outcome(ids)) == {}

        ids = stage.write(2)
        assert [stage.run(job_id) for job_id in ids] == ["done", "done"]
        assert self._differences(once, stage.outcome(ids)) == {}

        is_outside = jobs.definition(stage.name).is_outside
        ids = stage.write(1) * 2 if is_outside else stage.write(2)
        assert self._run_at_once(stage, ids) == ({"done": 1, None: 1} if is_outside else {"done": 2})
        assert self._differences(once, stage.outcome(ids)) == {}

        write = 0
        while self._is_killed(stage, once, write := write + 1):
            pass
        assert write > 2, "no write was seen"

    def _is_killed(self, stage: Stage, once: Rows, write: int) -> bool:
        """Kill its worker before this write, and have it run again; False when it did not get so far."""
        ids = stage.write(1)
        with killed_before(write):
            try:
                stage.run(ids[0])
            except Killed:
                pass
            else:
                return False
        assert stage.run(ids[0]) == "done"
        assert self._differences(once, stage.outcome(ids)) == {}
        assert len(set(stage.sent)) == stage.case.calls
        assert len(stage.sent) <= 2 * stage.case.calls
        return True

    @staticmethod
    def _run_at_once(stage: Stage, ids: list[int]) -> Counter[str | None]:
        JobRow.objects.filter(pk__in=ids).update(sent_at=stage.at.now)
        line = Barrier(len(ids))
        outcomes: list[str | None] = []

        def run(job_id: int) -> None:
            connection.ensure_connection()
            line.wait(10)
            outcomes.append(Runner().run(job_id))
            connection.close()

        threads = [Thread(target=run, args=(job_id,)) for job_id in ids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return Counter(outcomes)

    @staticmethod
    def _differences(one: Rows, other: Rows) -> dict[str, tuple[list[str], list[str]]]:
        """By table: the rows that only one of the two has."""
        return {
            table: (sorted((one[table] - other[table]).elements()), sorted((other[table] - one[table]).elements()))
            for table in one
            if one[table] != other[table]
        }

    def test_have_a_case_each(self) -> None:
        assert sorted(CASES) == JOBS

"""Who may talk about a roadside job."""

import pytest

from backend.core.references import SUBJECT_PEOPLE
from backend.dispatch.states import Status
from tests.backend.dispatch.conftest import Stage

pytestmark = pytest.mark.django_db


class TestWhoMayTalk:
    @pytest.mark.parametrize("status", [Status.ACCEPTED, Status.ONGOING, Status.COMPLETED])
    def test_are_client_and_assistant(self, stage: Stage, status: Status) -> None:
        job = stage.job(status)
        assert SUBJECT_PEOPLE.about("assistance")(job.assistance.pk) == frozenset({job.client.id, job.assistant.id})

    @pytest.mark.parametrize("status", [Status.REQUESTED, Status.CANCELED])
    def test_is_the_client_alone_where_nobody_has_it(self, stage: Stage, status: Status) -> None:
        job = stage.job(status)
        assert SUBJECT_PEOPLE.about("assistance")(job.assistance.pk) == frozenset({job.client.id})

    def test_there_is_nobody_to_talk_about_what_is_not(self, stage: Stage) -> None:
        assert SUBJECT_PEOPLE.about("assistance")(10**12) is None

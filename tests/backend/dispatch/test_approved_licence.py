"""Going on duty where the platform wants an approved driving licence."""

from datetime import date, timedelta

import pytest
from django.core.files.base import ContentFile

from backend.core.environment import environment
from backend.dispatch.errors import LicenceNotApproved
from backend.dispatch.models import DispatchAssistant
from backend.dispatch.services import duty
from backend.media import public as media
from tests.conftest import Moment
from tests.support.api import Answer, Api
from tests.support.people import Member, make_member

LAST_DAY = date(2030, 5, 16)


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = environment().model_copy(update={"require_approved_licence": True})
    monkeypatch.setattr(duty, "environment", lambda: changed)


@pytest.fixture
def assistant(db: None, at: Moment) -> Member:
    return make_member("assistant", now=at.now)


def go_on_duty(assistant: Member) -> Answer:
    return Api().as_(assistant).post("/me/assistant/status/", {"is_active": True})


def approve(assistant: Member, at: Moment) -> None:
    manager = make_member("manager", now=at.now)
    kept = media.keep_pdf(ContentFile(b"%PDF-1.4\n%%EOF"), now=at.now)
    media.approve_licence(user_id=assistant.id, reviewer_id=manager.id, kept=kept, expires_on=LAST_DAY, now=at.now)


class TestApprovedLicence:
    @pytest.mark.usefixtures("wanted")
    def test_is_needed(self, assistant: Member) -> None:
        Api().as_(assistant).upload(
            "POST", "/documents/", b"%PDF-1.4\n%%EOF", type="driving_license", expires_on=f"{LAST_DAY}"
        )
        answer = go_on_duty(assistant)
        assert (answer.status, answer.code) == (409, "licence_not_approved")
        assert not DispatchAssistant.objects.filter(on_duty=True).exists()
        assert Api().as_(assistant).post("/me/assistant/status/", {"is_active": False}).status == 200

    @pytest.mark.usefixtures("wanted")
    def test_is_enough(self, assistant: Member, at: Moment) -> None:
        approve(assistant, at)
        assert go_on_duty(assistant).status == 200

    @pytest.mark.usefixtures("wanted")
    def test_must_hold_today(self, assistant: Member, at: Moment) -> None:
        approve(assistant, at)
        at.now += timedelta(days=2)
        with pytest.raises(LicenceNotApproved):
            duty.set_duty(actor=assistant.actor, is_active=True, now=at.now)

    def test_is_not_needed_without_the_setting(self, assistant: Member) -> None:
        assert go_on_duty(assistant).status == 200

"""What messaging holds of a person: told, and forgotten."""

from typing import Any

import pytest

from backend.messaging import personal_data
from backend.messaging.models import Attachment, Block, Message
from backend.messaging.models import Member as Stay
from tests.backend.messaging.conftest import Talk, broken
from tests.backend.messaging.test_attachments import upload
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.jobs import run_jobs

pytestmark = pytest.mark.django_db


@pytest.fixture
def lived(api: Api, talk: Talk, group: Talk, at: Moment) -> Talk:
    """Ana has said something to Bo, sent one file and uploaded another, and blocked somebody."""
    talk.say(talk.bo, "From Bo", at)
    api.as_(talk.ana).post(talk.path, {"content": "From Ana", "attachments": [upload(api, talk.ana).body["id"]]})
    upload(api, talk.ana)
    api.as_(talk.ana).post(f"/users/{group.bo.id}/block/")
    return talk


class TestExport:
    def test_holds_ones_own_and_nothing_that_others_said(self, lived: Talk, group: Talk) -> None:
        parts: dict[str, Any] = {
            part.name: list(part.rows) if part.rows is not None else part.file
            for part in personal_data.export(lived.ana.id)
        }
        assert [row["content"] for row in parts["messaging/messages.json"]] == ["From Ana"]
        assert [row["blocked_id"] for row in parts["messaging/blocks.json"]] == [group.bo.id]
        files = [row["id"] for row in parts["messaging/attachments.json"]]
        assert {name for name in parts if name.endswith(".pdf")} == {f"messaging/attachments/{pk}.pdf" for pk in files}
        assert len(files) == 2


class TestErase:
    def test_leaves_what_others_got_and_the_conversations(self, lived: Talk, at: Moment) -> None:
        for _ in range(2):
            personal_data.erase(user_id=lived.ana.id, now=at.now)
            run_jobs("messaging.leave_conversations")
        assert not Stay.objects.filter(user_id=lived.ana.id, left_at=None).exists()
        assert not Block.objects.exists()
        (kept,) = Attachment.objects.filter(uploader_id=lived.ana.id)
        assert kept.message_id == Message.objects.get(sender_id=lived.ana.id).pk
        assert broken(at) == set()

    def test_leaves_groups(self, group: Talk, at: Moment) -> None:
        group.say(group.ana, "Hello", at)
        personal_data.erase(user_id=group.ana.id, now=at.now)
        run_jobs("messaging.leave_conversations")
        assert group.events()[-1][0] == "member.removed"
        assert broken(at) == set()

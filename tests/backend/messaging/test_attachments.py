"""Files that go with messages."""

from datetime import datetime
from pathlib import Path

import pytest
from django.test import Client

from backend.core.jobs import definition
from backend.media.models import StoredFile
from backend.messaging.jobs import purge_attachments
from backend.messaging.models import Attachment, Message
from backend.messaging.services.attachments import readable_name
from tests.architecture.authorisation.rules import PICTURE
from tests.backend.messaging.conftest import Talk, broken, lists_of
from tests.conftest import Moment
from tests.support.api import Answer, Api
from tests.support.people import Member

pytestmark = pytest.mark.django_db

PDF = b"%PDF-1.4\n%%EOF"


def upload(api: Api, who: Member, content: bytes = PDF, name: str = "plan.pdf") -> Answer:
    return api.as_(who).upload("POST", "/attachments/", content, name)


def files(at: Moment) -> int:
    """How many files are wanted."""
    return StoredFile.objects.filter(purge_at=None).count()


class TestAttachments:
    def test_go_with_a_message_to_its_members(self, api: Api, talk: Talk, stranger: Member, at: Moment) -> None:
        first, second = upload(api, talk.ana), upload(api, talk.ana, PICTURE, "bridge.png")
        assert (first.status, first.body["content_type"], second.body["content_type"]) == (
            201,
            "application/pdf",
            "image/jpeg",
        )
        ids = [second.body["id"], first.body["id"]]
        said = api.as_(talk.ana).post(talk.path, {"attachments": ids})
        assert (said.status, said.body["content"]) == (201, "")
        assert [(one["id"], one["name"]) for one in said.body["attachments"]] == [
            (ids[0], "bridge.png"),
            (ids[1], "plan.pdf"),
        ]
        (told,) = [data for type_, data in talk.events() if type_ == "message.created"]
        assert [one["url"] for one in told["message"]["attachments"]] == [None, None]
        seen = api.as_(talk.bo).get(f"/messages/{said.body['id']}/").body["attachments"]
        assert [one["id"] for one in seen] == ids
        assert Client().get(seen[1]["url"]).getvalue() == PDF
        assert api.as_(stranger).get(f"/messages/{said.body['id']}/").status == 404
        assert lists_of(talk.bo)[-1][:2] == (talk.id, 1)
        assert broken(at) == set()

    def test_the_address_stays_the_same_within_the_hour(self, api: Api, talk: Talk, at: Moment) -> None:
        said = api.as_(talk.ana).post(talk.path, {"attachments": [upload(api, talk.ana).body["id"]]}).body
        at.forward(minutes=10)
        again = api.as_(talk.bo).get(f"/messages/{said['id']}/").body["attachments"][0]["url"]
        assert again == said["attachments"][0]["url"]

    @pytest.mark.parametrize("whose", ["another's", "used", "of yesterday", "none"])
    def test_are_named_once_by_who_uploaded_them_within_a_day(
        self, api: Api, talk: Talk, at: Moment, whose: str
    ) -> None:
        """Seen red without the uploader or the age in the condition; what is used already media refuses, too."""
        number: int = upload(api, talk.bo if whose == "another's" else talk.ana).body["id"]
        if whose == "used":
            assert api.as_(talk.ana).post(talk.path, {"attachments": [number]}).status == 201
        if whose == "of yesterday":
            Attachment.objects.update(created_at=datetime(2030, 5, 14, 9, 30, tzinfo=at.now.tzinfo))
        before = Message.objects.count(), len(talk.events())
        answer = api.as_(talk.ana).post(
            talk.path, {"content": "Look", "attachments": [number + 1000 * (whose == "none")]}
        )
        assert (answer.status, answer.fields) == (422, {"body.attachments": "validation_failed"})
        assert (Message.objects.count(), len(talk.events())) == before
        assert broken(at) == set()

    def test_are_gone_with_their_message(self, api: Api, talk: Talk, at: Moment) -> None:
        said = api.as_(talk.ana).post(talk.path, {"content": "Look", "attachments": [upload(api, talk.ana).body["id"]]})
        assert files(at) == 1
        api.as_(talk.ana).delete(f"/messages/{said.body['id']}/")
        assert (files(at), Attachment.objects.count()) == (0, 0)
        assert broken(at) == set()

    def test_take_pictures_and_pdfs_and_no_more(self, api: Api, talk: Talk, files_folder: Path) -> None:
        for content in (b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a", b"RIFFxxxxWEBP", b"MZ\x90"):
            assert upload(api, talk.ana, content).status == 422
        assert not Attachment.objects.exists()

    def test_wait_in_bounded_number(self, api: Api, talk: Talk, at: Moment) -> None:
        Attachment.objects.bulk_create(
            Attachment(
                uploader_id=talk.ana.id,
                file_key=f"attachments/{n}.pdf",
                name="x",
                content_type="application/pdf",
                size_bytes=1,
                created_at=at.now,
            )
            for n in range(50)
        )
        answer = upload(api, talk.ana)
        assert (answer.status, answer.code) == (409, "too_many_attachments")

    @pytest.mark.parametrize(
        ("given", "kept"),
        [("a\u202egpj.exe", "agpj.exe"), ("\x00\u200b", "file"), ("x" * 300, "x" * 100), ("صورة 1.jpg", "صورة 1.jpg")],
    )
    def test_names_hide_nothing(self, given: str, kept: str) -> None:
        assert readable_name(given) == kept


class TestPurgeAttachments:
    def test_forgets_what_no_message_named_within_a_day(self, api: Api, talk: Talk, at: Moment) -> None:
        """Seen red with named ones purged as well."""
        named, unnamed = (upload(api, talk.ana).body["id"] for _ in range(2))
        api.as_(talk.ana).post(talk.path, {"attachments": [named]})
        at.forward(hours=23)
        purge_attachments(now=at.now)
        assert Attachment.objects.filter(pk=unnamed).exists()
        at.forward(hours=1)
        for _ in range(2):
            definition("messaging.purge_attachments").run(now=at.now, of_a_later_release=1)
        assert list(Attachment.objects.values_list("pk", flat=True)) == [named]
        assert files(at) == 1
        assert broken(at) == set()

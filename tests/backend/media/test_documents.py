"""Documents: shown, replaced, reviewed; who may see them, and what is kept."""

import io
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client

from backend.core import files
from backend.core.models import AuditRow, EventRow, JobRow
from backend.core.states import history_of
from backend.media import public
from backend.media.jobs import remind_of_expiry
from backend.media.models import Document, StoredFile
from backend.media.services import storing
from backend.media.services.documents import CHUNK_BYTES
from tests.backend.media.corpus import (
    CANARY,
    EXHAUSTING,
    HTML,
    PDF,
    POLYGLOTS,
    SCRIPT,
    SVG,
    jpeg_with_comment,
    picture,
)
from tests.conftest import Moment
from tests.support.api import Answer, Api
from tests.support.people import Member, make_member

LICENCE = {"type": "driving_license", "expires_on": "2030-06-20"}


@pytest.fixture
def owner(db: None, at: Moment) -> Member:
    return make_member("assistant", now=at.now)


@pytest.fixture
def manager(owner: Member, at: Moment) -> Member:
    return make_member("manager", now=at.now)


def add(owner: Member, content: bytes = PDF, name: str = "x.pdf", **fields: str) -> Answer:
    return Api().as_(owner).upload("POST", "/documents/", content, name, **(fields or LICENCE))


def review(manager: Member, document: int, decision: str = "approve", **fields: str) -> Answer:
    return Api().as_(manager).post(f"/documents/{document}/review/", {"decision": decision, **fields})


def with_object(content: bytes) -> bytes:
    return PDF.replace(b"trailer", b"2 0 obj" + content + b"endobj\ntrailer")


def archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as files_:
        files_.writestr("evil.js", SCRIPT)
    return packed.getvalue()


def stored(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


class TestAddDocument:
    def test_shows_a_pdf_as_it_is(self, owner: Member) -> None:
        answer = add(owner)
        assert answer.status == 201, answer.body
        assert answer.body == {
            **answer.body,
            "user_id": owner.id,
            **LICENCE,
            "status": "pending",
            "version": 1,
            "content_type": "application/pdf",
            "size_bytes": len(PDF),
            "reason": "",
            "reviewed_at": None,
        }
        link = Api().as_(owner).get(f"/documents/{answer.body['id']}/").body["download_url"]
        response = Client().get(link)
        assert b"".join(response) == PDF
        assert response["Content-Type"] == "application/pdf"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Content-Disposition"].startswith('attachment; filename="driving_license-')
        assert response["Content-Security-Policy"].startswith("default-src 'none'; sandbox")
        assert AuditRow.objects.filter(action="media.document_added", actor_id=owner.id).count() == 1

    @pytest.mark.parametrize("content", [jpeg_with_comment(), picture("PNG", mode="RGBA"), picture("PNG") + CANARY])
    def test_keeps_of_a_picture_its_pixels(self, owner: Member, files_folder: Path, content: bytes) -> None:
        before = stored(files_folder)
        answer = add(owner, content, "../../x.php", type="insurance")
        assert (answer.status, answer.body["content_type"]) == (201, "image/jpeg")
        (new,) = stored(files_folder) - before
        assert new.suffix == ".jpg"
        assert new.parent == files_folder / "documents"
        assert CANARY not in new.read_bytes()

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (SVG, "invalid_document"),
            (b"", "validation_failed"),
            (picture("GIF", mode="P"), "invalid_document"),
            (picture("WEBP"), "invalid_document"),
            (b" " + PDF, "invalid_document"),
            (PDF[:-8], "invalid_document"),
            (EXHAUSTING["65535 square in the header alone"](), "invalid_image"),
            (POLYGLOTS["HTML"][1](), "invalid_document"),
            (picture("JPEG", size=(900, 900))[:600], "invalid_image"),
        ],
    )  # fmt: skip
    def test_refuses_other_files(self, owner: Member, files_folder: Path, content: bytes, code: str) -> None:
        before = stored(files_folder)
        answer = add(owner, content)
        assert answer.status == 422
        assert answer.code in {code, "invalid_document"}
        assert stored(files_folder) == before
        assert not Document.objects.exists()
        assert not StoredFile.objects.exists()

    @pytest.mark.parametrize(
        "content",
        [
            PDF + HTML,
            PDF + b"\n\n" + SCRIPT,
            PDF + archive(),
            HTML + PDF,
            archive() + PDF,
            with_object(b"<</S/JavaScript/JS(app.alert\\(1\\))>>"),
            with_object(b"<</S/Java#53cript/JS(app.alert\\(1\\))>>"),
            with_object(b"<</S/Launch/F(cmd.exe)>>"),
            with_object(b"<</Type/EmbeddedFile/Length 0>>"),
            with_object(b"%" + b"x" * (CHUNK_BYTES - 18 - PDF.index(b"trailer")) + b"\n<</S/JavaScript/JS(1)>>"),
        ],
        ids="html-behind script-behind zip-behind html-ahead zip-ahead js escaped launch file two-reads".split(),
    )  # fmt: skip
    @pytest.mark.parametrize("door", ["/documents/", "/attachments/"])
    def test_refuses_a_pdf_that_is_something_else_or_acts(
        self, owner: Member, files_folder: Path, content: bytes, door: str
    ) -> None:
        """Seen red without looking behind the end, without looking for what acts, with escapes left as they are, and
        with each part of the file looked at alone. What is ahead of the mark was always refused."""
        before = stored(files_folder)
        fields = {"type": "other"} if door == "/documents/" else {}
        answer = Api().as_(owner).upload("POST", door, content, "licence.pdf", **fields)
        assert (answer.status, answer.code) == (422, "invalid_document")
        assert stored(files_folder) == before
        assert not StoredFile.objects.exists()

    def test_takes_a_pdf_that_says_so_in_words(self, owner: Member) -> None:
        """Names are not words, and what was saved twice ends twice."""
        talk = with_object(b"(No JavaScript, no /Launcher, no EmbeddedFile)")
        assert add(owner, talk + talk[len(b"%PDF-1.4\n") :] + b"\r\n\0 ").status == 201

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"type": "driving_license"}, "form.expires_on"),
            ({"type": "other", "expires_on": "2030-05-14"}, "form.expires_on"),
            ({"type": "other", "expires_on": "tomorrow"}, "form.expires_on"),
            ({"type": "passport"}, "form.type"),
            ({"type": "other", "status": "approved"}, "form.status"),
            ({"type": "other", "user_id": "1"}, "form.user_id"),
        ],
    )
    def test_refuses_other_fields(self, owner: Member, fields: dict[str, str], field: str) -> None:
        answer = add(owner, PDF, "x.pdf", **fields)
        assert (answer.status, list(answer.fields)) == (422, [field]), answer.body
        assert not Document.objects.exists()

    def test_takes_what_runs_out_today(self, owner: Member) -> None:
        assert add(owner, type="identity", expires_on="2030-05-15").status == 201

    def test_refuses_more_than_10_mb(self, owner: Member) -> None:
        answer = add(owner, PDF + b"\0" * 10 * 1024 * 1024)
        assert (answer.status, answer.code) == (413, "too_large")

    def test_has_one_effect_under_one_key(self, owner: Member) -> None:
        api = Api().as_(owner).with_headers(Idempotency_Key="k1")
        first = api.upload("POST", "/documents/", PDF, **LICENCE)
        again = api.upload("POST", "/documents/", PDF, **LICENCE)
        assert again.body == first.body
        assert again.headers["Idempotent-Replayed"] == "true"
        assert api.upload("POST", "/documents/", PDF + b"\n", **LICENCE).code == "idempotency_key_reused"
        assert Document.objects.count() == 1

    def test_stores_in_no_transaction(self, owner: Member, monkeypatch: pytest.MonkeyPatch) -> None:
        depth, seen, put = len(connection.savepoint_ids), set(), files.put

        def noting(key: str, content: object, *, content_type: str) -> None:
            seen.add(len(connection.savepoint_ids))
            put(key, content, content_type=content_type)  # type: ignore[arg-type]

        monkeypatch.setattr(files, "put", noting)
        document = add(owner).body["id"]
        assert Api().as_(owner).upload("PUT", f"/documents/{document}/", PDF, expires_on="2031-01-01").status == 200
        assert seen == {depth}


class TestListDocuments:
    def test_shows_ones_own_and_managers_all(self, owner: Member, manager: Member, at: Moment) -> None:
        other = make_member(now=at.now)
        mine, theirs = add(owner).body, add(other, type="other").body
        review(manager, theirs["id"])
        assert [row["id"] for row in Api().as_(owner).get("/documents/").body["results"]] == [mine["id"]]
        assert Api().as_(owner).get("/documents/", user_id=other.id).body["results"] == []
        everybodys = Api().as_(manager).get("/documents/").body["results"]
        assert [row["id"] for row in everybodys] == [theirs["id"], mine["id"]]
        pending = Api().as_(manager).get("/documents/", status="pending").body["results"]
        assert [row["id"] for row in pending] == [mine["id"]]
        assert Api().as_(manager).get("/documents/", status="lost").status == 422


class TestReadDocument:
    def test_gives_a_link_of_five_minutes(self, owner: Member, at: Moment) -> None:
        document = add(owner).body["id"]
        shown = Api().as_(owner).get(f"/documents/{document}/")
        assert shown.headers["ETag"] == '"1"'
        assert shown.body["download_expires_at"] == "2030-05-15T09:35:00Z"
        at.now += timedelta(minutes=5)
        assert Client().get(shown.body["download_url"]).status_code == 404

    def test_is_nobody_elses(self, owner: Member, at: Moment) -> None:
        document, stranger = add(owner).body["id"], Api().as_(make_member(now=at.now))
        assert stranger.get(f"/documents/{document}/").status == 404
        assert stranger.upload("PUT", f"/documents/{document}/", PDF).status == 404
        assert stranger.delete(f"/documents/{document}/").status == 404
        assert Document.objects.get().version == 1
        assert StoredFile.objects.count() == 1


class TestReplaceDocument:
    def test_starts_the_review_again(self, owner: Member, manager: Member, files_folder: Path, at: Moment) -> None:
        document = add(owner).body["id"]
        review(manager, document, "reject", reason="Too dark.")
        before = stored(files_folder)
        answer = Api().as_(owner).upload("PUT", f"/documents/{document}/", picture("JPEG"), expires_on="2031-01-01")
        assert answer.status == 200, answer.body
        assert (answer.body["status"], answer.body["reason"], answer.body["reviewed_at"]) == ("pending", "", None)
        assert (answer.body["expires_on"], answer.body["content_type"]) == ("2031-01-01", "image/jpeg")
        assert answer.headers["ETag"] == '"3"'
        assert storing.purge(now=at.now) == 1
        assert len(stored(files_folder) - before) == 1
        steps = history_of(Document.objects.get()).values_list("from_status", "to_status")
        assert list(steps) == [("", "pending"), ("pending", "rejected"), ("rejected", "pending")]

    def test_honours_if_match(self, owner: Member) -> None:
        document = add(owner).body["id"]
        api = Api().as_(owner).with_headers(If_Match='"7"')
        assert api.upload("PUT", f"/documents/{document}/", PDF, expires_on="2031-01-01").status == 412
        assert StoredFile.objects.count() == 1

    def test_is_not_a_managers(self, owner: Member, manager: Member) -> None:
        document = add(owner).body["id"]
        assert Api().as_(manager).upload("PUT", f"/documents/{document}/", PDF).status == 404
        assert Api().as_(manager).delete(f"/documents/{document}/").status == 404


class TestDeleteDocument:
    def test_deletes_the_file_too(self, owner: Member, files_folder: Path, at: Moment) -> None:
        before = stored(files_folder)
        document = add(owner).body["id"]
        assert Api().as_(owner).delete(f"/documents/{document}/").status == 204
        assert Api().as_(owner).get(f"/documents/{document}/").status == 404
        assert storing.purge(now=at.now) == 1
        assert stored(files_folder) == before


class TestReviewDocument:
    def test_approves_and_tells_the_owner(self, owner: Member, manager: Member) -> None:
        document = add(owner).body["id"]
        answer = review(manager, document)
        assert (answer.status, answer.body["status"]) == (200, "approved")
        event = EventRow.objects.get(type="document.reviewed")
        assert event.room == f"user:{owner.id}"
        assert AuditRow.objects.get(action="media.document_reviewed").actor_id == manager.id

    def test_rejects_for_a_reason(self, owner: Member, manager: Member) -> None:
        document = add(owner).body["id"]
        assert review(manager, document, "reject").fields == {"body.reason": "validation_failed"}
        assert review(manager, document, "approve", reason="Nice.").status == 422
        answer = review(manager, document, "reject", reason="Too dark.")
        assert (answer.body["status"], answer.body["reason"]) == ("rejected", "Too dark.")

    def test_decides_once(self, owner: Member, manager: Member) -> None:
        document = add(owner).body["id"]
        review(manager, document)
        answer = review(manager, document, "reject", reason="No.")
        assert (answer.status, answer.code, answer.body["current_status"]) == (409, "invalid_state", "approved")

    def test_is_for_managers_and_never_of_ones_own(self, owner: Member, manager: Member) -> None:
        mine, managers = add(owner).body["id"], add(manager).body["id"]
        assert review(owner, mine).status == 403
        assert review(manager, managers).status == 403
        assert review(manager, 10**9).status == 404
        assert set(Document.objects.values_list("status", flat=True)) == {"pending"}

    def test_does_not_approve_what_was_replaced_meanwhile(self, owner: Member, manager: Member) -> None:
        document = add(owner).body["id"]
        seen = Api().as_(manager).get(f"/documents/{document}/").headers["ETag"]
        Api().as_(owner).upload("PUT", f"/documents/{document}/", picture("JPEG"), expires_on="2031-01-01")
        answer = (
            Api()
            .as_(manager)
            .with_headers(If_Match=seen)
            .post(f"/documents/{document}/review/", {"decision": "approve"})
        )
        assert answer.status == 412
        assert Document.objects.get().status == "pending"


class TestReminders:
    def test_come_30_7_and_1_days_before(self, owner: Member, manager: Member) -> None:
        review(manager, add(owner).body["id"])
        jobs = JobRow.objects.filter(name="media.remind_of_expiry").order_by("run_at")
        assert [(f"{job.run_at:%m-%d %H:%M}", job.arguments["days"]) for job in jobs] == [
            ("05-21 09:00", 30),
            ("06-13 09:00", 7),
            ("06-19 09:00", 1),
        ]

    def test_leave_out_those_that_are_over(self, owner: Member, manager: Member) -> None:
        review(manager, add(owner, type="insurance", expires_on="2030-05-18").body["id"])
        assert [job.arguments["days"] for job in JobRow.objects.filter(name="media.remind_of_expiry")] == [1]

    def test_tell_the_owner(self, owner: Member, manager: Member, at: Moment) -> None:
        review(manager, add(owner).body["id"])
        job = JobRow.objects.filter(name="media.remind_of_expiry").order_by("run_at")[0]
        remind_of_expiry(now=at.now, **job.arguments)
        event = EventRow.objects.get(type="document.expiring")
        assert event.room == f"user:{owner.id}"
        assert '"days":30' in event.data

    def test_are_silent_about_what_was_replaced(self, owner: Member, manager: Member, at: Moment) -> None:
        document = add(owner).body["id"]
        review(manager, document)
        Api().as_(owner).upload("PUT", f"/documents/{document}/", PDF, expires_on="2040-01-01")
        for job in JobRow.objects.filter(name="media.remind_of_expiry"):
            remind_of_expiry(now=at.now, **job.arguments)
        assert not EventRow.objects.filter(type="document.expiring").exists()


class TestApprovedLicence:
    def test_holds_from_the_approval_to_its_last_day(self, owner: Member, manager: Member, at: Moment) -> None:
        def holds(days: int = 0) -> bool:
            return public.has_approved_licence(owner.id, on=at.now.date() + timedelta(days=days))

        assert not holds()
        document = add(owner).body["id"]
        assert not holds()
        review(manager, document)
        assert [holds(), holds(36), holds(37)] == [True, True, False]
        assert not public.has_approved_licence(manager.id, on=at.now.date())
        Api().as_(owner).upload("PUT", f"/documents/{document}/", PDF, expires_on="2031-01-01")
        assert not holds()

    def test_is_no_other_document(self, owner: Member, manager: Member, at: Moment) -> None:
        review(manager, add(owner, type="identity", expires_on="2040-01-01").body["id"])
        assert not public.has_approved_licence(owner.id, on=at.now.date())

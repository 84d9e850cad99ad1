"""All that is held of a person: who gets it, what is in it and what is not, and that it is written once."""

import io
import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from backend.accounts.models import SecondFactor, Session, User
from backend.accounts.services.passwords import hash_password
from backend.accounts.services.signing_in import Device, open_session
from backend.core import files
from backend.core.errors import Unavailable
from backend.core.jobs import NotDoneError
from backend.core.models import JobRow
from backend.core.states import history_of
from backend.dispatch.public import ensure_demo_tariffs
from backend.media.jobs import end_export, write_export
from backend.media.models import Document, Export, StoredFile
from backend.media.services import exporting, storing
from tests.backend.accounts.support import PASSWORD
from tests.backend.accounts.test_leaving import CANARY, WORDS, Life
from tests.backend.dispatch.conftest import Stage
from tests.backend.media.corpus import PDF
from tests.conftest import Moment
from tests.support.api import Answer, Api
from tests.support.jobs import run_jobs
from tests.support.people import Member


@pytest.fixture
def amel(at: Moment, member: Callable[..., Member]) -> Member:
    return member(name="Amel Haddad", email="amel@example.org", password=hash_password(PASSWORD))


def ask(person: Member, **proof: str) -> Answer:
    return Api().as_(person).post("/me/export/", proof)


def read(person: Member) -> Answer:
    return Api().as_(person).get("/me/export/")


def download(answer: Answer) -> zipfile.ZipFile:
    response = Client().get(answer.body["download_url"])
    assert response.status_code == 200
    assert response["Content-Disposition"] == 'attachment; filename="my-data.zip"'
    return zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content)))  # type: ignore[attr-defined]


def zips(folder: Path) -> list[Path]:
    return list(folder.rglob("*.zip"))


class TestRequestExport:
    def test_is_written_in_the_background(
        self, amel: Member, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        # who asks; the recent one, own row, sign-in, factor; held, before, savepoints and row, history, two jobs,
        # audit
        with django_assert_num_queries(17):
            answer = ask(amel)
        assert (answer.status, answer.body) == (
            202,
            {
                "id": answer.body["id"],
                "status": "requested",
                "created_at": "2030-05-15T09:30:00Z",
                "size_bytes": None,
                "expires_at": None,
                "download_url": None,
                "download_expires_at": None,
            },
        )
        run_jobs("media.write_export")
        with django_assert_num_queries(2):  # who asks, the row
            ready = read(amel)
        assert (ready.status, ready.body["status"], ready.body["expires_at"]) == (200, "ready", "2030-05-22T09:30:00Z")
        assert ready.body["download_expires_at"] == "2030-05-15T09:35:00Z"
        assert download(ready).testzip() is None
        export = Export.objects.get()
        assert list(history_of(export).values_list("from_status", "to_status", "by_id")) == [
            ("", "requested", amel.id),
            ("requested", "ready", None),
        ]

    def test_gives_the_same_one_for_an_hour(self, amel: Member, at: Moment) -> None:
        first = ask(amel).body["id"]
        run_jobs("media.write_export")
        at.forward(minutes=10)
        again = ask(amel)  # no proof is wanted for what is there
        assert (again.status, again.body["id"], again.body["status"]) == (202, first, "ready")
        assert JobRow.objects.filter(name="media.write_export").count() == 1

    def test_a_newer_one_takes_its_place_and_its_file_goes(self, amel: Member, at: Moment, files_folder: Path) -> None:
        first = ask(amel).body["id"]
        run_jobs("media.write_export")
        old = Export.objects.get().key
        at.forward(hours=1)
        Session.objects.update(created_at=at.now, expires_at=at.now + timedelta(days=1))
        assert ask(renewed(amel, at)).body["id"] != first
        storing.purge(now=at.now)
        assert not (files_folder / old).exists()
        assert Export.objects.count() == 1

    def test_wants_proof(self, amel: Member, at: Moment) -> None:
        """Seen red without the proof: a stolen access token got everything at once."""
        at.forward(minutes=5)
        assert [ask(amel).code, ask(amel, password="wrong password").code] == ["proof_required"] * 2
        assert not Export.objects.exists()
        assert ask(amel, password=PASSWORD).status == 202

    def test_shows_the_link_to_the_session_that_asked_and_to_who_has_just_signed_in(
        self, amel: Member, at: Moment
    ) -> None:
        ask(amel)
        run_jobs("media.write_export")
        tokens = open_session(user=amel.user, device=Device(None, "another"), now=at.now)
        other = Api().with_token(tokens.access)
        assert other.get("/me/export/").body["download_url"] is not None
        at.forward(minutes=5)
        assert other.get("/me/export/").body["download_url"] is None
        assert read(amel).body["download_url"] is not None

    def test_nobody_has_one_who_did_not_ask(self, amel: Member) -> None:
        assert read(amel).code == "not_found"


def renewed(person: Member, at: Moment) -> Member:
    tokens = open_session(user=person.user, device=Device(None, "tests"), now=at.now)
    return Member(user=person.user, session=Session.objects.latest("pk"), access=tokens.access)


class TestWriteExport:
    def test_writes_one_file_though_it_runs_twice(self, amel: Member, at: Moment, files_folder: Path) -> None:
        before = len(zips(files_folder))
        export_id = ask(amel).body["id"]
        first, second = (write_export(now=at.now, key="k", export_id=export_id, unknown=1) for _ in range(2))
        for call in (first, second):
            assert call is not None
            call()
        assert write_export(now=at.now, key="k", export_id=export_id) is None
        assert len(zips(files_folder)) == before + 1
        assert StoredFile.objects.values_list("key", "purge_at").get() == (
            Export.objects.get().key,
            at.now + timedelta(days=7),
        )

    def test_what_a_kill_leaves_is_purged(
        self, amel: Member, at: Moment, files_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Killed between the file and its row's change; the second attempt's file is the one that counts."""
        before = len(zips(files_folder))
        export_id = ask(amel).body["id"]
        with monkeypatch.context() as patched:
            patched.setattr("backend.media.services.exporting._finish", killed)
            call = write_export(now=at.now, key="k", export_id=export_id)
            assert call is not None
            with pytest.raises(SystemExit):
                call()
        call = write_export(now=at.now, key="k", export_id=export_id)
        assert call is not None
        call()
        assert len(zips(files_folder)) == before + 2
        storing.purge(now=at.forward(days=1))
        assert len(zips(files_folder)) == before + 1
        assert (files_folder / Export.objects.get().key).exists()

    def test_one_that_was_finished_by_another_lets_go_of_its_file(self, amel: Member, at: Moment) -> None:
        export_id = ask(amel).body["id"]
        run_jobs("media.write_export")
        theirs = Export.objects.get().key
        StoredFile.objects.create(key="exports/late.zip", created_at=at.now, purge_at=at.now + timedelta(days=1))
        exporting._finish(export_id, "exports/late.zip", 7, now=at.now)
        assert Export.objects.get().key == theirs
        assert StoredFile.objects.get(key="exports/late.zip").purge_at == at.now

    def test_is_tried_again_when_the_storage_is_away(
        self, amel: Member, at: Moment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        export_id = ask(amel).body["id"]

        def away(*_: object, **__: object) -> None:
            raise Unavailable

        monkeypatch.setattr(files, "put", away)
        call = write_export(now=at.now, key="k", export_id=export_id)
        assert call is not None
        with pytest.raises(NotDoneError, match="Unavailable"):
            call()
        assert Export.objects.get().status == "requested"

    def test_has_failed_when_it_is_not_written_in_an_hour(self, amel: Member, at: Moment) -> None:
        export_id = ask(amel).body["id"]
        end_export(now=at.now, export_id=export_id)
        assert Export.objects.get().status == "requested"
        at.forward(hours=1)
        for _ in range(2):
            end_export(now=at.now, export_id=export_id, unknown=1)
        assert Export.objects.get().status == "failed"
        assert write_export(now=at.now, key="k", export_id=export_id) is None

    def test_is_over_after_a_week(self, amel: Member, at: Moment, files_folder: Path) -> None:
        export_id = ask(amel).body["id"]
        run_jobs("media.write_export")
        key = Export.objects.get().key
        at.forward(days=7)
        for _ in range(2):
            end_export(now=at.now, export_id=export_id)
        storing.purge(now=at.now)
        assert not (files_folder / key).exists()
        person = renewed(amel, at)
        shown = read(person).body
        assert (shown["status"], shown["download_url"]) == ("expired", None)

    def test_goes_with_the_account(self, amel: Member, at: Moment, files_folder: Path) -> None:
        ask(amel)
        run_jobs("media.write_export")
        key = Export.objects.get().key
        assert Api().as_(amel).delete("/me/", {}).status == 204
        storing.purge(now=at.now)
        assert not (files_folder / key).exists()
        assert not Export.objects.exists()

    def test_finds_nothing_to_do_when_the_account_is_gone(self, amel: Member, at: Moment) -> None:
        export_id = ask(amel).body["id"]
        call = write_export(now=at.now, key="k", export_id=export_id)
        assert Api().as_(amel).delete("/me/", {}).status == 204
        assert call is not None
        call()
        assert not Export.objects.exists()


def killed(*_: object, **__: object) -> None:
    raise SystemExit


class TestWhatIsInIt:
    @pytest.fixture
    def life(self, db: None, at: Moment) -> Life:
        ensure_demo_tariffs(now=at.now)
        return Life(Stage(at))

    @pytest.fixture
    def archive(self, life: Life) -> zipfile.ZipFile:
        User.objects.filter(pk=life.person.id).update(password="SECRET-hash")
        SecondFactor.objects.update(sealed_secret=b"SECRET-seed")
        assert life.api.post("/me/export/", {}).status == 202
        run_jobs("media.write_export")
        return download(life.api.get("/me/export/"))

    def test_is_everything_that_is_held(self, life: Life, archive: zipfile.ZipFile) -> None:
        document = Document.objects.get()
        assert {
            *("core/acts.json", "accounts/profile.json", "accounts/assistant.json", "accounts/addresses.json"),
            *("accounts/skills.json", "accounts/sessions.json", "accounts/identities.json", "accounts/two_factor.json"),
            *("accounts/invitations.json", "media/documents.json", f"media/document-{document.pk}.pdf"),
            *("media/photo.webp", "messaging/conversations.json", "messaging/messages.json"),
            *("catalog/reviews_written.json", "catalog/reviews_received.json", "catalog/finished_work.json"),
            *("dispatch/requests.json", "dispatch/jobs.json", "dispatch/quotes.json", "dispatch/offers.json"),
            *("dispatch/position.json", "dispatch/track.json"),
        } <= set(archive.namelist())
        assert archive.read(f"media/document-{document.pk}.pdf") == PDF
        assert archive.read("media/photo.webp") == b"a square"

    def test_is_plain_to_read(self, life: Life, archive: zipfile.ZipFile) -> None:
        def rows(name: str) -> Any:
            return json.loads(archive.read(f"{name}.json"))

        me, asked, worked = life.person, life.asked, life.worked
        (profile,) = rows("accounts/profile")
        assert (profile["email"], profile["pending_email"]) == (f"{CANARY}@example.org", f"{CANARY}@example.com")
        assert profile["created_at"] == "2030-05-15T09:30:00Z"
        assert rows("accounts/skills") == [{"skill__name": "Winching"}]
        assert rows("accounts/identities") == [
            {"issuer": "https://id.example", "subject": CANARY, "created_at": "2030-05-15T09:30:00Z"}
        ]
        (request,), (job,) = rows("dispatch/requests"), rows("dispatch/jobs")
        assert (request["id"], request["note"], request["assistant"]) == (
            asked.assistance.pk,
            f"{CANARY}: call me",
            "Bilal Assistant",
        )
        assert (job["id"], job["client"], "note" in job) == (worked.assistance.pk, "Chafia Client", False)
        assert [one["content"] for one in rows("messaging/messages")] == [f"{WORDS}, {me.id}"] * 2
        assert [one["opened_with"] for one in rows("messaging/conversations")] == [
            [f"{CANARY} Haddad", "Bilal Assistant"],
            [f"{CANARY} Haddad", "Chafia Client"],
        ]
        (written,), (received,) = rows("catalog/reviews_written"), rows("catalog/reviews_received")
        assert (written["comment"], received["comment"]) == (f"Good, {me.id}", f"Good, {worked.client.id}")
        assert [one["assistance_id"] for one in rows("dispatch/track")] == [worked.assistance.pk]
        assert {"media.document_added", "media.photo_changed"} & {one["action"] for one in rows("core/acts")}

    def test_holds_no_secret_and_nothing_private_of_others(self, life: Life, archive: zipfile.ZipFile) -> None:
        """Z4. Seen red with the password's hash planted among the columns of the profile."""
        content = b"\n".join(archive.read(name) for name in archive.namelist()).decode(errors="replace")
        assert "SECRET" not in content
        for other in (life.asked.assistant, life.worked.client):
            user = User.objects.get(pk=other.id)
            assert user.email is not None
            assert user.email not in content
            assert user.username not in content
            assert f"{WORDS}, {other.id}" not in content
